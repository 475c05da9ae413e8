//! Shell text, walked as a shell would: lists, pipes, loops, variables, `cd`, redirections, here-documents. Every
//! branch is taken, because nobody knows which one will be. Text that cannot be read is held.

mod builtin;
mod compound;
mod expand;
mod output;
mod parse;
mod read;
mod redirect;
mod syntax;

use std::sync::Arc;

use super::{
    command, files,
    forecast::{DEEPEST, Forecast, Input, State},
    look,
    term::Term,
};
use crate::rules::tool::Does;
use syntax::{Node, Redirect, Simple, Word};

/// What a function does.
pub(crate) type Body = Arc<Node>;

/// Passes of one loop that are looked at.
const PASSES: usize = 20;

/// Foresees what shell text does.
pub(crate) fn run(forecast: &mut Forecast<'_>, state: &mut State, text: &str) {
    if state.depth >= DEEPEST {
        return forecast.doubt("these commands start each other too deeply to be foreseen".to_owned());
    }
    if !text.is_empty()
        && text.trim_matches(super::term::UNKNOWN).trim().is_empty()
        && text.contains(super::term::UNKNOWN)
    {
        return forecast.doubt("a shell runs text that is not known before".to_owned());
    }
    state.depth += 1;
    match parse::parse(text) {
        Ok(node) => {
            walk(forecast, state, &node);
        }
        Err(reason) => forecast.doubt(format!("this shell text cannot be read: {reason}")),
    }
    state.depth -= 1;
}

/// Could this be shell text at all?
pub(crate) fn is_readable(text: &str) -> bool {
    parse::parse(text).is_ok()
}

/// Foresees a command and says what it would write.
fn walk(forecast: &mut Forecast<'_>, state: &mut State, node: &Node) -> Input {
    if !forecast.spend() {
        return Input::None;
    }
    match node {
        Node::Simple(simple) => self::simple(forecast, state, simple),
        Node::Pipe(nodes) => {
            let mut input = state.input.clone();
            for node in nodes {
                // Each part is a shell of its own.
                let mut part = State { input, ..state.clone() };
                input = walk(forecast, &mut part, node);
            }
            input
        }
        Node::Sequence(nodes) => {
            let outputs: Vec<Input> = nodes.iter().map(|node| walk(forecast, state, node)).collect();
            output::joined(outputs)
        }
        Node::Subshell(node) => walk(forecast, &mut state.clone(), node),
        Node::For { name, words, body } => {
            let mut values: Vec<Term> = match words {
                Some(words) => words.iter().flat_map(|word| expand::terms(forecast, state, word)).collect(),
                None => vec![Term::unknown()],
            };
            if values.len() > PASSES {
                forecast.doubt("a loop runs more often than guard looks ahead".to_owned());
                values.truncate(PASSES);
            }
            let mut outputs = Vec::new();
            for value in values {
                state.vars.insert(name.clone(), value.text);
                outputs.push(walk(forecast, state, body));
            }
            output::joined(outputs)
        }
        Node::Function { name, body } => {
            state.functions.insert(name.clone(), Arc::clone(body));
            Input::None
        }
        Node::Redirected(node, redirects) => {
            let mut inner = state.clone();
            let is_away = redirected(forecast, &mut inner, redirects);
            let output = walk(forecast, &mut inner, node);
            state.cwd = inner.cwd;
            state.vars = inner.vars;
            state.exported = inner.exported;
            state.functions = inner.functions;
            if is_away { Input::None } else { output }
        }
        Node::Words(words) => {
            for word in words {
                expand::terms(forecast, state, word);
            }
            Input::None
        }
    }
}

fn simple(forecast: &mut Forecast<'_>, state: &mut State, simple: &Simple) -> Input {
    let terms: Vec<Term> = simple.words.iter().flat_map(|word| expand::terms(forecast, state, word)).collect();
    let values: Vec<(String, String)> =
        simple.assignments.iter().map(|(name, word)| (name.clone(), expand::value(forecast, state, word))).collect();
    if terms.is_empty() {
        redirected(forecast, &mut state.clone(), &simple.redirects);
        // `> file` alone empties it; `A=b` alone stays.
        state.vars.extend(values);
        return Input::None;
    }
    let input = state.input.clone();
    let is_away = redirected(forecast, state, &simple.redirects);
    let output = if values.is_empty() {
        called(forecast, state, &terms, false)
    } else {
        let mut inner = state.clone();
        values.iter().for_each(|(name, value)| inner.export(name, value));
        called(forecast, &mut inner, &terms, false)
    };
    state.input = input;
    if is_away {
        for redirect in &simple.redirects {
            if let Redirect::Overwrite(word) | Redirect::Append(word) = redirect {
                let path = expand::value(forecast, state, word);
                forecast.written.insert(state.absolute(&path), output.clone());
            }
        }
        return Input::None;
    }
    output
}

