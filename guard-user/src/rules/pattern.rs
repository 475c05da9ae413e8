//! Path globs: checked when read, fitted to an agent's directories later. No file is looked at.
//!
//! `dir/**` means the directory and all below it. It and a plain path are compared as bytes and lower exactly;
//! anything else is a glob and lowers to something wider.

use std::{ffi::OsStr, os::unix::ffi::OsStrExt as _, path::Path};

use globset::{Glob, GlobBuilder};
use serde::{Deserialize, Deserializer, de::Error as _};

use super::{compile::Scope, error::unknown};

/// A path glob as it stands in a rules file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    variable: Option<Variable>,
    /// What follows the variable; starts with `/` unless it is empty or starts with `**`.
    rest: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Variable {
    Home,
    Workspace,
    Tmp,
}

/// A path glob fitted to one agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// This directory and all below it; without a trailing slash, empty for the root.
    Below(Vec<u8>),
    Exact(Vec<u8>),
    Glob(Wide),
}

/// A glob, and what the kernel can know about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wide {
    pub globs: Vec<Glob>,
    /// Every match is at or below this directory.
    pub below: Vec<u8>,
    pub name: Option<Name>,
}

/// A name that is in every path a glob matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Name {
    /// The object itself has it.
    Last(Vec<u8>),
    /// The object or a directory above it has it.
    Any(Vec<u8>),
}

const META: [char; 6] = ['*', '?', '[', ']', '{', '\\'];
const VARIABLES: [&str; 3] = ["HOME", "WORKSPACE", "TMP"];

impl Template {
    /// # Errors
    /// A sentence saying why this is not a path glob.
    pub fn parse(text: &str) -> Result<Self, String> {
        check_size(text)?;
        if let Some(rest) = text.strip_prefix('~') {
            return Err(format!("`~` means nothing here: write `${{HOME}}{rest}`"));
        }
        let (variable, rest) = match text.strip_prefix("${") {
            None => (None, text),
            Some(tail) => {
                let (name, rest) = tail.split_once('}').ok_or_else(|| format!("`{text}` lacks a closing brace"))?;
                let variable = match name {
                    "HOME" => Variable::Home,
                    "WORKSPACE" => Variable::Workspace,
                    "TMP" => Variable::Tmp,
                    _ => return Err(unknown("variable", name, &VARIABLES)),
                };
                (Some(variable), rest)
            }
        };
        if rest.contains("${") {
            return Err(format!("a variable stands at the start of a path, not inside: `{text}`"));
        }
        let starts_well = rest.starts_with('/') || (variable.is_some() && rest.is_empty()) || rest.starts_with("**/");
        if !starts_well || (variable.is_some() && rest.starts_with("**")) {
            return Err(format!("a path starts with `/`, `**/` or a variable such as `${{HOME}}/`: `{text}`"));
        }
        if rest.len() > 1 && rest.ends_with('/') {
            return Err(format!("`{text}` ends in a slash: `{text}**` is the directory and all below it"));
        }
        for component in rest.strip_prefix('/').unwrap_or(rest).split('/') {
            if matches!(component, "." | "..") || (component.is_empty() && rest.len() > 1) {
                return Err(format!("the kernel never shows a path with `//`, `.` or `..` in it: `{text}`"));
            }
            if component.contains("**") && component != "**" {
                return Err(format!("`**` stands for whole directories, between slashes: `{text}`"));
            }
        }
        build(rest)?;
        Ok(Self { variable, rest: rest.to_owned() })
    }

    /// The glob for one agent; `None` where its directory is not known, which never matches.
    ///
    /// `excludes`: the glob takes something out of a rule, so it must not become wider than written, and an agent
    /// whose home is the root has none.
    #[must_use]
    pub fn pattern(&self, scope: &Scope, excludes: bool) -> Option<Pattern> {
        let base = match self.variable {
            None => &[],
            Some(Variable::Home) => directory(&scope.home, excludes)?,
            Some(Variable::Workspace) => directory(&scope.workspace, true)?,
            Some(Variable::Tmp) => directory(&scope.tmp, excludes)?,
        };
        let head = self.rest.strip_suffix("/**");
        if let Some(head) = head.filter(|head| !head.contains(META)) {
            return Some(Pattern::Below([base, head.as_bytes()].concat()));
        }
        if !self.rest.contains(META) {
            return Some(Pattern::Exact([base, self.rest.as_bytes()].concat()));
        }
        let literal = self.rest.split(META).next().unwrap_or("");
        let below = [base, literal.rsplit_once('/').map_or("", |(above, _)| above).as_bytes()].concat();
        let Ok(text) = std::str::from_utf8(base) else {
            // A glob needs text. Wider is right for what a rule covers, and wrong for what it leaves out.
            return (!excludes).then_some(Pattern::Below(below));
        };
        let mut globs = Vec::new();
        for rest in [Some(self.rest.as_str()), head].into_iter().flatten() {
            globs.push(build(&format!("{}{rest}", globset::escape(text))).ok()?);
        }
        Some(Pattern::Glob(Wide { globs, below, name: self.name() }))
    }

