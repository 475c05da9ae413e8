//! The policy that allows what was seen of an agent and holds the rest, as text, and cases that say so. Both are read again
//! before anybody gets them.

use super::{
    agent_policy,
    case::Verdict,
    compile::{Rules, Scope},
    gap::{self, Gap},
    learn::{self, Learned},
    quote,
};
use crate::footprint::Footprint;

/// Cases of one kind at most.
const CASES: usize = 40;
/// What no agent has.
const NEVER: &str = "/guard-never-saw-this/x";
/// A host that is nobody's (RFC 5737).
const NOWHERE: &str = "203.0.113.77:9";

/// What was learned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lesson {
    /// A `policies.yaml` with one policy.
    pub policies: String,
    /// A file for `guardctl rules test`.
    pub cases: String,
}

impl Lesson {
    /// `about` says of whom, for a comment.
    ///
    /// # Errors
    /// The user's sentence, when the name is none for a policy.
    pub fn new(name: &str, about: &str, rules: &Rules, scope: &Scope, footprint: &Footprint) -> Result<Self, String> {
        let policies = policies(name, about, scope, footprint);
        let origin = agent_policy::FILE;
        let file = agent_policy::File::read(&policies, origin).map_err(|error| error.to_string())?;
        let read = file.policies(&policies, origin, rules).map_err(|error| error.to_string())?;
        let rules = rules.clone().with_policies(read);
        let cases = cases(name, &rules, scope, footprint)?;
        Ok(Self { policies, cases })
    }
}

fn policies(name: &str, about: &str, scope: &Scope, footprint: &Footprint) -> String {
    let mut text = format!("# Learned from {}.\n", crate::text::shown(about));
    text.push_str(
        "# It allows what was seen, and holds the rest. Read it: what was done is not what should be.\npolicies:\n",
    );
    text.push_str(&format!("  - name: {name}\n"));
    let directories = footprint.directories.iter();
    let reads = directories.clone().filter(|directory| directory.reads > 0);
    let writes = directories.filter(|directory| directory.writes > 0);
    let reads = learn::directories(reads.map(|directory| (directory.path.as_str(), directory.reads)), scope);
    let writes = learn::directories(writes.map(|directory| (directory.path.as_str(), directory.writes)), scope);
    let programs = footprint.programs.iter().filter(|program| program.name.starts_with('/'));
    let runs = learn::programs(programs.map(|program| (program.name.as_str(), program.times)), scope);
    for (key, comment, learned) in [
        ("reads", "files in these may be read", reads),
        ("writes", "what is in these may be made, changed and removed", writes),
        ("runs", "these may be run", runs),
    ] {
        list(&mut text, key, comment, &learned);
    }
    let hosts = learn::hosts(footprint.reached.iter().map(|reached| (reached.name.as_str(), reached.times)));
    text.push_str(if hosts.is_empty() {
        "    egress: []  # nobody but this host\n"
    } else {
        "    egress:  # these, and this host\n"
    });
    for host in hosts {
        text.push_str(&format!(
            "      - {{address: \"{}\", port: {}}}  # seen {} times\n",
            host.address, host.port, host.times
        ));
    }
    text
}

fn list(text: &mut String, key: &str, comment: &str, learned: &[Learned]) {
    if learned.is_empty() {
        text.push_str(&format!("    {key}: []  # none was seen\n"));
        return;
    }
    text.push_str(&format!("    {key}:  # {comment}\n"));
    for Learned { pattern, times } in learned {
        text.push_str(&format!("      - {}  # seen {times} times\n", quote(pattern)));
    }
}

