//! Secrets in arguments, so that they do not reach the disk: which words are one, as data, and taking them out. What is shown
//! to whoever decides is not changed.
#![forbid(unsafe_code)]

use regex_automata::{
    Input, Span,
    meta::{BuildError, Regex},
};

use serde_json::Value;

use crate::{api::ToolCall, daemon::record::Record};

/// What stands in the place of a secret.
pub const MASKED: &str = "***";

/// The whole argument behind one of these is a secret.
const FLAGS: &[&str] = &[
    "--access-key",
    "--accesskey",
    "--api-key",
    "--apikey",
    "--auth-token",
    "--client-secret",
    "--pass",
    "--passphrase",
    "--passwd",
    "--password",
    "--secret",
    "--secret-key",
    "--token",
];

/// Flags of one program alone: the secret is the rest of the argument, or the next one.
const OF_PROGRAMS: &[(&str, &[&str])] = &[
    ("curl", &["-u", "--user", "--proxy-user", "-U"]),
    ("http", &["-a", "--auth"]),
    ("mariadb", &["-p"]),
    ("mariadb-dump", &["-p"]),
    ("mysql", &["-p"]),
    ("mysqladmin", &["-p"]),
    ("mysqldump", &["-p"]),
    ("redis-cli", &["-a"]),
    ("sshpass", &["-p"]),
    ("wget", &["--http-password", "--ftp-password"]),
];

/// These take no argument of their own: alone, the flag asks for the secret.
const ATTACHED_ONLY: &[&str] = &["mariadb", "mariadb-dump", "mysql", "mysqladmin", "mysqldump"];

/// Secrets by how they look, wherever they stand. What the first group matches is one; without a group, all is.
const PATTERNS: &[&str] = &[
    // A password in a URL.
    r"[A-Za-z][A-Za-z0-9+.-]*://[^\s/:@]*:([^\s/@]+)@",
    // Assigned to what is called so: a variable, a field of JSON, an option, a parameter of a URL.
    r#"(?i)(?:passw(?:or)?d|passphrase|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|credential)[A-Za-z0-9_-]*["']?\s*[=:]\s*["']?([^\s"'&,;]+)"#,
    r"(?i)(?:proxy-)?authorization:\s*(?:(?:basic|bearer|token|digest)\s+)?([^\s\x22']+)",
    r"(?i)(?:PGPASSWORD|MYSQL_PWD|REDISCLI_AUTH)=(\S+)",
    // Tokens that say what they are.
    r"gh[pousr]_[A-Za-z0-9]{20,}",
    r"github_pat_[A-Za-z0-9_]{20,}",
    r"glpat-[A-Za-z0-9_-]{20,}",
    r"npm_[A-Za-z0-9]{30,}",
    r"sk-[A-Za-z0-9_-]{20,}",
    r"xox[abeprs]-[A-Za-z0-9-]{10,}",
    r"AIza[A-Za-z0-9_-]{30,}",
    r"(?:AKIA|ASIA)[A-Z0-9]{16}",
    r"eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+",
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----[^-]*",
];

/// Patterns that were understood.
#[derive(Clone, Debug)]
pub struct Masks(Regex);

impl Masks {
    /// The listed patterns and `more`.
    ///
    /// # Errors
    /// When one of them is no regular expression.
    pub fn new(more: &[String]) -> Result<Self, String> {
        // One at a time first, to say which.
        for pattern in more {
            Regex::new(pattern).map_err(|error| format!("`{pattern}` is no regular expression: {}", why(&error)))?;
        }
        let all: Vec<&str> = PATTERNS.iter().copied().chain(more.iter().map(String::as_str)).collect();
        Regex::new_many(&all).map(Self).map_err(|error| why(&error))
    }

    /// Takes the secrets out of the arguments that a record tells.
    pub fn mask(&self, record: &mut Record) {
        if let Some(operation) = &mut record.operation {
            self.arguments(&mut operation.argv);
            self.text(&mut operation.detail);
        }
        for process in &mut record.processes {
            self.arguments(&mut process.argv);
        }
        for variable in &mut record.environment {
            self.text(&mut variable.value);
        }
        if let Some(call) = &mut record.tool_call {
            self.told(call);
        }
    }

    /// Everything an agent wrote in words of its own.
    fn told(&self, call: &mut ToolCall) {
        for text in [&mut call.prompt, &mut call.reasoning, &mut call.raw] {
            self.text(text);
        }
        self.command(&mut call.command);
        self.value(&mut call.input);
    }

