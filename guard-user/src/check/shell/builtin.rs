//! What the shell does itself, without a program.

use super::{call, output, run as read};
use crate::check::{
    command::assignment,
    forecast::{Forecast, Input, State},
    look,
    term::{Term, UNKNOWN},
};

/// Those that change nothing guard looks at.
const QUIET: [&str; 37] = [
    ":", "true", "false", "test", "[", "set", "shift", "return", "exit", "break", "continue", "wait", "jobs", "fg",
    "bg", "umask", "ulimit", "type", "hash", "getopts", "let", "history", "shopt", "popd", "dirs", "disown", "times",
    "bind", "complete", "compgen", "enable", "caller", "help", "logout", "suspend", "fc", "setopt",
];

/// Foresees a builtin; `None` where it is none.
pub(super) fn run(forecast: &mut Forecast<'_>, state: &mut State, terms: &[Term]) -> Option<Input> {
    let (first, rest) = terms.split_first()?;
    let name = first.text.as_str();
    match name {
        "cd" | "pushd" | "chdir" => {
            state.cwd = target(state, rest);
            Some(Input::None)
        }
        "export" | "declare" | "local" | "readonly" | "typeset" => {
            let exports =
                name == "export" || rest.iter().any(|term| term.text.starts_with('-') && term.text.contains('x'));
            for term in rest {
                match assignment(&term.text) {
                    Some((name, value)) if exports => state.export(name, value),
                    Some((name, value)) => _ = state.vars.insert(name.to_owned(), value.to_owned()),
                    None if exports && state.vars.contains_key(&term.text) => {
                        state.exported.insert(term.text.clone());
                    }
                    None => {}
                }
            }
            Some(Input::None)
        }
        "unset" => {
            for term in rest {
                state.vars.remove(&term.text);
                state.exported.remove(&term.text);
                state.functions.remove(&term.text);
            }
            Some(Input::None)
        }
        "read" | "mapfile" | "readarray" => {
            let value = match &state.input {
                Input::Text(text) => text.lines().next().unwrap_or("").to_owned(),
                Input::None | Input::Unknown(_) => UNKNOWN.to_string(),
            };
            for term in rest.iter().filter(|term| !term.text.starts_with('-')) {
                state.vars.insert(term.text.clone(), value.clone());
            }
            Some(Input::None)
        }
        "eval" => {
            let words: Vec<String> = rest.iter().map(Term::plain).collect();
            let text = words.join(" ");
            if text.contains(UNKNOWN) && rest.iter().any(|term| term.text.starts_with(UNKNOWN)) {
                forecast.doubt("`eval` runs text that is not known before".to_owned());
            } else {
                read(forecast, state, &text);
            }
            Some(Input::None)
        }
        "source" | "." => {
            source(forecast, state, rest);
            Some(Input::None)
        }
        "trap" => {
            if let Some(term) = rest.iter().find(|term| !term.text.starts_with('-')).filter(|_| rest.len() > 1) {
                read(forecast, state, &term.plain());
            }
            Some(Input::None)
        }
        "alias" => {
            for term in rest {
                if let Some((_, text)) = term.text.split_once('=') {
                    read(forecast, &mut state.clone(), text);
                }
            }
            Some(Input::None)
        }
        "command" | "builtin" | "exec" | "time" | "nocorrect" | "noglob" | "coproc" => {
            let is_question = rest.first().is_some_and(|term| matches!(term.text.as_str(), "-v" | "-V"));
            let skip = rest.iter().take_while(|term| term.text.starts_with('-')).count();
            if !is_question {
                call(forecast, state, &rest[skip..], false);
            }
            Some(Input::None)
        }
        "echo" | "printf" => Some(output::said(name, rest)),
        "pwd" => Some(state.cwd.as_ref().map_or(Input::None, |cwd| Input::Text(cwd.display().to_string()))),
        _ if QUIET.contains(&name) => Some(Input::None),
        _ => None,
    }
}

fn target(state: &State, rest: &[Term]) -> Option<std::path::PathBuf> {
    let directory = rest.iter().find(|term| !term.text.starts_with('-') || term.text == "-");
    match directory {
        None => state.vars.get("HOME").map(|home| look::real(std::path::Path::new(home))),
        Some(term) if term.text == "-" || term.text.starts_with(UNKNOWN) => None,
        Some(term) if state.cwd.is_none() && !term.text.starts_with('/') => None,
        Some(term) if state.elsewhere => Some(state.absolute(&term.text)),
        Some(term) => Some(look::real(&state.absolute(&term.text))),
    }
}

fn source(forecast: &mut Forecast<'_>, state: &mut State, rest: &[Term]) {
    let Some(term) = rest.first() else { return };
    if term.text.starts_with("/dev/") {
        match std::mem::replace(&mut state.input, Input::None) {
            Input::Text(text) => read(forecast, state, &text),
            Input::Unknown(from) => forecast.doubt(format!("{from} is run by a shell, and nobody has seen it")),
            Input::None => {}
        }
        return;
    }
    let text = if state.elsewhere { None } else { look::text(&state.absolute(&term.text)) };
    if let Some(text) = text {
        read(forecast, state, &text);
    }
}
