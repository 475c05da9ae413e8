//! What guard knows of the command lines of programs: data, read from `tools.yaml`. Adding a tool needs no Rust.

use serde::Deserialize;

use super::error::{Mistake, RulesError};

const ORIGIN: &str = "tools.yaml (built in)";
const TEXT: &str = include_str!("tools.yaml");

/// How a program reads its arguments.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tool {
    pub program: Vec<String>,
    /// Options before the subcommand whose value is the next argument.
    #[serde(default)]
    pub value_options: Vec<String>,
    /// Options before the subcommand that take no value.
    #[serde(default)]
    pub flags: Vec<String>,
    /// `-destroy` is one option, not seven letters, and the same as `--destroy`.
    #[serde(default)]
    pub single_dash: bool,
    /// A program called `git-push` is `git push`.
    #[serde(default)]
    pub dashed: bool,
}

/// Every tool guard knows.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tools {
    tools: Vec<Tool>,
    /// For a program that is not described.
    #[serde(skip)]
    unknown: Tool,
}

impl Tools {
    /// # Errors
    /// When the built-in descriptions are not what this program reads.
    pub fn built_in() -> Result<Self, RulesError> {
        serde_saphyr::from_str(TEXT).map_err(|error| Mistake::of_yaml(ORIGIN, TEXT, &error).into())
    }

    /// The description of a program by its file name.
    #[must_use]
    pub fn get(&self, program: &str) -> &Tool {
        let named = |tool: &&Tool| tool.program.iter().any(|name| name == program);
        self.tools.iter().find(named).unwrap_or(&self.unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_tools_are_read_and_none_is_described_twice() {
        let tools = Tools::built_in().expect("built-in tools");
        let mut names: Vec<&String> = tools.tools.iter().flat_map(|tool| &tool.program).collect();
        let count = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), count);
        assert!(tools.get("git").dashed);
        assert_eq!(tools.get("no-such-program"), &Tool::default());
    }
}
