//! Rules that are right and yet not what their author wants: one that can never match, one that asks guardd about
//! everything. Nothing is refused here.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{
    act::Act,
    clause::{Clause, Rule},
    compile::{Rules, Scope},
    explain::Cost,
    pattern::Template,
    syntax::ObjectType,
};

/// What an author should look at again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Warning {
    pub rule: String,
    pub origin: String,
    pub message: String,
}

/// Where a directory really is, when its path goes through a symbolic link on this host.
pub type Resolved<'a> = &'a dyn Fn(&Path) -> Option<PathBuf>;

/// Kinds of operation a program does thousands of times: asking guardd about each is felt.
const FREQUENT: [&str; 3] = ["open_write", "open_read", "exec"];

impl Rules {
    /// What is worth a second look, in the order of the rules.
    #[must_use]
    pub fn warnings(&self, scope: &Scope, resolved: Resolved<'_>) -> Vec<Warning> {
        let mut warnings = Vec::new();
        for rule in self.iter() {
            let mut messages = Vec::new();
            self.of_rule(rule, scope, &mut messages);
            links(rule, resolved, &mut messages);
            warnings.extend(messages.into_iter().map(|message| Warning {
                rule: rule.info.name.clone(),
                origin: rule.info.origin.clone(),
                message,
            }));
        }
        warnings
    }

    fn of_rule(&self, rule: &Rule, scope: &Scope, messages: &mut Vec<String>) {
        let reasons: Vec<Option<String>> = rule.clauses.iter().map(|clause| never(clause)).collect();
        let many = reasons.len() > 1;
        for (index, reason) in reasons.iter().enumerate() {
            if let Some(reason) = reason {
                let which = if many { format!("match {} of {}", index + 1, reasons.len()) } else { "it".to_owned() };
                messages.push(format!("{which} can never match: {reason}"));
            }
        }
        if let Some(except) = &rule.except {
            let acts = |rule: &Rule| rule.clauses.iter().flat_map(|clause| clause.acts.iter()).collect::<Vec<Act>>();
            let own = acts(rule);
            let shared = self.iter().filter(|other| other.info.name == except.value).flat_map(acts);
            if !shared.into_iter().any(|act| own.iter().any(|own| own.ops().0 & act.ops().0 != 0)) {
                messages.push(format!(
                    "it can never match: `{}` is about other operations, so there is nothing to except",
                    except.value
                ));
            }
            return;
        }
        let cost = Cost::of(&self.only(&rule.info.name).policy(scope).tables());
        let of_these = |names: &[&'static str]| {
            let names: Vec<&str> = names.iter().copied().filter(|name| FREQUENT.contains(name)).collect();
            (!names.is_empty()).then(|| names.join(" and "))
        };
        if let Some(names) = of_these(&cost.every) {
            messages.push(format!("guardd is asked about every {names}: name a path or a program"));
        } else if let Some(names) = of_these(&cost.nearly_every) {
            messages.push(format!(
                "guardd is asked about every {names} outside of what it leaves out: name a path or a program"
            ));
        }
    }
}

/// Why this clause matches nothing.
fn never(clause: &Clause) -> Option<String> {
    let covering =
        |path: &Template| clause.not_path.iter().find(|other| path.is_within(other)).map(|other| (path.text(), other));
    if let Some(paths) = &clause.path {
        let covered: Vec<_> = paths.iter().filter_map(covering).collect();
        if covered.len() == paths.len() {
            let (path, other) = covered.into_iter().next()?;
            return Some(format!("`not_path: {}` leaves out all of `path: {path}`", other.text()));
        }
    }
    let types = &clause.object.types;
    if !types.is_empty() && clause.acts.iter().all(|act| types.iter().all(|object| !fits(act, *object))) {
        return Some("these operations never happen to an object of this type".to_owned());
    }
    None
}

/// Can this act happen to an object of this type at all?
fn fits(act: Act, object: ObjectType) -> bool {
    let is_directory = object == ObjectType::Directory;
    match act {
        Act::Rmdir | Act::PivotRoot => is_directory,
        Act::Unlink | Act::Link | Act::LinkTo | Act::Mknod | Act::OpenWrite => !is_directory,
        Act::Truncate | Act::Exec => object == ObjectType::File,
        Act::Symlink => object == ObjectType::Symlink,
        Act::Rename
        | Act::MoveAway
        | Act::RenameOver
        | Act::RenameTo
        | Act::Chmod
        | Act::Chown
        | Act::OpenRead
        | Act::Connect
        | Act::Mount
        | Act::MoveMount
        | Act::Umount
        | Act::Ioctl
        | Act::Signal
        | Act::Ptrace
        | Act::IoUring => true,
    }
}

/// The kernel shows where a file is, not the link a program went through.
fn links(rule: &Rule, resolved: Resolved<'_>, messages: &mut Vec<String>) {
    for template in rule.clauses.iter().filter_map(|clause| clause.path.as_ref()).flatten() {
        let Some(directory) = template.fixed() else { continue };
        if let Some(real) = resolved(Path::new(directory)) {
            messages.push(format!(
                "`path: {}` matches nothing on this host: {directory} is {}",
                template.text(),
                real.display()
            ));
        }
    }
}
