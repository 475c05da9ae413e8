//! What the descriptions of tools have no words for: `find`, statements and programs given as text, old spellings.

use std::path::Path;

use guard_common::op::Op;

use super::{
    command, files,
    forecast::{Forecast, Input, State},
    look, shell, step,
    term::{STAR, Term, UNKNOWN},
};
use crate::rules::{command::Line, tool::Does};

const SQL: [&str; 12] = [
    "psql",
    "mysql",
    "mariadb",
    "sqlite3",
    "duckdb",
    "clickhouse-client",
    "cockroach",
    "mongosh",
    "mongo",
    "redis-cli",
    "valkey-cli",
    "cqlsh",
];
const CODE: [(&str, &[&str]); 8] = [
    ("python", &["-c"]),
    ("python2", &["-c"]),
    ("python3", &["-c"]),
    ("node", &["-e", "--eval", "-p", "--print"]),
    ("nodejs", &["-e", "--eval", "-p", "--print"]),
    ("perl", &["-e", "-E"]),
    ("ruby", &["-e"]),
    ("php", &["-r"]),
];

/// `tar czf` is `tar -czf`.
pub(crate) fn respelled(name: &str, terms: &[Term]) -> Vec<Term> {
    let mut terms = terms.to_vec();
    if matches!(name, "tar" | "bsdtar" | "gtar")
        && let Some(first) = terms.get_mut(1)
        && !first.text.is_empty()
        && first.text.bytes().all(|byte| byte.is_ascii_alphabetic())
    {
        first.text.insert(0, '-');
    }
    terms
}

/// Adds what this program does beyond its description.
pub(crate) fn foresee(forecast: &mut Forecast<'_>, state: &mut State, name: &str, line: &Line<'_>, terms: &[Term]) {
    match name {
        "find" | "gfind" => find(forecast, state, terms),
        "mount" | "umount" => mounts(forecast, state, name, line, terms),
        "awk" | "gawk" | "mawk" => {
            let program = line.words.first().map(|word| String::from_utf8_lossy(word.text).into_owned());
            if let Some(text) = program.filter(|text| text.contains("system(") || text.contains('|')) {
                code(forecast, state, &text);
            }
        }
        "vi" | "vim" | "nvim" | "ex" => {
            let texts: Vec<String> = line
                .options_of(&["-c".to_owned()])
                .filter_map(|option| option.value.or(option.next))
                .map(|text| String::from_utf8_lossy(text).into_owned())
                .collect();
            for text in texts {
                if let Some(command) = text.trim_start_matches(':').strip_prefix('!') {
                    shell::run(forecast, state, command);
                }
            }
        }
        _ if SQL.contains(&name) => statements(forecast, state, line, terms),
        _ => {
            if let Some((_, options)) = CODE.iter().find(|(program, _)| {
                name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.') == *program || name == *program
            }) {
                let is_code = |option: &&crate::rules::command::Found<'_>| {
                    options.iter().any(|name| name.as_bytes() == option.name)
                };
                let texts: Vec<String> = line
                    .options
                    .iter()
                    .filter(is_code)
                    .filter_map(|option| option.value.or(option.next))
                    .map(|text| String::from_utf8_lossy(text).into_owned())
                    .collect();
                let is_fed =
                    line.words.first().is_none_or(|word| word.text.starts_with(b"/dev/fd/") || word.text == b"-");
                let piped = match &state.input {
                    Input::Text(text) if is_fed => Some(text.clone()),
                    Input::Unknown(from) if is_fed && texts.is_empty() => {
                        forecast.doubt(format!("{from} is run by {name}, and nobody has seen it"));
                        None
                    }
                    Input::Text(_) | Input::Unknown(_) | Input::None => None,
                };
                for text in texts.iter().chain(&piped) {
                    code(forecast, state, text);
                }
            }
        }
    }
}

/// `mount DEVICE DIR`, `mount --bind A B`, `umount DIR`; without words it lists.
fn mounts(forecast: &mut Forecast<'_>, state: &State, name: &str, line: &Line<'_>, terms: &[Term]) {
    let last = line.words.last().and_then(|word| terms.get(word.index));
    if let Some(term) = last {
        let op = if name == "mount" { Op::Mount } else { Op::Umount };
        forecast.act(state, op, &term.text, false, |path, facts| step::on(op, path, facts));
    } else if terms.iter().any(|term| term.text == "-a" || term.text == "--all") {
        forecast.act(state, Op::Umount, "/", true, |path, facts| step::on(Op::Umount, path, facts));
    }
}

