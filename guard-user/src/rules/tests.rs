//! Operations for the tests of the rules, and the error texts.

use std::ffi::OsString;

use guard_common::{
    op::{MOVED_AWAY, Op, OpSet},
    quota::Limits,
    record::doubt,
    table::NameValue,
};

use super::{
    compile::{Rules, Scope},
    file::load,
    judge::{Judgement, judge},
};
use crate::{
    daemon::testing::unlink,
    operation::{ObjectFacts, Operation},
};

/// A whole operation without a path.
pub(super) fn operation(op: Op) -> Operation {
    let target = ObjectFacts { nlink: 1, ..unlink(42, "").target };
    Operation { op, target, ..unlink(42, "") }
}

pub(super) fn on(op: Op, path: &str) -> Operation {
    Operation { path: path.into(), ..operation(op) }
}

pub(super) fn exec(path: &str, argv: &[&str]) -> Operation {
    let argv: Vec<OsString> = argv.iter().map(OsString::from).collect();
    Operation { argc: argv.len() as u32, argv, ..on(Op::Exec, path) }
}

pub(super) fn scope() -> Scope {
    Scope { home: "/home/u".into(), workspace: "/home/u/work".into(), tmp: "/home/u/tmp".into(), ..Scope::default() }
}

pub(super) fn rules(text: &str) -> Rules {
    Rules::none().and_then(|none| none.and(text, "test.yaml")).unwrap_or_else(|error| panic!("{error}"))
}

/// One rule around a match.
pub(super) fn hold(matches: &str) -> Rules {
    rules(&format!(
        "rules:\n  - name: r\n    text: t\n    action: hold\n    reversibility: partial\n    match: {matches}\n"
    ))
}

/// The error of a rules file, as its author reads it.
fn error_of(text: &str) -> String {
    let none = Rules::none().expect("built-in tools");
    let checked = none.and(text, "my.yaml").and_then(|rules| rules.check_exceptions(text, "my.yaml"));
    checked.expect_err("these rules are wrong").to_string()
}

fn rule(body: &str) -> String {
    format!("rules:\n  - name: mine\n    text: because\n    action: hold\n    reversibility: partial\n{body}")
}

#[test]
fn errors_say_where_what_and_what_was_expected() {
    let cases = [
        ("typo in a key", rule("    match:\n      op: unlink\n      paths: /srv/**\n")),
        (
            "typo in a nested key of a list",
            rule("    match:\n      - op: exec\n        program: git\n        argv: {subcomand: push}\n"),
        ),
        ("duplicate key", rule("    action: deny\n    match: {op: unlink}\n")),
        ("unknown operation", rule("    match:\n      op: [unlink, delet]\n")),
        ("unknown operation alone", rule("    match:\n      op: umnt\n")),
        ("unknown action", rule("    match: {op: mount}\n").replace("action: hold", "action: block")),
        ("empty match", rule("    match: {}\n")),
        ("empty list of matches", rule("    match: []\n")),
        ("empty list", rule("    match:\n      op: unlink\n      path: []\n")),
        ("no match", rule("")),
        ("unknown variable", rule("    match:\n      op: unlink\n      path: ${WORKSPCE}/**\n")),
        ("tilde", rule("    match:\n      op: unlink\n      path: ~/x\n")),
        ("relative path", rule("    match:\n      op: unlink\n      path: srv/**\n")),
        ("unquoted star", rule("    match:\n      op: unlink\n      path: **/x\n")),
        ("bad glob", rule("    match:\n      op: unlink\n      path: /srv/[a\n")),
        ("argv without program", rule("    match:\n      op: exec\n      argv: {subcommand: push}\n")),
        ("port of a file", rule("    match:\n      op: unlink\n      port: 22\n")),
        ("bad network", rule("    match:\n      op: connect\n      address: 10.0.0.0/64\n")),
        ("bad port", rule("    match:\n      op: connect\n      port: 70000\n")),
        ("unknown signal", rule("    match:\n      op: signal\n      signal: trem\n")),
        ("allow without except", rule("    match: {op: mount}\n").replace("action: hold", "action: allow")),
        (
            "except of nothing",
            rule("    except: mnie\n    match: {op: mount}\n").replace("action: hold", "action: allow"),
        ),
        ("no reversibility", rule("    match: {op: mount}\n").replace("    reversibility: partial\n", "")),
        ("bad name", rule("    match: {op: mount}\n").replace("name: mine", "name: My Rule")),
        ("not YAML", "rules: [\n".to_owned()),
        ("not rules", "hello\n".to_owned()),
        ("empty file", String::new()),
        ("two documents", format!("{}---\nrules: []\n", rule("    match: {op: mount}\n"))),
        ("terminal escapes", rule("    match:\n      op: \"unl\\u001b[2Jink\"\n")),
        ("same name twice", format!("{}{}", rule("    match: {op: mount}\n"), &rule("    match: {op: mount}\n")[7..])),
    ];
    let shown: Vec<String> = cases.iter().map(|(name, text)| format!("## {name}\n{}\n", error_of(text))).collect();
    insta::assert_snapshot!(shown.join("\n"));
}