/// Foresees one command of known words: a function, a builtin or a program.
pub(crate) fn call(forecast: &mut Forecast<'_>, state: &mut State, terms: &[Term], more: bool) {
    if more && let Input::Text(text) = state.input.clone() {
        // What `xargs` reads.
        let words: Vec<Term> = text.split_whitespace().take(100).map(Term::known).collect();
        let place = terms.iter().position(|term| term.text.contains("{}"));
        let mut base: Vec<Term> = terms.iter().filter(|term| **term != Term::unknown()).cloned().collect();
        state.input = Input::None;
        match place {
            Some(_) => {
                for word in words {
                    let each = |term: &Term| Term { text: term.text.replace("{}", &word.text), open: term.open };
                    let each: Vec<Term> = base.iter().map(each).collect();
                    called(forecast, state, &each, false);
                }
            }
            None => {
                base.extend(words);
                called(forecast, state, &base, false);
            }
        }
        return;
    }
    called(forecast, state, terms, more);
}

fn called(forecast: &mut Forecast<'_>, state: &mut State, terms: &[Term], more: bool) -> Input {
    let Some(first) = terms.first() else { return Input::None };
    if !forecast.spend() {
        return Input::None;
    }
    if let Some(body) = state.functions.get(&first.text).cloned() {
        if state.depth >= DEEPEST {
            forecast.doubt("these functions call each other too deeply to be foreseen".to_owned());
            return Input::None;
        }
        let mut inner = State { depth: state.depth + 1, ..state.clone() };
        for (place, term) in terms.iter().enumerate().skip(1) {
            inner.vars.insert(place.to_string(), term.text.clone());
        }
        let all: Vec<&str> = terms.iter().skip(1).map(|term| term.text.as_str()).collect();
        inner.vars.insert("@".to_owned(), all.join(" "));
        inner.vars.insert("*".to_owned(), all.join(" "));
        let output = walk(forecast, &mut inner, &body);
        state.cwd = inner.cwd;
        return output;
    }
    if let Some(output) = builtin::run(forecast, state, terms) {
        return output;
    }
    if more && terms.len() == 1 {
        // Only what `xargs` adds is not known.
        command::run(forecast, state, &[first.clone(), Term::unknown()]);
    } else {
        command::run(forecast, state, terms);
    }
    output::of(state, terms)
}

/// Foresees redirections. True where the output goes into a file.
fn redirected(forecast: &mut Forecast<'_>, state: &mut State, redirects: &[Redirect]) -> bool {
    let mut is_away = false;
    for redirect in redirects {
        let file = |forecast: &mut Forecast<'_>, state: &mut State, word: &Word| expand::value(forecast, state, word);
        match redirect {
            Redirect::Read(word) => {
                let path = file(forecast, state, word);
                if path.contains("/dev/fd/") {
                    continue;
                }
                files::one(forecast, state, Does::Read, &path, false);
                let text = if state.elsewhere { None } else { look::text(&state.absolute(&path)) };
                state.input = text.map_or_else(|| Input::Unknown(format!("what {path} holds")), Input::Text);
            }
            Redirect::Overwrite(word) => {
                let path = file(forecast, state, word);
                files::one(forecast, state, Does::Overwrite, &path, false);
                is_away = true;
            }
            Redirect::Append(word) => {
                let path = file(forecast, state, word);
                files::one(forecast, state, Does::Append, &path, false);
                is_away = true;
            }
            Redirect::Text(word) => state.input = Input::Text(expand::value(forecast, state, word)),
            Redirect::Pending(_) => state.input = Input::Unknown("a here-document".to_owned()),
            Redirect::Duplicate => {}
        }
    }
    is_away
}
