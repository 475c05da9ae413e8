//! What a program does to the files it is given, from its description.

use guard_common::op::Op;
use std::path::Path;

use super::{
    forecast::{Forecast, Input, State},
    look, step,
    term::{Term, UNKNOWN},
};
use crate::rules::{
    command::{Line, Word},
    tool::{Does, Files, Tool, Which},
};

/// Adds every file operation that the description of `tool` says follows from these arguments.
pub(crate) fn foresee(forecast: &mut Forecast<'_>, state: &State, tool: &Tool, line: &Line<'_>, terms: &[Term]) {
    for files in &tool.files {
        let is_asked = files.with.is_empty() || line.has(&files.with);
        if !is_asked || line.has(&files.without) {
            continue;
        }
        let deep = files.deep || line.has(&files.deep_with);
        let words = words(files, line, terms);
        match files.does {
            Does::Move => moves(forecast, state, files, line, &words),
            Does::Link => {
                let Some((to, from)) =
                    words_all(line, terms).split_last().map(|(to, from)| (to.clone(), from.to_vec()))
                else {
                    continue;
                };
                for from in from {
                    let (from, to) = (state.absolute(&from), state.absolute(&to));
                    forecast.add(state, step::linked(&look::real_name(&from), &look::real_name(&to)));
                }
            }
            Does::Delete
            | Does::Overwrite
            | Does::Append
            | Does::Create
            | Does::Unpack
            | Does::Read
            | Does::Chmod
            | Does::Chown
            | Does::Connect => {
                let targets = if files.to == Which::Into { into(state, files, line, &words) } else { words };
                for text in targets {
                    if files.does == Does::Overwrite && forecast.is_fetched(tool) {
                        let from = Input::Unknown("what comes from the network".to_owned());
                        forecast.written.insert(state.absolute(&text), from);
                    }
                    one(forecast, state, files.does, &text, deep);
                }
            }
        }
    }
}

/// One act on one file.
pub(crate) fn one(forecast: &mut Forecast<'_>, state: &State, does: Does, text: &str, deep: bool) {
    if text.is_empty() || text == "-" {
        return;
    }
    let mut state = std::borrow::Cow::Borrowed(state);
    let mut text = text;
    if let Some((_, path)) = remote(text) {
        if !path.starts_with('/') && does != Does::Delete {
            return;
        }
        state = std::borrow::Cow::Owned(state.elsewhere());
        text = path;
    }
    let state = &*state;
    let unknown = text.starts_with(UNKNOWN) || (state.cwd.is_none() && !text.starts_with('/'));
    match does {
        Does::Delete => {
            let op = if deep || look::is_directory(&state.absolute(text)) { Op::Rmdir } else { Op::Unlink };
            forecast.act(state, op, text, deep, |path, facts| step::on(op, path, facts));
            everything(forecast, state, text, deep);
        }
        Does::Overwrite => {
            forecast.act(state, Op::OpenWrite, text, false, |path, facts| step::on(Op::OpenWrite, path, facts));
            made(forecast, state, text);
        }
        Does::Append => {
            forecast.act(state, Op::OpenWrite, text, false, step::append);
            made(forecast, state, text);
        }
        Does::Unpack => {
            one(forecast, state, Does::Overwrite, &format!("{}/{UNKNOWN}", text.trim_end_matches('/')), false)
        }
        // What is made or read in a place nobody knows is most often harmless, and the daemon will see it.
        Does::Create if unknown => {}
        Does::Create => {
            forecast.act(state, Op::Mknod, text, false, |path, facts| step::on(Op::Mknod, path, facts));
        }
        Does::Read if unknown => {}
        Does::Read => {
            let text = text.strip_prefix('@').unwrap_or(text);
            let text = text.split_once("=@").map_or(text, |(_, file)| file);
            forecast.act(state, Op::OpenRead, text, deep, |path, facts| step::on(Op::OpenRead, path, facts));
        }
        Does::Chmod => forecast.act(state, Op::Chmod, text, deep, |path, facts| step::on(Op::Chmod, path, facts)),
        Does::Chown => forecast.act(state, Op::Chown, text, deep, |path, facts| step::on(Op::Chown, path, facts)),
        Does::Connect => forecast.add(state, step::connect(Path::new(text))),
        Does::Move | Does::Link => {}
    }
}

/// A file that is not there yet is made; one that cannot be seen may be either.
fn made(forecast: &mut Forecast<'_>, state: &State, text: &str) {
    if state.elsewhere || look::facts(&state.absolute(text), true).is_none() {
        forecast.act(state, Op::Mknod, text, false, |path, facts| step::on(Op::Mknod, path, facts));
    }
}

