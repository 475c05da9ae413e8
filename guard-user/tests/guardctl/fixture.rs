//! Answers of guardd, as JSON: used by the tests of rendering and by the fake daemon. Nothing here checks anything.

use serde_json::{Value, json};

/// `rm -rf /srv/data/customers`, held at its first file.
pub(crate) fn hold() -> Value {
    json!({
        "id": "h12",
        "state": "pending",
        "since": "2026-03-02T11:59:48Z",
        "agent": "a1",
        "agent_name": "claude",
        "operation": {
            "op": "unlink",
            "path": "/srv/data/customers/2026.db",
            "other_path": "",
            "argv": [],
            "address": "",
            "object_type": "file",
            "size": 1_572_864,
            "own": false,
            "detail": "",
            "doubt": ""
        },
        "processes": [
            process(4243, 4201, "rm", "/usr/bin/rm", &["rm", "-rf", "/srv/data/customers"], "/srv"),
            process(4201, 4100, "bash", "/usr/bin/bash", &["bash", "-c", "rm -rf /srv/data/customers && echo ok"], "/srv"),
            process(4100, 1, "claude", "/usr/bin/node", &["claude"], "/home/dev/shop"),
        ],
        "rule": "delete-outside-workspace",
        "rule_text": "Deletes outside the agent's workspace cannot be undone",
        "reversibility": "irreversible",
        "context": "held",
        "blast": {
            "root": "/srv/data/customers", "files": 12034, "directories": 311, "bytes": 4_509_715_660_u64, "more": true
        },
        "scope": "deletes by rm (pid 4243) below /srv/data/customers until it ends",
        "stops": 1,
        "decision": null,
        "outcome": null
    })
}

/// The same with some fields of it, or of its operation, replaced.
pub(crate) fn hold_with(fields: Value, operation: Value) -> Value {
    let mut hold = hold();
    merge(&mut hold, fields);
    merge(&mut hold["operation"], operation);
    hold
}

pub(crate) fn decided(verdict: &str, outcome: Option<&str>) -> Value {
    let state = if outcome.is_some() { "done" } else { "deciding" };
    hold_with(
        json!({
            "state": state,
            "outcome": outcome,
            "decision": {
                "verdict": verdict, "scope": "process", "by": "uid 0 (root), pid 77",
                "at": "2026-03-02T11:59:59Z", "note": "agreed in the review"
            }
        }),
        json!({}),
    )
}

/// The same hold, as its agent may hear of it.
pub(crate) fn refusal() -> Value {
    let hold = hold();
    json!({
        "hold": "h12", "time": "2026-03-02T11:59:59Z", "verdict": "deny", "operation": hold["operation"],
        "rule": hold["rule"], "rule_text": hold["rule_text"], "note": "not this week\u{1b}[2J",
        "instead": "move it to /srv/trash", "call": "toolu_01ABC123"
    })
}

pub(crate) fn agent() -> Value {
    json!({
        "id": "a1", "name": "claude", "cgroup": "/guard-agents/a1", "cgroup_id": 8181,
        "workspace": "/home/dev/shop", "policy": "nightly", "state": "running", "processes": 3, "pending": 1,
        "since": "2026-03-02T10:00:00Z",
        "adopted": 2, "mapped": 0,
    })
}

pub(crate) fn status() -> Value {
    json!({
        "version": "0.1.0", "pid": 812, "started": "2026-03-02T09:00:00Z", "kernel": "6.12.107-amd64",
        "tier": "gate", "reason": "", "protecting": true,
        "summary": "every operation of 31 rules is stopped before it takes effect; 2 agents",
        "rules": 31, "agents": 2, "pending": 1, "audit_ok": true, "audit_path": "/var/log/guard/audit.jsonl",
        "canary": { "state": "refused", "problem": "", "heard": "2026-03-02T11:59:58Z" },
        "counts": [{ "name": "held", "value": 1204 }, { "name": "holds_full", "value": 0 }],
        "features": [
            { "name": "btf", "ok": true, "problem": "", "cost": "", "fix": "" },
            { "name": "lsm/path_unlink", "ok": true, "problem": "", "cost": "", "fix": "" }
        ]
    })
}

/// Where `bpf` is missing from `lsm=`.
pub(crate) fn trip_status() -> Value {
    let mut status = status();
    merge(
        &mut status,
        json!({
            "tier": "trip",
            "reason": "`bpf` is not in the kernel's list of security modules",
            "protecting": false,
            "canary": { "state": "off", "problem": "" },
            "summary": "programs are stopped before they run; any other operation right after it happened",
            "features": [
                { "name": "btf", "ok": true, "problem": "", "cost": "", "fix": "" },
                {
                    "name": "lsm=bpf", "ok": false,
                    "problem": "the active security modules are lockdown,yama,apparmor",
                    "cost": "no operation but exec can be stopped before it takes effect",
                    "fix": "add `lsm=lockdown,yama,apparmor,bpf` to the kernel command line and reboot"
                }
            ]
        }),
    );
    status
}

pub(crate) fn merge(into: &mut Value, fields: Value) {
    if let (Some(into), Value::Object(fields)) = (into.as_object_mut(), fields) {
        into.extend(fields);
    }
}

fn process(pid: u32, ppid: u32, comm: &str, exe: &str, argv: &[&str], cwd: &str) -> Value {
    json!({
        "pid": pid, "ppid": ppid, "uid": 1000, "user": "dev", "comm": comm, "exe": exe, "argv": argv, "cwd": cwd
    })
}
