//! Entries for the fuzzer: one function for each place where guard reads what others wrote, and what must hold whatever
//! they wrote. Compiled for tests and for `fuzz/` alone; nothing in guardd or guardctl may use it.
//!
//! Each function takes any bytes and panics where a promise is broken. `fuzz/corpus/NAME/` has inputs for each, which the
//! tests here feed to them without any fuzzer.
#![forbid(unsafe_code)]

mod api;
mod audit;
mod cgroup;
mod command;
mod escape;
mod hook;
mod place;
mod record;
mod rules;
#[cfg(test)]
mod tests;

use std::sync::LazyLock;

pub use api::api;
pub use audit::audit;
pub use cgroup::cgroup;
pub use command::command;
pub use escape::escape;
pub use hook::hook;
pub use record::record;
pub use rules::rules;

use crate::{
    rules::{
        compile::{Rules, Scope},
        file,
    },
    text,
};

/// What fuzzes one target.
pub type Target = fn(&[u8]);

/// Every target, by the name of its file in `fuzz/fuzz_targets` and of its corpus.
pub const TARGETS: [(&str, Target); 8] = [
    ("api", api),
    ("audit", audit),
    ("cgroup", cgroup),
    ("command", command),
    ("escape", escape),
    ("hook", hook),
    ("record", record),
    ("rules", rules),
];

/// The rules that come with guard; reading them takes longer than most inputs.
static SHIPPED: LazyLock<Rules> =
    LazyLock::new(|| file::load(None).unwrap_or_else(|error| panic!("the shipped rules are wrong: {error}")));

/// The directories of an agent as most are.
fn scope() -> Scope {
    Scope { home: "/home/u".into(), workspace: "/home/u/work".into(), tmp: "/tmp".into(), ..Scope::default() }
}

/// Nothing in this text can move a cursor, hide or reorder anything.
fn assert_plain(text: &str) {
    let bad = text.chars().find(|character| *character != '\n' && !text::is_plain(*character));
    assert_eq!(bad, None, "in {text:?}");
}
