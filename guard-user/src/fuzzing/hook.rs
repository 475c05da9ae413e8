//! What an agent's hooks are given, its transcript and its settings: no more is told than allowed, and settings are left as
//! they were.

use serde_json::{Value, json};

use crate::{
    api::ToolCall,
    hook::{Tool, hear, settings::Settings},
};

/// Takes the input as the event of every tool, as a transcript of each, and as its settings.
pub fn hook(bytes: &[u8]) {
    for tool in Tool::ALL {
        let heard = hear(tool, bytes);
        assert_eq!(heard.call.from, tool.name());
        within_limits(&heard.call);
        for event in ["PreToolUse", "preToolUse", "BeforeTool"] {
            let event = json!({ "hook_event_name": event, "transcript_path": "/transcript" });
            let mut heard = hear(tool, event.to_string().as_bytes());
            if let Some(transcript) = heard.transcript.clone() {
                heard.add(Ok(transcript.story(bytes)));
                within_limits(&heard.call);
            }
        }
        if let (Some(settings), Ok(value)) = (tool.settings(), serde_json::from_slice(bytes)) {
            edited(tool, settings, &value);
        }
    }
}

fn within_limits(call: &ToolCall) {
    let ToolCall {
        from,
        phase: _,
        session,
        call,
        tool,
        input,
        command,
        cwd,
        prompt,
        reasoning,
        traceparent,
        problem,
        raw,
    } = call;
    for word in [from, session, call, tool, cwd, traceparent, problem] {
        assert!(word.len() <= ToolCall::WORD, "{} bytes: {word}", word.len());
    }
    for prose in [prompt, reasoning, raw] {
        assert!(prose.len() <= ToolCall::PROSE, "{} bytes: {prose}", prose.len());
    }
    assert!(command.len() <= ToolCall::INPUT, "{} bytes: {command}", command.len());
    assert!(input.to_string().len() <= ToolCall::INPUT, "{} bytes: {input}", input.to_string().len());
}

/// What is added is there once, and goes again; what is not understood is not touched at all.
fn edited(tool: Tool, settings: &Settings, theirs: &Value) {
    const PROGRAM: &str = "/usr/bin/guardctl";
    let with = |value: &Value| settings.with(value, tool, PROGRAM);
    let without = |value: &Value| settings.without(value, tool, PROGRAM);
    match (with(theirs), without(theirs)) {
        (Ok(written), Ok(clean)) => {
            assert_eq!(with(&written).as_ref(), Ok(&written), "it is there twice");
            let removed = without(&written).expect("what was written is understood");
            assert_eq!(with(&removed).as_ref(), Ok(&written), "more was removed than was written");
            assert_eq!(without(&clean).as_ref(), Ok(&clean), "something was left");
        }
        (Err(_), Err(_)) => {}
        (written, clean) => panic!("{theirs} is understood only once: {written:?} {clean:?}"),
    }
}