    fn value(&self, value: &mut Value) {
        match value {
            Value::String(text) => self.command(text),
            Value::Array(values) => values.iter_mut().for_each(|value| self.value(value)),
            Value::Object(fields) => fields.values_mut().for_each(|value| self.value(value)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn arguments<'a>(&self, argv: impl IntoIterator<Item = &'a mut String>) {
        let mut argv = argv.into_iter();
        let program = argv.next().map(|name| name.rsplit('/').next().unwrap_or(name).to_owned()).unwrap_or_default();
        let own = OF_PROGRAMS.iter().find(|(name, _)| *name == program).map_or(&[][..], |(_, flags)| flags);
        let attached_only = ATTACHED_ONLY.contains(&program.as_str());
        let mut is_secret = false;
        for argument in argv {
            if std::mem::take(&mut is_secret) {
                // Who, and then the secret.
                let from = argument.find(':').map_or(0, |at| at + 1);
                argument.replace_range(from.., MASKED);
                continue;
            }
            if FLAGS.iter().any(|flag| flag.eq_ignore_ascii_case(argument))
                || own.contains(&argument.as_str()) && !attached_only
            {
                is_secret = true;
            } else if let Some(flag) =
                own.iter().find(|flag| flag.len() == 2 && argument.starts_with(**flag) && argument.len() > 2)
            {
                let from = argument.find(':').map_or(flag.len(), |at| at + 1);
                argument.replace_range(from.., MASKED);
            } else {
                self.argument(argument);
            }
        }
    }

    /// The same in a line for a shell: in each of its commands, and in those of a line that is quoted in it. What is looked
    /// at next is always shorter, so it ends.
    fn command(&self, line: &mut String) {
        self.text(line);
        let mut words = words(line);
        for command in words.split_mut(|word| word.separates) {
            // `NAME=value mysql -p…`
            let program = command.iter().position(|word| !word.text.contains('=')).unwrap_or(0);
            self.arguments(command[program..].iter_mut().map(|word| &mut word.text));
        }
        *line = words.into_iter().flat_map(|word| [word.text, word.gap]).collect();
    }

    fn argument(&self, argument: &mut String) {
        let quote = argument.chars().next().filter(|first| matches!(first, '\'' | '"'));
        let inner = quote.and_then(|quote| argument.strip_prefix(quote)?.strip_suffix(quote)).map(str::to_owned);
        match (quote, inner) {
            (Some(quote), Some(mut inner)) => {
                self.command(&mut inner);
                *argument = format!("{quote}{inner}{quote}");
            }
            _ if argument.contains(char::is_whitespace) => self.command(argument),
            _ => self.text(argument),
        }
    }

    /// Takes out what looks like a secret. Each turn leaves less to look at, so it ends.
    fn text(&self, text: &mut String) {
        // Nearly always all there is to do.
        if !self.0.is_match(text.as_str()) {
            return;
        }
        let mut at = 0;
        let mut captures = self.0.create_captures();
        while at < text.len() {
            self.0.search_captures(&Input::new(text.as_str()).range(at..), &mut captures);
            let Some(found) = captures.get_match() else { return };
            let group = captures.get_group(1).filter(|group| !group.is_empty());
            let Span { start, end } = group.unwrap_or(found.span());
            if start == end {
                let next = text[start..].chars().next().map_or(1, char::len_utf8);
                at = start + next;
            } else {
                text.replace_range(start..end, MASKED);
                at = start + MASKED.len();
            }
        }
    }
}

/// A word of a line for a shell, with what is between it and the next.
struct Word {
    text: String,
    gap: String,
    /// It ends a command.
    separates: bool,
}

/// All of a line, roughly as a shell takes it apart.
fn words(line: &str) -> Vec<Word> {
    let mut words: Vec<Word> = Vec::new();
    let (mut quote, mut is_escaped, mut is_new) = (None, false, true);
    for letter in line.chars() {
        let is_plain = quote.is_none() && !is_escaped;
        let separates = is_plain && matches!(letter, ';' | '|' | '&' | '\n');
        if is_plain && letter.is_whitespace() && !separates {
            match words.last_mut() {
                Some(word) => word.gap.push(letter),
                None => words.push(Word { text: String::new(), gap: letter.to_string(), separates: true }),
            }
            is_new = true;
            continue;
        }
        match words.last_mut().filter(|word| !is_new && !separates && !word.separates) {
            Some(word) => word.text.push(letter),
            None => words.push(Word { text: letter.to_string(), gap: String::new(), separates }),
        }
        is_new = false;
        (quote, is_escaped) = match (quote, letter) {
            _ if is_escaped => (quote, false),
            (None | Some('"'), '\\') => (quote, true),
            (None, '\'' | '"') => (Some(letter), false),
            (Some(open), _) if open == letter => (None, false),
            _ => (quote, false),
        };
    }
    words
}

fn why(error: &BuildError) -> String {
    error.syntax_error().map_or_else(|| error.to_string(), ToString::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(line: &str) -> String {
        let masks = Masks::new(&["acme-([0-9]+)".to_owned()]).expect("they are understood");
        let mut argv: Vec<String> = line.split(' ').map(|word| word.replace('_', " ").replace('§', "_")).collect();
        masks.arguments(&mut argv);
        argv.join(" ")
    }

    #[test]
    fn secrets_are_taken_out_and_the_rest_stays() {
        // A word has `_` for a blank, and `§` for `_`.
        let cases = [
            ("psql postgres://app:hunter2@db/prod", "psql postgres://app:***@db/prod"),
            ("git clone https://ghp§0123456789abcdefghij@github.com/x", "git clone https://***@github.com/x"),
            ("tool --password hunter2 --verbose", "tool --password *** --verbose"),
            ("tool --Token=hunter2 -v", "tool --Token=*** -v"),
            ("mysql -u root -phunter2 shop", "mysql -u root -p*** shop"),
            ("mysql -u root -p shop", "mysql -u root -p shop"),
            ("/usr/bin/sshpass -p hunter2 ssh host", "/usr/bin/sshpass -p *** ssh host"),
            ("curl -u me:hunter2 https://x/y", "curl -u me:*** https://x/y"),
            ("curl -H Authorization:_Bearer_abc.def https://x", "curl -H Authorization: Bearer *** https://x"),
            ("env AWS§SECRET§ACCESS§KEY=abc/def aws s3 ls", "env AWS_SECRET_ACCESS_KEY=*** aws s3 ls"),
            ("bash -c PGPASSWORD=hunter2_psql_-c_x", "bash -c PGPASSWORD=*** psql -c x"),
            ("sh -c mysql_--password=a_&&_mysql_--password=b", "sh -c mysql --password=*** && mysql --password=***"),
            ("curl https://x/?api§key=abc&page=2", "curl https://x/?api_key=***&page=2"),
            ("aws configure AKIAIOSFODNN7EXAMPLE", "aws configure ***"),
            ("say acme-42 twice", "say acme-*** twice"),
            // Nothing of these is one.
            ("git push --force origin main", "git push --force origin main"),
            ("rm -rf /srv/tokens/old", "rm -rf /srv/tokens/old"),
            ("cp -p a b", "cp -p a b"),
            ("ssh user@host:22", "ssh user@host:22"),
        ];
        for (line, expected) in cases {
            assert_eq!(masked(line), expected, "{line}");
        }
    }

    #[test]
    fn secrets_in_a_line_for_a_shell_are_taken_out() {
        let cases = [
            ("mysql -u root -phunter2 shop", "mysql -u root -p*** shop"),
            (
                "cd /srv && mysql -phunter2|tail; sshpass -p 'hunter two' ssh x",
                "cd /srv && mysql -p***|tail; sshpass -p *** ssh x",
            ),
            ("X=1 mysql  -phunter2\nmysql -phunter3", "X=1 mysql  -p***\nmysql -p***"),
            ("bash -c \"cd /x && mysql -phunter2\"", "bash -c \"cd /x && mysql -p***\""),
            ("bash -c \"eval 'tool --token hunter2'\" < /dev/null", "bash -c \"eval 'tool --token ***'\" < /dev/null"),
            ("curl -H 'Authorization: Bearer abc' https://x", "curl -H 'Authorization: Bearer ***' https://x"),
            // Nothing of these is one.
            ("  echo 'a  b'  \\; c|d ", "  echo 'a  b'  \\; c|d "),
            ("echo 'never closed", "echo 'never closed"),
            ("", ""),
        ];
        let masks = Masks::new(&[]).expect("they are understood");
        for (line, expected) in cases {
            let mut masked = line.to_owned();
            masks.command(&mut masked);
            assert_eq!(masked, expected, "{line}");
        }
        let mut argv = ["bash", "-c", "mysql -phunter2 shop"].map(str::to_owned);
        masks.arguments(&mut argv);
        assert_eq!(argv[2], "mysql -p*** shop");
    }

    #[test]
    fn a_pattern_that_is_none_is_said() {
        let error = Masks::new(&["(".to_owned()]).expect_err("it is none");
        assert!(error.starts_with("`(` is no regular expression: "), "{error}");
        for (pattern, expected) in [("", "aéa"), ("()a", "***é***"), ("$", "aéa"), (".", "*********")] {
            let mut text = "aéa".to_owned();
            Masks::new(&[pattern.to_owned()]).expect("it is understood").text(&mut text);
            assert_eq!(text, expected, "{pattern:?}");
        }
    }
}
