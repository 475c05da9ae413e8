//! What a command line says, as its program would read it. Arguments are bytes from an agent: nothing here trusts
//! them to be text, and what could be read two ways is read as the one a rule matches.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use super::{syntax::Arguments, tool::Tool};

/// Whether something matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Answer {
    No,
    /// What guard knows of the operation does not say.
    Unknown,
    Yes,
}

impl Answer {
    #[must_use]
    pub fn of(is: bool) -> Self {
        if is { Self::Yes } else { Self::No }
    }
}

/// What arguments must say: all that is given.
#[derive(Clone, Debug)]
pub struct Matcher {
    /// Any of these, each a list of words.
    subcommands: Vec<Vec<String>>,
    any_option: Vec<String>,
    any_argument: Option<GlobSet>,
    sql: Vec<String>,
}

/// A word that is neither an option nor certainly an option's value.
struct Word<'a> {
    text: &'a [u8],
    /// The option before it may have taken it.
    may_be_value: bool,
    /// The kernel may have cut it, and what follows is not known.
    may_be_cut: bool,
}

impl Matcher {
    /// # Errors
    /// A sentence saying what is wrong.
    pub(crate) fn new(arguments: &Arguments) -> Result<Self, String> {
        let mut subcommands = Vec::new();
        for text in arguments.subcommand.iter().flat_map(|many| &many.0) {
            let words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
            if words.is_empty() || words.iter().any(|word| word.starts_with('-')) {
                return Err(format!("`{text}` is not a subcommand such as `push` or `s3 rb`"));
            }
            subcommands.push(words);
        }
        let mut globs = GlobSetBuilder::new();
        for text in arguments.any_argument.iter().flat_map(|many| &many.0) {
            let glob = GlobBuilder::new(text).literal_separator(false).build();
            globs.add(glob.map_err(|error| format!("`{text}` is not a glob: {}", error.kind()))?);
        }
        let globs = globs.build().map_err(|error| format!("these globs are too large: {}", error.kind()))?;
        let matcher = Self {
            subcommands,
            any_option: arguments.any_option.iter().flat_map(|many| &many.0).map(|name| name.0.clone()).collect(),
            any_argument: (!globs.is_empty()).then_some(globs),
            sql: arguments.contains_sql.iter().flat_map(|many| &many.0).map(|word| word.0.clone()).collect(),
        };
        if matcher.subcommands.is_empty()
            && matcher.any_option.is_empty()
            && matcher.any_argument.is_none()
            && matcher.sql.is_empty()
        {
            return Err("`argv` is empty: name a subcommand, option, argument or SQL keyword".to_owned());
        }
        Ok(matcher)
    }

    /// First words of the subcommands, for programs that are named `git-push`.
    pub(crate) fn first_words(&self) -> impl Iterator<Item = &str> {
        self.subcommands.iter().filter_map(|words| words.first()).map(String::as_str)
    }

    /// `dashed` is the subcommand that the program's own name gives, `whole` whether `argv` is all there is.
    #[must_use]
    pub fn matches(&self, argv: &[OsString], dashed: Option<&[u8]>, tool: &Tool, whole: bool) -> Answer {
        let (words, options) = split(argv, dashed, tool, whole);
        let subcommand = match self.subcommands.is_empty() {
            true => Answer::Yes,
            false => {
                let answers = self.subcommands.iter().map(|wanted| align(&words, wanted, whole));
                answers.max().unwrap_or(Answer::No)
            }
        };
        // What is not there may be in the part the kernel could not hold.
        let found = |is: bool| match (is, whole) {
            (true, _) => Answer::Yes,
            (false, true) => Answer::No,
            (false, false) => Answer::Unknown,
        };
        let option = self.any_option.is_empty()
            || options.iter().any(|option| self.any_option.iter().any(|wanted| same_option(option, wanted, tool)));
        let arguments = || argv.iter().skip(1).map(OsString::as_os_str);
        let argument = self.any_argument.as_ref().is_none_or(|globs| arguments().any(|text| globs.is_match(text)));
        let sql = self.sql.is_empty() || arguments().any(|text| has_keyword(text, &self.sql));
        subcommand.min(found(option)).min(found(argument)).min(found(sql))
    }
}

