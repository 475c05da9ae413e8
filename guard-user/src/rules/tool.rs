//! What guard knows of the command lines of programs: data, read from `tools/*.yaml`. Adding a tool needs no Rust.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
};

use serde::Deserialize;

use super::error::{Mistake, RulesError};

/// How programs read their arguments, by subject.
const TEXTS: [(&str, &str); 7] = [
    ("tools/git.yaml (built in)", include_str!("tools/git.yaml")),
    ("tools/cluster.yaml (built in)", include_str!("tools/cluster.yaml")),
    ("tools/cloud.yaml (built in)", include_str!("tools/cloud.yaml")),
    ("tools/data.yaml (built in)", include_str!("tools/data.yaml")),
    ("tools/system.yaml (built in)", include_str!("tools/system.yaml")),
    ("tools/wrappers.yaml (built in)", include_str!("tools/wrappers.yaml")),
    ("tools/files.yaml (built in)", include_str!("tools/files.yaml")),
];

/// How a program reads its arguments, and what it does with them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tool {
    pub program: Vec<String>,
    /// File names under which the kernel sees the same programs started: `npm` is a link to `npm-cli.js`.
    #[serde(default)]
    pub also: Vec<String>,
    /// Options before the subcommand whose value is the next argument.
    #[serde(default)]
    pub value_options: Vec<String>,
    /// Options before the subcommand that take no value.
    #[serde(default)]
    pub flags: Vec<String>,
    /// Options that take the next argument wherever they stand.
    #[serde(default)]
    pub values: Vec<String>,
    /// Options that take no value wherever they stand.
    #[serde(default)]
    pub switches: Vec<String>,
    /// Options with which the program only says something about itself, whatever else is asked of it.
    #[serde(default)]
    pub inert: Vec<String>,
    /// Options end at the first word that is none, as for programs that start others.
    #[serde(default)]
    pub ordered: bool,
    /// `-destroy` is one option, not seven letters, and the same as `--destroy`.
    #[serde(default)]
    pub single_dash: bool,
    /// A program called `git-push` is `git push`.
    #[serde(default)]
    pub dashed: bool,
    /// The other commands it starts.
    #[serde(default)]
    pub runs: Vec<Runs>,
    /// What it does to files.
    #[serde(default)]
    pub files: Vec<Files>,
}

/// A way in which a program is asked to start another.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Runs {
    /// Only after one of these subcommands; `compose exec` are two words.
    #[serde(default)]
    pub after: Vec<String>,
    pub what: Command,
    /// Of `command` and `text`: how many words stand before it (a host, a container, a time).
    #[serde(default)]
    pub skip: usize,
    /// Of `option` and `until`: the options it follows.
    #[serde(default)]
    pub option: Vec<String>,
    /// Words such as `A=b` before the command are its environment.
    #[serde(default)]
    pub env: bool,
    /// More arguments follow that nobody knows yet.
    #[serde(default)]
    pub more: bool,
    /// It runs on another host or in a container: the files there are others.
    #[serde(default)]
    pub elsewhere: bool,
    /// The option naming the directory it starts in.
    #[serde(default)]
    pub chdir: Vec<String>,
}

/// Where the command stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// The words that are left, as program and arguments.
    Command,
    /// The words after `--`.
    AfterDashes,
    /// The words that are left, joined by blanks, as shell text.
    Text,
    /// The value of an option, as shell text.
    OptionText,
    /// After an option until `;` or `+`, as program and arguments.
    Until,
    /// The first word is a file with shell text, or the standard input is.
    Script,
    /// The value of an option is a program in another language.
    Code,
}

/// What a program does to the files it is given.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Files {
    pub does: Does,
    #[serde(default)]
    pub to: Which,
    /// Words before the files: the mode of `chmod`.
    #[serde(default)]
    pub skip: usize,
    /// Options that stand for the skipped words: `sed -e SCRIPT`.
    #[serde(default)]
    pub unless_given: Vec<String>,
    /// Of `option`: its names; of `key`: the word before `=`.
    #[serde(default)]
    pub option: Vec<String>,
    /// Only with one of these options; for `tar` and its kind, of these letters in the first word.
    #[serde(default)]
    pub with: Vec<String>,
    /// Not with any of these options.
    #[serde(default)]
    pub without: Vec<String>,
    /// Everything below a directory too.
    #[serde(default)]
    pub deep: bool,
    /// The same, with one of these options.
    #[serde(default)]
    pub deep_with: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Does {
    Delete,
    Overwrite,
    Append,
    Create,
    /// Fills a directory with files of any name, over those that are there.
    Unpack,
    Read,
    Move,
    Link,
    Chmod,
    Chown,
    /// Connects to the Unix socket.
    Connect,
}

