//! What rules can say of objects and actors, case by case, and that what is not known is held. Tests only.

use guard_common::{op::Op, quota::Passed, record::doubt};

use super::{
    case::Cases,
    compile::{Rules, Scope},
    judge::{Judgement, judge},
    tests::{exec, hold, on, operation, rules, scope},
};
use crate::{
    circumstances::{Circumstances, Found, Lineage, Need, Needs, Program},
    operation::{Context, ObjectFacts, Operation},
};

/// `held` and `clear` are operations of a case file; the rule has this match.
fn check(matches: &str, held: &[&str], clear: &[&str]) {
    let rules = hold(matches);
    let case = |deed: &&str, expect: &str| format!("  - {{do: {{{deed}}}, expect: {expect}}}\n");
    let mut text = "agent: {name: nightly-1, labels: [production]}\ncases:\n".to_owned();
    text.extend(held.iter().map(|deed| case(deed, "hold")));
    text.extend(clear.iter().map(|deed| case(deed, "allow")));
    let cases = Cases::read(&text, "cases.yaml", &rules).unwrap_or_else(|error| panic!("{error}"));
    let policy = rules.policy(&cases.scope);
    for (tried, case) in cases.run(&rules).expect("no policy").into_iter().zip(&cases.cases) {
        assert!(tried.ok, "{matches}: {tried:?}");
        if tried.found.rule.is_some() {
            assert!(policy.tables().candidate(&case.operation), "{matches}: {tried:?} is no candidate");
        }
    }
}

#[test]
fn objects_are_told_apart_by_size_links_and_owner() {
    let file = "op: unlink, path: /srv/x";
    let of = |more: &str| format!("{file}, {more}");
    check("{op: delete, size: {min: 1MiB}}", &[&of("size: 1MiB")], &[&of("size: 1048575")]);
    check("{op: delete, size: {max: 9}}", &[&of("size: 9")], &[&of("size: 10")]);
    check("{op: delete, links: {max: 1}}", &[&of("links: 1")], &[&of("links: 2")]);
    check("{op: delete, owner: root}", &[&of("owner: 0, uid: 5")], &[&of("owner: 1")]);
    check("{op: delete, owner: other}", &[&of("owner: 0, uid: 5")], &[&of("owner: 5, uid: 5")]);
    check("{op: delete, owner: self}", &[&of("owner: 5, uid: 5")], &[&of("owner: 0, uid: 5")]);
    check("{op: delete, owner: alice}", &[&of("owner: 5, uid: 5, user: alice")], &[]);
    check("{op: symlink, object: symlink}", &["op: symlink, path: /srv/x"], &[]);
}

#[test]
fn a_block_device_is_named_by_its_number() {
    let device =
        |op: &str, numbers: &str| format!("op: {op}, path: /dev/x, object: block_device, device: \"{numbers}\"");
    let matches = "{op: [open_write, mknod], device: [\"8:0\", \"259:*\"]}";
    check(
        matches,
        &[&device("open_write", "8:0"), &device("open_write", "259:7")],
        &[&device("open_write", "8:1"), "op: open_write, path: /dev/x"],
    );
    let sda = Operation { detail: [0o060_600, 0x800, 0, 0], ..on(Op::Mknod, "/tmp/innocent") };
    let policy = hold(matches).policy(&scope());
    assert!(!judge(&policy, &sda).is_clear() && policy.tables().candidate(&sda));
    assert!(judge(&policy, &Operation { detail: [0o060_600, 0x801, 0, 0], ..sda }).is_clear());
}

#[test]
fn a_program_is_named_by_name_file_or_hash() {
    let git = "op: exec, argv: [git, push]";
    check("{op: exec, program: /usr/bin/git}", &[git], &["op: exec, path: /opt/bin/git, argv: [git]"]);
    check(
        "{op: exec, program: \"/opt/**/git\", argv: {subcommand: push}}",
        &["op: exec, path: /opt/a/b/git, argv: [git, push]"],
        &[git, "op: exec, path: /opt/a/git, argv: [git, pull]"],
    );
    let (own, other) = ("ab".repeat(32), "cd".repeat(32));
    let copy = |hash: &str| format!("op: exec, path: /tmp/innocent, argv: [x], sha256: {hash}");
    check(&format!("{{op: exec, sha256: {own}}}"), &[&copy(&own)], &[&copy(&other)]);
}