#[test]
fn an_alias_bomb_is_refused_before_it_grows() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let list = vec![format!("*a{}", level - 1); 10].join(", ");
        text.push_str(&format!("a{level}: &a{level} [{list}]\n"));
    }
    assert!(error_of(&text).starts_with("my.yaml:1:1: unknown key `a0`"), "{}", error_of(&text));
    let text = text.replace("a0: ", "rules: ").replacen("a11: ", "rules: ", 0);
    let error =
        error_of(&format!("rules:\n  - name: mine\n    text: t\n    match:\n      op: &b [[[unlink]]]\n{text}"));
    assert!(error.starts_with("my.yaml:"), "{error}");
    // Known keys all the way down: the bomb is met where it is read.
    let mut bomb = rule(
        "    match:\n      - op: exec\n        program: &a [x, x, x, x, x, x, x, x, x, x]\n        argv:\n          any_argument: &p0 [x, x, x, x, x, x, x, x, x, x]\n",
    );
    for _ in 0..4000 {
        bomb.push_str("      - {op: exec, program: *a}\n");
    }
    let error = error_of(&bomb);
    assert!(error.contains("alias"), "{error}");
}

#[test]
fn what_is_not_a_rules_file_is_named() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name: &str| directory.path().join(name);
    let error = |name: &str| load(Some(&path(name))).expect_err("not rules").to_string();
    assert!(error("missing.yaml").contains("missing.yaml: cannot be read: No such file"), "{}", error("missing.yaml"));
    std::fs::write(path("latin.yaml"), b"rules:\n  - name: caf\xe9\n").expect("written");
    assert!(error("latin.yaml").contains("latin.yaml:2:14: a byte here is not UTF-8"), "{}", error("latin.yaml"));
    std::fs::write(path("large.yaml"), vec![b'#'; (1 << 20) + 1]).expect("written");
    assert!(error("large.yaml").contains("larger than 1 MiB"), "{}", error("large.yaml"));
    std::fs::create_dir(path("dir.yaml")).expect("created");
    std::fs::create_dir(path("dir.yaml/x.yaml")).expect("created");
    assert!(error("dir.yaml").contains("x.yaml: is not a regular file"), "{}", error("dir.yaml"));
}

#[test]
fn the_files_of_a_directory_are_read_in_order_and_a_name_is_used_once() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name: &str| directory.path().join(name);
    assert_eq!(load(Some(directory.path())).expect("guard's own").len(), load(None).expect("guard's own").len());
    let one = rule("    match: {op: mount}\n");
    std::fs::write(path("20-b.yaml"), one.replace("mine", "second")).expect("written");
    std::fs::write(path("10-a.yaml"), &one).expect("written");
    std::fs::write(path("README.md"), "not rules").expect("written");
    let names: Vec<String> =
        load(Some(directory.path())).expect("two rules").summary().into_iter().map(|line| line.name).collect();
    assert_eq!(names, ["mine", "second"]);
    std::fs::write(path("30-c.yaml"), &one).expect("written");
    let error = load(Some(directory.path())).expect_err("one name twice").to_string();
    assert!(error.contains("30-c.yaml:2:11: there is another rule `mine`"), "{error}");
    assert!(error.contains("10-a.yaml"), "{error}");
}

