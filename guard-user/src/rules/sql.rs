//! What a piece of SQL destroys. Text that the parser does not read is searched for the words that destroy, so that
//! nothing passes for not being understood.

use std::{ffi::OsStr, ops::ControlFlow, os::unix::ffi::OsStrExt as _};

use serde::Deserialize;
use sqlparser::{
    ast::{AlterTableOperation, BinaryOperator, Delete, Expr, Statement, Update, Value, Visit as _, Visitor},
    dialect::{Dialect, GenericDialect, MySqlDialect, PostgreSqlDialect, SQLiteDialect},
    parser::Parser,
    tokenizer::{Token, Tokenizer},
};

/// What a statement does that cannot be taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SqlAct {
    /// `DROP` of anything.
    Drop,
    Truncate,
    /// `DELETE` of every row: without `WHERE`, or with one that is always true.
    DeleteAll,
    /// `UPDATE` of every row.
    UpdateAll,
    /// `ALTER … DROP`.
    AlterDrop,
    /// `GRANT`, `REVOKE`, roles and passwords.
    Rights,
}

/// No statement on a command line is longer; what is is searched for words.
const LONGEST: usize = 64 * 1024;

/// What one argument does as SQL; nothing when it cannot be any.
#[must_use]
pub fn acts(argument: &OsStr) -> Vec<SqlAct> {
    let bytes = argument.as_bytes();
    // A single word is a name or a number: a statement has at least two.
    if bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"_-./:@=,%+".contains(byte)) {
        return Vec::new();
    }
    let text = String::from_utf8_lossy(bytes);
    // `--command=DROP …`, `-cDROP …`
    let text = match text.strip_prefix("--").and_then(|rest| rest.split_once('=')) {
        Some((_, value)) => value,
        None if text.starts_with('-') && !text.starts_with("--") => text.get(2..).unwrap_or(""),
        None => &text,
    };
    // Every act has a word of its own, which no way of writing SQL can hide: most text need not be parsed.
    let named = words(text.as_bytes());
    if named.is_empty() {
        return named;
    }
    // MySQL and MariaDB run what stands in such a comment, and `\` is psql's own language.
    let is_run = ["/*!", "/*M!", "/*m!"].iter().any(|comment| text.contains(comment));
    if !is_run && !text.contains('\\') && text.len() <= LONGEST && reads_alike(text) {
        // Which server it is for is not known: what it does to one of them counts.
        let readings: Vec<Vec<SqlAct>> = acts_by_dialect(text).into_iter().flatten().collect();
        if !readings.is_empty() {
            let all = readings.into_iter().flatten();
            return all
                .fold(Vec::new(), |acts, act| if acts.contains(&act) { acts } else { [acts, vec![act]].concat() });
        }
    }
    named
}

fn dialects() -> [&'static dyn Dialect; 4] {
    [&PostgreSqlDialect {}, &MySqlDialect {}, &SQLiteDialect {}, &GenericDialect {}]
}

/// Do all servers agree on what is a comment or a string? `--1` begins a comment for one and is arithmetic for another,
/// comments within comments and `$$` are for some: what follows is hidden from those who read it so.
fn reads_alike(text: &str) -> bool {
    let [first, others @ ..] = dialects().map(|dialect| outside(dialect, text));
    first.is_some() && others.iter().all(|other| *other == first)
}

/// The words that are in no comment and in no string; `None` where one of these does not end.
fn outside(dialect: &dyn Dialect, text: &str) -> Option<Vec<String>> {
    let tokens = Tokenizer::new(dialect, text).tokenize().ok()?;
    // `"` is a string for some and a name for others; what is in it counts for both.
    let tokens = tokens.iter().filter(|token| !matches!(token, Token::Whitespace(_) | Token::SingleQuotedString(_)));
    let mut words = Vec::new();
    for token in tokens {
        let text = token.to_string();
        let parts = text.split(|letter: char| !(letter.is_alphanumeric() || letter == '_'));
        words.extend(parts.filter(|part| !part.is_empty()).map(str::to_owned));
    }
    Some(words)
}

/// What the parser sees in a text, by dialect; `None` where it is none of that.
pub(crate) fn acts_by_dialect(text: &str) -> [Option<Vec<SqlAct>>; 4] {
    dialects().map(|dialect| {
        let statements = Parser::parse_sql(dialect, text).ok()?;
        let mut seen = Seen::default();
        for statement in &statements {
            if statement.visit(&mut seen).is_break() {
                break;
            }
        }
        Some(seen.acts)
    })
}