#[test]
fn the_environment_user_directory_and_agent_narrow_a_rule() {
    let aws = |env: &str| format!("op: exec, argv: [aws, s3, rb], env: {env}");
    check(
        "{op: exec, program: aws, env: {AWS_PROFILE: \"prod*\"}}",
        &[&aws("{AWS_PROFILE: production, X: y}")],
        &[&aws("{AWS_PROFILE: dev}"), &aws("{OTHER: prod}"), &aws("{}")],
    );
    check(
        "{op: exec, program: aws, env: {A: [x, y], B: \"*\"}}",
        &[&aws("{A: y, B: \"\"}")],
        &[&aws("{A: y}"), &aws("{A: z, B: b}")],
    );
    let file = "op: unlink, path: /srv/x";
    check(
        "{op: delete, user: [7, alice]}",
        &[&format!("{file}, uid: 7"), &format!("{file}, uid: 8, user: alice")],
        &[],
    );
    check("{op: delete, user: root}", &[&format!("{file}, uid: 0")], &[&format!("{file}, uid: 7")]);
    check("{op: delete, cwd: \"/srv/**\"}", &[&format!("{file}, cwd: /srv/a")], &[&format!("{file}, cwd: /home/u")]);
    check("{op: delete, cwd: \"${WORKSPACE}/*/x\"}", &[&format!("{file}, cwd: /home/u/work/a/x")], &[file]);
    check("{op: delete, agent: \"nightly-*\"}", &[file], &[]);
    check("{op: delete, agent: other}", &[], &[file]);
    check("{op: delete, agent_label: production}", &[file], &[]);
    check("{op: delete, agent_label: [development]}", &[], &[file]);
}

#[test]
fn a_condition_says_what_no_key_can() {
    let file = |more: &str| format!("op: unlink, path: /srv/a.log, {more}");
    let big = "{op: delete, when: \"size > 10 && (links == 1 || owner != 0)\"}";
    check(
        big,
        &[&file("size: 11, links: 1, owner: 0"), &file("size: 11, links: 2, owner: 5")],
        &[&file("size: 11, links: 2, owner: 0"), &file("size: 10, links: 1, owner: 5")],
    );
    check("{op: delete, when: \"re(path, '[.]log$')\"}", &[&file("size: 0")], &["op: unlink, path: /srv/a.txt"]);
    check(
        "{op: exec, program: git, when: \"argv.exists(word, word.startsWith('refs/heads/') && word.endsWith('main'))\"}",
        &["op: exec, argv: [git, push, refs/heads/main]"],
        &["op: exec, argv: [git, push, refs/heads/mine]", "op: exec, argv: [git]"],
    );
    check(
        "{op: exec, program: aws, when: \"'A' in env && env['A'] != env['B'] && cwd.startsWith('/srv')\"}",
        &["op: exec, argv: [aws], cwd: /srv/x, env: {A: x, B: y}"],
        &[
            "op: exec, argv: [aws], cwd: /srv/x, env: {A: x, B: x}",
            "op: exec, argv: [aws], cwd: /home, env: {A: x, B: y}",
            "op: exec, argv: [aws], cwd: /srv, env: {B: y}",
        ],
    );
    check(
        "{op: connect, when: \"port in [22, 23] && !address.startsWith('10.')\"}",
        &["op: connect, address: 8.8.8.8, port: 22"],
        &["op: connect, address: 10.0.0.1, port: 22", "op: connect, address: 8.8.8.8, port: 443"],
    );
}

