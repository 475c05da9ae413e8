//! `guardctl rules` on files, with the real binary and without any guardd.

use std::{fs, path::PathBuf};

use predicates::str::{contains, is_empty};
use serde_json::Value;

use crate::fake::guardctl;

struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a directory"))
    }

    /// Writes a file and answers its path.
    fn write(&self, name: &str, text: &str) -> String {
        let path: PathBuf = self.0.path().join(name);
        fs::write(&path, text).expect("written");
        path.to_str().expect("UTF-8").to_owned()
    }
}

fn rule(name: &str, keys: &str) -> String {
    format!("  - {{name: {name}, text: because, action: hold, reversibility: partial, {keys}}}\n")
}

#[test]
fn the_rules_that_come_with_guard_are_right_and_can_be_listed_and_explained() {
    let files = Files::new();
    let empty = files.0.path().to_str().expect("UTF-8");
    guardctl(&["rules", "check", empty]).assert().code(0).stderr(is_empty()).stdout(contains("rules right"));
    guardctl(&["rules", "list", "--rules", empty]).assert().code(0).stdout(contains("git-force-push"));
    let output = guardctl(&["rules", "explain", "git-force-push", "--rules", empty, "-o", "json"]).assert().code(0);
    let explained: Value = serde_json::from_slice(&output.get_output().stdout).expect("JSON");
    assert_eq!(explained[0]["name"], "git-force-push");
    assert_eq!(explained[0]["cost"]["every"], Value::Array(Vec::new()));
    assert!(explained[0]["daemon"].as_array().expect("a list").contains(&Value::from("the arguments")));
}

#[test]
fn a_wrong_rule_ends_with_2_and_the_place() {
    let path = Files::new();
    let path = path.write("a.yaml", "rules:\n  - {named: x}\n");
    guardctl(&["rules", "check", &path]).assert().code(2).stderr(contains("a.yaml:2:6: unknown key `named`"));
    guardctl(&["rules", "check", "/nowhere.yaml"]).assert().code(2).stderr(contains("cannot be read"));
}

#[test]
fn a_rule_that_never_matches_or_asks_about_everything_gets_a_warning() {
    let files = Files::new();
    let text = [
        "rules:\n",
        &rule("reads", "match: {op: read}"),
        &rule("all-but", "match: {op: exec, not_path: /usr/**}"),
        &rule("never", "match: {op: delete, path: /srv/a/**, not_path: /srv/**}"),
        &rule("type", "match: {op: rmdir, object: file}"),
        &rule("good", "match: {op: delete, path: /srv/**}"),
    ]
    .concat();
    let path = files.write("a.yaml", &text);
    let output = guardctl(&["rules", "check", &path, "-o", "json"]).assert().code(0);
    let checked: Value = serde_json::from_slice(&output.get_output().stdout).expect("JSON");
    let warnings = checked["warnings"].as_array().expect("a list");
    let of = |rule: &str| {
        let of = warnings.iter().filter(|warning| warning["rule"] == rule);
        of.map(|warning| warning["message"].as_str().expect("text")).collect::<Vec<_>>().join("; ")
    };
    assert!(of("reads").contains("every open_read"), "{warnings:?}");
    assert!(of("all-but").contains("every exec outside"), "{warnings:?}");
    assert!(of("never").contains("can never match: `not_path: /srv/**`"), "{warnings:?}");
    assert!(of("type").contains("can never match"), "{warnings:?}");
    assert_eq!(of("good"), "");
}

#[test]
fn a_path_through_a_symbolic_link_of_this_host_gets_a_warning() {
    let files = Files::new();
    let real = files.0.path().canonicalize().expect("it is there").join("real");
    fs::create_dir(&real).expect("made");
    let link = files.0.path().join("link");
    std::os::unix::fs::symlink(&real, &link).expect("made");
    let text = format!("rules:\n{}", rule("a", &format!("match: {{op: delete, path: {}/**}}", link.display())));
    let path = files.write("a.yaml", &text);
    guardctl(&["rules", "check", &path]).assert().code(0).stdout(contains(real.to_str().expect("UTF-8")));
}

#[test]
fn a_case_that_is_not_as_expected_is_shown_as_a_difference_and_ends_with_1() {
    let files = Files::new();
    let rules = files.write("a.yaml", &format!("rules:\n{}", rule("srv", "match: {op: delete, path: /srv/**}")));
    let good = "cases:\n  - {do: {op: unlink, path: /srv/x}, expect: hold, rule: srv}\n  - {do: {op: unlink, path: /home/u/x}, expect: allow}\n";
    let path = files.write("good.yaml", good);
    guardctl(&["rules", "test", &path, "--rules", &rules]).assert().code(0).stdout("2 cases, all as expected\n");
    let path = files.write("bad.yaml", &good.replace("expect: allow", "expect: deny"));
    guardctl(&["rules", "test", &path, "--rules", &rules])
        .assert()
        .code(1)
        .stdout("failed line 3: unlink /home/u/x\n  - deny\n  + allow\n2 cases, 1 failed\n");
    let path = files.write("typo.yaml", &good.replace("rule: srv", "rule: svr"));
    let expected = "typo.yaml:2:58: unknown rule `svr`: did you mean `srv`?";
    guardctl(&["rules", "test", &path, "--rules", &rules]).assert().code(2).stderr(contains(expected));
    let path = files.write("op.yaml", &good.replace("op: unlink", "op: unlnk"));
    guardctl(&["rules", "test", &path, "--rules", &rules]).assert().code(2).stderr(contains("did you mean `unlink`?"));
}