/// The words that destroy, wherever they stand.
fn words(text: &[u8]) -> Vec<SqlAct> {
    let pairs = [
        ("drop", SqlAct::Drop),
        ("truncate", SqlAct::Truncate),
        ("delete", SqlAct::DeleteAll),
        ("update", SqlAct::UpdateAll),
        ("grant", SqlAct::Rights),
        ("revoke", SqlAct::Rights),
    ];
    let has = |word: &str| has_keyword(OsStr::from_bytes(text), &[word]);
    pairs.into_iter().filter(|(word, _)| has(word)).map(|(_, act)| act).collect()
}

/// Does a word stand in this text? Comments and quotes are not understood, so that nothing hides in them. Digits before a
/// word are none of it (`/*!50000DROP`), and any character beyond ASCII may be a space to somebody.
pub(crate) fn has_keyword(text: &OsStr, keywords: &[impl AsRef<str>]) -> bool {
    text.as_bytes()
        .split(|byte| !(byte.is_ascii_alphanumeric() || *byte == b'_'))
        .map(|word| &word[word.iter().take_while(|byte| byte.is_ascii_digit()).count()..])
        .any(|word| keywords.iter().any(|keyword| word.eq_ignore_ascii_case(keyword.as_ref().as_bytes())))
}

/// Collects what statements do, those inside others too: a `DELETE` may be in a `WITH` or an `EXPLAIN ANALYZE`.
#[derive(Default)]
struct Seen {
    acts: Vec<SqlAct>,
}

impl Visitor for Seen {
    type Break = ();

    fn pre_visit_statement(&mut self, statement: &Statement) -> ControlFlow<()> {
        match statement {
            Statement::Truncate(_) => self.acts.push(SqlAct::Truncate),
            Statement::Delete(Delete { selection, limit, .. }) => {
                if limit.is_none() && selection.as_ref().is_none_or(is_always) {
                    self.acts.push(SqlAct::DeleteAll);
                }
            }
            Statement::Update(Update { selection, .. }) => {
                if selection.as_ref().is_none_or(is_always) {
                    self.acts.push(SqlAct::UpdateAll);
                }
            }
            Statement::AlterTable(alter) if alter.operations.iter().any(is_drop) => {
                self.acts.push(SqlAct::AlterDrop);
            }
            Statement::Grant { .. } | Statement::Revoke { .. } => self.acts.push(SqlAct::Rights),
            // What is inside them is visited by itself.
            Statement::Query(_) | Statement::Insert(_) => {}
            // There are as many kinds of DROP as of things; every one of them begins with the word.
            other => {
                let text = other.to_string();
                let first = text.split_whitespace().next().unwrap_or("");
                if first.eq_ignore_ascii_case("drop") {
                    self.acts.push(SqlAct::Drop);
                } else if first.eq_ignore_ascii_case("alter") && has_keyword(OsStr::new(&text), &["drop"]) {
                    self.acts.push(SqlAct::AlterDrop);
                } else if ["do", "execute", "call", "exec", "begin"].iter().any(|word| first.eq_ignore_ascii_case(word))
                {
                    // A body in another language.
                    self.acts.extend(words(text.as_bytes()));
                }
            }
        }
        ControlFlow::Continue(())
    }
}

fn is_drop(operation: &AlterTableOperation) -> bool {
    let text = operation.to_string();
    text.split_whitespace().next().is_some_and(|word| word.eq_ignore_ascii_case("drop"))
}

/// A condition that every row meets.
fn is_always(condition: &Expr) -> bool {
    match condition {
        Expr::Nested(inner) => is_always(inner),
        Expr::Value(value) => match &value.value {
            Value::Boolean(is) => *is,
            Value::Number(number, _) => !number.trim_matches(['0', '.']).is_empty(),
            Value::SingleQuotedString(text) => text == "t" || text.eq_ignore_ascii_case("true"),
            _ => false,
        },
        Expr::BinaryOp { left, op, right } => match op {
            BinaryOperator::Or => is_always(left) || is_always(right),
            BinaryOperator::And => is_always(left) && is_always(right),
            BinaryOperator::Eq | BinaryOperator::GtEq | BinaryOperator::LtEq => left == right,
            _ => is_never_equal(left, op, right),
        },
        Expr::Like { pattern, negated: false, .. } => pattern.to_string() == "'%'",
        _ => false,
    }
}

