//! Secrets in arguments, so that they do not reach the disk: which words are one, as data, and taking them out. What is shown
//! to whoever decides is not changed.
#![forbid(unsafe_code)]

use regex_automata::{
    Input, Span,
    meta::{BuildError, Regex},
};

use crate::daemon::record::Record;

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
    }

    fn arguments(&self, argv: &mut [String]) {
        let program = argv.first().map(|name| name.rsplit('/').next().unwrap_or(name).to_owned()).unwrap_or_default();
        let own = OF_PROGRAMS.iter().find(|(name, _)| *name == program).map_or(&[][..], |(_, flags)| flags);
        let attached_only = ATTACHED_ONLY.contains(&program.as_str());
        let mut is_secret = false;
        for argument in argv.iter_mut().skip(1) {
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
                self.text(argument);
            }
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
