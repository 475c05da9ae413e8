//! One command: its exec, what it does to files, and the commands it starts in turn.

use std::{ffi::OsString, path::PathBuf};

use super::{
    files,
    forecast::{DEEPEST, Forecast, Input, State},
    look, shell, special, step,
    term::{Term, UNKNOWN, is_wild},
};
use crate::rules::{
    command::{Line, Word},
    tool::{Command, Runs, Tool},
};

/// Foresees one command with its arguments.
pub(crate) fn run(forecast: &mut Forecast<'_>, state: &mut State, terms: &[Term]) {
    run_more(forecast, state, terms, false);
}

/// `more`: arguments follow that nobody knows.
fn run_more(forecast: &mut Forecast<'_>, state: &mut State, terms: &[Term], more: bool) {
    let Some(first) = terms.first() else { return };
    if state.depth >= DEEPEST {
        return forecast.doubt("these commands start each other too deeply to be foreseen".to_owned());
    }
    let mut state = State { depth: state.depth + 1, ..state.clone() };
    let name = first.text.rsplit('/').next().unwrap_or("").to_owned();
    if !first.is_known() && name.contains(UNKNOWN) || is_wild(&first.text) {
        return forecast.doubt("which program this starts is not known before it runs".to_owned());
    }
    let terms = special::respelled(&name, terms);
    let terms = terms.as_slice();
    let path = program(&state, &first.plain());
    forecast.add(&state, step::exec(&path, terms, more));
    if let Some(text) = forecast.written.get(&path).cloned() {
        state.input = text;
        feed(forecast, &mut state);
        return;
    }
    let tool = forecast.tools.of_file(&name);
    let argv: Vec<OsString> = terms.iter().map(|term| term.plain().into()).collect();
    let line = Line::new(&argv, None, tool, true);
    if line.is_inert(tool) {
        return;
    }
    files::foresee(forecast, &state, tool, &line, terms);
    special::foresee(forecast, &mut state, &name, &line, terms);
    wrapped(forecast, &state, tool, &line, terms, more);
}

/// Where the program is, by the name it was called.
fn program(state: &State, name: &str) -> PathBuf {
    if name.contains('/') {
        let path = state.absolute(name);
        return if state.elsewhere { path } else { look::real_name(&path) };
    }
    let search = if state.elsewhere { "" } else { state.vars.get("PATH").map_or("", String::as_str) };
    look::program(name, search)
}

/// The commands a command starts.
fn wrapped(forecast: &mut Forecast<'_>, state: &State, tool: &Tool, line: &Line<'_>, terms: &[Term], more: bool) {
    for runs in &tool.runs {
        // A word after an option nobody knows is its value, or is not: both are foreseen.
        let mut done = false;
        let mut places: Vec<Option<usize>> = Vec::new();
        for all in [false, true] {
            let words: Vec<&Word<'_>> = line.words.iter().filter(|word| all || !word.may_be_value).collect();
            let Some(count) = after(&words, &runs.after) else { continue };
            let place = words.get(count + runs.skip).map(|word| word.index);
            if places.contains(&place) {
                continue;
            }
            places.push(place);
            done |= start(forecast, state, runs, line, terms, place, more || runs.more);
        }
        if done {
            return;
        }
    }
}

