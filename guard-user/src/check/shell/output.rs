//! What a command writes, where that can be foreseen: it becomes arguments, file names, or the text of another shell.

use std::path::Path;

use crate::check::{
    forecast::{Input, State},
    look,
    term::{STAR, Term, UNKNOWN},
};

/// Stands for a name that changes nothing: of a user, a host, a branch.
pub(super) const SOMEBODY: &str = "somebody";

/// Those that hand on what they read, or a part of it.
const FILTERS: [&str; 12] =
    ["cat", "tee", "sort", "uniq", "head", "tail", "grep", "egrep", "fgrep", "rg", "less", "tac"];

/// Those that write shell text of their own making: `eval "$(ssh-agent -s)"`.
const SETTERS: [&str; 20] = [
    "ssh-agent",
    "direnv",
    "pyenv",
    "rbenv",
    "nodenv",
    "goenv",
    "brew",
    "starship",
    "zoxide",
    "fnm",
    "mise",
    "asdf",
    "dircolors",
    "keychain",
    "opam",
    "conda",
    "thefuck",
    "atuin",
    "nvm",
    "minikube",
];

/// What a program writes.
pub(super) fn of(state: &State, terms: &[Term]) -> Input {
    let text = |place: usize| terms.get(place).map_or("", |term| term.text.as_str());
    let name = text(0).rsplit('/').next().unwrap_or("");
    let words: Vec<&str> =
        terms[1..].iter().map(|term| term.text.as_str()).filter(|text| !text.starts_with('-')).collect();
    let known = |text: &str| Input::Text(text.to_owned());
    let unknown = || match &state.input {
        Input::Unknown(from) => Input::Unknown(from.clone()),
        Input::Text(_) | Input::None => Input::Unknown(format!("what {name} writes")),
    };
    match name {
        "curl" | "wget" | "http" | "https" | "aria2c" | "fetch" | "nc" | "ncat" | "telnet" | "ssh" => {
            Input::Unknown("what comes from the network".to_owned())
        }
        _ if SETTERS.contains(&name) => known(""),
        "mktemp" => known(words.last().copied().unwrap_or("/tmp/tmp.x")),
        "pwd" => state.cwd.as_ref().map_or_else(unknown, |cwd| known(&cwd.display().to_string())),
        "whoami" | "id" | "hostname" | "uname" | "arch" | "logname" | "tty" => known(SOMEBODY),
        "date" | "nproc" | "getconf" | "seq" | "wc" | "stat" | "du" | "expr" | "bc" | "lsof" | "pgrep" | "pidof" => {
            known("0")
        }
        "basename" => words
            .first()
            .map_or_else(unknown, |path| known(path.trim_end_matches('/').rsplit('/').next().unwrap_or(""))),
        "dirname" => words.first().map_or_else(unknown, |path| {
            known(Path::new(path).parent().map_or("/", |parent| parent.to_str().unwrap_or("")).trim_end_matches('/'))
        }),
        "realpath" | "readlink" => {
            words.last().map_or_else(unknown, |path| known(&state.absolute(path).display().to_string()))
        }
        "git" => git(state, &words, unknown()),
        "find" | "fd" | "ls" => {
            let root = words.first().filter(|root| name != "fd" && !root.is_empty()).copied().unwrap_or(".");
            let pattern = terms
                .iter()
                .zip(terms.iter().skip(1))
                .find(|(option, _)| matches!(option.text.as_str(), "-name" | "-iname"));
            let last = pattern.map_or_else(|| STAR.to_string(), |(_, name)| name.text.replace('*', &STAR.to_string()));
            let is_everything = last == STAR.to_string() && name == "find" && !words.is_empty() && terms.len() <= 4;
            // One that is not the whole: a part of it is listed.
            let last = if is_everything || name == "ls" { last } else { last.replace(STAR, &format!("x{STAR}")) };
            known(&format!("{}/{last}", root.trim_end_matches('/')))
        }
        // Names and numbers of things: words that are no options.
        "docker" | "podman" | "kubectl" | "aws" | "gcloud" | "az" | "gh" | "npm" | "jq" | "yq" | "cargo"
        | "terraform" => match &state.input {
            Input::Unknown(from) if from.starts_with("what comes from the network") => Input::Unknown(from.clone()),
            Input::Unknown(_) | Input::Text(_) | Input::None => known(SOMEBODY),
        },
        "grep" | "egrep" | "rg" if terms.iter().any(|term| is_listing(&term.text)) => {
            let root = words.get(1).copied().unwrap_or(".");
            known(&format!("{}/x{STAR}", root.trim_end_matches('/')))
        }
        "cat" if !words.is_empty() => {
            let texts: Option<Vec<String>> = words
                .iter()
                .map(|path| if state.elsewhere { None } else { look::text(&state.absolute(path)) })
                .collect();
            texts.map_or_else(unknown, |texts| Input::Text(texts.concat()))
        }
        _ if FILTERS.contains(&name) && words.len() <= 1 => match &state.input {
            Input::None => unknown(),
            input => input.clone(),
        },
        _ => unknown(),
    }
}

/// `-l` of `grep`, alone or with others.
fn is_listing(option: &str) -> bool {
    option == "--files-with-matches" || (option.starts_with('-') && !option.starts_with("--") && option.contains('l'))
}

fn git(state: &State, words: &[&str], unknown: Input) -> Input {
    match words {
        ["rev-parse", ..] if state.cwd.is_some() => {
            Input::Text(state.cwd.as_ref().map(|cwd| cwd.display().to_string()).unwrap_or_default())
        }
        ["branch" | "symbolic-ref" | "describe" | "log" | "tag" | "merge-base" | "config", ..] => {
            Input::Text(SOMEBODY.to_owned())
        }
        ["ls-files" | "diff" | "status" | "grep", ..] => Input::Text(format!("./x{STAR}")),
        _ => unknown,
    }
}

/// What `echo` and `printf` write.
pub(super) fn said(name: &str, terms: &[Term]) -> Input {
    let words: Vec<String> = terms
        .iter()
        .skip_while(|term| matches!(term.text.as_str(), "-n" | "-e" | "-ne" | "-en" | "-E"))
        .map(Term::plain)
        .collect();
    let text = words.join(" ");
    let text = text.replace("\\n", "\n").replace("\\t", "\t");
    // `printf '%s\n' text`: the words fill the gaps.
    let text = if name == "printf" && text.starts_with('%') { words[1..].join("\n") } else { text };
    if text.trim_matches(UNKNOWN).is_empty() && !text.is_empty() {
        return Input::Unknown("what is not known before".to_owned());
    }
    Input::Text(format!("{text}\n"))
}

/// One after the other.
pub(super) fn joined(outputs: Vec<Input>) -> Input {
    let mut all = String::new();
    let mut is_any = false;
    for output in outputs {
        match output {
            Input::None => {}
            Input::Text(text) => {
                all.push_str(&text);
                if !all.ends_with('\n') {
                    all.push('\n');
                }
                is_any = true;
            }
            Input::Unknown(from) => return Input::Unknown(from),
        }
    }
    if is_any { Input::Text(all) } else { Input::None }
}
