//! Why an agent did it: what its hooks tell of its tool calls is on the page of what was held, with what the kernel knows
//! apart from it; and the agent hears what it was refused, and decides nothing where it may speak.

use std::{fs, path::Path};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::{
    Scenario,
    file::{fresh, gone},
    gate,
};
use crate::{
    guard::{Guard, id},
    patience::until,
};

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        gate("an_incident_says_what_was_asked_and_which_tool_call_it_came_from", asked),
        gate("without_hooks_an_incident_says_on_whose_behalf_a_process_ran", environment),
        gate("an_agent_decides_nothing_on_the_socket_where_it_may_speak", speaks),
    ]
}

/// Where an agent's files are.
const PLACE: &str = "/srv/told";

const PROMPT: &str = "Make some room in /srv/guarded, the password=hunter2 is in the notes.";
const REASONING: &str = "Nobody has opened that file for years, so it can go.";

/// The files that an agent of the shape of Claude Code hands to its hooks, for one call of its shell.
fn files(command: &str) -> Result<()> {
    let place = Path::new(PLACE);
    fs::create_dir_all(place).context("cannot make a place for the agent's files")?;
    let message = |role: &str, content: Value| json!({"type": role, "message": {"role": role, "content": content}});
    let lines = [
        message("user", json!([{"type": "text", "text": "An earlier question."}])),
        message("user", json!([{"type": "text", "text": PROMPT}])),
        message("assistant", json!([{"type": "thinking", "thinking": REASONING}])),
        message(
            "assistant",
            json!([{"type": "tool_use", "id": "toolu_01", "name": "Bash", "input": {"command": command}}]),
        ),
    ];
    let transcript: String = lines.iter().map(|line| format!("{line}\n")).collect();
    fs::write(place.join("transcript.jsonl"), transcript).context("cannot write a transcript")?;
    let event = |name: &str| {
        json!({"session_id": "session-1", "transcript_path": place.join("transcript.jsonl"), "cwd": "/srv",
            "hook_event_name": name, "tool_name": "Bash", "tool_input": {"command": command}, "tool_use_id": "toolu_01"})
    };
    fs::write(place.join("before"), event("PreToolUse").to_string()).context("cannot write an event")?;
    fs::write(place.join("after"), event("PostToolUse").to_string()).context("cannot write an event")
}

/// The hold, once guardd has looked at its processes.
fn known(guard: &Guard) -> Result<Value> {
    guard.held("unlink", "/srv/guarded/file")?;
    until("guardd to have looked at the processes", || {
        let hold = guard.held("unlink", "/srv/guarded/file")?;
        Ok((hold["processes"].as_array().map_or(0, Vec::len) > 1).then_some(hold))
    })
}

/// A program here takes longer to start than a hook may on a real machine.
const HOOK: &str = "guardctl hook claude-code --within 20000";

fn asked(guard: &mut Guard) -> Result<()> {
    fresh()?;
    files("rm -f 'guarded/file'")?;
    // The shell is the agent; what it runs is wrapped as Claude Code wraps it.
    let mut agent = guard.agent(&format!(
        "cd /srv; {HOOK} <{PLACE}/before; echo told $?\n\
         /bin/bash -c 'shopt -u extglob; eval '\\''rm -f '\\''\\'\\'''\\''guarded/file'\\''\\'\\'''\\'''\\'' < /dev/null'; echo rm $?\n\
         {HOOK} <{PLACE}/after; guardctl why --last --json; guardctl why"
    ))?;
    let hold = known(guard)?;
    let cause = &hold["cause"];
    ensure!(cause["call"] == "toolu_01" && cause["sure"] == "strong", "the call is not known: {cause}");
    let denied = guard.guardctl(&["deny", id(&hold)?, "-m", "ask the owner first"])?;
    ensure!(denied.code == 0, "{}", denied.stderr);
    let said = agent.ends_with(0)?;
    ensure!(!gone("file"), "denied, and gone");
    ensure!(said.contains("told 0") && said.contains("rm 1"), "it said {said:?}");
    heard(&said, id(&hold)?)?;

    guard.crash()?;
    guard.start_again()?;
    let page = guard.guardctl(&["incident", id(&hold)?])?.stdout;
    for wanted in [
        "Make some room in /srv/guarded, the password=***",
        REASONING,
        "Bash rm -f 'guarded/file'",
        "claude-code session session-1 call toolu_01",
        "strong",
        "rm -f guarded/file",
        "unlink /srv/guarded/file",
        "guarded-tree",
        "note: ask the owner first",
        "refused: the program got \"Operation not permitted\"",
    ] {
        ensure!(page.contains(wanted), "{wanted:?} is not on the page:\n{page}");
    }
    ensure!(!page.contains("earlier question"), "that was asked before:\n{page}");
    let log = fs::read_to_string(guard.audit()).context("cannot read the log")?;
    ensure!(!log.contains("hunter2"), "a password is in the log");
    let page: Value = serde_json::from_str(&guard.guardctl(&["incident", id(&hold)?, "-o", "json"])?.stdout)?;
    ensure!(page["told"]["reasoning"] == REASONING && page["cause"]["because"][0] == "tree", "{page}");
    Ok(())
}

