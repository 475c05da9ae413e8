//! What a command line says, as its program would read it. Arguments are bytes from an agent: nothing here trusts
//! them to be text, and what could be read two ways is read as the one a rule matches.

use std::{
    cell::OnceCell,
    ffi::{OsStr, OsString},
    path::Path,
};

use globset::{Glob, GlobBuilder, GlobMatcher};

use super::{
    command::{Found, Line},
    sql::{self, SqlAct},
    syntax::Arguments,
    texts::AnyGlob,
    tool::Tool,
    trigger::{self, Condition, Trigger},
};

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

/// The arguments of one operation, as all rules ask about them.
#[derive(Debug)]
pub struct Given<'a> {
    argv: &'a [OsString],
    /// `argv` is all there is.
    whole: bool,
    /// What they do as SQL: parsed once, and only when a rule asks.
    sql: OnceCell<Vec<SqlAct>>,
    /// How the first tool that was asked about reads them; rules on one program are many.
    line: OnceCell<(&'a Tool, Line<'a>)>,
}

impl<'a> Given<'a> {
    #[must_use]
    pub fn new(argv: &'a [OsString], whole: bool) -> Self {
        Self { argv, whole, sql: OnceCell::new(), line: OnceCell::new() }
    }

    fn texts(&self) -> impl Iterator<Item = &'a OsStr> {
        self.argv.iter().skip(1).map(OsString::as_os_str)
    }

    /// The arguments as `tool` reads them, unless another one was first.
    fn line(&self, tool: &'a Tool) -> Option<&Line<'a>> {
        let (of, line) = self.line.get_or_init(|| (tool, Line::new(self.argv, None, tool, self.whole)));
        std::ptr::eq(*of, tool).then_some(line)
    }

    fn sql(&self) -> &[SqlAct] {
        self.sql.get_or_init(|| self.texts().flat_map(sql::acts).collect())
    }
}

/// What arguments must say: all that is given.
#[derive(Clone, Debug)]
pub struct Matcher {
    /// Any of these, each a list of words.
    subcommands: Vec<Vec<Part>>,
    any_option: Vec<Wanted>,
    not_option: Vec<Wanted>,
    any_argument: Option<AnyGlob>,
    /// What `any_argument` may match begins so.
    argument: Trigger,
    keywords: Vec<String>,
    sql: Vec<SqlAct>,
}

/// Most words of a subcommand; [`align`] has a bit for each.
const WORDS: usize = 60;

/// One word of a subcommand.
#[derive(Clone, Debug)]
enum Part {
    Plain(String),
    /// `{drop,clear}`: by far the most there are, and a tenth of the cost of a glob.
    OneOf(Vec<String>, String),
    /// `delete-*`.
    Glob(GlobMatcher),
    /// `**`: any number of words.
    Deep,
}

/// An option, and what its value must be.
#[derive(Clone, Debug)]
struct Wanted {
    name: String,
    value: Option<GlobMatcher>,
    /// `--dry-run=`: it must have none.
    bare: bool,
}

impl Matcher {
    /// # Errors
    /// A sentence saying what is wrong.
    pub(crate) fn new(arguments: &Arguments) -> Result<Self, String> {
        let mut subcommands = Vec::new();
        for text in arguments.subcommand.iter().flat_map(|many| &many.0) {
            let words: Vec<Part> = text.split_whitespace().map(Part::new).collect::<Result<_, _>>()?;
            let only_deep = words.iter().all(|part| matches!(part, Part::Deep));
            if only_deep || text.split_whitespace().any(|word| word.starts_with('-')) {
                return Err(format!("`{text}` is not a subcommand such as `push` or `s3 rb`"));
            }
            if words.len() > WORDS {
                return Err(format!("`{text}` has more than {WORDS} words"));
            }
            subcommands.push(words);
        }
        let globs = arguments.any_argument.iter().flat_map(|many| &many.0).map(|text| glob(text));
        let globs = globs.collect::<Result<Vec<_>, _>>()?;
        let argument =
            trigger::either(arguments.any_argument.iter().flat_map(|many| &many.0).map(|text| trigger::argument(text)));
        let options = |many: &Option<super::many::OneOrMany<super::syntax::OptionName>>| {
            many.iter().flat_map(|many| &many.0).map(|name| Wanted::new(&name.0)).collect::<Result<Vec<_>, _>>()
        };
        let matcher = Self {
            subcommands,
            any_option: options(&arguments.any_option)?,
            not_option: options(&arguments.not_option)?,
            any_argument: (!globs.is_empty()).then(|| AnyGlob::new(globs)).transpose()?,
            argument,
            keywords: arguments.contains_sql.iter().flat_map(|many| &many.0).map(|word| word.0.clone()).collect(),
            sql: arguments.sql.iter().flat_map(|many| many.0.clone()).collect(),
        };
        if matcher.subcommands.is_empty()
            && matcher.any_option.is_empty()
            && matcher.any_argument.is_none()
            && matcher.keywords.is_empty()
            && matcher.sql.is_empty()
            && matcher.not_option.is_empty()
        {
            return Err("`argv` is empty: name a subcommand, option, argument or what SQL does".to_owned());
        }
        Ok(matcher)
    }