#[test]
fn an_agents_own_rules_only_add() {
    let rules = load(None).expect("guard's own");
    let more = rules.with(&rule("    match: {op: mount}\n"), "--rules mine.yaml").expect("it adds");
    assert_eq!(more.len(), rules.len() + 1);
    let allow = rule("    except: mounts\n    match: {op: mount}\n").replace("action: hold", "action: allow");
    let error = rules.with(&allow, "--rules mine.yaml").expect_err("it takes away").to_string();
    assert!(error.contains("only add"), "{error}");
}

/// What the rules in `text` say to an operation, as a word.
fn verdict(text: &str, operation: &Operation) -> String {
    match judge(&rules(text).policy(&scope()), operation) {
        Judgement::Clear => "clear".to_owned(),
        Judgement::WouldHold(info) => format!("would {}", info.name),
        Judgement::Match(info) => info.name.clone(),
    }
}

#[test]
fn the_most_severe_match_wins_and_an_exception_takes_away_only_the_rule_it_names() {
    let one = |name: &str, keys: &str| {
        format!("  - {{name: {name}, text: t, reversibility: partial, {keys}, match: {{op: delete, path: /srv/**}}}}\n")
    };
    let on_srv = on(Op::Unlink, "/srv/x");
    let check = |rules: &[String], expected: &str| {
        assert_eq!(verdict(&format!("rules:\n{}", rules.concat()), &on_srv), expected);
    };
    let (hold, deny, kill) = (one("hold", "action: hold"), one("deny", "action: deny"), one("kill", "action: kill"));
    let watch = one("watch", "action: kill, mode: observe");
    let allow = one("allow", "action: allow, except: deny");
    check(&[hold.clone(), deny.clone()], "deny");
    check(&[kill.clone(), hold.clone(), deny.clone()], "kill");
    check(&[hold.clone(), deny.clone(), allow.clone()], "hold");
    check(&[deny, allow], "clear");
    check(std::slice::from_ref(&watch), "would watch");
    check(&[watch, hold], "hold");
}

