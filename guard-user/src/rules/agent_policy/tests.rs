//! Policies over a few rules, and what is wrong with bad ones. Tests only.

use guard_common::op::Op;

use super::*;
use crate::{
    operation::{Address, Operation},
    rules::{
        compile::{Policy, Scope},
        file::load,
        judge::{Judgement, judge},
        tests::{on, operation, scope},
    },
};

const RULES: &str = "rules:
  - {name: prod, text: t, action: hold, reversibility: irreversible, match: {op: [delete, connect], label: production}}
  - {name: agents, text: t, action: kill, reversibility: irreversible, match: {op: umount, agent_label: production}}
";
const OTHER: &str = "rules:
  - {name: mounts, text: t, action: hold, reversibility: partial, match: {op: mount}}
";

fn loaded(policies: &str) -> Result<Rules, RulesError> {
    let directory = tempfile::tempdir().expect("a directory");
    let write = |name: &str, text: &str| std::fs::write(directory.path().join(name), text).expect("written");
    write("own.yaml", RULES);
    write("other.yaml", OTHER);
    write(FILE, policies);
    load(Some(directory.path()))
}

fn policy(policies: &str) -> Policy {
    let rules = loaded(policies).unwrap_or_else(|error| panic!("{error}"));
    rules.policy_named("nightly", &scope(), None).expect("there is one")
}

fn verdict(policy: &Policy, operation: &Operation) -> String {
    match judge(policy, operation) {
        Judgement::Clear => String::new(),
        Judgement::WouldHold(rule) => format!("would {}", rule.name),
        Judgement::Match(rule) => {
            assert!(policy.tables().candidate(operation), "{} is no candidate", rule.name);
            rule.name.clone()
        }
    }
}

fn connect(address: &str) -> Operation {
    Operation { address: Some(Address::Inet(address.parse().expect("an address"))), ..operation(Op::Connect) }
}