/// `find ROOTS… TESTS… -delete` and `-exec`.
fn find(forecast: &mut Forecast<'_>, state: &mut State, terms: &[Term]) {
    let starts = |term: &Term| !term.text.starts_with(['-', '(', '!', ')']) || term.text == "-";
    let mut roots: Vec<String> = terms[1..]
        .iter()
        .skip_while(|term| matches!(term.text.as_str(), "-H" | "-L" | "-P"))
        .take_while(|term| starts(term))
        .map(|term| term.text.clone())
        .collect();
    if roots.is_empty() {
        roots.push(".".to_owned());
    }
    let texts: Vec<&str> = terms.iter().map(|term| term.text.as_str()).collect();
    let after = |names: &[&str]| {
        texts
            .iter()
            .zip(texts.iter().skip(1))
            .find(|(option, _)| names.contains(option))
            .map(|(_, value)| (*value).to_owned())
    };
    let name = after(&["-name", "-iname", "-path", "-wholename", "-regex"]);
    // Anything that is not everything is a part of what is there.
    let is_part = texts.iter().any(|text| {
        [
            "-name", "-iname", "-path", "-regex", "-mtime", "-mmin", "-newer", "-empty", "-size", "-perm", "-user",
            "-atime", "-ctime",
        ]
        .contains(text)
    });
    let found = |root: &str| -> String {
        let root = root.trim_end_matches('/');
        let root = if root.is_empty() { "" } else { root };
        let glob = |name: &str| name.replace('*', &STAR.to_string());
        match &name {
            Some(name) => format!("{root}/{}", glob(name.rsplit('/').next().unwrap_or(name))),
            None if is_part => format!("{root}/{}", STAR),
            None => root.to_owned(),
        }
    };
    if texts.contains(&"-delete") {
        for root in &roots {
            let everything = if root == "/" && !is_part { "/".to_owned() } else { found(root) };
            files::one(forecast, state, Does::Delete, &everything, !is_part);
        }
    }
    for (at, text) in texts.iter().enumerate() {
        if matches!(*text, "-fprint" | "-fls" | "-fprintf" | "-fprint0")
            && let Some(file) = texts.get(at + 1)
        {
            files::one(forecast, state, Does::Overwrite, file, false);
        }
        if !matches!(*text, "-exec" | "-execdir" | "-ok" | "-okdir") {
            continue;
        }
        let command: Vec<Term> = terms[at + 1..]
            .iter()
            .take_while(|term| term.text != ";" && term.text != "\\;" && term.text != "+")
            .cloned()
            .collect();
        for root in &roots {
            let each: Vec<Term> = command
                .iter()
                .map(|term| Term { text: term.text.replace("{}", &found(root)), open: term.open })
                .collect();
            let each: Vec<Term> =
                each.into_iter().map(|term| if term.text.is_empty() { Term::known("/") } else { term }).collect();
            command::run(forecast, state, &each);
        }
    }
}

/// Statements that come in through the standard input, or from a file that can be read.
fn statements(forecast: &mut Forecast<'_>, state: &State, line: &Line<'_>, terms: &[Term]) {
    let mut texts = Vec::new();
    match &state.input {
        Input::Text(text) => texts.push(text.clone()),
        Input::Unknown(from) if from.starts_with("what comes from the network") => {
            forecast.doubt(format!("{from} is run by a database, and nobody has seen it"));
        }
        Input::Unknown(_) | Input::None => {}
    }
    let file_options = ["-f".to_owned(), "--file".to_owned()];
    for option in line.options_of(&file_options) {
        let file = option.value.or(option.next).map(|file| String::from_utf8_lossy(file).into_owned());
        let text = file.filter(|_| !state.elsewhere).and_then(|file| look::text(&state.absolute(&file)));
        texts.extend(text);
    }
    let Some(program) = terms.first() else { return };
    for text in texts {
        // Each line of a language of commands, and the whole as a statement.
        let mut argv = vec![program.clone(), Term::known(&text)];
        forecast.add(state, step::exec(&Path::new("/usr/bin").join(program.plain()), &argv, false));
        for command in text.lines().take(100) {
            argv.truncate(1);
            argv.extend(command.split_whitespace().map(Term::known));
            if argv.len() > 1 && program.text.ends_with("-cli") {
                forecast.add(state, step::exec(&Path::new("/usr/bin").join(program.plain()), &argv, false));
            }
        }
    }
}

/// A program in another language is not read, only searched: for words that destroy, for paths, and for commands.
fn code(forecast: &mut Forecast<'_>, state: &mut State, text: &str) {
    const DESTROY: [&str; 16] = [
        "rmtree",
        "unlink",
        ".remove",
        "rmdir",
        "rmSync",
        "fs.rm",
        "rimraf",
        "removedirs",
        "File.delete",
        "rm_rf",
        "rm_r",
        "truncate",
        "'w'",
        "\"w\"",
        "writeFile",
        "File.write",
    ];
    const RUN: [&str; 9] =
        ["os.system", "subprocess", "popen", "child_process", "execSync", "exec(", "system(", "spawn", "shell_exec"];
    let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
    let (destroys, runs) = (has(&DESTROY), has(&RUN) || text.contains('`'));
    let literals = literals(text);
    let mut named = 0;
    for literal in &literals {
        let path = literal
            .strip_prefix("~/")
            .map(|rest| format!("{}/{rest}", state.vars.get("HOME").map_or("", String::as_str)));
        let path = path.as_deref().unwrap_or(literal);
        if path.starts_with('/')
            || path.starts_with("..")
            || (destroys && !path.is_empty() && !path.contains(' ') && path.len() > 1)
        {
            named += 1;
            let does = if destroys { Does::Delete } else { Does::Read };
            files::one(forecast, state, does, path, destroys);
            if destroys {
                files::one(forecast, state, Does::Overwrite, path, false);
            }
        }
    }
    if runs {
        let lists = literals.iter().filter(|literal| literal.contains(' '));
        let mut texts: Vec<String> = lists.cloned().collect();
        texts.push(literals.join(" "));
        for text in texts {
            if shell::is_readable(&text) {
                shell::run(forecast, state, &text);
            }
        }
        if literals.is_empty() {
            forecast.doubt("this starts commands that are not known before it runs".to_owned());
        }
    }
    if destroys && named == 0 {
        forecast.doubt("this program text removes or empties files, and which is not known before it runs".to_owned());
    }
    if text.contains(UNKNOWN) && text.trim_matches(UNKNOWN).is_empty() {
        forecast.doubt("the program text is not known before it runs".to_owned());
    }
}

/// Texts in quotes.
fn literals(text: &str) -> Vec<String> {
    let mut literals = Vec::new();
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        if matches!(letter, '\'' | '"' | '`') {
            let literal: String = letters.by_ref().take_while(|other| *other != letter).collect();
            literals.push(literal);
        }
    }
    literals.truncate(200);
    literals
}
