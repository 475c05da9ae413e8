//! What is wrong with a rules file, as the sentences its author reads. Nothing else.

use std::{fmt, path::PathBuf};

use crate::text::shown;

/// Why rules were refused. `Display` is what the person reads: place, sentence, the line itself.
#[derive(Debug)]
pub enum RulesError {
    /// The file or directory cannot be read.
    Unreadable { path: PathBuf, error: std::io::Error },
    /// It is not a regular file, or larger than rules are.
    NotRules { path: PathBuf, problem: String },
    /// The text says something that is not a rule.
    Invalid(Box<Mistake>),
    /// A change to a rule that is not there; these are.
    NoRule { names: Vec<String> },
    /// The changed file cannot be written.
    Unwritable { path: PathBuf, error: std::io::Error },
    /// Two rules of one name.
    Duplicate { first: String, second: Box<Mistake> },
}

/// What is wrong at a place in a rules file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Path of the file, or what stands for it.
    pub origin: String,
    /// From 1; 0 when the whole file is meant.
    pub line: u64,
    /// In characters, from 1.
    pub column: u64,
    pub message: String,
    /// The line itself.
    pub source: String,
}

impl Mistake {
    /// A place in `text`.
    #[must_use]
    pub fn new(origin: &str, text: &str, line: u64, column: u64, message: impl Into<String>) -> Self {
        let index = usize::try_from(line.saturating_sub(1)).unwrap_or(usize::MAX);
        let source = if line == 0 { "" } else { text.lines().nth(index).unwrap_or("") };
        Self { origin: origin.to_owned(), line, column, message: message.into(), source: source.to_owned() }
    }

    /// From what the YAML reader says.
    #[must_use]
    pub fn of_yaml(origin: &str, text: &str, error: &serde_saphyr::Error) -> Self {
        let (line, column) = error.location().map_or((0, 0), |location| (location.line(), location.column()));
        Self::new(origin, text, line, column, sentence(error))
    }
}

impl From<Mistake> for RulesError {
    fn from(place: Mistake) -> Self {
        Self::Invalid(Box::new(place))
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// A longer line is cut: a rules file may come from anybody.
        const SHOWN: usize = 160;

        write!(formatter, "{}", shown(&self.origin))?;
        if self.line == 0 {
            return write!(formatter, ": {}", shown(&self.message));
        }
        write!(formatter, ":{}:{}: {}", self.line, self.column, shown(&self.message))?;
        let margin = " ".repeat(self.line.to_string().len());
        let source: String = self.source.chars().take(SHOWN).collect();
        write!(formatter, "\n{margin} |\n{} | {}\n{margin} |", self.line, shown(&source))?;
        let before = usize::try_from(self.column.saturating_sub(1)).unwrap_or(usize::MAX);
        if before < SHOWN {
            let head: String = source.chars().take(before).collect();
            write!(formatter, " {}^", " ".repeat(shown(&head).chars().count()))?;
        }
        Ok(())
    }
}

impl fmt::Display for RulesError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { path, error } => {
                write!(formatter, "{}: cannot be read: {error}", shown(&path.to_string_lossy()))
            }
            Self::NotRules { path, problem } => {
                write!(formatter, "{}: {problem}", shown(&path.to_string_lossy()))
            }
            Self::Invalid(place) => place.fmt(formatter),
            Self::NoRule { names } => write!(formatter, "there is no such rule among {}", names.len()),
            Self::Unwritable { path, error } => {
                write!(formatter, "{}: cannot be written: {error}", shown(&path.to_string_lossy()))
            }
            Self::Duplicate { first, second } => {
                write!(formatter, "{second}\nthe other rule of this name is in {}", shown(first))
            }
        }
    }
}

impl std::error::Error for RulesError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unreadable { error, .. } | Self::Unwritable { error, .. } => Some(error),
            Self::NotRules { .. } | Self::Invalid(_) | Self::NoRule { .. } | Self::Duplicate { .. } => None,
        }
    }
}

/// What the YAML reader found, without the place, with the nearest name where a name was expected.
fn sentence(error: &serde_saphyr::Error) -> String {
    use serde_saphyr::Error;
    match error.without_snippet() {
        Error::SerdeUnknownField { field, expected, .. } => unknown("key", field, expected),
        Error::SerdeUnknownVariant { variant, expected, .. } => unknown("word", variant, expected),
        Error::SerdeMissingField { field, .. } => format!("`{field}` is missing here"),
        Error::DuplicateMappingKey { key: Some(key), .. } => format!("`{key}` stands here twice"),
        Error::UnknownAnchor { .. } => {
            "`*` begins an alias in YAML: put quotes around a glob that starts with it".to_owned()
        }
        Error::MultipleDocuments { .. } => "a rules file is one YAML document: this begins a second".to_owned(),
        Error::Eof { .. } => "the file ends here: expected a list, such as `rules:`".to_owned(),
        Error::Unexpected { expected: "mapping start", .. } => {
            "expected keys with values here; a rules file begins with `rules:`".to_owned()
        }
        Error::Message { msg, .. } => msg.clone(),
        other => {
            let options = serde_saphyr::render_options! { snippets: serde_saphyr::SnippetMode::Off };
            let text = other.render_with_options(options);
            // The place stands in front already.
            text.split(" at line ").next().unwrap_or(&text).to_owned()
        }
    }
}

/// "unknown key `x`: did you mean `y`? expected one of …"
#[must_use]
pub fn unknown<S: AsRef<str>>(what: &str, found: &str, expected: &[S]) -> String {
    let hint = nearest(found, expected).map_or_else(String::new, |name| format!(" did you mean `{name}`?"));
    let names: Vec<&str> = expected.iter().map(AsRef::as_ref).collect();
    if names.is_empty() {
        return format!("unknown {what} `{found}`: there is none");
    }
    format!("unknown {what} `{found}`:{hint} expected one of {}", names.join(", "))
}

/// The expected name that a slip of the finger would make this of.
#[must_use]
pub fn nearest<'a, S: AsRef<str>>(found: &str, expected: &'a [S]) -> Option<&'a str> {
    expected
        .iter()
        .map(|name| (distance(found, name.as_ref()), name.as_ref()))
        .filter(|(distance, name)| *distance <= 1 + name.len() / 4)
        .min()
        .map(|(_, name)| name)
}

/// Edits between two names, a swap of neighbours counted as one.
fn distance(left: &str, right: &str) -> usize {
    let (left, right): (Vec<char>, Vec<char>) = (left.chars().take(64).collect(), right.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=right.len()).collect();
    for (row, a) in left.iter().enumerate() {
        let mut current = vec![row + 1];
        for (column, b) in right.iter().enumerate() {
            let change = above[column] + usize::from(a != b);
            let mut best = change.min(above[column + 1] + 1).min(current[column] + 1);
            if row > 0 && column > 0 && *a == right[column - 1] && left[row - 1] == *b {
                best = best.min(before[column - 1] + 1);
            }
            current.push(best);
        }
        before = std::mem::replace(&mut above, current);
    }
    above[right.len()]
}