#[test]
fn an_unknown_rule_ends_with_5_and_the_nearest_name() {
    let files = Files::new();
    let rules = files.write("a.yaml", &format!("rules:\n{}", rule("customers", "match: {op: delete, path: /srv/**}")));
    guardctl(&["rules", "explain", "customer", "--rules", &rules])
        .assert()
        .code(5)
        .stderr(contains("did you mean `customers`?"));
}

#[test]
fn the_schema_is_one_json_document() {
    let output = guardctl(&["rules", "schema"]).assert().code(0);
    let schema: Value = serde_json::from_slice(&output.get_output().stdout).expect("JSON");
    assert_eq!(schema["title"], "Rules of guard");
}

#[test]
fn a_rule_is_switched_off_observed_and_switched_on_again_in_one_file_of_its_own() {
    let files = Files::new();
    let directory = files.0.path().to_str().expect("UTF-8").to_owned();
    files.write("10-own.yaml", &format!("rules:\n{}", rule("srv", "match: {op: delete, path: /srv/**}")));
    let run = |arguments: &[&str]| guardctl(&[&["rules"], arguments, &["--rules", &directory]].concat()).assert();
    let listed = || {
        let output = run(&["list", "-o", "json"]).code(0).get_output().stdout.clone();
        let list: Value = serde_json::from_slice(&output).expect("JSON");
        (list[0]["enabled"].clone(), list[0]["mode"].clone())
    };
    run(&["disable", "srv"]).code(0).stdout(contains("switched off"));
    assert_eq!(listed(), (Value::from(false), Value::from("enforce")));
    run(&["mode", "srv", "observe"]).code(0).stdout(contains("mode observe"));
    run(&["enable", "srv"]).code(0);
    assert_eq!(listed(), (Value::from(true), Value::from("observe")));
    let text = fs::read_to_string(files.0.path().join("overrides.yaml")).expect("it was written");
    assert!(text.ends_with("overrides:\n  - rule: \"srv\"\n    enabled: true\n    mode: observe\n"), "{text}");
    run(&["disable", "svr"]).code(5).stderr(contains("did you mean `srv`?"));
    run(&["mode", "srv", "off"]).code(2);
    guardctl(&["rules", "check", &directory]).assert().code(0).stdout(contains("1 rule right"));
    files.write("overrides.yaml", "overrides:\n  - {rule: gone, enabled: false}\n");
    guardctl(&["rules", "check", &directory])
        .assert()
        .code(2)
        .stderr(contains("overrides.yaml:2:12: unknown rule `gone`"));
}

#[test]
fn a_case_can_expect_that_a_rule_observes_and_that_one_that_is_off_says_nothing() {
    let files = Files::new();
    let directory = files.0.path().to_str().expect("UTF-8").to_owned();
    files.write("10-own.yaml", &format!("rules:\n{}", rule("srv", "match: {op: delete, path: /srv/**}")));
    let cases = "cases:\n  - {do: {op: unlink, path: /srv/x}, expect: WORD}\n";
    let check = |word: &str| {
        let path = files.write("cases.yml.txt", &cases.replace("WORD", word));
        guardctl(&["rules", "test", &path, "--rules", &directory]).assert().code(0);
    };
    check("hold");
    guardctl(&["rules", "mode", "srv", "observe", "--rules", &directory]).assert().code(0);
    check("observe");
    guardctl(&["rules", "disable", "srv", "--rules", &directory]).assert().code(0);
    check("allow");
}

#[test]
fn a_policy_is_checked_with_the_rules_and_its_cases_are_judged_under_it() {
    let files = Files::new();
    let directory = files.0.path().to_str().expect("UTF-8").to_owned();
    files.write("10-own.yaml", &format!("rules:\n{}", rule("prod", "match: {op: delete, label: production}")));
    files.write(
        "policies.yaml",
        "labels: {production: {paths: [/srv/prod/**]}}\npolicies:\n  - {name: nightly, egress: [{address: 192.0.2.0/24}]}\n",
    );
    guardctl(&["rules", "check", &directory]).assert().code(0).stdout(contains("1 rule right"));
    let cases = "agent: {policy: nightly}
cases:
  - {do: {op: unlink, path: /srv/prod/x}, expect: hold, rule: prod}
  - {do: {op: connect, address: 192.0.2.7, port: 443}, expect: allow}
  - {do: {op: connect, address: 198.51.100.7, port: 443}, expect: hold, rule: policy-egress}
";
    let path = files.write("cases.txt", cases);
    let test = |path: &str| guardctl(&["rules", "test", path, "--rules", &directory]).assert();
    test(&path).code(0).stdout("3 cases, all as expected\n");
    let path = files.write("cases.txt", &cases.replace("policy: nightly", "policy: nightlyy"));
    test(&path).code(2).stderr(contains("unknown policy `nightlyy`: did you mean `nightly`?"));
}
