//! A list of questions: one JSON object a line, `{"argv": […]}` or `{"shell": "…"}`, with `cwd`, `env` and `workspace`
//! where they are not those of the caller. Reading lines only; nothing is asked here.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use super::{Asked, Question, look};

/// No line is longer.
pub const LONGEST: usize = 1 << 20;

/// One line. Other fields are the caller's own notes.
#[derive(Debug, Deserialize)]
struct Line {
    argv: Option<Vec<String>>,
    shell: Option<String>,
    cwd: Option<PathBuf>,
    env: Option<BTreeMap<String, String>>,
    workspace: Option<PathBuf>,
}

/// Where a question is asked, unless it says so itself.
#[derive(Clone, Debug)]
pub struct Here {
    pub cwd: PathBuf,
    pub env: BTreeMap<String, String>,
    pub workspace: Option<PathBuf>,
}

impl Here {
    /// A question in this place.
    #[must_use]
    pub fn question(&self, asked: Asked) -> Question {
        let workspace = self.workspace.clone().unwrap_or_else(|| default_workspace(&self.cwd, &self.env));
        Question { asked, cwd: self.cwd.clone(), env: self.env.clone(), workspace }
    }

    /// Reads one line.
    ///
    /// # Errors
    /// A sentence saying why it is no question.
    pub fn line(&self, bytes: &[u8]) -> Result<Question, String> {
        if bytes.len() > LONGEST {
            return Err("the line is longer than 1 MiB".to_owned());
        }
        let text = std::str::from_utf8(bytes).map_err(|_| "the line is not UTF-8".to_owned())?;
        let line: Line = serde_json::from_str(text).map_err(|error| format!("not a question: {error}"))?;
        let asked = match (line.argv, line.shell) {
            (Some(argv), None) if argv.is_empty() => return Err("`argv` is empty: name a program".to_owned()),
            (Some(argv), None) => Asked::Argv(argv),
            (None, Some(text)) => Asked::Shell(text),
            (Some(_), Some(_)) => return Err("`argv` or `shell`, not both".to_owned()),
            (None, None) => return Err("neither `argv` nor `shell` is there".to_owned()),
        };
        let cwd = line.cwd.map_or_else(|| self.cwd.clone(), |cwd| self.cwd.join(cwd));
        let env = match line.env {
            None => self.env.clone(),
            Some(mut env) => {
                // Without these two nothing could be found.
                for name in ["HOME", "PATH"] {
                    if let Some(value) = self.env.get(name) {
                        env.entry(name.to_owned()).or_insert_with(|| value.clone());
                    }
                }
                env
            }
        };
        let workspace = line.workspace.map(|workspace| cwd.join(workspace)).or_else(|| self.workspace.clone());
        Ok(Self { cwd, env, workspace }.question(asked))
    }
}

/// What `guardctl run` would take: the directory, unless it is too much.
fn default_workspace(cwd: &Path, env: &BTreeMap<String, String>) -> PathBuf {
    let cwd = look::real(cwd);
    let home = env.get("HOME").map(|home| look::real(Path::new(home)));
    let is_too_much = cwd.parent().is_none() || home.is_some_and(|home| home.starts_with(&cwd));
    if is_too_much { PathBuf::new() } else { cwd }
}
