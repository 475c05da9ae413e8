//! What an operator changed about rules that others wrote: switched off, or only observed. The file `overrides.yaml`
//! in a directory of rules; `guardctl rules enable|disable|mode` writes it.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};
use serde_saphyr::Spanned;

use super::{
    clause::Rule,
    compile::{RuleInfo, Rules, yaml_options},
    error::{Mistake, RulesError, unknown},
    syntax::Mode,
};

/// Its name in a directory of rules.
pub const FILE: &str = "overrides.yaml";

/// What is changed, by the name of the rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides(BTreeMap<String, Change>);

/// What is changed about one rule; what is `None` stays as its author wrote it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Change {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    overrides: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    rule: Spanned<String>,
    enabled: Option<bool>,
    mode: Option<Mode>,
}

impl Overrides {
    /// Checks the text of an overrides file against the rules it is about.
    ///
    /// # Errors
    /// The first thing that is wrong, with its place in `text`.
    pub fn read(text: &str, origin: &str, rules: &Rules) -> Result<Self, RulesError> {
        let file: File = serde_saphyr::from_str_with_options(text, yaml_options())
            .map_err(|error| Mistake::of_yaml(origin, text, &error))?;
        let names: Vec<&str> = rules.iter().map(|rule| rule.info.name.as_str()).collect();
        let mut changes = BTreeMap::new();
        for entry in file.overrides {
            let (line, column) = (entry.rule.referenced.line(), entry.rule.referenced.column());
            let wrong = |message: String| Mistake::new(origin, text, line, column, message);
            let Entry { rule, enabled, mode } = entry;
            let name = rule.value;
            if !names.contains(&name.as_str()) {
                return Err(wrong(unknown("rule", &name, &names)).into());
            }
            if enabled.is_none() && mode.is_none() {
                return Err(wrong(format!("nothing is changed about `{name}`: expected `enabled` or `mode`")).into());
            }
            if changes.insert(name.clone(), Change { enabled, mode }).is_some() {
                return Err(wrong(format!("`{name}` stands here twice")).into());
            }
        }
        Ok(Self(changes))
    }

    #[must_use]
    pub fn of(&self, rule: &str) -> Change {
        self.0.get(rule).copied().unwrap_or_default()
    }

    /// A change that says nothing is left out.
    pub fn set(&mut self, rule: &str, change: Change) {
        if change == Change::default() {
            self.0.remove(rule);
        } else {
            self.0.insert(rule.to_owned(), change);
        }
    }

    /// The text of the file. Names of rules are quoted: `null`, `12` and `-` are names, and to YAML something else.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = "# What is changed about rules. Written by `guardctl rules enable|disable|mode`; comments are not kept.\n\
                        # `enabled: false` switches a rule off; `mode` is enforce, or observe: logged and not stopped.\n"
            .to_owned();
        text.push_str(if self.0.is_empty() { "overrides: []\n" } else { "overrides:\n" });
        for (rule, change) in &self.0 {
            text.push_str(&format!("  - rule: \"{rule}\"\n"));
            if let Some(enabled) = change.enabled {
                text.push_str(&format!("    enabled: {enabled}\n"));
            }
            if let Some(mode) = change.mode {
                text.push_str(&format!("    mode: {}\n", mode.name()));
            }
        }
        text
    }
}

impl Mode {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Observe => "observe",
        }
    }
}

impl Rules {
    /// The rules as the operator changed them.
    #[must_use]
    pub fn changed(&self, overrides: &Overrides) -> Self {
        self.map(|rule| {
            let change = overrides.of(&rule.info.name);
            if change == Change::default() {
                return Arc::clone(rule);
            }
            Arc::new(Rule {
                info: Arc::new(RuleInfo {
                    mode: change.mode.unwrap_or(rule.info.mode),
                    enabled: change.enabled.unwrap_or(rule.info.enabled),
                    ..RuleInfo::clone(&rule.info)
                }),
                except: rule.except.clone(),
                clauses: rule.clauses.clone(),
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::tests::{hold, rules};

    #[test]
    fn what_is_written_is_what_is_read() {
        let rules = hold("{op: delete}");
        let mut overrides = Overrides::default();
        assert_eq!(Overrides::read(&overrides.text(), "o", &rules).expect("it is right"), overrides);
        overrides.set("r", Change { enabled: Some(false), mode: Some(Mode::Observe) });
        assert_eq!(Overrides::read(&overrides.text(), "o", &rules).expect("it is right"), overrides);
        let line = &rules.changed(&overrides).summary()[0];
        assert_eq!((line.enabled, line.mode), (false, Mode::Observe));
        overrides.set("r", Change::default());
        assert_eq!(overrides, Overrides::default());
    }

    #[test]
    fn a_name_that_yaml_takes_for_something_else_is_read_as_it_was_written() {
        for name in ["null", "true", "12", "1e3", "-", "---"] {
            let rules = rules(&format!(
                "rules:\n  - {{name: \"{name}\", text: t, action: hold, reversibility: partial, match: {{op: delete}}}}\n"
            ));
            let mut overrides = Overrides::default();
            overrides.set(name, Change { enabled: Some(false), mode: None });
            assert_eq!(Overrides::read(&overrides.text(), "o", &rules).expect("it is right"), overrides);
        }
    }

    #[test]
    fn a_change_to_a_rule_nobody_knows_is_an_error_with_the_nearest_name() {
        let rules = rules(
            "rules:\n  - {name: customers, text: t, action: hold, reversibility: partial, match: {op: delete}}\n",
        );
        let error = |entries: &str| {
            Overrides::read(&format!("overrides:\n{entries}"), "overrides.yaml", &rules).expect_err("wrong").to_string()
        };
        assert!(
            error("  - {rule: customer, enabled: false}\n")
                .contains("2:12: unknown rule `customer`: did you mean `customers`?")
        );
        assert!(error("  - {rule: customers}\n").contains("expected `enabled` or `mode`"));
        assert!(error("  - {rule: customers, mode: off}\n").contains("unknown word `off`"));
        let twice = "  - {rule: customers, mode: observe}\n  - {rule: customers, enabled: true}\n";
        assert!(error(twice).contains("3:12: `customers` stands here twice"), "{}", error(twice));
    }
}