const LABELS: &str = "labels:
  production: {paths: [/srv/prod/**], hosts: [10.1.0.0/16]}
";

#[test]
fn a_path_keeps_the_letters_that_yaml_reads_in_its_own_way() {
    let read_only = r#"policies: [{name: nightly, read_only: ["/srv/a\nb/**", "/srv/c\"\\*", "/srv/\e\u2028"]}]"#;
    let policy = policy(&format!("{LABELS}{read_only}"));
    for path in ["/srv/a\nb/x", "/srv/c\"*", "/srv/\u{1b}\u{2028}"] {
        assert_eq!(verdict(&policy, &on(Op::Unlink, path)), "policy-read-only", "{path:?}");
    }
    assert_eq!(verdict(&policy, &on(Op::Unlink, "/srv/a b/x")), "");
}

#[test]
fn a_label_stands_for_paths_and_hosts_and_for_agents() {
    let policy = policy(&format!("{LABELS}policies:\n  - {{name: nightly, labels: [production]}}\n"));
    assert_eq!(verdict(&policy, &on(Op::Unlink, "/srv/prod/x")), "prod");
    assert_eq!(verdict(&policy, &on(Op::Unlink, "/srv/x")), "");
    assert_eq!(verdict(&policy, &connect("10.1.2.3:443")), "prod");
    assert_eq!(verdict(&policy, &connect("10.2.2.3:443")), "");
    assert_eq!(verdict(&policy, &on(Op::Umount, "/mnt")), "agents");
    let rules = loaded(LABELS).expect("right");
    assert_eq!(verdict(&rules.policy(&scope()), &on(Op::Umount, "/mnt")), "");
}

#[test]
fn a_policy_can_leave_out_packs_but_never_what_protects_guard() {
    let policy = policy(&format!("{LABELS}policies:\n  - {{name: nightly, packs: own}}\n"));
    assert_eq!(verdict(&policy, &on(Op::Mount, "/mnt")), "");
    assert_eq!(verdict(&policy, &on(Op::Unlink, "/srv/prod/x")), "prod");
}

#[test]
fn what_is_read_only_is_read_and_nothing_else() {
    let policy = policy(&format!("{LABELS}policies:\n  - {{name: nightly, read_only: [\"${{HOME}}/docs/**\"]}}\n"));
    for op in [Op::Unlink, Op::OpenWrite, Op::Chmod, Op::Mknod] {
        assert_eq!(verdict(&policy, &on(op, "/home/u/docs/x")), "policy-read-only");
        assert_eq!(verdict(&policy, &on(op, "/home/u/x")), "");
    }
    assert_eq!(verdict(&policy, &on(Op::OpenRead, "/home/u/docs/x")), "");
}

#[test]
fn egress_goes_to_this_host_and_where_the_policy_says() {
    let egress = "[{address: 192.0.2.0/24, port: 443}, {address: \"fd00::/8\"}]";
    let policy = policy(&format!("{LABELS}policies:\n  - {{name: nightly, packs: other, egress: {egress}}}\n"));
    for allowed in ["192.0.2.7:443", "[fd00::1]:22", "127.0.0.1:5432", "[::1]:1", "[::ffff:192.0.2.7]:443"] {
        assert_eq!(verdict(&policy, &connect(allowed)), "", "{allowed}");
    }
    for other in ["192.0.2.7:80", "198.51.100.1:443", "[2001:db8::1]:443", "[::ffff:198.51.100.1]:443"] {
        assert_eq!(verdict(&policy, &connect(other)), "policy-egress", "{other}");
    }
    let socket = Operation { address: Some(Address::UnixPath("/run/x.sock".into())), ..operation(Op::Connect) };
    assert_eq!(verdict(&policy, &socket), "");
}

#[test]
fn what_is_read_written_and_run_is_what_the_policy_says() {
    let limits = "reads: [/usr/**, \"${WORKSPACE}/**\"], writes: \"${WORKSPACE}/**\", runs: [git, /opt/tool]";
    let policy = policy(&format!("{LABELS}policies:\n  - {{name: nightly, packs: other, {limits}}}\n"));
    let run = |path: &str| verdict(&policy, &on(Op::Exec, path));
    assert_eq!((run("/usr/bin/git"), run("/opt/tool")), (String::new(), String::new()));
    assert_eq!(run("/usr/bin/make"), "policy-runs");
    for (op, path, expected) in [
        (Op::OpenRead, "/usr/lib/x", ""),
        (Op::OpenRead, "/home/u/work/x", ""),
        (Op::OpenRead, "/home/u/x", "policy-reads"),
        (Op::OpenWrite, "/home/u/work/x", ""),
        (Op::OpenWrite, "/usr/lib/x", "policy-writes"),
        (Op::Mknod, "/home/u/x", "policy-writes"),
        (Op::Symlink, "/home/u/x", "policy-writes"),
        (Op::Unlink, "/home/u/x", "policy-writes"),
        (Op::Chmod, "/home/u/x", "policy-writes"),
        (Op::Rmdir, "/home/u/work/x", ""),
    ] {
        assert_eq!(verdict(&policy, &on(op, path)), expected, "{} {path}", op.name());
    }
    let out = Operation { other_path: "/home/u/x".into(), ..on(Op::Rename, "/home/u/work/x") };
    assert_eq!(verdict(&policy, &out), "policy-writes");
    let mut directory = on(Op::OpenRead, "/home/u");
    directory.target.mode = 0o040_755;
    assert_eq!(verdict(&policy, &directory), "", "which things there are is not what is in them");
    assert_eq!(verdict(&policy, &connect("192.0.2.1:443")), "");
}

#[test]
fn an_agent_whose_time_is_over_is_held_whatever_it_does() {
    let rules =
        loaded(&format!("{LABELS}policies:\n  - {{name: nightly, until: \"18:00\", packs: other}}\n")).expect("right");
    assert!(rules.terms("nightly").is_some_and(|terms| terms.until.is_some()));
    let expired = Scope { expired: true, ..scope() };
    let policy = rules.policy_named("nightly", &expired, None).expect("there is one");
    for op in Op::ALL.into_iter().filter(|op| op.name() != "exec_verify") {
        let operation = Operation { path: "/home/u/work/x".into(), ..operation(op) };
        let operation = if op == Op::Connect { connect("127.0.0.1:1") } else { operation };
        assert_ne!(verdict(&policy, &operation), "", "{}", op.name());
    }
}

#[test]
fn a_policy_can_only_observe() {
    let policy = policy(&format!("{LABELS}policies:\n  - {{name: nightly, mode: observe}}\n"));
    assert_eq!(verdict(&policy, &on(Op::Mount, "/mnt")), "would mounts");
}

#[test]
fn what_is_wrong_with_a_policy_is_shown_with_its_place_and_the_nearest_name() {
    let error = |text: &str| loaded(&format!("{LABELS}{text}")).expect_err("wrong").to_string();
    let check = |text: &str, expected: &str| assert!(error(text).contains(expected), "{}", error(text));
    check("policies:\n  - {name: a, packs: [otherr]}\n", "4:22: unknown pack `otherr`: did you mean `other`?");
    check("policies:\n  - {name: a, labels: [productionn]}\n", "did you mean `production`?");
    check("policies:\n  - {name: a, egres: []}\n", "unknown key `egres`: did you mean `egress`?");
    check("policies:\n  - {name: a}\n  - {name: a}\n", "5:12: there is another policy `a`");
    check("policies:\n  - {name: a, until: soon}\n", "neither a time of day");
    check("policies:\n  - {name: a, workspace: ../x}\n", "absolute path");
    check("policies:\n  - {name: a, read_only: docs/**}\n", "a path starts with");
    let unlabelled = loaded("labels: {staging: {paths: [/srv/**]}}\n").expect_err("wrong").to_string();
    assert!(unlabelled.contains("own.yaml:2") && unlabelled.contains("unknown label `production`"), "{unlabelled}");
    let rules = loaded(LABELS).expect("right");
    assert!(
        rules.policy_named("nightly", &scope(), None).is_err_and(|error| error.contains("unknown policy `nightly`"))
    );
}