/// What was seen, with what the rules say to it, and what was not seen.
fn cases(name: &str, rules: &Rules, scope: &Scope, footprint: &Footprint) -> Result<String, String> {
    let gap = Gap::new(rules, name, scope, footprint)?;
    let mut text =
        format!("# What the policy {name} was learned from, and what it was not.\n{}cases:\n", gap::agent(name, scope));
    let kinds: [fn(&str) -> Option<String>; 4] = [gap::read, gap::write, gap::run, gap::connect];
    for ((_, part), deed) in gap.parts().into_iter().zip(kinds) {
        let mut used: Vec<_> = part.used.iter().collect();
        used.sort_by(|one, other| other.times.cmp(&one.times).then_with(|| one.name.cmp(&other.name)));
        for used in used.into_iter().take(CASES) {
            let Some(deed) = deed(&used.name) else { continue };
            text.push_str(&format!("  - do: {deed}\n    expect: {}\n", word(used.verdict)));
            if !used.rule.is_empty() && used.verdict != Verdict::Allow {
                text.push_str(&format!("    rule: {}\n", used.rule));
            }
        }
    }
    let deeds = [gap::read(NEVER), gap::write(NEVER), gap::run(NEVER), gap::connect(NOWHERE)];
    for (deed, tried) in deeds.iter().zip(gap::verdicts(rules, name, scope, &deeds)?) {
        if let (Some(deed), Some(tried)) = (deed, tried) {
            text.push_str(&format!("  - do: {deed}\n    expect: {}\n", word(tried.found.action)));
            text.extend(tried.found.rule.map(|rule| format!("    rule: {rule}\n")));
        }
    }
    Ok(text)
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Allow => "allow",
        Verdict::Hold => "hold",
        Verdict::Deny => "deny",
        Verdict::Kill => "kill",
        Verdict::Observe => "observe",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        footprint::{Directory, Times},
        rules::{case::Cases, file::load},
    };

    pub(super) fn footprint() -> Footprint {
        let directory = |path: &str, reads, writes| Directory { path: path.to_owned(), reads, writes, below: false };
        let times = |name: &str, times| Times { name: name.to_owned(), times };
        Footprint {
            directories: vec![
                directory("/etc", 9, 0),
                directory("/home/u/work/src", 412, 30),
                directory("/home/u/.cache/tool-1.2.3", 3, 4),
                directory("/proc/*/fd", 2, 0),
                directory("/usr/lib/x86_64-linux-gnu", 99, 0),
                directory("/tmp/with \"quotes\" and *", 1, 1),
            ],
            programs: vec![times("/usr/bin/git", 12), times("/usr/bin/python3.11", 1)],
            reached: vec![times("192.0.2.1:443", 5), times("unix:/run/x.sock", 1), times("address family 16", 2)],
            ..Footprint::default()
        }
    }

    #[test]
    fn what_was_seen_is_allowed_and_anything_else_is_held() {
        let scope = crate::rules::tests::scope();
        let rules = load(None).expect("the shipped rules");
        let lesson = Lesson::new("learned-builder", "builder (a1)", &rules, &scope, &footprint()).expect("it is one");
        insta::assert_snapshot!("lesson_policies", lesson.policies);
        insta::assert_snapshot!("lesson_cases", lesson.cases);
        // As guardctl does with files.
        let place = tempfile::tempdir().expect("a directory");
        std::fs::write(place.path().join(agent_policy::FILE), &lesson.policies).expect("written");
        let rules = load(Some(place.path())).expect("right");
        let cases = Cases::read(&lesson.cases, "cases.yaml", &rules).expect("right");
        let tried = cases.run(&rules).expect("the policy is there");
        assert!(tried.iter().all(|tried| tried.ok), "{tried:?}");
        let held: Vec<_> = tried.iter().filter_map(|tried| tried.found.rule.as_deref()).collect();
        for rule in ["policy-reads", "policy-writes", "policy-runs", "policy-egress"] {
            assert!(held.contains(&rule), "{rule} holds nothing: {held:?}");
        }
    }

    #[test]
    fn a_name_that_is_none_is_refused() {
        let rules = load(None).expect("the shipped rules");
        let scope = crate::rules::tests::scope();
        let error = Lesson::new("A b", "x", &rules, &scope, &footprint()).expect_err("no name");
        assert!(error.contains("a name of a rule"), "{error}");
    }
}
