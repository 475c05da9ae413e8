//! From words of shell text to arguments. What is not known stays unknown.

use super::{
    output,
    syntax::{Change, Piece, Word},
    walk,
};
use crate::check::{
    forecast::{Forecast, Input, State},
    term::{STAR, Term, UNKNOWN},
};

/// Most words that braces make of one.
const MOST: usize = 64;
/// A longer value is not kept: `x=$x$x` doubles each time.
const LONGEST: usize = 64 * 1024;

/// The arguments a word becomes: several where it has braces or blanks that are not quoted.
pub(super) fn terms(forecast: &mut Forecast<'_>, state: &mut State, word: &Word) -> Vec<Term> {
    braces(word).iter().flat_map(|word| one(forecast, state, word)).collect()
}

/// The text a word becomes where it stays one: an assignment, a file.
pub(super) fn value(forecast: &mut Forecast<'_>, state: &mut State, word: &Word) -> String {
    let mut text = String::new();
    for piece in word {
        text.push_str(&part(forecast, state, piece).0);
        if text.len() > LONGEST {
            return UNKNOWN.to_string();
        }
    }
    text
}

fn one(forecast: &mut Forecast<'_>, state: &mut State, word: &Word) -> Vec<Term> {
    let mut terms: Vec<Term> = Vec::new();
    let mut text = String::new();
    // A word of nothing but empty variables is no argument.
    let mut is_there = false;
    let mut open = false;
    for piece in word {
        let (part, quoted) = part(forecast, state, piece);
        if text.len() + part.len() > LONGEST {
            return vec![Term::unknown()];
        }
        is_there |= quoted || !part.is_empty();
        let is_literal = matches!(piece, Piece::Text { .. } | Piece::Wild(_) | Piece::Tilde(_));
        if quoted || is_literal {
            text.push_str(&part);
            open |= quoted && matches!(piece, Piece::Variable { name, .. } if name == "@");
            continue;
        }
        open |= word.len() == 1 && part.contains(UNKNOWN) && !is_one(piece);
        let mut parts = part.split([' ', '\t', '\n']);
        text.push_str(parts.next().unwrap_or(""));
        for part in parts {
            if !text.is_empty() {
                terms.push(Term { text: std::mem::take(&mut text), open: false });
            }
            text.push_str(part);
        }
    }
    let is_split = !terms.is_empty();
    if (is_there && !is_split) || !text.is_empty() {
        terms.push(Term { text, open });
    }
    terms
}

/// A variable whose name says that it is one word, and no option: `$BRANCH`.
fn is_one(piece: &Piece) -> bool {
    const NAMES: [&str; 36] = [
        "URL",
        "URI",
        "HOST",
        "USER",
        "DB",
        "DATABASE",
        "NAME",
        "PORT",
        "PID",
        "ID",
        "BRANCH",
        "TAG",
        "VERSION",
        "FILE",
        "DIR",
        "PATH",
        "TOKEN",
        "KEY",
        "POD",
        "NAMESPACE",
        "NS",
        "CONTAINER",
        "IMAGE",
        "BUCKET",
        "REGION",
        "CLUSTER",
        "SERVICE",
        "REMOTE",
        "ENV",
        "STAGE",
        "PASSWORD",
        "PROFILE",
        "PROJECT",
        "ZONE",
        "SHA",
        "COMMIT",
    ];
    let Piece::Variable { name, change: None, .. } = piece else { return false };
    let last = name.to_ascii_uppercase();
    NAMES.iter().any(|known| last == *known || last.ends_with(&format!("_{known}")))
}

