//! Any text as a command line: as shell text, as arguments of each program guard knows, as SQL. It is sorted in bounded
//! time, what a piece of it does is not hidden by another, and what would be held reaches guardd.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    os::unix::ffi::OsStrExt as _,
    path::PathBuf,
    sync::{Arc, LazyLock, Mutex, PoisonError},
};

use guard_common::op::Op;

use super::{SHIPPED, assert_plain, record::operation, scope};
use crate::{
    api::Action,
    check::{Asked, Checker, Verdict, batch::Here},
    cli::render::{Look, check, machine},
    operation::Operation,
    rules::{command::Line, compile::Policy, judge::judge, lower::Tables, sql, tool::Tools},
};

/// What the shipped rules hold wherever it stands. A path, so that no function or alias takes its name.
const DESTROYS: &str = "\n\n/usr/bin/rm -rf /srv/customers\n";

static POLICY: LazyLock<(Policy, Tables)> = LazyLock::new(|| {
    let policy = SHIPPED.policy(&scope());
    let tables = policy.tables();
    (policy, tables)
});
static TOOLS: LazyLock<Arc<Tools>> = LazyLock::new(|| Tools::built_in().expect("the built-in tools are right"));
static CHECKER: LazyLock<Mutex<Checker>> =
    LazyLock::new(|| Mutex::new(Checker::new(SHIPPED.clone()).expect("the built-in tools are right")));

/// Takes the input as one text, and as arguments on lines of their own.
pub fn command(bytes: &[u8]) {
    let argv: Vec<OsString> = bytes.split(|byte| *byte == b'\n').map(|text| OsStr::from_bytes(text).into()).collect();
    sorted(&argv);
    executed(argv.clone());
    for argument in &argv {
        statement(argument);
    }
    statement(OsStr::from_bytes(bytes));
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    shell(text);
    asked(Asked::Argv(text.split('\n').map(str::to_owned).collect()));
    if let Err(reason) = here().line(bytes) {
        assert!(!reason.is_empty());
    }
}

/// Every program sorts the arguments into words and options, and makes up none.
fn sorted(argv: &[OsString]) {
    for tool in TOOLS.iter() {
        for whole in [true, false] {
            let line = Line::new(argv, None, tool, whole);
            for word in &line.words {
                assert_eq!(argv[word.index].as_bytes(), word.text);
                assert!(!word.may_be_cut || !whole, "nothing was cut");
            }
            for option in &line.options {
                let holds = |argument: &OsString| {
                    let text = argument.as_bytes();
                    text.starts_with(&option.name) || option.name[1..].iter().all(|letter| text.contains(letter))
                };
                assert!(argv.iter().any(holds), "{option:?} is in no argument");
            }
            assert!(line.dashes.is_none_or(|place| argv[place - 1] == "--"));
        }
    }
}

/// What the rules hold of an exec, the kernel asks guardd about.
fn executed(argv: Vec<OsString>) {
    let (policy, tables) = &*POLICY;
    let name = argv.first().map(|name| name.as_bytes()).unwrap_or_default();
    let name = name.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    let path = PathBuf::from("/usr/bin").join(OsStr::from_bytes(name));
    let argc = u32::try_from(argv.len()).expect("an input is short");
    let exec = Operation { op: Op::Exec, path, argv, argc, ..operation() };
    if !judge(policy, &exec).is_clear() {
        assert!(tables.candidate(&exec), "the kernel lets pass what is held: {exec:?}");
    }
}

/// What any reader of SQL sees in a text is what it does.
fn statement(text: &OsStr) {
    let acts = sql::acts(text);
    let Ok(text) = std::str::from_utf8(text.as_bytes()) else { return };
    for act in sql::acts_by_dialect(text).into_iter().flatten().flatten() {
        assert!(acts.contains(&act), "{text:?} does {act:?} to one server, and {acts:?} to guard");
    }
}

/// What stands before a command that destroys takes nothing from it, where it can be read by itself.
fn shell(text: &str) {
    let alone = asked(Asked::Shell(text.to_owned()));
    // A here-document that does not end takes in what follows.
    let is_whole = alone.action == Action::Allow && !text.contains("<<");
    if is_whole {
        let both = asked(Asked::Shell(format!("{text}{DESTROYS}")));
        assert!(both.action > Action::Allow, "{text:?} hides what follows: {both:?}");
    }
}

fn asked(asked: Asked) -> Verdict {
    let look = Look { colour: false, width: Some(100), wide: true, now: jiff::Timestamp::UNIX_EPOCH };
    let mut checker = CHECKER.lock().unwrap_or_else(PoisonError::into_inner);
    let verdict = checker.ask(&here().question(asked));
    assert_plain(&check::verdict(&verdict, &look));
    assert_plain(&machine::json(&verdict).expect("it is JSON"));
    let worst = verdict.operations.iter().map(|judged| judged.action).max();
    assert!(worst.is_none_or(|worst| worst <= verdict.action), "milder than what it does: {verdict:?}");
    verdict
}

/// A directory that no machine has, so that every machine says the same.
fn here() -> Here {
    let env = [("HOME", "/home/u"), ("PATH", "/usr/bin")].map(|(name, value)| (name.to_owned(), value.to_owned()));
    let work = PathBuf::from("/home/u/work");
    Here { cwd: work.clone(), env: BTreeMap::from(env), workspace: Some(work) }
}
