//! The file in which a tool reads which commands its hooks run, and guard's entries in it. Values in, values out: nothing
//! here reads or writes, and nothing of others is touched.

use serde::Serialize as _;
use serde_json::{Map, Value, json};

use super::Tool;
use crate::text::command_line;

/// Where the hooks of a tool are set, and how.
#[derive(Debug)]
pub struct Settings {
    /// In the home directory, and in a project.
    pub directory: &'static str,
    /// The variable that names another than the one in the home directory.
    pub moved_by: Option<&'static str>,
    pub file: &'static str,
    pub(super) shape: Shape,
    pub(super) events: &'static [&'static str],
    /// After which the tool ends the hook, in its own unit: a hook takes milliseconds, and this many seconds mean that the
    /// machine hangs.
    pub(super) timeout: u64,
    /// What must be done besides; empty where the file is all.
    pub remark: &'static str,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// An event has groups, a group has commands: Claude Code, and who took it over.
    Groups,
    /// An event has commands, and the file has a version: Cursor.
    Flat,
}

/// The name under which every tool has its hooks.
const HOOKS: &str = "hooks";

/// What guard's command line ends with. A guardctl that is away, or fails, must not be felt by the agent.
fn ending(tool: Tool) -> String {
    format!(" hook {} || true", tool.name())
}

impl Settings {
    /// `settings` with one command in each event, which runs the guardctl at `program`.
    ///
    /// # Errors
    /// When the hooks in it are not of the shape that this tool reads.
    pub fn with(&self, settings: &Value, tool: Tool, program: &str) -> Result<Value, String> {
        let command = command_line(&[program]) + &ending(tool);
        let entry = match self.shape {
            Shape::Groups => json!({ HOOKS: [{ "type": "command", "command": command, "timeout": self.timeout }] }),
            Shape::Flat => json!({ "command": command, "timeout": self.timeout }),
        };
        let without = self.without(settings, tool, program)?;
        let is_there = |event: &&str| {
            let is_wanted = |list: &Value| list.as_array().is_some_and(|list| list.contains(&entry));
            settings.get(HOOKS).and_then(|hooks| hooks.get(event)).is_some_and(is_wanted)
        };
        let lacks_version = self.shape == Shape::Flat && settings.get("version").is_none();
        let is_once = count(settings) == count(&without) + self.events.len();
        if self.events.iter().all(is_there) && is_once && !lacks_version {
            return Ok(settings.clone());
        }
        let mut settings = without;
        if lacks_version {
            settings["version"] = json!(1);
        }
        for event in self.events {
            let list = &mut settings[HOOKS][*event];
            if list.is_null() {
                *list = json!([]);
            }
            list.as_array_mut().into_iter().for_each(|list| list.push(entry.clone()));
        }
        Ok(settings)
    }

    /// `settings` without any command that an earlier [`Self::with`] added, and without what is empty for lack of it.
    ///
    /// # Errors
    /// As in [`Self::with`].
    pub fn without(&self, settings: &Value, tool: Tool, program: &str) -> Result<Value, String> {
        let mut settings = settings.clone();
        let fields = settings.as_object_mut().ok_or("it is no JSON object")?;
        let Some(hooks) = fields.get_mut(HOOKS) else { return Ok(settings) };
        let hooks = hooks.as_object_mut().ok_or("its `hooks` are no JSON object")?;
        let is_ours = |entry: &Value| is_ours(entry, tool, program);
        let mut odd = None;
        let had_any = !hooks.is_empty();
        hooks.retain(|event, list| {
            let Some(list) = list.as_array_mut() else {
                // Gemini CLI has settings among the events; another value where a list must be would be lost.
                odd = odd.take().or(self.events.contains(&event.as_str()).then(|| event.clone()));
                return true;
            };
            let had_any = !list.is_empty();
            list.retain_mut(|entry| match self.shape {
                Shape::Flat => !is_ours(entry),
                Shape::Groups => {
                    let Some(commands) = entry.get_mut(HOOKS).and_then(Value::as_array_mut) else { return true };
                    let had_any = !commands.is_empty();
                    commands.retain(|command| !is_ours(command));
                    !had_any || !commands.is_empty()
                }
            });
            !had_any || !list.is_empty()
        });
        if let Some(event) = odd {
            return Err(format!("`{event}` in its `hooks` is no list"));
        }
        if had_any && hooks.is_empty() {
            fields.shift_remove(HOOKS);
        }
        Ok(settings)
    }

    /// There is nothing in it that a file would be needed for.
    #[must_use]
    pub fn is_bare(&self, settings: &Value) -> bool {
        let is_version = |name: &String| self.shape == Shape::Flat && name == "version";
        settings.as_object().is_some_and(|fields| fields.keys().all(is_version))
    }
}