#[test]
fn what_a_condition_cannot_say_is_held() {
    let held = |matches: &str, operation: &Operation| {
        let policy = hold(matches).policy(&scope());
        let Judgement::Match(rule) = judge(&policy, operation) else { panic!("{matches} is cleared") };
        assert!(policy.tables().candidate(operation), "{matches} is no candidate");
        rule.name.clone()
    };
    let file =
        Operation { target: ObjectFacts { ino: 3, size: 5, ..ObjectFacts::default() }, ..on(Op::Unlink, "/srv/x") };
    for matches in [
        // A fact nobody found out, a key that is not there, a type that cannot be compared, no truth at all.
        "{op: delete, when: \"'A' in env\"}",
        "{op: delete, when: \"cwd == '/srv'\"}",
        "{op: delete, when: \"size > 'x'\"}",
        "{op: delete, when: \"size / 0 > 1\"}",
        "{op: delete, when: \"size\"}",
        "{op: delete, when: \"{'a': 1}['b'] == 1\"}",
    ] {
        assert_eq!(held(matches, &file), "doubt", "{matches}");
    }
    // What is certain without the missing part stays certain.
    let policy = hold("{op: delete, when: \"size > 9 && 'A' in env\"}").policy(&scope());
    assert_eq!(judge(&policy, &file), Judgement::Clear);
    let unseen = Operation { doubt: guard_common::record::doubt::PATH, ..file };
    assert_eq!(held("{op: delete, when: \"path == '/srv/y'\"}", &unseen), "doubt");
}

#[test]
fn a_condition_that_is_wrong_or_has_no_bound_is_refused() {
    let deep = format!("{}1{} == 1", "(".repeat(30), ")".repeat(30));
    let long = format!("size > {}", "1 + ".repeat(300) + "1");
    for (when, expected) in [
        ("size >", "no condition in CEL: at its column"),
        ("sizes > 1", "did you mean `size`"),
        ("path.matches('x')", "unknown function `matches`"),
        ("re(path, path)", "with the pattern in quotes"),
        ("re(path, '(')", "not a pattern that can be bounded"),
        ("re(path, '((a{99}){99}){99}')", "not a pattern that can be bounded"),
        ("argv.exists(a, argv.exists(b, a == b))", "a loop inside a loop"),
        ("argv.map(a, a + a).size() > 1", "makes no lists"),
        ("argv.size() > 1", "`when` asks for `argv`, which Unlink has not"),
        (&deep, "brackets deep at most"),
        (&long, "a condition has 1 to 1000 bytes"),
    ] {
        let text = format!(
            "rules:\n  - {{name: a, text: t, action: hold, reversibility: partial, match: {{op: unlink, when: \"{when}\"}}}}\n"
        );
        let error = Rules::none().expect("built in").and(&text, "a.yaml").expect_err(when).to_string();
        assert!(error.contains(expected) && error.starts_with("a.yaml:2:"), "{when}: {error}");
    }
}

#[test]
fn a_rule_can_cover_what_the_descendants_of_a_program_do() {
    let file = |programs: &str| format!("op: unlink, path: /srv/x, programs: [{programs}]");
    let matches = "[{op: exec, program: terraform}, {op: delete, by: terraform}]";
    check(
        matches,
        &[
            "op: exec, argv: [terraform, plan]",
            &file("/usr/bin/terraform"),
            &file("/usr/bin/rm, /usr/bin/bash, /opt/terraform"),
        ],
        &[&file("/usr/bin/rm, /usr/bin/bash")],
    );
    check("{op: delete, parent: make}", &[&file("/usr/bin/rm, /usr/bin/make")], &[&file("/usr/bin/make")]);
    check("{op: delete, by: /opt/**}", &[&file("/usr/bin/rm, /opt/a/b")], &[&file("/usr/bin/rm")]);
}

/// A fact of each kind that a rule asks for, and a fact that says no.
fn asked() -> Vec<(&'static str, Need, Circumstances)> {
    let none = Circumstances::default;
    let alone = |whole| Lineage { programs: vec![Program { file: "/usr/bin/rm".into(), ..Program::default() }], whole };
    vec![
        ("env: {A: b}", Need::Environment, Circumstances { environment: Found::Is(Vec::new()), ..none() }),
        ("cwd: /a", Need::Directory, Circumstances { directory: Found::Is("/b".into()), ..none() }),
        ("by: make", Need::Lineage, Circumstances { lineage: Found::Is(alone(true)), ..none() }),
        ("parent: make", Need::Lineage, Circumstances { lineage: Found::Is(alone(true)), ..none() }),
        ("user: bob", Need::Users, Circumstances { users: Found::Is(vec![(7, "bob".to_owned())]), ..none() }),
        ("owner: bob", Need::Users, Circumstances { users: Found::Is(vec![(7, "bob".to_owned())]), ..none() }),
    ]
}