/// `1 <> 2`, `1 < 2`: two numbers compared.
fn is_never_equal(left: &Expr, op: &BinaryOperator, right: &Expr) -> bool {
    let number = |expr: &Expr| expr.to_string().parse::<f64>().ok();
    match (number(left), op, number(right)) {
        (Some(left), BinaryOperator::NotEq, Some(right)) => (left - right).abs() > f64::EPSILON,
        (Some(left), BinaryOperator::Lt, Some(right)) => left < right,
        (Some(left), BinaryOperator::Gt, Some(right)) => left > right,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_server_takes_for_a_comment_hides_nothing_from_another() {
        let check = |text: &str, expected: &[SqlAct]| assert_eq!(acts(OsStr::new(text)), expected, "{text}");
        check("SELECT 1--1; DROP TABLE users", &[SqlAct::Drop]);
        check("SELECT 1; /* /* */ DROP TABLE users; -- */ */", &[SqlAct::Drop]);
        check("SELECT 1 AS $$; DROP TABLE users; -- $$", &[SqlAct::Drop]);
        check("SELECT 1 # 2\n; DROP TABLE users", &[SqlAct::Drop]);
        check("DELETE FROM users WHERE 1=1 # id", &[SqlAct::DeleteAll]);
        check("DELETE FROM users --1\nWHERE id = 4", &[SqlAct::DeleteAll]);
        check("UPDATE \"users\" SET a = 'it -- is' WHERE id = 4 -- the fourth", &[]);
        check("UPDATE `users` SET a = \"x\" WHERE id = 4 /* the fourth */", &[]);
    }

    #[test]
    fn what_a_statement_destroys_is_seen_wherever_it_stands() {
        let check = |text: &str, expected: &[SqlAct]| assert_eq!(acts(OsStr::new(text)), expected, "{text}");
        check("DROP TABLE users", &[SqlAct::Drop]);
        check("drop database prod with (force)", &[SqlAct::Drop]);
        check("DROP OWNED BY app", &[SqlAct::Drop]);
        check("DROP USER 'bob'@'%'", &[SqlAct::Drop]);
        check("select/**/1;drop/**/schema x", &[SqlAct::Drop]);
        check("/*!50000 DROP TABLE x */", &[SqlAct::Drop]);
        check("/*!50000DROP TABLE x */", &[SqlAct::Drop]);
        check("drop\u{a0}table x", &[SqlAct::Drop]);
        check("/*M! DROP TABLE x */", &[SqlAct::Drop]);
        check("/*M!100300 DROP TABLE x */", &[SqlAct::Drop]);
        check("begin; TRUNCATE orders; commit", &[SqlAct::Truncate]);
        check("DELETE FROM users", &[SqlAct::DeleteAll]);
        check("DELETE FROM users WHERE 1=1", &[SqlAct::DeleteAll]);
        check("DELETE FROM users WHERE true", &[SqlAct::DeleteAll]);
        check("DELETE FROM users WHERE id = 4 OR 'a'='a'", &[SqlAct::DeleteAll]);
        check("DELETE FROM users WHERE id = 4", &[]);
        check("with gone as (delete from users returning *) select * from gone", &[SqlAct::DeleteAll]);
        check("explain analyze delete from users", &[SqlAct::DeleteAll]);
        check("UPDATE users SET admin = true", &[SqlAct::UpdateAll]);
        check("UPDATE users SET admin = true WHERE id = 1", &[]);
        check("ALTER TABLE users DROP COLUMN email", &[SqlAct::AlterDrop]);
        check("ALTER TABLE users ADD COLUMN email text", &[]);
        check("DO $$ BEGIN EXECUTE 'drop table x'; END $$", &[SqlAct::Drop]);
        check("--command=DROP TABLE x", &[SqlAct::Drop]);
        check("-cDROP TABLE x", &[SqlAct::Drop]);
        check("select * from dropped_items where name = 'drop'", &[]);
        check("\\dt", &[]);
        check("dropped", &[]);
        check("INSERT INTO log VALUES ('drop table x')", &[]);
    }
}