#[test]
fn an_exception_needs_certainty() {
    let text = "rules:
  - {name: gone, text: t, action: hold, reversibility: irreversible, match: {op: delete, path: /srv/**}}
  - {name: scratch, text: t, action: allow, except: gone, match: {op: delete, path: /srv/scratch/**}}
";
    let on_scratch = on(Op::Unlink, "/srv/scratch/x");
    assert_eq!(verdict(text, &on_scratch), "clear");
    assert_eq!(verdict(text, &Operation { doubt: doubt::PATH, ..on_scratch }), "doubt");
    assert_eq!(verdict(text, &on(Op::Unlink, "/srv/x")), "gone");
}

#[test]
fn every_kind_of_operation_can_be_named_in_a_rule() {
    for op in Op::ALL {
        let policy = hold(&format!("{{op: {}}}", op.name())).policy(&scope());
        let operation = Operation { path: "/x".into(), ..operation(op) };
        assert!(!judge(&policy, &operation).is_clear(), "{}", op.name());
        assert!(policy.tables().candidate(&operation), "{}", op.name());
    }
}

#[test]
fn a_glob_covers_what_it_says_byte_by_byte() {
    let check = |glob: &str, path: &str, expected: bool| {
        let policy = hold(&format!("{{op: unlink, path: \"{glob}\"}}")).policy(&scope());
        assert_eq!(!judge(&policy, &on(Op::Unlink, path)).is_clear(), expected, "{glob} {path}");
    };
    check("/srv/**", "/srv", true);
    check("/srv/**", "/srv/a/b", true);
    check("/srv/**", "/srvx", false);
    check("/srv/*", "/srv/a", true);
    check("/srv/*", "/srv/a/b", false);
    check("/srv/*", "/srv/a\nb", true);
    check("/srv/x", "/srv/x", true);
    check("/srv/x", "/srv/x/y", false);
    check("**/.git", "/a/b/.git", true);
    check("**/.git", "/a/b/x.git", false);
    check("/a/*/c/**", "/a/b/c", true);
    check("/a/*/c/**", "/a/b/c/d/e", true);
    check("${HOME}/x?", "/home/u/x1", true);
    check("${WORKSPACE}", "/home/u/work", true);
    let odd = Scope { home: "/home/[u]*".into(), ..scope() };
    let policy = hold("{op: unlink, path: \"${HOME}/*.x\"}").policy(&odd);
    assert!(!judge(&policy, &on(Op::Unlink, "/home/[u]*/a.x")).is_clear());
    assert!(judge(&policy, &on(Op::Unlink, "/home/ua/a.x")).is_clear());
}

#[test]
fn a_directory_too_deep_for_the_kernels_key_is_never_left_out() {
    let deep = format!("/{}", vec!["a"; 130].join("/"));
    let policy = hold(&format!("{{op: unlink, not_path: {deep}/x/**}}")).policy(&scope());
    let beside = on(Op::Unlink, &format!("{deep}/y"));
    assert!(!judge(&policy, &beside).is_clear());
    assert!(policy.tables().candidate(&beside));
    let policy = hold(&format!("{{op: unlink, path: {deep}/x/**}}")).policy(&scope());
    assert!(policy.tables().candidate(&on(Op::Unlink, &format!("{deep}/x/y"))));
}

#[test]
fn the_tables_of_a_rule_say_no_more_than_needed() {
    let policy = hold("{op: delete, not_path: [\"${WORKSPACE}/**\", \"**/*.lock\"]}").policy(&scope());
    let deletes = Op::Unlink.set().union(Op::Rmdir.set()).union(MOVED_AWAY);
    let tables = policy.tables();
    assert_eq!(tables.ops, deletes.union(Op::Rename.set()));
    assert_eq!(tables.paths, [(b"/".to_vec(), deletes), (b"/home/u/work/".to_vec(), OpSet::EMPTY)]);
    let nested = hold(
        "[{op: unlink, path: /a/**, not_path: /a/b/**}, {op: unlink, path: /a/b/c/**}, {op: rmdir, path: /a/*/x}]",
    );
    let tables = nested.policy(&scope()).tables();
    let unlink = Op::Unlink.set();
    let expected = [("/a/", unlink), ("/a/b/", OpSet::EMPTY), ("/a/b/c/", unlink)];
    assert_eq!(tables.paths, expected.map(|(path, ops)| (path.as_bytes().to_vec(), ops)));
    let much = "{op: unlink, path: /a/**, own: false, more_than: {files: 9, directories: 5, bytes: 1KiB, within: 7s}}";
    let amounts = hold(&format!("[{much}, {{op: rmdir, path: /a/**, more_than: {{files: 1, within: 9s}}}}]"));
    let amounts = amounts.policy(&scope()).tables();
    let counted = unlink.counted().on_foreign();
    assert_eq!(amounts.paths, [(b"/a/".to_vec(), counted.union(Op::Rmdir.set()))], "half of one is nothing");
    assert_eq!(amounts.quota, Limits { span: 1_000_000_000, files: 2, bytes: 512 });
    assert!(amounts.candidate(&on(Op::Unlink, "/a/x")));
    let of_name = hold("[{op: unlink, path: \"**/x\"}, {op: unlink, path: [/a/x, /a/y]}]").policy(&scope()).tables();
    assert_eq!(of_name.paths, [(b"/a/y/".to_vec(), unlink)]);
    assert_eq!(tables.names, [(b"x".to_vec(), NameValue { last: Op::Rmdir.set(), any: OpSet::EMPTY })]);
}