#[test]
fn what_could_not_be_found_out_is_held_and_asked_for_only_where_a_rule_could_match() {
    for (key, need, known) in asked() {
        let policy = hold(&format!("{{op: delete, path: /srv/**, {key}}}")).policy(&scope());
        let here = on(Op::Unlink, "/srv/x");
        assert_eq!(policy.needs(&here), Needs::of(need), "{key}");
        assert_eq!(policy.needs(&on(Op::Unlink, "/home/x")), Needs::NONE, "{key}");
        assert_eq!(policy.needs(&on(Op::OpenRead, "/srv/x")), Needs::NONE, "{key}");
        let Judgement::Match(rule) = judge(&policy, &here) else { panic!("{key} is cleared unknown") };
        assert_eq!(rule.name, "doubt", "{key}");
        assert!(judge(&policy, &Operation { circumstances: known, ..here }).is_clear(), "{key}");
    }
    let policy = hold("{op: delete, path: /srv/**}").policy(&scope());
    assert_eq!(policy.needs(&on(Op::Unlink, "/srv/x")), Needs::NONE);
}

#[test]
fn a_lineage_with_a_gap_could_have_had_the_program_in_it() {
    let policy = hold("{op: delete, by: make}").policy(&scope());
    let programs = vec![Program { file: "/usr/bin/rm".into(), ..Program::default() }];
    let lineage = Found::Is(Lineage { programs, whole: false });
    let circumstances = Circumstances { lineage, ..Circumstances::default() };
    assert!(!judge(&policy, &Operation { circumstances, ..on(Op::Unlink, "/srv/x") }).is_clear());
}

#[test]
fn a_name_the_agent_can_choose_holds_and_never_excepts() {
    let programs = vec![Program { file: "/usr/bin/node".into(), aliases: vec![b"npm".to_vec()] }];
    let lineage = Found::Is(Lineage { programs, whole: true });
    let circumstances = Circumstances { lineage, ..Circumstances::default() };
    let npm = Operation { circumstances, ..on(Op::Unlink, "/srv/x") };
    assert!(!judge(&hold("{op: delete, by: npm}").policy(&scope()), &npm).is_clear());
    let excepted = rules(
        "rules:
  - {name: gone, text: t, action: hold, reversibility: irreversible, match: {op: delete}}
  - {name: npm, text: t, action: allow, except: gone, match: {op: delete, by: npm}}
",
    );
    assert!(!judge(&excepted.policy(&scope()), &npm).is_clear());
}

#[test]
fn an_object_the_tier_cannot_see_is_not_small() {
    let policy = hold("{op: delete, size: {min: 1GiB}}").policy(&scope());
    let unseen = Operation { context: Context::Tripped, target: ObjectFacts::default(), ..on(Op::Unlink, "/srv/x") };
    assert!(!judge(&policy, &unseen).is_clear());
    assert!(judge(&policy, &on(Op::Unlink, "/srv/x")).is_clear());
}

#[test]
fn a_hash_that_cannot_be_computed_matches() {
    let policy = hold(&format!("{{op: exec, sha256: \"{}\"}}", "00".repeat(32))).policy(&scope());
    assert!(!judge(&policy, &exec("/usr/bin/x", &["x"])).is_clear());
}

#[test]
fn a_rule_about_another_agent_costs_this_one_nothing() {
    let rules: Rules = hold("{op: [delete, read], agent: other}");
    let tables = rules.policy(&Scope { agent: "me".to_owned(), ..scope() }).tables();
    assert!(tables.ops.is_empty(), "{tables:?}");
    assert!(judge(&rules.policy(&scope()), &operation(Op::Signal)).is_clear());
}

