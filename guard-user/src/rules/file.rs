//! Reading rules files. The only IO of the rules.

use std::{
    fs::{self, File},
    io::Read as _,
    path::{Path, PathBuf},
};

use super::{
    compile::Rules,
    error::{Mistake, RulesError},
};

/// The packs that are there without any file: where each comes from, and its text.
pub const PACKS: [(&str, &str); 14] = [
    ("guard.yaml (built in)", include_str!("../../../rules/guard.yaml")),
    ("filesystem.yaml (built in)", include_str!("../../../rules/filesystem.yaml")),
    ("git.yaml (built in)", include_str!("../../../rules/git.yaml")),
    ("containers.yaml (built in)", include_str!("../../../rules/containers.yaml")),
    ("kubernetes.yaml (built in)", include_str!("../../../rules/kubernetes.yaml")),
    ("infrastructure.yaml (built in)", include_str!("../../../rules/infrastructure.yaml")),
    ("clouds.yaml (built in)", include_str!("../../../rules/clouds.yaml")),
    ("databases.yaml (built in)", include_str!("../../../rules/databases.yaml")),
    ("publishing.yaml (built in)", include_str!("../../../rules/publishing.yaml")),
    ("system.yaml (built in)", include_str!("../../../rules/system.yaml")),
    ("credentials.yaml (built in)", include_str!("../../../rules/credentials.yaml")),
    ("persistence.yaml (built in)", include_str!("../../../rules/persistence.yaml")),
    ("escape.yaml (built in)", include_str!("../../../rules/escape.yaml")),
    ("egress.yaml (built in)", include_str!("../../../rules/egress.yaml")),
];
/// No rules file is larger.
const LARGEST: u64 = 1 << 20;
/// No directory has more of them.
const MOST: usize = 1024;

/// The rules in a file or in the `*.yaml` files of a directory, in the order of their names. Without a path, and in
/// a directory that has none, guard's own.
///
/// # Errors
/// The first thing that is wrong: which file, where, and what was expected.
pub fn load(path: Option<&Path>) -> Result<Rules, RulesError> {
    let mut texts = Vec::new();
    if let Some(path) = path {
        for file in files(path)? {
            texts.push((file.display().to_string(), read(&file)?));
        }
    }
    if texts.is_empty() {
        texts.extend(PACKS.map(|(origin, text)| (origin.to_owned(), text.to_owned())));
    }
    let mut rules = Rules::none()?;
    for (origin, text) in &texts {
        rules = rules.and(text, origin)?;
    }
    // An exception may name a rule of a later file.
    for (origin, text) in &texts {
        rules.check_exceptions(text, origin)?;
    }
    Ok(rules)
}

fn files(path: &Path) -> Result<Vec<PathBuf>, RulesError> {
    let unreadable = |error| RulesError::Unreadable { path: path.to_owned(), error };
    if !fs::metadata(path).map_err(unreadable)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(path).map_err(unreadable)? {
        let file = entry.map_err(unreadable)?.path();
        let is_yaml = file.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
        let is_hidden = file.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if is_yaml && !is_hidden {
            files.push(file);
        }
        if files.len() > MOST {
            let problem = format!("has more than {MOST} rules files");
            return Err(RulesError::NotRules { path: path.to_owned(), problem });
        }
    }
    files.sort();
    Ok(files)
}

fn read(path: &Path) -> Result<String, RulesError> {
    let unreadable = |error| RulesError::Unreadable { path: path.to_owned(), error };
    let not_rules = |problem: &str| RulesError::NotRules { path: path.to_owned(), problem: problem.to_owned() };
    // Looked at before it is opened: opening a fifo would wait for its writer.
    if !fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(not_rules("is not a regular file"));
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > LARGEST {
        return Err(not_rules("is larger than 1 MiB: no rules file is"));
    }
    match String::from_utf8(bytes) {
        Ok(text) => Ok(text),
        Err(error) => {
            let good = error.utf8_error().valid_up_to();
            let lossy = String::from_utf8_lossy(error.as_bytes());
            let head = String::from_utf8_lossy(&error.as_bytes()[..good]);
            let line = head.matches('\n').count() as u64 + 1;
            let column = head.rsplit('\n').next().unwrap_or("").chars().count() as u64 + 1;
            let message = "a byte here is not UTF-8";
            Err(Mistake::new(&path.display().to_string(), &lossy, line, column, message).into())
        }
    }
}
