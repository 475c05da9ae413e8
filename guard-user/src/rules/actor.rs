//! Who acts, and from where: environment, user, ancestors, directory, the program's hash. Judged from what the daemon
//! found out; what it could not find out is unknown, and unknown could match.

use super::{
    argv::Answer,
    compile::Policy,
    pattern::Template,
    place::{Globs, Places},
    who::{Hash, Program, TextGlob, User},
};
use crate::{
    circumstances::{self, Need, Needs},
    operation::Operation,
};

/// As it stands in a rules file: all that is given must be so; of a list, any.
#[derive(Clone, Debug, Default)]
pub(crate) struct Actor {
    pub(crate) env: Vec<(Vec<u8>, Vec<TextGlob>)>,
    pub(crate) user: Vec<User>,
    pub(crate) parent: Vec<Program>,
    pub(crate) by: Vec<Program>,
    pub(crate) cwd: Option<Vec<Template>>,
    pub(crate) hash: Vec<Hash>,
}

/// The parts of an [`Actor`] that depend on an agent's directories.
#[derive(Debug, Default)]
pub(crate) struct FittedActor {
    parent: Option<Programs>,
    by: Option<Programs>,
    cwd: Option<Places>,
}

/// Programs by name and by file, fitted to an agent.
#[derive(Debug)]
pub(crate) struct Programs {
    names: Vec<String>,
    files: Places,
}

impl Actor {
    pub(crate) fn needs(&self) -> Needs {
        let by_name = |user: &User| match user {
            User::Name(_) => true,
            User::Id(_) => false,
        };
        let asked = [
            (!self.env.is_empty(), Need::Environment),
            (self.user.iter().any(by_name), Need::Users),
            (!self.parent.is_empty() || !self.by.is_empty(), Need::Lineage),
            (self.cwd.is_some(), Need::Directory),
            (!self.hash.is_empty(), Need::Hash),
        ];
        asked.into_iter().filter(|(asked, _)| *asked).fold(Needs::NONE, |needs, (_, need)| needs.with(Needs::of(need)))
    }

    pub(crate) fn fit(&self, globs: &mut Globs, scope: &super::compile::Scope, excludes: bool) -> FittedActor {
        let mut programs = |programs: &[Program]| {
            let mut files = Vec::new();
            let mut names = Vec::new();
            for program in programs {
                match program {
                    Program::Name(name) => names.push(name.clone()),
                    Program::File(template) => files.push(template.clone()),
                }
            }
            (!programs.is_empty()).then(|| Programs { names, files: globs.fit(&files, scope, excludes) })
        };
        let (parent, by) = (programs(&self.parent), programs(&self.by));
        FittedActor { parent, by, cwd: self.cwd.as_ref().map(|cwd| globs.fit(cwd, scope, excludes)) }
    }

    /// `certain`: only what the agent cannot choose counts, because the rule takes protection away.
    pub(crate) fn answer(&self, fitted: &FittedActor, policy: &Policy, operation: &Operation, certain: bool) -> Answer {
        let found = &operation.circumstances;
        let user = self.user.iter().map(|user| user.answer(operation.uid, &found.users));
        let user = if self.user.is_empty() { Answer::Yes } else { user.max().unwrap_or(Answer::No) };
        let environment = || match found.environment.known() {
            _ if self.env.is_empty() => Answer::Yes,
            None => Answer::Unknown,
            Some(known) => Answer::of(self.env.iter().all(|(name, values)| {
                known.iter().any(|(own, value)| own == name && values.iter().any(|glob| glob.is_match(value)))
            })),
        };
        let hash = || match found.hash.known() {
            _ if self.hash.is_empty() => Answer::Yes,
            None => Answer::Unknown,
            Some(known) => Answer::of(self.hash.iter().any(|hash| hash.0 == *known)),
        };
        let directory = || match (&fitted.cwd, found.directory.known()) {
            (None, _) => Answer::Yes,
            (Some(_), None) => Answer::Unknown,
            (Some(places), Some(directory)) => policy.covers(places, directory),
        };
        let lineage = |programs: Option<&Programs>, skip: usize| match (programs, found.lineage.known()) {
            (None, _) => Answer::Yes,
            (Some(_), None) => Answer::Unknown,
            (Some(programs), Some(lineage)) => {
                let all = lineage.programs.iter().skip(skip);
                let best = all.map(|program| programs.answer(program, policy, certain)).max().unwrap_or(Answer::No);
                best.max(if lineage.whole { Answer::No } else { Answer::Unknown })
            }
        };
        user.min(environment())
            .min(hash())
            .min(directory())
            .min(lineage(fitted.parent.as_ref(), 1))
            .min(lineage(fitted.by.as_ref(), 0))
    }
}

impl Programs {
    fn answer(&self, program: &circumstances::Program, policy: &Policy, certain: bool) -> Answer {
        let file = program.file.file_name().map_or(&[][..], |name| name.as_encoded_bytes());
        let named = |name: &[u8]| self.names.iter().any(|own| own.as_bytes() == name);
        if named(file) || (!certain && program.aliases.iter().any(|alias| named(alias))) {
            return Answer::Yes;
        }
        if self.files.is_nothing() { Answer::No } else { policy.covers(&self.files, &program.file) }
    }
}
