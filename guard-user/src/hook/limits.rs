//! How long the texts of a [`ToolCall`] may be, and cutting them there. Nothing else.

use serde_json::Value;

use crate::api::ToolCall;

/// Cuts every text to its limit, between two characters.
pub(crate) fn cut(call: &mut ToolCall) {
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
        beginning(word, ToolCall::WORD);
    }
    for prose in [prompt, raw] {
        beginning(prose, ToolCall::PROSE);
    }
    // What was thought last led to the call.
    reasoning.drain(..reasoning.ceil_char_boundary(reasoning.len().saturating_sub(ToolCall::PROSE)));
    beginning(command, ToolCall::INPUT);
    let encoded = input.to_string();
    if encoded.len() > ToolCall::INPUT {
        *input = Value::String(fitting(&encoded).to_owned());
    }
}

fn beginning(text: &mut String, limit: usize) {
    text.truncate(text.floor_char_boundary(limit));
}

/// As much of the beginning of some JSON as is no longer than allowed when it is a string in JSON itself. Encoded JSON has
/// no control characters: quotes and backslashes alone become longer.
fn fitting(encoded: &str) -> &str {
    let mut room = ToolCall::INPUT - "\"\"".len();
    let end = encoded.char_indices().find_map(|(at, character)| {
        let length = if matches!(character, '"' | '\\') { 2 } else { character.len_utf8() };
        match room.checked_sub(length) {
            Some(rest) => {
                room = rest;
                None
            }
            None => Some(at),
        }
    });
    &encoded[..end.unwrap_or(encoded.len())]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn texts_are_cut_between_characters() {
        let long = "é".repeat(10_000);
        let mut call = ToolCall {
            session: format!("x{long}"),
            prompt: format!("x{long}"),
            reasoning: format!("{long}x"),
            ..ToolCall::default()
        };
        cut(&mut call);
        assert_eq!((call.session.len(), call.prompt.len(), call.reasoning.len()), (1_023, 8_191, 8_191));
        assert!(call.reasoning.ends_with("éx"));
    }

    #[test]
    fn a_long_input_is_a_string_of_its_beginning() {
        let mut call = ToolCall { input: json!({ "content": "\"\n".repeat(5_000) }), ..ToolCall::default() };
        cut(&mut call);
        let Value::String(beginning) = &call.input else { panic!("it is no string") };
        assert!(beginning.starts_with(r#"{"content":"\"\n\"\n"#), "{beginning}");
        let length = call.input.to_string().len();
        assert!((ToolCall::INPUT - 4..=ToolCall::INPUT).contains(&length), "{length}");
    }
}
