//! `guardctl hook`: an agent never feels it, whatever guardd does and whatever it is given, and it tells what was refused.

use std::{
    fs,
    os::unix::net::UnixListener,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use assert_cmd::Command;
use predicates::str::{contains, is_empty, starts_with};
use serde_json::{Value, json};

use crate::{
    fake::{Guardd, guardctl, ok, problem},
    fixture,
};

/// Far more than the hook takes, and far less than it would wait for guardd without a deadline.
const SOON: Duration = Duration::from_secs(2);

fn event(tool: &str, name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/hook/fixtures").join(tool).join(name);
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn answering(refused: &[Value]) -> Guardd {
    Guardd::answering(&[("POST /v1/tool-calls", vec![ok(json!({ "refused": refused }))])])
}

/// A hook that waits as long as it takes on a busy machine: whether it is in time is another question.
fn patient(guardd: &Guardd, tool: &str) -> Command {
    guardd.guardctl(&["hook", tool, "--within", "20000"])
}

/// What guardd was told, as the one request that it got.
fn told(guardd: &Guardd) -> Value {
    let asked = guardd.asked();
    assert_eq!(asked.len(), 1, "{asked:?}");
    let body = asked[0].strip_prefix("POST /v1/tool-calls ").expect("a tool call");
    serde_json::from_str(body).expect("it is JSON")
}

/// A call of which the transcript is at `transcript`.
fn call_with(transcript: &Path) -> Vec<u8> {
    let mut said: Value = serde_json::from_slice(&event("claude-code", "pre_tool_use.json")).expect("it is JSON");
    said["transcript_path"] = json!(transcript);
    said.to_string().into_bytes()
}

#[test]
fn a_call_is_told_with_what_was_asked_and_thought() {
    let guardd = answering(&[]);
    let transcript = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/hook/fixtures/claude-code/transcript.jsonl");
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let mut hook = patient(&guardd, "claude-code");
    hook.env("TRACEPARENT", trace).write_stdin(call_with(&transcript));
    hook.assert().code(0).stdout(is_empty()).stderr(is_empty());
    let told = told(&guardd);
    assert_eq!(told["phase"], "before");
    assert_eq!(told["command"], "rm -rf /srv/data/customers");
    assert_eq!(told["prompt"], "Free some space on the server");
    assert_eq!(told["reasoning"], "Old data takes most of the space.\nI will remove /srv/data/customers.");
    assert_eq!(told["traceparent"], trace);
}

#[test]
fn after_a_call_the_agent_hears_what_it_was_refused_in_its_own_way() {
    let hear = |tool: &str, name: &str| -> String {
        let guardd = answering(&[fixture::refusal()]);
        let mut hook = patient(&guardd, tool);
        let output = hook.write_stdin(event(tool, name)).assert().code(0).stderr(is_empty()).get_output().clone();
        assert_eq!(
            told(&guardd)["phase"],
            if name.starts_with("p") || name.starts_with("a") { "after" } else { "before" }
        );
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    let json = |text: String| -> Value { serde_json::from_str(&text).expect("one JSON value") };
    for (tool, name, said_as) in [
        ("claude-code", "post_tool_use.json", "PostToolUse"),
        ("claude-code", "post_tool_use_failure.json", "PostToolUseFailure"),
        ("codex", "post_tool_use.json", "PostToolUse"),
        ("gemini", "after_tool.json", "AfterTool"),
    ] {
        let said = &json(hear(tool, name))["hookSpecificOutput"];
        assert_eq!(said["hookEventName"], said_as);
        let context = said["additionalContext"].as_str().expect("text");
        for part in ["/srv/data/customers/2026.db", "delete-outside-workspace", "not this week\\u{1b}[2J", "/srv/trash"]
        {
            assert!(context.contains(part), "{part} is not in {context}");
        }
    }
    assert!(json(hear("cursor", "post_tool_use_failure.json"))["additional_context"].is_string());
    assert_eq!(json(hear("generic", "after.json"))["refused"], json!([fixture::refusal()]));
    assert_eq!(hear("openhands", "post_tool_use.json"), "");
    assert_eq!(hear("cursor", "after_shell_execution.json"), "");
    assert_eq!(hear("claude-code", "user_prompt_submit.json").as_str(), "");
}

#[test]
fn without_guardd_or_outside_of_an_agent_nothing_is_said() {
    let mut alone = guardctl(&["hook", "claude-code", "--agent-socket", "/nonexistent/agent.sock"]);
    alone.write_stdin(event("claude-code", "pre_tool_use.json"));
    alone.assert().code(0).stdout(is_empty()).stderr(is_empty());
    let guardd = Guardd::answering(&[("POST /v1/tool-calls", vec![problem(403, "not_permitted", "no agent")])]);
    let mut hook = patient(&guardd, "claude-code");
    hook.write_stdin(event("claude-code", "post_tool_use.json"));
    hook.assert().code(0).stdout(is_empty()).stderr(is_empty());
}

#[test]
fn a_guardd_that_never_answers_is_not_waited_for() {
    let dir = tempfile::tempdir().expect("a directory");
    let socket = dir.path().join("agent.sock");
    let _listener = UnixListener::bind(&socket).expect("a socket");
    let began = Instant::now();
    let mut hook = guardctl(&["hook", "claude-code"]);
    hook.env("GUARD_AGENT_SOCKET", &socket).write_stdin(event("claude-code", "post_tool_use.json"));
    hook.assert().code(0).stdout(is_empty()).stderr(contains("guardd did not answer within"));
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
}

#[test]
fn what_is_not_understood_is_told_as_it_is() {
    let large = [b"{\"hook_event_name\":\"PreToolUse\",\"x\":\"".as_slice(), &vec![b'x'; 32 << 20], b"\"}"].concat();
    for (said, problem, raw) in [
        (b"nonsense".to_vec(), "it is not JSON: ", "nonsense"),
        (b"".to_vec(), "it is not JSON: ", ""),
        (
            b"{\"hook_event_name\":\"Tomorrow\"}".to_vec(),
            "it is no event of claude-code ",
            "{\"hook_event_name\":\"Tomorrow\"}",
        ),
        (large, "it is longer than 4 MiB", "{\"hook_event_name\":\"PreToolUse\",\"x\":\"xx"),
    ] {
        let guardd = answering(&[]);
        let mut hook = patient(&guardd, "claude-code");
        let warning = format!("guardctl: hook: standard input: {problem}");
        hook.write_stdin(said).assert().code(0).stdout(is_empty()).stderr(starts_with(warning));
        let told = told(&guardd);
        assert!(told["problem"].as_str().expect("text").starts_with(problem), "{told}");
        assert!(told["raw"].as_str().unwrap_or_default().starts_with(raw), "{told}");
    }
}

#[test]
fn a_transcript_that_is_no_file_keeps_no_call_from_being_told() {
    let dir = tempfile::tempdir().expect("a directory");
    let pipe = dir.path().join("pipe");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0).expect("a pipe");
    for path in [pipe, dir.path().to_owned(), PathBuf::from("/dev/zero")] {
        let (guardd, began) = (answering(&[]), Instant::now());
        let mut hook = patient(&guardd, "claude-code");
        hook.write_stdin(call_with(&path)).assert().code(0).stdout(is_empty()).stderr(is_empty());
        assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
        let told = told(&guardd);
        assert!(told["problem"].as_str().expect("text").starts_with("no transcript: "), "{told}");
        assert_eq!(told["tool"], "Bash");
    }
}

/// Its 2 would keep the agent from its call.
#[test]
fn wrong_arguments_end_with_another_code_than_elsewhere() {
    for arguments in [&["hook"][..], &["hook", "claude"], &["hook", "codex", "--never"]] {
        guardctl(arguments).assert().code(1).stdout(is_empty());
    }
    guardctl(&["hook", "--help"]).assert().code(0);
}
