//! Reading rules files, and writing what is changed about them. The only IO of the rules.

use std::{
    fs::{self, File, OpenOptions},
    io::{Read as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use rustix::fs::{FlockOperation, flock};

use super::{
    agent_policy,
    compile::Rules,
    error::{Mistake, RulesError},
    overrides::{self, Change, Overrides},
    source::Source,
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
/// Files of a directory of rules that say something about rules.
const NOT_RULES: [&str; 2] = [overrides::FILE, agent_policy::FILE];
/// No rules file is larger.
const LARGEST: u64 = 1 << 20;
/// No directory has more of them.
const MOST: usize = 1024;

/// The rules in a file or in the `*.yaml` files of a directory: those with the names of shipped packs first, then in the
/// order of their names. Without a path, and in a directory that has none, guard's own.
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
    let policies_file = path.map(|path| path.join(agent_policy::FILE)).filter(|file| file.exists());
    let policies = match &policies_file {
        Some(file) => {
            let (text, origin) = (read(file)?, file.display().to_string());
            Some((agent_policy::File::read(&text, &origin)?, text, origin))
        }
        None => None,
    };
    let mut rules = Rules::none()?;
    if let Some((file, ..)) = &policies {
        rules = rules.with_labels(file.labels());
    }
    for (origin, text) in &texts {
        rules = rules.and(text, origin)?;
    }
    // An exception may name a rule of a later file.
    for (origin, text) in &texts {
        rules.check_exceptions(text, origin)?;
    }
    if let Some(file) = path.map(|path| path.join(overrides::FILE)).filter(|file| file.exists()) {
        let (text, origin) = (read(&file)?, file.display().to_string());
        let overrides = Overrides::read(&text, &origin, &rules)?;
        rules = rules.changed(&overrides);
        texts.push((origin, text));
    }
    if let Some((file, text, origin)) = policies {
        let policies = file.policies(&text, &origin, &rules)?;
        rules = rules.with_policies(policies);
        texts.push((origin, text));
    }
    Ok(rules.with_sources(texts.into_iter().map(|(file, text)| Source { file, text }).collect()))
}

/// Changes what is changed about a rule of this directory, and writes it whole or not at all. Answers the change and the
/// file it is in.
///
/// # Errors
/// When the rules there are wrong, no rule has this name, or the file cannot be written.
pub fn change(directory: &Path, rule: &str, new: impl Fn(Change) -> Change) -> Result<(Change, PathBuf), RulesError> {
    let file = directory.join(overrides::FILE);
    let unwritable = |error: std::io::Error| RulesError::Unwritable { path: file.clone(), error };
    if directory.is_file() {
        let problem = format!("is one file of rules; {} stands in a directory of them", overrides::FILE);
        return Err(RulesError::NotRules { path: directory.to_owned(), problem });
    }
    fs::create_dir_all(directory).map_err(unwritable)?;
    // Two of us at once would each write without what the other changed.
    let lock = File::open(directory).map_err(unwritable)?;
    flock(&lock, FlockOperation::LockExclusive).map_err(|error| unwritable(error.into()))?;
    let rules = load(Some(directory))?;
    let names: Vec<String> = rules.summary().into_iter().map(|line| line.name).collect();
    if !names.iter().any(|name| name == rule) {
        return Err(RulesError::NoRule { names });
    }
    let mut overrides = match file.exists() {
        true => Overrides::read(&read(&file)?, &file.display().to_string(), &rules)?,
        false => Overrides::default(),
    };
    let changed = new(overrides.of(rule));
    overrides.set(rule, changed);
    let fresh = directory.join(format!(".{}.new", overrides::FILE));
    let mut writer =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o644).open(&fresh).map_err(unwritable)?;
    writer.write_all(overrides.text().as_bytes()).and_then(|()| writer.sync_all()).map_err(unwritable)?;
    fs::rename(&fresh, &file).and_then(|()| lock.sync_all()).map_err(unwritable)?;
    Ok((changed, file))
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
        let is_rules = file.file_name().is_some_and(|name| !NOT_RULES.iter().any(|other| name == *other));
        if is_yaml && !is_hidden && is_rules {
            files.push(file);
        }
        if files.len() > MOST {
            let problem = format!("has more than {MOST} rules files");
            return Err(RulesError::NotRules { path: path.to_owned(), problem });
        }
    }
    // Of rules that match equally the first is named, so the shipped packs come as they do when they are built in.
    files.sort_by_cached_key(|file| (shipped(file), file.clone()));
    Ok(files)
}

/// Where the pack of this name comes among the shipped ones; all others come after them.
fn shipped(file: &Path) -> usize {
    let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let place = PACKS.iter().position(|(origin, _)| origin.strip_suffix(" (built in)") == Some(name));
    place.unwrap_or(PACKS.len())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_packs_as_files_are_the_packs_that_are_built_in() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        for (origin, text) in PACKS {
            let name = origin.strip_suffix(" (built in)").expect("it says so");
            fs::write(directory.path().join(name), text).expect("written");
        }
        let names = |rules: &Rules| -> Vec<_> {
            rules.summary().into_iter().map(|line| (line.pack, line.name, line.action)).collect()
        };
        let built_in = names(&load(None).expect("right"));
        assert_eq!(names(&load(Some(directory.path())).expect("right")), built_in);
        // Own rules come on top.
        let own =
            "rules:\n- {name: own, text: T., action: hold, reversibility: partial, match: {op: exec, program: x}}\n";
        fs::write(directory.path().join("00-own.yaml"), own).expect("written");
        let more = names(&load(Some(directory.path())).expect("right"));
        assert_eq!(more[..built_in.len()], built_in);
        assert_eq!(more.len(), built_in.len() + 1);
    }
}