/// All that is in the workspace, `rm -rf ./*`, is more than a person expects an agent to remove; guardd sees the files
/// one by one.
fn everything(forecast: &mut Forecast<'_>, state: &State, text: &str, deep: bool) {
    let path = state.absolute(text);
    let is_all = path.file_name().is_some_and(|name| name == super::term::STAR.to_string().as_str() || name == "*");
    let whole = if is_all { path.parent() } else { Some(path.as_path()) };
    let workspace = &forecast.scope.workspace;
    let is_whole = whole.is_some_and(|whole| workspace.starts_with(look::real(whole)));
    if deep && !state.elsewhere && !workspace.as_os_str().is_empty() && is_whole {
        forecast.doubt("this removes everything in the workspace".to_owned());
    }
}

/// The arguments a description speaks of.
fn words(files: &Files, line: &Line<'_>, terms: &[Term]) -> Vec<String> {
    let skip = if line.has(&files.unless_given) { 0 } else { files.skip };
    let all: Vec<String> = words_all(line, terms).into_iter().skip(skip).collect();
    match files.to {
        Which::Words | Which::Into => all,
        Which::First => all.into_iter().take(1).collect(),
        Which::Last => all.last().cloned().into_iter().collect(),
        Which::AllButLast => {
            // With `-t` the last word is a file like the others.
            let named = line.has(&["-t".to_owned(), "--target-directory".to_owned()]);
            let count = if named { all.len() } else { all.len().saturating_sub(1) };
            all.into_iter().take(count).collect()
        }
        Which::Option => option_values(line, &files.option),
        Which::Key => {
            let value = |term: &Term| {
                let (key, value) = term.text.split_once('=')?;
                files.option.iter().any(|name| name == key).then(|| value.to_owned())
            };
            terms.iter().filter_map(value).collect()
        }
    }
}

fn option_values(line: &Line<'_>, names: &[String]) -> Vec<String> {
    let value = |value: Option<&[u8]>| {
        value.filter(|value| !value.is_empty()).map(|value| String::from_utf8_lossy(value).into_owned())
    };
    line.options_of(names).filter_map(|option| value(option.value).or_else(|| value(option.next))).collect()
}

/// Every word, with the wildcards it had; what only may be a word is one.
fn words_all(line: &Line<'_>, terms: &[Term]) -> Vec<String> {
    let text = |word: &Word<'_>| terms.get(word.index).map(|term| term.text.clone());
    line.words.iter().filter_map(text).collect()
}

/// The new names of files that are copied or moved into a directory or over a file.
fn into(state: &State, files: &Files, line: &Line<'_>, words: &[String]) -> Vec<String> {
    targets(state, files, line, words).into_iter().map(|(_, to)| to).collect()
}

fn moves(forecast: &mut Forecast<'_>, state: &State, files: &Files, line: &Line<'_>, words: &[String]) {
    for (from, to) in targets(state, files, line, words) {
        let (from_path, to_path) = (state.absolute(&from), state.absolute(&to));
        let (from_path, to_path) = (look::real_name(&from_path), look::real_name(&to_path));
        let there = look::facts(&to_path, false);
        // Only what is certainly new destroys nothing; below the workspace nobody minds.
        let there = there.or_else(|| (!to.ends_with('/')).then(|| look::guess(&to_path)));
        forecast.add(state, step::moved(&from_path, &to_path, there));
        // What moves takes all below it along.
        forecast.act(state, Op::Rmdir, &from, true, |path, _| {
            let inside = path.strip_prefix(&from_path).map_or_else(|_| to_path.clone(), |rest| to_path.join(rest));
            step::moved(path, &inside, None)
        });
    }
}

/// From where to where.
fn targets(state: &State, files: &Files, line: &Line<'_>, words: &[String]) -> Vec<(String, String)> {
    let named = option_values(line, &files.option).into_iter().next();
    let (from, to, is_directory) = match (named, words.split_last()) {
        (Some(directory), _) => (words, directory, Some(true)),
        (None, Some((last, from))) if from.len() > 1 || last.ends_with('/') => (from, last.clone(), Some(true)),
        (None, Some((last, from))) => {
            let path = state.absolute(last);
            let seen = if state.elsewhere {
                None
            } else {
                look::facts(&path, true).map(|facts| facts.mode & 0o170_000 == 0o040_000)
            };
            (from, last.clone(), seen)
        }
        (None, None) => return Vec::new(),
    };
    let mut targets = Vec::new();
    for from in from {
        let name = from.trim_end_matches('/').rsplit('/').next().unwrap_or("");
        let inside = format!("{}/{name}", to.trim_end_matches('/'));
        match is_directory {
            Some(true) => targets.push((from.clone(), inside)),
            Some(false) => targets.push((from.clone(), to.clone())),
            None => targets.extend([(from.clone(), to.clone()), (from.clone(), inside)]),
        }
    }
    targets
}

/// `host:path`.
fn remote(text: &str) -> Option<(&str, &str)> {
    let (host, path) = text.split_once(':')?;
    let is_host = !host.is_empty() && !host.contains('/') && !host.contains('=') && !path.starts_with("//");
    is_host.then_some((host, path))
}
