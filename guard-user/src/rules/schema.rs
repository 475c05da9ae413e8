//! The JSON Schema of a rules file, for editors. Its tests keep it true to `syntax`; guardd itself never reads it.

use serde_json::{Value, json};

/// The schema, draft 2020-12.
#[must_use]
pub fn schema() -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Rules of guard",
        "type": "object",
        "additionalProperties": false,
        "required": ["rules"],
        "properties": { "rules": { "type": "array", "items": { "$ref": "#/$defs/rule" } } },
        "$defs": {
            "rule": rule(),
            "match": clause(),
            "argv": argv(),
        }
    })
}

fn rule() -> Value {
    json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["name", "text", "action", "match"],
        "properties": {
            "name": { "type": "string", "pattern": "^[a-z0-9-]{1,64}$", "description": "For typing and for logs; used once in all files." },
            "text": { "type": "string", "minLength": 1, "description": "Why, in one sentence, for the person who decides." },
            "instead": { "type": "string", "minLength": 1, "description": "What the agent may do instead, in a sentence or two that it is told when it was refused." },
            "action": word(&["allow", "hold", "deny", "kill"], "The most severe match wins; `allow` needs `except`."),
            "reversibility": word(&["reversible", "partial", "irreversible"], "Shown wherever a decision is made; only `allow` may leave it out."),
            "mode": word(&["enforce", "observe"], "`observe` logs what it would have stopped, and lets it."),
            "except": { "type": "string", "description": "Of an `allow`: the rule it excepts from." },
            "match": {
                "description": "One match, or a list of which any.",
                "oneOf": [
                    { "$ref": "#/$defs/match" },
                    { "type": "array", "minItems": 1, "items": { "$ref": "#/$defs/match" } }
                ]
            }
        }
    })
}

fn clause() -> Value {
    json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["op"],
        "description": "All keys must fit; of the values of one key, any.",
        "properties": {
            "op": many(word(OPS, "What is done.")),
            "path": many(text("A path glob; `dir/**` is the directory and all below it. It may start with ${HOME}, ${WORKSPACE} or ${TMP}.")),
            "not_path": many(text("Path globs that are left out.")),
            "label": many(text("A label of `policies.yaml`: the paths and hosts that have it.")),
            "name": many(text("The name of the object, or of a directory above it.")),
            "object": many(word(
                &["file", "directory", "symlink", "block_device", "char_device", "fifo", "socket"],
                "The type of the object."
            )),
            "size": range("The size of the object, such as {min: 100MiB}."),
            "links": range("How many names the object has."),
            "owner": many(user("Whose the object is: `self`, `other`, or a user by name or number.")),
            "device": many(text("The number of a block device, such as \"8:0\" or \"8:*\".")),
            "program": many(text("Of exec: the file name of the program, or a glob of its path.")),
            "sha256": many(json!({ "type": "string", "pattern": "^[0-9a-fA-F]{64}$", "description": "Of exec: the SHA-256 of the program." })),
            "argv": { "$ref": "#/$defs/argv" },
            "address": many(text("Of connect: an address or network, such as 10.0.0.0/8.")),
            "port": many(json!({ "type": "integer", "minimum": 1, "maximum": 65_535 })),
            "socket": many(text("Of connect: the path glob of a Unix socket, or @ and its abstract name.")),
            "signal": many(text("Of signal: its name in lower case, without `sig`; `rt` for the real-time ones.")),
            "env": {
                "type": "object",
                "description": "Environment variables that must be set, each to a glob of its value.",
                "additionalProperties": many(text("A glob of the value."))
            },
            "user": many(user("The user that acts, by name or number.")),
            "parent": many(text("A program that the process descends from, by name or by a glob of its path.")),
            "by": many(text("A program that the process, or one it descends from, runs.")),
            "cwd": many(text("A glob of the current directory.")),
            "own": { "type": "boolean", "description": "The agent made the object itself, since it was tagged." },
            "more_than": {
                "type": "object",
                "additionalProperties": false,
                "required": ["within"],
                "description": "Only once the agent did more than any of this within the time.",
                "properties": {
                    "files": { "type": ["string", "integer"] },
                    "bytes": { "type": ["string", "integer"] },
                    "directories": { "type": ["string", "integer"] },
                    "within": text("Such as 30s, 5m or 2h, at most 24h.")
                }
            },
            "when": text("A condition in CEL, such as `size > 1000000 && !path.endsWith(\".log\")`."),
            "agent": many(text("A glob of the agent's name.")),
            "agent_label": many(text("A label of the agent.")),
        }
    })
}