/// The hook after the call, and the agent that asks.
fn heard(said: &str, hold: &str) -> Result<()> {
    let answers: Vec<Value> = said.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let context = answers.iter().find_map(|answer| answer["hookSpecificOutput"]["additionalContext"].as_str());
    let context = context.with_context(|| format!("the hook told the agent nothing: {said:?}"))?;
    for wanted in ["guarded-tree", "ask the owner first", "Leave it there and say what you would delete."] {
        ensure!(context.contains(wanted), "{wanted:?} is not in what the hook told: {context:?}");
    }
    ensure!(!context.contains("uid 0"), "the agent is told who decided: {context:?}");
    ensure!(said.contains(&format!("\"hold\": \"{hold}\"")), "why --last does not say {hold}: {said:?}");
    Ok(())
}

fn environment(guard: &mut Guard) -> Result<()> {
    const TRACE: &str = "00-11223344556677889900112233445566-1122334455667788-01";
    fresh()?;
    let mut agent = guard.agent(&format!(
        "export TRACEPARENT={TRACE} CLAUDE_CODE_SESSION_ID=session-2\n\
         /bin/bash -c 'unset TRACEPARENT; rm /srv/guarded/file; echo rm $?'; echo end"
    ))?;
    let hold = known(guard)?;
    guard.decide("deny", &hold)?;
    agent.ends_with(0)?;
    ensure!(!gone("file"), "denied, and gone");
    let page = guard.guardctl(&["incident", id(&hold)?])?.stdout;
    // The one process does not have it any more; the one above had it when its program began.
    let shell = hold["processes"][1]["pid"].as_u64().context("a shell is above")?;
    for wanted in [format!("TRACEPARENT={TRACE} of pid {shell}"), "CLAUDE_CODE_SESSION_ID=session-2 of pid".to_owned()]
    {
        ensure!(page.contains(&wanted), "{wanted:?} is not on the page:\n{page}");
    }
    Ok(())
}

fn speaks(guard: &mut Guard) -> Result<()> {
    fresh()?;
    let mut agent = guard.agent(
        "rm /srv/guarded/file & \n\
         while ! guardctl --socket $GUARD_AGENT_SOCKET pending 2>&1 | grep -q 'no such route'; do sleep 1; done\n\
         for verb in approve 'kill' show; do guardctl --socket $GUARD_AGENT_SOCKET $verb h1; echo $verb $?; done\n\
         guardctl --socket $GUARD_AGENT_SOCKET log; echo log $?; guardctl why; echo why $?; echo tried; wait",
    )?;
    let hold = guard.held("unlink", "/srv/guarded/file")?;
    agent.says("tried")?;
    let said = agent.output()?;
    for verb in ["approve", "kill", "show", "log"] {
        ensure!(!said.contains(&format!("{verb} 0")), "{verb} worked: {said:?}");
    }
    ensure!(said.contains("nothing was refused") && said.contains("why 0"), "it said {said:?}");
    ensure!(!gone("file"), "nobody approved it");
    guard.decide("approve", &hold)?;
    agent.ends_with(0)?;
    ensure!(gone("file"), "approved, and still there");
    // Nobody else is heard there.
    let why = guard.guardctl(&["why"])?;
    ensure!(why.code == 4, "why outside an agent ended with {}: {}", why.code, why.stderr);
    Ok(())
}