    /// More than a directory with all below it, or one plain path.
    pub(crate) fn has_wildcard(&self) -> bool {
        self.rest.strip_suffix("/**").unwrap_or(&self.rest).contains(META)
    }

    /// As it stands in the file.
    pub(crate) fn text(&self) -> String {
        let variable = match self.variable {
            None => "",
            Some(Variable::Home) => "${HOME}",
            Some(Variable::Workspace) => "${WORKSPACE}",
            Some(Variable::Tmp) => "${TMP}",
        };
        format!("{variable}{}", self.rest)
    }

    /// The directories before its first wildcard, where no variable stands before them.
    pub(crate) fn fixed(&self) -> Option<&str> {
        if self.variable.is_some() {
            return None;
        }
        let literal = self.rest.split(META).next().unwrap_or("");
        let fixed = if literal.len() == self.rest.len() { literal } else { literal.rsplit_once('/')?.0 };
        (!fixed.is_empty()).then_some(fixed)
    }

    /// Everything this glob covers is covered by `other`, as far as their texts say it.
    pub(crate) fn is_within(&self, other: &Self) -> bool {
        if self == other {
            return true;
        }
        let Some(directory) = other.rest.strip_suffix("/**").filter(|directory| !directory.contains(META)) else {
            return false;
        };
        let below = self.rest.strip_prefix(directory).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        self.variable == other.variable && below
    }

    /// A component after the first wildcard that is plain.
    fn name(&self) -> Option<Name> {
        if self.rest.contains(['{', '[', '\\']) {
            return None;
        }
        let plain = |component: &&str| !component.is_empty() && !component.contains(META);
        let last = self.rest.rsplit('/').next().filter(plain);
        if let Some(last) = last {
            return Some(Name::Last(last.as_bytes().to_vec()));
        }
        let wild = self.rest.split('/').skip_while(plain_or_empty).filter(plain).last()?;
        Some(Name::Any(wild.as_bytes().to_vec()))
    }
}

fn plain_or_empty(component: &&str) -> bool {
    !component.contains(META)
}

/// `None` when the directory is not known. The root is empty, or nothing where it `must_be_narrow`.
fn directory(path: &Path, must_be_narrow: bool) -> Option<&[u8]> {
    let bytes = path.as_os_str().as_bytes();
    let end = bytes.iter().rposition(|byte| *byte != b'/').map_or(0, |last| last + 1);
    let bytes = bytes.get(..end).filter(|_| bytes.starts_with(b"/"))?;
    (!(bytes.is_empty() && must_be_narrow)).then_some(bytes)
}

/// A glob is matched against what an agent chooses, in a table with hundreds of others: it must stay small whatever it
/// is compared with.
pub(crate) fn check_size(text: &str) -> Result<(), String> {
    const BYTES: usize = 1024;
    const ALTERNATIVES: usize = 64;
    const WILDCARDS: usize = 16;

    if text.len() > BYTES {
        return Err(format!("a glob has at most {BYTES} bytes, and this one {}", text.len()));
    }
    let (mut depth, mut alternatives) = (0_usize, 0_usize);
    for byte in text.bytes() {
        match byte {
            b'{' => {
                depth += 1;
                alternatives += 1;
            }
            b',' if depth > 0 => alternatives += 1,
            b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > 1 {
            return Err(format!("`{text}` cannot be bounded: braces within braces; write several globs"));
        }
    }
    if alternatives > ALTERNATIVES {
        return Err(format!("`{text}` cannot be bounded: more than {ALTERNATIVES} alternatives; write several globs"));
    }
    let wildcards = text.split(['*', '?', '[']).filter(|part| !part.is_empty()).count().saturating_sub(1);
    if wildcards > WILDCARDS {
        return Err(format!("`{text}` cannot be bounded: more than {WILDCARDS} wildcards"));
    }
    Ok(())
}

fn build(text: &str) -> Result<Glob, String> {
    GlobBuilder::new(text)
        .literal_separator(true)
        .build()
        .map_err(|error| format!("`{text}` is not a glob: {}", error.kind()))
}

/// Bytes as a path, without a copy.
pub(crate) fn bytes_path(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}

impl<'de> Deserialize<'de> for Template {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}