fn argv() -> Value {
    json!({
        "type": "object",
        "additionalProperties": false,
        "description": "What the arguments say, as the program reads them.",
        "properties": {
            "subcommand": many(text("The words behind the program's own options, such as `push` or `s3 rb`.")),
            "any_option": many(text("An option without its value; bundles and abbreviations are understood.")),
            "not_option": many(text("An option that must certainly not be there, such as `--dry-run`.")),
            "sql": many(word(
                &["drop", "truncate", "delete_all", "update_all", "alter_drop", "rights"],
                "What an SQL statement among the arguments does."
            )),
            "any_argument": many(text("A glob for any argument.")),
            "contains_sql": many(text("A SQL keyword anywhere in an argument.")),
        }
    })
}

/// What `op` may say.
const OPS: &[&str] = &[
    "delete",
    "overwrite",
    "read",
    "write",
    "create",
    "unlink",
    "rmdir",
    "rename",
    "move_away",
    "rename_over",
    "rename_to",
    "link",
    "link_to",
    "symlink",
    "mknod",
    "chmod",
    "chown",
    "truncate",
    "open_write",
    "open_read",
    "exec",
    "connect",
    "mount",
    "move_mount",
    "umount",
    "pivot_root",
    "ioctl",
    "signal",
    "ptrace",
    "io_uring",
];

fn text(description: &str) -> Value {
    json!({ "type": "string", "description": description })
}

/// A number or a name.
fn user(description: &str) -> Value {
    json!({ "type": ["string", "integer"], "description": description })
}

fn range(description: &str) -> Value {
    json!({
        "type": "object",
        "additionalProperties": false,
        "description": description,
        "properties": { "min": { "type": ["string", "integer"] }, "max": { "type": ["string", "integer"] } }
    })
}

fn word(words: &[&str], description: &str) -> Value {
    json!({ "type": "string", "enum": words, "description": description })
}