    /// First words of the subcommands, for programs that are named `git-push`.
    pub(crate) fn first_words(&self) -> impl Iterator<Item = &str> {
        self.subcommands.iter().filter_map(|words| match words.first() {
            Some(Part::Plain(word)) => Some(word.as_str()),
            Some(Part::OneOf(..) | Part::Glob(_) | Part::Deep) | None => None,
        })
    }

    /// What the kernel can see of it: arguments that do not meet this do not match, whole as they are.
    pub(crate) fn condition(&self, program: &str, tool: &Tool) -> Condition {
        let dashed = tool.dashed.then_some(program);
        let word = match self.subcommands.is_empty() {
            true => None,
            // The last says most: `stash {drop,clear}`.
            false => trigger::either(
                self.subcommands.iter().map(|words| words.iter().rev().find_map(|part| part.trigger(dashed))),
            ),
        };
        let option = match (self.any_option.is_empty(), &self.any_argument) {
            (false, _) => trigger::either(self.any_option.iter().map(|wanted| trigger::option(&wanted.name, tool))),
            (true, Some(_)) => self.argument.clone(),
            (true, None) => None,
        };
        Condition { word, option }
    }

    /// `dashed` is the subcommand that the program's own name gives.
    #[must_use]
    pub fn matches<'a>(&self, given: &Given<'a>, dashed: Option<&[u8]>, tool: &'a Tool) -> Answer {
        let whole = given.whole;
        let own;
        let known = if dashed.is_none() { given.line(tool) } else { None };
        let line: &Line<'_> = match known {
            Some(line) => line,
            None => {
                own = Line::new(given.argv, dashed, tool, whole);
                &own
            }
        };
        let says = |wanted: &Wanted, certain: bool| {
            line.options.iter().any(|option| (option.certain || !certain) && wanted.fits(option, tool, certain))
        };
        // An option that takes the effect away counts only where it is one beyond doubt.
        if line.is_inert(tool) || self.not_option.iter().any(|wanted| says(wanted, true)) {
            return Answer::No;
        }
        let subcommand = match self.subcommands.is_empty() {
            true => Answer::Yes,
            false => {
                let answers = self.subcommands.iter().map(|wanted| align(line, wanted, whole));
                answers.max().unwrap_or(Answer::No)
            }
        };
        if subcommand == Answer::No {
            return Answer::No;
        }
        // What is not there may be in the part the kernel could not hold.
        let found = |is: bool| match (is, whole) {
            (true, _) => Answer::Yes,
            (false, true) => Answer::No,
            (false, false) => Answer::Unknown,
        };
        let option = self.any_option.is_empty() || self.any_option.iter().any(|wanted| says(wanted, false));
        let argument = match &self.any_argument {
            None => Answer::Yes,
            Some(globs) => globs.is_match(given.texts().map(Path::new)).map_or(Answer::Unknown, found),
        };
        let keyword = self.keywords.is_empty() || given.texts().any(|text| sql::has_keyword(text, &self.keywords));
        let query = self.sql.is_empty() || given.sql().iter().any(|act| self.sql.contains(act));
        subcommand.min(found(option)).min(argument).min(found(keyword)).min(found(query))
    }
}

impl Part {
    fn new(word: &str) -> Result<Self, String> {
        Ok(match word {
            "**" => Self::Deep,
            _ if let Some(words) = alternatives(word) => Self::OneOf(words, word.to_owned()),
            _ if word.contains(['*', '?', '[', '{']) => Self::Glob(glob(word)?.compile_matcher()),
            _ => Self::Plain(word.to_owned()),
        })
    }