/// Sorts arguments into words and options. Bundles are taken apart: `-rf` is `-r` and `-f`.
fn split<'a>(
    argv: &'a [OsString],
    dashed: Option<&'a [u8]>,
    tool: &Tool,
    whole: bool,
) -> (Vec<Word<'a>>, Vec<Vec<u8>>) {
    let mut words: Vec<Word<'a>> = Vec::new();
    let mut options = Vec::new();
    words.extend(dashed.map(|text| Word { text, may_be_value: false, may_be_cut: false }));
    let mut only_words = false;
    let mut may_be_value = false;
    let mut is_value = false;
    let count = argv.len();
    for (index, argument) in argv.iter().enumerate().skip(1) {
        let text = argument.as_bytes();
        let (was_value, might) = (std::mem::take(&mut is_value), std::mem::take(&mut may_be_value));
        if was_value {
            continue;
        }
        if only_words || text.len() < 2 || !text.starts_with(b"-") {
            words.push(Word { text, may_be_value: might, may_be_cut: !whole && index + 1 == count });
            continue;
        }
        if text == b"--" {
            only_words = true;
            continue;
        }
        let (names, has_value) = option_names(text, tool);
        if let Some(last) = names.last().filter(|_| !has_value) {
            // After the subcommand the same letter may mean something else: there it only may take a value.
            let knows = words.is_empty();
            is_value = knows && tool.value_options.iter().any(|name| name.as_bytes() == last);
            may_be_value = !is_value && !(knows && tool.flags.iter().any(|name| name.as_bytes() == last));
        }
        options.extend(names);
    }
    (words, options)
}

/// The options one argument stands for, and whether it brings the value of the last with it.
fn option_names(text: &[u8], tool: &Tool) -> (Vec<Vec<u8>>, bool) {
    let equals = text.iter().position(|byte| *byte == b'=');
    if text.starts_with(b"--") || tool.single_dash {
        return (vec![text[..equals.unwrap_or(text.len())].to_vec()], equals.is_some());
    }
    // A bundle may also be one letter with its value (`-C/dir`). Reading letters out of a value only adds options.
    let letters: Vec<Vec<u8>> = text[1..].iter().map(|letter| vec![b'-', *letter]).collect();
    let takes =
        letters.iter().position(|name| tool.value_options.iter().any(|known| known.as_bytes() == name.as_slice()));
    let has_value = equals.is_some() || takes.is_some_and(|index| index + 1 < letters.len());
    (letters, has_value)
}

/// Is `wanted` what the words begin with, leaving out words that may be values of options?
fn align(words: &[Word<'_>], wanted: &[String], whole: bool) -> Answer {
    let Some((first, rest)) = wanted.split_first() else {
        return Answer::Yes;
    };
    let Some((word, more)) = words.split_first() else {
        return if whole { Answer::No } else { Answer::Unknown };
    };
    if word.may_be_cut {
        return Answer::Unknown;
    }
    let taken = if word.text == first.as_bytes() { align(more, rest, whole) } else { Answer::No };
    if word.may_be_value { taken.max(align(more, wanted, whole)) } else { taken }
}

/// Long options may be shortened as `getopt_long` allows: `--forc` is `--force`.
fn same_option(found: &[u8], wanted: &str, tool: &Tool) -> bool {
    let wanted = wanted.as_bytes();
    if found == wanted {
        return true;
    }
    if tool.single_dash {
        let plain = |name: &[u8]| name.iter().position(|byte| *byte != b'-').unwrap_or(0);
        return found[plain(found)..] == wanted[plain(wanted)..];
    }
    found.len() > 2 && found.starts_with(b"--") && wanted.starts_with(found)
}

/// Does a word of SQL stand in this text? Comments and quotes are not understood, so that nothing hides in them.
fn has_keyword(text: &OsStr, keywords: &[String]) -> bool {
    text.as_bytes()
        .split(|byte| !(byte.is_ascii_alphanumeric() || *byte == b'_' || *byte >= 0x80))
        .any(|word| keywords.iter().any(|keyword| word.eq_ignore_ascii_case(keyword.as_bytes())))
}
