//! A word of a command as far as it is known before the command runs.

/// Stands for what nobody knows yet. It is in no file name and no rule.
pub(crate) const UNKNOWN: char = '\u{fffc}';
/// Stand for `*` and `?` that a shell would match with file names.
pub(crate) const STAR: char = '\u{e000}';
pub(crate) const ONE: char = '\u{e001}';

/// One argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Term {
    /// With [`UNKNOWN`] for what is not known, and [`STAR`] and [`ONE`] for wildcards.
    pub(crate) text: String,
    /// It may turn out to be several arguments, or options: `$FLAGS` without quotes.
    pub(crate) open: bool,
}

impl Term {
    pub(crate) fn known(text: &str) -> Self {
        Self { text: text.to_owned(), open: false }
    }

    pub(crate) fn unknown() -> Self {
        Self { text: UNKNOWN.to_string(), open: true }
    }

    pub(crate) fn is_known(&self) -> bool {
        !self.text.contains(UNKNOWN)
    }

    /// As a program would get it where no file matches the wildcards.
    pub(crate) fn plain(&self) -> String {
        plain(&self.text)
    }
}

pub(crate) fn plain(text: &str) -> String {
    text.replace(STAR, "*").replace(ONE, "?")
}

/// Has wildcards that a shell would replace.
pub(crate) fn is_wild(text: &str) -> bool {
    text.contains([STAR, ONE])
}