/// One value, or a list of at least one.
fn many(one: Value) -> Value {
    json!({ "oneOf": [one.clone(), { "type": "array", "minItems": 1, "items": one }] })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::compile::Rules;

    /// What the reader of rules says it expected instead of a key or word nobody knows.
    fn expected(text: &str) -> Vec<String> {
        let none = Rules::none().expect("built-in tools");
        let error = none.and(text, "test.yaml").expect_err("nobody knows it").to_string();
        let list =
            error.lines().next().and_then(|line| line.split("expected one of ").nth(1)).expect("a list").to_owned();
        let mut names: Vec<String> = list.split(", ").map(str::to_owned).collect();
        names.sort();
        names
    }

    fn keys(value: &Value) -> Vec<String> {
        let mut keys: Vec<String> = value["properties"].as_object().expect("an object").keys().cloned().collect();
        keys.sort();
        keys
    }

    fn words(value: &Value) -> Vec<String> {
        let of = value.get("oneOf").map_or(value, |one| &one[0]);
        let mut words: Vec<String> =
            of["enum"].as_array().expect("words").iter().map(|word| word.as_str().expect("text").to_owned()).collect();
        words.sort();
        words
    }

    #[test]
    fn the_schema_has_exactly_the_keys_and_words_that_the_reader_takes() {
        let defs = &schema()["$defs"];
        let rule = |line: &str| format!("rules:\n  - {{name: a, text: t, action: hold, {line}}}\n");
        let clause = |line: &str| rule(&format!("match: {{{line}}}"));
        assert_eq!(keys(&defs["rule"]), expected(&rule("zzz: 1")));
        assert_eq!(keys(&defs["match"]), expected(&clause("zzz: 1")));
        assert_eq!(keys(&defs["argv"]), expected(&clause("op: exec, argv: {zzz: 1}")));
        let properties = &defs["match"]["properties"];
        assert_eq!(words(&properties["op"]), expected(&clause("op: zzz")));
        assert_eq!(words(&properties["object"]), expected(&clause("op: delete, object: zzz")));
        let properties = &defs["argv"]["properties"];
        assert_eq!(words(&properties["sql"]), expected(&clause("op: exec, argv: {sql: zzz}")));
        let properties = &defs["rule"]["properties"];
        assert_eq!(words(&properties["mode"]), expected(&rule("mode: zzz")));
        assert_eq!(words(&properties["reversibility"]), expected(&rule("reversibility: zzz")));
        assert_eq!(words(&properties["action"]), expected("rules:\n  - {name: a, text: t, action: zzz}\n"));
    }

    /// As much of JSON Schema as this schema uses.
    fn allows(schema: &Value, at: &Value, value: &Value) -> bool {
        if let Some(name) = at["$ref"].as_str() {
            return allows(schema, &schema["$defs"][name.rsplit('/').next().expect("a name")], value);
        }
        if let Some(one_of) = at["oneOf"].as_array() {
            return one_of.iter().filter(|at| allows(schema, at, value)).count() == 1;
        }
        if let Some(words) = at["enum"].as_array() {
            return words.contains(value);
        }
        if let Some(types) = at["type"].as_array() {
            return types.iter().any(|one| allows(schema, &json!({ "type": one }), value));
        }
        match at["type"].as_str() {
            Some("object") => value.as_object().is_some_and(|fields| {
                let (properties, free) = (&at["properties"], &at["additionalProperties"]);
                let of = |key: &str| properties.get(key).or_else(|| free.is_object().then_some(free));
                fields.iter().all(|(key, value)| of(key).is_some_and(|at| allows(schema, at, value)))
                    && at["required"]
                        .as_array()
                        .is_none_or(|all| all.iter().all(|key| fields.contains_key(key.as_str().expect("a key"))))
            }),
            Some("array") => value.as_array().is_some_and(|items| {
                items.len() as u64 >= at["minItems"].as_u64().unwrap_or(0)
                    && items.iter().all(|item| allows(schema, &at["items"], item))
            }),
            Some("integer") => value.as_i64().is_some_and(|number| {
                at["minimum"].as_i64().is_none_or(|least| number >= least)
                    && at["maximum"].as_i64().is_none_or(|most| number <= most)
            }),
            Some("boolean") => value.is_boolean(),
            Some("string") => value.is_string(),
            other => panic!("the schema uses {other:?}"),
        }
    }

    #[test]
    fn every_shipped_rules_file_is_as_the_schema_says_and_a_typo_is_not() {
        let schema = schema();
        let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../rules");
        let mut files = 0;
        for entry in std::fs::read_dir(directory).expect("the shipped rules") {
            let path = entry.expect("an entry").path();
            if path.extension().is_none_or(|extension| extension != "yaml") {
                continue;
            }
            let text = std::fs::read_to_string(&path).expect("text");
            let value: Value = serde_saphyr::from_str(&text).expect("YAML");
            assert!(allows(&schema, &schema, &value), "{}", path.display());
            let wrong: Value = serde_saphyr::from_str(&text.replace("      op: ", "      opp: ")).expect("YAML");
            assert!(wrong == value || !allows(&schema, &schema, &wrong), "{}", path.display());
            files += 1;
        }
        assert!(files > 0);
    }
}
