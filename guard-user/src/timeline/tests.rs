//! Trees of hand-made records.

use serde_json::json;

use super::*;

fn process(pid: u32, comm: &str, argv: &[&str]) -> Value {
    let exe = if argv.is_empty() { String::new() } else { format!("/usr/bin/{comm}") };
    json!({"pid": pid, "ppid": 1, "uid": 0, "user": "", "comm": comm, "exe": exe, "argv": argv, "cwd": "/srv/project"})
}

/// `argv` in the first of a chain of processes, each with its start in milliseconds; written a second later.
fn executed(seq: u64, at: u64, chain: &[(u32, u64, &str)], argv: &[&str]) -> Value {
    let processes = chain
        .iter()
        .enumerate()
        .map(|(depth, (pid, _, comm))| process(*pid, comm, if depth == 0 { argv } else { &[] }));
    let starts: Vec<u64> = chain.iter().map(|(_, start, _)| start * 1_000_000).collect();
    json!({"seq": seq, "time": time(at + 1_000), "boottime_ns": (at + 1_000) * 1_000_000, "kind": "exec", "agent": "a1",
        "agent_name": "claude", "cgroup": "/guard-agents/a1", "pid": chain[0].0, "executed_ns": at * 1_000_000,
        "processes": processes.collect::<Vec<_>>(), "starts": starts, "program": "abc"})
}

fn time(at: u64) -> String {
    format!("2026-11-30T12:00:{:02}.{:03}Z", at / 1_000, at % 1_000)
}

fn record(seq: u64, at: u64, kind: &str, more: Value) -> Value {
    let mut record = json!({"seq": seq, "time": time(at), "boottime_ns": at * 1_000_000, "kind": kind, "agent": "a1",
        "agent_name": "claude", "cgroup": "/guard-agents/a1"});
    let Value::Object(fields) = more else { panic!("{more} is no object") };
    fields.into_iter().for_each(|(name, value)| record[name] = value);
    record
}