    fn trigger(&self, dashed: Option<&str>) -> Trigger {
        match self {
            Self::Plain(word) => trigger::word(word, dashed),
            Self::OneOf(_, text) => trigger::word(text, dashed),
            Self::Glob(glob) => trigger::word(glob.glob().glob(), dashed),
            Self::Deep => None,
        }
    }

    fn fits(&self, word: &[u8]) -> bool {
        match self {
            Self::Plain(text) => text.as_bytes() == word,
            Self::OneOf(words, _) => words.iter().any(|text| text.as_bytes() == word),
            Self::Glob(glob) => glob.is_match(super::pattern::bytes_path(word)),
            Self::Deep => true,
        }
    }
}

/// The words of a glob that is nothing but a choice of plain ones.
fn alternatives(glob: &str) -> Option<Vec<String>> {
    let inside = glob.strip_prefix('{')?.strip_suffix('}')?;
    let is_plain = !inside.contains(['*', '?', '[', ']', '{', '}', '\\']);
    is_plain.then(|| inside.split(',').map(str::to_owned).collect())
}

impl Wanted {
    fn new(text: &str) -> Result<Self, String> {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) if !value.is_empty() => (name, Some(glob(value)?.compile_matcher())),
            Some((name, _)) => (name, None),
            None => (text, None),
        };
        Ok(Self { name: name.to_owned(), value, bare: text.ends_with('=') })
    }

    /// `exactly`: a value that only may belong to it is none.
    fn fits(&self, option: &Found<'_>, tool: &Tool, exactly: bool) -> bool {
        let Some(glob) = &self.value else {
            let is_bare = !self.bare || option.value.is_none_or(<[u8]>::is_empty);
            return is_bare && same_option(&option.name, &self.name, tool, exactly);
        };
        let is = |value: Option<&[u8]>| value.is_some_and(|value| glob.is_match(super::pattern::bytes_path(value)));
        same_option(&option.name, &self.name, tool, exactly) && (is(option.value) || (!exactly && is(option.next)))
    }
}

fn glob(text: &str) -> Result<Glob, String> {
    let glob = GlobBuilder::new(text).literal_separator(false).build();
    glob.map_err(|error| format!("`{text}` is not a glob: {}", error.kind()))
}

/// Is `wanted` what the words begin with, leaving out words that may be values of options?
fn align(line: &Line<'_>, wanted: &[Part], whole: bool) -> Answer {
    // How far into `wanted` the words so far may lead: a bit for each number of words.
    let mut places = reached(wanted, 0);
    let mut answer = Answer::No;
    for word in &line.words {
        if word.may_be_cut && places != 0 {
            answer = Answer::Unknown;
        }
        let mut next = 0;
        for (at, part) in wanted.iter().enumerate().filter(|(at, _)| places & 1 << at != 0) {
            let is_deep = matches!(part, Part::Deep);
            if is_deep || word.may_be_value {
                next |= reached(wanted, at);
            }
            if !is_deep && !word.may_be_cut && part.fits(word.text) {
                next |= reached(wanted, at + 1);
            }
        }
        places = next;
        if places & 1 << wanted.len() != 0 {
            return Answer::Yes;
        }
    }
    if !whole && places != 0 { Answer::Unknown } else { answer }
}

/// The place after `at` words, and those behind it that need no word.
fn reached(wanted: &[Part], at: usize) -> u64 {
    let deep = wanted[at..].iter().take_while(|part| matches!(part, Part::Deep)).count();
    ((2 << deep) - 1) << at
}

/// Long options may be shortened as `getopt_long` allows: `--forc` is `--force`.
fn same_option(found: &[u8], wanted: &str, tool: &Tool, exactly: bool) -> bool {
    let wanted = wanted.as_bytes();
    if found == wanted {
        return true;
    }
    if tool.single_dash {
        let plain = |name: &[u8]| name.iter().position(|byte| *byte != b'-').unwrap_or(0);
        return found[plain(found)..] == wanted[plain(wanted)..];
    }
    // An option that is known is not the beginning of another.
    let is_short = !tool.takes_value(found, true) && !tool.is_switch(found, true);
    !exactly && is_short && found.len() > 2 && found.starts_with(b"--") && wanted.starts_with(found)
}