/// How many words the subcommand takes; `None` where it is another.
fn after(words: &[&Word<'_>], subcommands: &[String]) -> Option<usize> {
    if subcommands.is_empty() {
        return Some(0);
    }
    let is = |wanted: &str| -> Option<usize> {
        let wanted: Vec<&str> = wanted.split(' ').collect();
        let fits = wanted.iter().zip(words).all(|(wanted, word)| wanted.as_bytes() == word.text);
        (fits && words.len() >= wanted.len()).then_some(wanted.len())
    };
    subcommands.iter().find_map(|wanted| is(wanted))
}

/// Foresees what one way of starting another command says. False where the command line does not use it.
fn start(
    forecast: &mut Forecast<'_>,
    state: &State,
    runs: &Runs,
    line: &Line<'_>,
    terms: &[Term],
    place: Option<usize>,
    more: bool,
) -> bool {
    let mut inner = if runs.elsewhere { state.elsewhere() } else { state.clone() };
    if let Some(directory) = line.options_of(&runs.chdir).find_map(|option| option.value.or(option.next)) {
        inner.cwd = Some(inner.absolute(&String::from_utf8_lossy(directory)));
    }
    match runs.what {
        Command::Command => {
            let Some(mut at) = place else { return false };
            while let Some((name, value)) = terms.get(at).filter(|_| runs.env).and_then(|term| assignment(&term.text)) {
                inner.export(name, value);
                at += 1;
            }
            let terms = terms.get(at..).unwrap_or(&[]);
            let mut terms = terms.to_vec();
            if more && !terms.is_empty() {
                terms.push(Term::unknown());
            }
            shell::call(forecast, &mut inner, &terms, more);
            true
        }
        Command::AfterDashes => {
            let Some(terms) = line.dashes.and_then(|at| terms.get(at..)).filter(|terms| !terms.is_empty()) else {
                return false;
            };
            let mut terms = terms;
            while let Some((name, value)) = terms.first().filter(|_| runs.env).and_then(|term| assignment(&term.text)) {
                inner.export(name, value);
                terms = &terms[1..];
            }
            run_more(forecast, &mut inner, terms, more);
            true
        }
        Command::Text => {
            let Some(at) = place else {
                // `ssh host` with text on its standard input runs that.
                if runs.elsewhere && matches!(inner.input, Input::Text(_)) {
                    feed(forecast, &mut inner);
                }
                return false;
            };
            let at = at + usize::from(terms.get(at).is_some_and(|term| term.text == "--"));
            let words: Vec<String> = terms.get(at..).unwrap_or(&[]).iter().map(Term::plain).collect();
            let text = if more { format!("{} {UNKNOWN}", words.join(" ")) } else { words.join(" ") };
            shell::run(forecast, &mut inner, &text);
            true
        }
        Command::OptionText => {
            let texts: Vec<String> = line
                .options_of(&runs.option)
                .filter_map(|option| option.value.filter(|value| !value.is_empty()).or(option.next))
                .map(|text| String::from_utf8_lossy(text).into_owned())
                .collect();
            for text in &texts {
                shell::run(forecast, &mut inner, text);
            }
            !texts.is_empty()
        }
        Command::Script => {
            script(forecast, &mut inner, terms, place);
            true
        }
        // `special` knows their languages.
        Command::Until | Command::Code => false,
    }
}

/// A shell that reads its commands from a file or from its standard input.
fn script(forecast: &mut Forecast<'_>, state: &mut State, terms: &[Term], place: Option<usize>) {
    if let Some(term) = place.and_then(|at| terms.get(at)) {
        let path = state.absolute(&term.text);
        if let Some(text) = forecast.written.get(&path).cloned() {
            state.input = text;
            return feed(forecast, state);
        }
        let text = if state.elsewhere { None } else { look::text(&path) };
        if let Some(text) = text {
            shell::run(forecast, state, &text);
        } else if term.text.contains("/dev/fd") || term.text.starts_with("/dev/std") {
            feed(forecast, state);
        }
        return;
    }
    feed(forecast, state);
}

fn feed(forecast: &mut Forecast<'_>, state: &mut State) {
    match std::mem::replace(&mut state.input, Input::None) {
        Input::None => {}
        Input::Text(text) => shell::run(forecast, state, &text),
        Input::Unknown(from) => {
            forecast.doubt(format!("{from} is run, and nobody has seen it"));
        }
    }
}

/// `NAME=value`.
pub(crate) fn assignment(text: &str) -> Option<(&str, &str)> {
    let (name, value) = text.split_once('=')?;
    let first = name.bytes().next()?;
    let is_name = (first.is_ascii_alphabetic() || first == b'_')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    is_name.then_some((name, value))
}