/// The text of a part, and whether it stays in one piece.
fn part(forecast: &mut Forecast<'_>, state: &mut State, piece: &Piece) -> (String, bool) {
    match piece {
        Piece::Text { text, quoted } => (text.clone(), *quoted),
        Piece::Wild(letter) => (letter.to_string(), false),
        Piece::Tilde(name) => (tilde(state, name), true),
        Piece::Number => ("0".to_owned(), true),
        Piece::Process(body) => {
            let output = walk(forecast, &mut state.clone(), body);
            state.input = match output {
                Input::None => Input::Unknown("the output of a command".to_owned()),
                known => known,
            };
            ("/dev/fd/63".to_owned(), true)
        }
        Piece::Command { body, quoted } => {
            let text = match walk(forecast, &mut State { input: Input::None, ..state.clone() }, body) {
                Input::Text(text) => text.trim_end_matches('\n').to_owned(),
                Input::None | Input::Unknown(_) => UNKNOWN.to_string(),
            };
            (text, *quoted)
        }
        Piece::Variable { name, change, quoted } => {
            let known = variable(state, name);
            let text = match change {
                None => known.unwrap_or_else(|| UNKNOWN.to_string()),
                Some(Change::Default(word)) => match known.filter(|text| !text.is_empty()) {
                    Some(text) => text,
                    None => value(forecast, state, word),
                },
                Some(Change::Alternative(word)) => match known {
                    Some(text) if text.is_empty() => text,
                    Some(_) => value(forecast, state, word),
                    None => UNKNOWN.to_string(),
                },
                Some(Change::Required) => known.filter(|text| !text.is_empty()).unwrap_or_else(|| UNKNOWN.to_string()),
                Some(Change::Trim { front, longest, pattern }) => match known {
                    Some(text) => trimmed(&text, *front, *longest, &value(forecast, state, pattern)),
                    None => UNKNOWN.to_string(),
                },
                Some(Change::Length) => "0".to_owned(),
                Some(Change::Other) => UNKNOWN.to_string(),
            };
            (text, *quoted)
        }
    }
}

/// `${NAME%.txt}` and its kind. A pattern longer than the text, or a text of many letters, is not tried.
fn trimmed(text: &str, front: bool, longest: bool, pattern: &str) -> String {
    let pattern = pattern.replace('*', &STAR.to_string());
    if text.contains(UNKNOWN) || text.len() > 1000 {
        return UNKNOWN.to_string();
    }
    let mut cuts: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
    // The shortest part first: from the front it grows with the cut, from the end it shrinks.
    if front == longest {
        cuts.reverse();
    }
    let fits = |cut: &&usize| {
        let part = if front { &text[..**cut] } else { &text[**cut..] };
        crate::check::forecast::fits(&pattern, part)
    };
    match cuts.iter().find(fits) {
        Some(cut) if front => text[*cut..].to_owned(),
        Some(cut) => text[..*cut].to_owned(),
        None => text.to_owned(),
    }
}

fn tilde(state: &State, name: &str) -> String {
    match name {
        "" => state.vars.get("HOME").cloned().unwrap_or_else(|| UNKNOWN.to_string()),
        "root" => "/root".to_owned(),
        _ => format!("/home/{name}"),
    }
}

fn variable(state: &State, name: &str) -> Option<String> {
    if let Some(value) = state.vars.get(name) {
        return Some(value.clone());
    }
    match name {
        "PWD" => state.cwd.as_ref().map(|cwd| cwd.display().to_string()),
        "TMPDIR" => Some("/tmp".to_owned()),
        "?" | "#" | "$" | "!" | "RANDOM" | "SECONDS" | "LINENO" | "UID" | "EUID" | "PPID" => Some("0".to_owned()),
        "0" => Some("sh".to_owned()),
        "USER" | "LOGNAME" | "HOSTNAME" => Some(output::SOMEBODY.to_owned()),
        _ => None,
    }
}

/// `{a,b}` and `{1..3}`, where they stand in one piece of text.
fn braces(word: &Word) -> Vec<Word> {
    for (place, piece) in word.iter().enumerate() {
        let Piece::Text { text, quoted: false } = piece else { continue };
        let Some((before, inside, after)) = innermost(text) else { continue };
        let parts: Vec<String> = match inside.contains(',') {
            true => inside.split(',').map(str::to_owned).collect(),
            false => vec![STAR.to_string()],
        };
        let mut all = Vec::new();
        for part in parts.iter().take(MOST) {
            let mut one = word.clone();
            one[place] = Piece::Text { text: format!("{before}{part}{after}"), quoted: false };
            all.extend(braces(&one));
            if all.len() >= MOST {
                all.truncate(MOST);
                break;
            }
        }
        return all;
    }
    vec![word.clone()]
}

/// What stands before, in and after the first braces that have none in them and a comma or `..`.
fn innermost(text: &str) -> Option<(&str, &str, &str)> {
    let mut open = None;
    for (place, letter) in text.char_indices() {
        match letter {
            '{' => open = Some(place),
            '}' => {
                if let Some(start) = open.take() {
                    let inside = &text[start + 1..place];
                    if inside.contains(',') || inside.contains("..") {
                        return Some((&text[..start], inside, &text[place + 1..]));
                    }
                }
            }
            _ => {}
        }
    }
    None
}