#[test]
fn many_small_deletes_are_one_large_one() {
    let file = "op: unlink, path: /srv/x, size: 10";
    let earlier = |earlier: &str| format!("{file}, earlier: {earlier}");
    let (files, bytes) = (earlier("{files: 100}"), earlier("{files: 3, bytes: 1MiB}"));
    check(
        "{op: delete, more_than: {files: 100, bytes: 1MiB, within: 60s}}",
        &[&files, &bytes],
        &[file, &earlier("{files: 99, bytes: 1000KiB, directories: 9}")],
    );
    check(
        "{op: delete, path: /srv/**, more_than: {directories: 2, within: 5m}}",
        &[&earlier("{directories: 3}")],
        &[&earlier("{directories: 2, files: 1000}"), "op: unlink, path: /x, earlier: {directories: 3}"],
    );
    // What the kernel let pass may have been anything of the kind.
    let policy = hold("{op: delete, path: /srv/**, more_than: {files: 9, within: 5m}}").policy(&scope());
    let mut tallies = crate::tally::Tallies::default();
    let mut after = |files| {
        let mut operation = Operation { passed: Passed { files, bytes: 0 }, ..on(Op::Unlink, "/srv/x") };
        let counted = tallies.count(&policy.counters(&operation), &operation, 1);
        operation.circumstances.tallies = Found::Is(counted);
        judge(&policy, &operation).is_clear()
    };
    assert_eq!([after(4), after(4), after(7), after(6)], [true, true, false, false]);
    let policy = hold("{op: delete, path: /srv/**, more_than: {files: 1, within: 5m}}").policy(&scope());
    assert!(policy.counters(&on(Op::Unlink, "/home/x")).is_empty());
    assert_eq!(policy.counters(&on(Op::Unlink, "/srv/x"))[0].key, "r#0");
    assert!(!judge(&policy, &on(Op::Unlink, "/srv/x")).is_clear(), "what was not counted may be too much");
}

#[test]
fn what_an_agent_made_itself_is_told_apart_and_not_knowing_is_no_proof() {
    let made = "op: unlink, path: /srv/x, own: true";
    check("{op: delete, own: false}", &["op: unlink, path: /srv/x"], &[made]);
    let linked = "op: link, path: /srv/x, to: /tmp/y";
    check("{op: link, own: false}", &[linked], &[&format!("{linked}, own: true")]);
    let excepted = rules(
        "rules:
  - {name: gone, text: t, action: hold, reversibility: irreversible, match: {op: delete}}
  - {name: own, text: t, action: allow, except: gone, match: {op: delete, own: true}}
",
    );
    let policy = excepted.policy(&scope());
    let unknown = on(Op::Unlink, "/srv/x");
    assert!(!judge(&policy, &unknown).is_clear());
    let target = ObjectFacts { own: true, ..unknown.target.clone() };
    assert!(judge(&policy, &Operation { target, ..unknown.clone() }).is_clear());
    let doubtful = ObjectFacts { own: true, ..unknown.target.clone() };
    assert!(!judge(&policy, &Operation { target: doubtful, doubt: doubt::READ, ..unknown }).is_clear());
}

#[test]
fn a_directory_that_is_moved_away_is_not_known_to_hold_what_the_agent_made_alone() {
    let moved = |object: &str| format!("op: rename, path: /srv/x/y, to: /tmp/y, object: {object}, own: true");
    check("{op: delete, path: /srv/**, own: false}", &[&moved("directory")], &[&moved("file")]);
    check("{op: rename_over, own: false}", &["op: rename, path: /a, to: /b, replaces: true"], &[]);
}

#[test]
fn a_rule_cannot_stop_what_an_agent_made_because_a_mark_may_be_missing() {
    let text = "rules:\n  - {name: r, text: t, action: hold, reversibility: partial, match: {op: delete, own: true}}\n";
    let error = Rules::none().and_then(|none| none.and(text, "my.yaml")).expect_err("refused");
    assert!(error.to_string().contains("`own: true` belongs to an exception"), "{error}");
}
