//! The socket of agents: what one tells is in the log and on what it came to; nothing else can be done there.

use super::*;

const CALL: &str = r#"{"from":"claude-code","session":"s","call":"c1","tool":"Bash","command":"sleep 60",
    "prompt":"tidy up, the password=hunter2"}"#;

/// This process, as an agent or as nobody in particular.
fn become_agent(bench: &Bench, agent: Option<u64>) {
    let mut maps = bench.kernel.maps();
    maps.tags.clear();
    maps.tags.extend(agent.map(|agent| (std::process::id(), agent)));
}

/// The kernel stops this process of the agent at this moment.
fn hold_now(bench: &Bench, agent: u64, pid: u32) {
    let now = crate::daemon::clock::Now::read().boottime;
    let (_, ticks) = crate::daemon::facts::parent_and_start(pid).expect("it is there");
    let stopped =
        HoldRecord { hold: now, seal: now, start_boottime: ticks * 10_000_000, ..*record(agent, pid, "/hold/a") };
    let key = HoldKey { id: pid, slot: 0 };
    bench.kernel.maps().records.insert(key, Box::new(stopped));
    bench.bell.send(Notice { key, hold: now, kind: notice::HELD, tgid: pid }).expect("the daemon runs");
}

#[test]
fn what_an_agent_tells_is_joined_with_what_it_does() {
    with_daemon(async |bench| {
        let agent = bench.tag().await;
        become_agent(bench, Some(agent));
        let (status, answer) = bench.send_to("agent.sock", "POST", "/v1/tool-calls", CALL).await;
        assert_eq!((status, &answer["refused"]), (200, &json!([])), "{answer}");
        become_agent(bench, None);
        let mut child = sleeper();
        hold_now(bench, agent, child.id());
        let holds = bench.until("/v1/holds", |holds| !holds[0]["cause"].is_null()).await;
        let cause = &holds[0]["cause"];
        assert_eq!((&cause["call"], &cause["tool"]), (&json!("c1"), &json!("Bash")));
        // No process is in the cgroup of this agent, so its tree is one process.
        assert_eq!((&cause["sure"], &cause["because"]), (&json!("likely"), &json!(["argv", "time"])));
        let log = bench.until("/v1/log?kind=tool_call", |log| log[0]["kind"] == "tool_call").await;
        assert_eq!((&log[0]["seq"], &log[0]["agent_name"]), (&cause["record"], &json!("builder")));
        assert_eq!(log[0]["tool_call"]["prompt"], "tidy up, the password=***");
        assert_eq!(log[0]["pid"], std::process::id());
        let deny = r#"{"verdict":"deny","note":"not here"}"#;
        assert_eq!(bench.send("POST", "/v1/holds/h1/decision", deny).await.0, 200);
        become_agent(bench, Some(agent));
        let over = r#"{"from":"claude-code","phase":"after","session":"s","call":"c1","tool":"Bash"}"#;
        let (_, answer) = bench.send_to("agent.sock", "POST", "/v1/tool-calls", over).await;
        let told = &answer["refused"][0];
        assert_eq!((&told["hold"], &told["note"], &told["call"]), (&json!("h1"), &json!("not here"), &json!("c1")));
        let (_, refusals) = bench.send_to("agent.sock", "GET", "/v1/refusals?n=5", "").await;
        assert_eq!(refusals, json!([told]));
        become_agent(bench, None);
        child.kill().and_then(|()| child.wait()).expect("it ended");
    });
}

#[test]
fn nobody_decides_on_the_socket_of_agents_and_nobody_else_is_heard_there() {
    with_daemon(async |bench| {
        let agent = bench.tag().await;
        let (status, problem) = bench.send_to("agent.sock", "POST", "/v1/tool-calls", CALL).await;
        assert_eq!((status, &problem["kind"]), (403, &json!("not_permitted")), "root, and no agent");
        become_agent(bench, Some(agent + 1));
        assert_eq!(bench.send_to("agent.sock", "GET", "/v1/refusals", "").await.0, 403, "an agent that is not known");
        become_agent(bench, Some(agent));
        for (method, route, body) in [
            ("GET", "/v1/status", ""),
            ("GET", "/v1/holds", ""),
            ("GET", "/v1/log", ""),
            ("POST", "/v1/holds/h1/decision", r#"{"verdict":"approve"}"#),
            ("POST", "/v1/agents/*/state", r#"{"state":"resume"}"#),
            ("POST", "/v1/reload", ""),
        ] {
            assert_eq!(bench.send_to("agent.sock", method, route, body).await.0, 404, "{route}");
        }
        for (route, body) in [("/v1/tool-calls", "{"), ("/v1/tool-calls", r#"{"phase":"later"}"#)] {
            assert_eq!(bench.send_to("agent.sock", "POST", route, body).await.0, 400, "{body}");
        }
        assert_eq!(bench.send_to("agent.sock", "GET", "/v1/refusals?n=many", "").await.0, 400);
        assert_eq!(bench.send("POST", "/v1/tool-calls", CALL).await.0, 404, "nor agents on that of people");
        become_agent(bench, None);
    });
}