/// An entry as [`Settings::with`] makes it, for the guardctl at `program` or at any other place.
fn is_ours(entry: &Value, tool: Tool, program: &str) -> bool {
    let command = entry.get("command").and_then(Value::as_str);
    command.and_then(|command| command.strip_suffix(&ending(tool))).is_some_and(|path| {
        path == command_line(&[program]) || path.trim_matches('\'').rsplit('/').next() == Some("guardctl")
    })
}

/// How many commands are set in all events.
fn count(settings: &Value) -> usize {
    let lists = settings.get(HOOKS).and_then(Value::as_object).into_iter().flat_map(Map::values);
    let entries = lists.filter_map(Value::as_array).flatten();
    entries.map(|entry| entry.get(HOOKS).and_then(Value::as_array).map_or(1, Vec::len)).sum()
}

/// As text, with what stands before the first field of `like` before every field: people indent as they like.
#[must_use]
pub fn text(settings: &Value, like: &str) -> String {
    let indent = like.lines().skip(1).map(|line| &line[..line.len() - line.trim_start().len()]);
    let indent = indent.filter(|indent| !indent.is_empty()).min_by_key(|indent| indent.len()).unwrap_or("  ");
    let mut bytes = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(indent.as_bytes());
    let written = settings.serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, formatter));
    written.expect("a JSON value is JSON");
    String::from_utf8(bytes).expect("JSON is UTF-8") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROGRAM: &str = "/usr/bin/guardctl";

    fn each(mut check: impl FnMut(Tool, &Settings)) {
        for tool in Tool::ALL {
            if let Some(settings) = tool.settings() {
                check(tool, settings);
            }
        }
    }

    #[test]
    fn what_is_added_to_nothing_is_as_documented() {
        let mut page = String::new();
        each(|tool, settings| {
            let with = settings.with(&json!({}), tool, PROGRAM).expect("it is an object");
            page += &format!("{} {}/{}\n{}\n", tool.name(), settings.directory, settings.file, text(&with, ""));
        });
        insta::assert_snapshot!("settings", page);
    }

    #[test]
    fn what_was_added_is_taken_out_again_and_nothing_else() {
        each(|tool, settings| {
            let event = settings.events[0];
            for theirs in [
                json!({}),
                json!({ "z": 1, "hooks": { "enabled": true, "Else": [], "b": [{ "command": "x hook y || true" }] }, "a": 2.5 }),
                json!({ "version": 1, "hooks": { event: [{ "matcher": "Bash", "hooks": [{ "command": "mine" }] }] } }),
                json!({ "version": 1, "hooks": { event: [{ "hooks": [] }, { "command": "mine" }] } }),
            ] {
                let with = settings.with(&theirs, tool, PROGRAM).expect("it is understood");
                assert_eq!(count(&with), count(&theirs) + settings.events.len(), "{with}");
                assert_eq!(settings.with(&with, tool, PROGRAM).expect("it is understood"), with);
                let mut without = settings.without(&with, tool, PROGRAM).expect("it is understood");
                if theirs.get("version").is_none() {
                    without.as_object_mut().expect("an object").shift_remove("version");
                }
                assert_eq!(without.to_string(), theirs.to_string());
            }
        });
    }

    #[test]
    fn a_guardctl_that_moved_is_not_there_twice() {
        each(|tool, settings| {
            let old = settings.with(&json!({}), tool, "/opt/old guard/guardctl").expect("it is an object");
            let new = settings.with(&old, tool, PROGRAM).expect("it is understood");
            assert_eq!(new, settings.with(&json!({}), tool, PROGRAM).expect("it is an object"));
            assert!(settings.is_bare(&settings.without(&new, tool, "/elsewhere").expect("it is understood")));
        });
    }

    #[test]
    fn another_shape_is_left_alone() {
        each(|tool, settings| {
            for odd in [json!([]), json!({ "hooks": [] }), json!({ "hooks": { settings.events[0]: "x" } })] {
                settings.with(&odd, tool, PROGRAM).expect_err("it is not understood");
                settings.without(&odd, tool, PROGRAM).expect_err("it is not understood");
            }
        });
    }

    #[test]
    fn the_indentation_is_kept() {
        let settings = json!({ "a": { "b": 1 } });
        assert_eq!(text(&settings, "{\n\t\"a\": {\n\t\t\"b\": 1\n\t}\n}"), "{\n\t\"a\": {\n\t\t\"b\": 1\n\t}\n}\n");
        assert_eq!(text(&settings, "{}"), "{\n  \"a\": {\n    \"b\": 1\n  }\n}\n");
    }
}