/// Which of its arguments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Which {
    #[default]
    Words,
    First,
    Last,
    AllButLast,
    Option,
    /// `of=FILE`.
    Key,
    /// Each word as a name in the directory that the last word, or an option, names.
    Into,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    tools: Vec<Tool>,
}

/// Every tool guard knows.
#[derive(Debug)]
pub struct Tools {
    tools: Vec<Tool>,
    by_name: HashMap<String, usize>,
    /// The other names of their files.
    by_file: HashMap<String, usize>,
    /// For a program that is not described.
    unknown: Tool,
}

impl Tools {
    /// The built-in descriptions, read the first time.
    ///
    /// # Errors
    /// When they are not what this program reads.
    pub fn built_in() -> Result<Arc<Self>, RulesError> {
        static BUILT_IN: OnceLock<Arc<Tools>> = OnceLock::new();
        if let Some(tools) = BUILT_IN.get() {
            return Ok(Arc::clone(tools));
        }
        let tools = Arc::new(Self::read()?);
        Ok(Arc::clone(BUILT_IN.get_or_init(|| tools)))
    }

    fn read() -> Result<Self, RulesError> {
        let mut tools = Vec::new();
        for (origin, text) in TEXTS {
            let file: File = serde_saphyr::from_str(text).map_err(|error| Mistake::of_yaml(origin, text, &error))?;
            tools.extend(file.tools);
        }
        let names = |of: fn(&Tool) -> &Vec<String>| {
            let each = |(index, tool): (usize, &Tool)| {
                of(tool).iter().map(move |name| (name.clone(), index)).collect::<Vec<_>>()
            };
            tools.iter().enumerate().flat_map(each).collect()
        };
        let (by_name, by_file) = (names(|tool| &tool.program), names(|tool| &tool.also));
        Ok(Self { tools, by_name, by_file, unknown: Tool::default() })
    }

    /// All that are described.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Tool> {
        self.tools.iter()
    }

    /// The description of a program by its name.
    #[must_use]
    pub fn get(&self, program: &str) -> &Tool {
        self.by_name.get(program).map_or(&self.unknown, |index| &self.tools[*index])
    }

    /// The same by the name of its file, which may be another.
    #[must_use]
    pub fn of_file(&self, file: &str) -> &Tool {
        let index = self.by_name.get(file).or_else(|| self.by_file.get(file));
        index.map_or(&self.unknown, |index| &self.tools[*index])
    }
}

impl Tool {
    /// The next argument is its value, wherever it stands.
    pub(crate) fn takes_value(&self, option: &[u8], before_words: bool) -> bool {
        has(&self.values, option) || (before_words && has(&self.value_options, option))
    }

    /// It certainly has no value.
    pub(crate) fn is_switch(&self, option: &[u8], before_words: bool) -> bool {
        has(&self.switches, option)
            || has(&self.inert, option)
            || (before_words && has(&self.flags, option) && !has(&self.values, option))
    }
}

fn has(names: &[String], option: &[u8]) -> bool {
    names.iter().any(|name| name.as_bytes() == option)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_tools_are_read_and_none_is_described_twice() {
        let tools = Tools::built_in().unwrap_or_else(|error| panic!("{error}"));
        let mut names: Vec<&String> = tools.tools.iter().flat_map(|tool| &tool.program).collect();
        names.sort();
        let twice: Vec<_> = names.windows(2).filter(|pair| pair[0] == pair[1]).collect();
        assert!(twice.is_empty(), "{twice:?}");
        assert!(tools.get("git").dashed);
        assert_eq!(tools.get("no-such-program"), &Tool::default());
        assert_eq!(tools.of_file("npm-cli.js"), tools.get("npm"));
    }
}