/// An agent whose shell runs `make` and, below a shell that was only forked, an `rm` that is held and denied.
pub(crate) fn records() -> Vec<Value> {
    let claude = (10, 800, "claude");
    let outside = [(3, 5, "zsh"), (1, 1, "systemd")];
    let shell = (20, 2_000, "bash");
    let below = |chain: &[(u32, u64, &'static str)]| [chain, &[claude], &outside].concat();
    let operation = json!({"op": "unlink", "path": "/srv/x", "other_path": "", "argv": [], "address": "",
        "object_type": "file", "size": 5, "own": false, "detail": "", "doubt": ""});
    vec![
        record(1, 900, "tag", json!({"by": "uid 1000 (dev), pid 10"})),
        record(
            4,
            2_600,
            "hold",
            json!({"hold": "h12", "rule": "delete-outside-workspace", "context": "held",
            "operation": operation, "pid": 22, "processes": [process(22, "rm", &["rm", "/srv/x"]),
                process(21, "bash", &["bash"]), process(20, "bash", &["bash"]), process(10, "claude", &["claude"])]}),
        ),
        executed(5, 1_100, &[&[claude][..], &outside].concat(), &["claude", "--print"]),
        executed(6, 2_010, &below(&[shell]), &["bash", "-c", "make && (rm /srv/x; true)"]),
        executed(7, 2_100, &below(&[(23, 2_050, "make"), shell]), &["make"]),
        executed(8, 2_550, &below(&[(22, 2_540, "rm"), (21, 2_500, "bash"), shell]), &["rm", "/srv/x"]),
        executed(9, 3_000, &[&[claude][..], &outside].concat(), &["node", "x.js"]),
        record(
            10,
            4_000,
            "decision",
            json!({"hold": "h12", "verdict": "deny", "scope": "once", "pid": 22, "note": "no",
            "by": "uid 0 (root), pid 77", "processes": [process(22, "rm", &[])], "rule": "delete-outside-workspace"}),
        ),
        record(
            11,
            4_001,
            "outcome",
            json!({"hold": "h12", "outcome": "refused", "context": "held", "pid": 22,
            "processes": [process(22, "rm", &[])]}),
        ),
        record(12, 4_500, "shielded", json!({"pid": 20, "by": "guardd", "note": "refused: it tried to signal guardd"})),
        record(
            13,
            5_000,
            "exec",
            json!({"missing": 7, "by": "guardd",
            "note": "7 execs of this agent are not in the log one by one: they were too many"}),
        ),
        record(14, 6_000, "kill", json!({"by": "uid 0 (root), pid 78"})),
        record(15, 8_000, "agent_ended", json!({"by": "guardd"})),
    ]
}

/// The tree as its processes and what was recorded of them, indented.
fn outline(items: &[Item], depth: usize, lines: &mut Vec<String>) {
    for item in items {
        let indent = "  ".repeat(depth);
        match item {
            Item::Exec(exec) => lines.push(format!("{indent}{}", exec.argv[0])),
            Item::Event(event) => lines.push(format!("{indent}[{}]", event.kind)),
            Item::Process(node) => {
                lines.push(format!("{indent}{} {}", node.pid, node.comm));
                outline(&node.items, depth + 1, lines);
            }
        }
    }
}

fn lines(records: &[Value]) -> Vec<String> {
    let mut lines = Vec::new();
    outline(&Timeline::of(records).map(|timeline| timeline.items).unwrap_or_default(), 0, &mut lines);
    lines
}

#[test]
fn records_become_a_tree_of_processes_in_the_order_in_which_things_happened() {
    assert_eq!(
        lines(&records()),
        [
            "[tag]",
            "10 claude",
            "  claude",
            "  20 bash",
            "    bash",
            "    23 make",
            "      make",
            "    21 bash",
            "      22 rm",
            "        rm",
            "        [hold]",
            "        [decision]",
            "        [outcome]",
            "    [shielded]",
            "  node",
            "[exec]",
            "[kill]",
            "[agent_ended]",
        ]
    );
    let timeline = Timeline::of(&records()).expect("there is something");
    assert_eq!((timeline.agent.as_str(), timeline.agent_name.as_str()), ("a1", "claude"));
    // An exec has its own moment, not that of its record.
    assert!(timeline.times().any(|time| time == "2026-11-30T12:00:02.010Z"), "{timeline:?}");
    assert_eq!(Timeline::of(&[]), None);
}

#[test]
fn a_number_that_is_given_again_is_another_process() {
    let first = [(20, 1_000, "sh"), (10, 500, "claude")];
    let again = [(20, 3_000, "cc"), (10, 500, "claude")];
    let records = [
        executed(1, 600, &[(10, 500, "claude")], &["claude"]),
        executed(2, 1_010, &first, &["sh"]),
        record(3, 2_000, "shielded", json!({"pid": 20, "note": "x"})),
        executed(4, 3_010, &again, &["cc"]),
        record(5, 4_000, "shielded", json!({"pid": 20, "note": "x"})),
    ];
    let expected =
        ["10 claude", "  claude", "  20 sh", "    sh", "    [shielded]", "  20 cc", "    cc", "    [shielded]"];
    assert_eq!(lines(&records), expected);
}

#[test]
fn a_log_without_execs_has_the_processes_that_were_held() {
    let hold = json!({"hold": "h1", "pid": 22, "processes": [process(22, "rm", &[]), process(10, "claude", &[])]});
    assert_eq!(lines(&[record(1, 5, "hold", hold)]), ["10 claude", "  22 rm", "    [hold]"]);
}

#[test]
fn however_deep_processes_are_the_tree_is_not() {
    let records: Vec<Value> = (1..2_000_u32)
        .map(|pid| {
            let at = u64::from(pid) * 10;
            executed(u64::from(pid), at, &[(pid + 1, at, "sh"), (pid, at - 10, "sh")], &["sh"])
        })
        .collect();
    let deepest = lines(&records).iter().map(|line| line.len() - line.trim_start().len()).max();
    assert!(deepest.is_some_and(|deepest| deepest <= 2 * (DEEPEST + 2)), "{deepest:?}");
}
