//! What follows when the canary finds that the kernel stops nothing, or cannot be asked.

use super::{Act, Core, Token, problem};
use crate::{
    api::{self, CanaryState, ProblemKind, Unprotected},
    daemon::{
        canary::Finding,
        clock::Now,
        record::{Kind, Record},
    },
};

/// What is known of the canary.
#[derive(Clone, Debug, Default)]
pub(super) struct Watch {
    /// `None` before the first finding: the trip tier has no canary.
    finding: Option<Finding>,
    /// When it was heard last.
    heard: Option<Now>,
    /// How often something passed.
    pub(super) passed: u64,
}

impl Core {
    /// While operations pass, agents are stopped by their cgroups, which needs none of the kernel programs.
    pub(super) fn canary(&mut self, finding: Finding) {
        let passes = matches!(finding, Finding::Passed(_));
        let is_news = self.canary.finding.as_ref().is_none_or(|before| !same(before, &finding));
        self.canary.heard = Some(self.now);
        self.canary.passed += u64::from(passes);
        let first = self.canary.finding.is_none();
        self.canary.finding = Some(finding);
        if is_news && !(first && !self.is_blind()) {
            let mut record = Record::new(Kind::Canary);
            record.by = "guardd".to_owned();
            record.note = self.canary_view().problem;
            if record.note.is_empty() {
                record.note = "everything the canary tries is refused again".to_owned();
            }
            tracing::error!("{}", record.note);
            self.log(record, true);
        }
        if passes {
            self.react();
        }
        if is_news {
            self.publish_status();
        }
    }

    /// Stops whoever still runs: also an agent that was tagged, or resumed, since.
    fn react(&mut self) {
        let act = match self.about.unprotected {
            Unprotected::Suspend => Act::Freeze,
            Unprotected::Kill => Act::Kill,
            Unprotected::Report => return,
        };
        let running = self.agents.iter().filter(|agent| agent.cgroup_id != 0 && !agent.suspended);
        let running: Vec<(u64, String)> = running.map(|agent| (agent.number, agent.cgroup.clone())).collect();
        for (number, cgroup) in running {
            if let Some(agent) = self.agents.get_mut(number) {
                agent.suspended = act == Act::Freeze;
            }
            self.act(number, cgroup, act, None, "guardd".to_owned());
        }
    }

    /// Nothing shows that operations are stopped, or something shows that they are not.
    pub(super) fn is_blind(&self) -> bool {
        self.canary.finding.as_ref().is_some_and(|finding| *finding != Finding::Refused)
    }

    /// Refuses to let agents go on while nothing would stop them. Answers whether it did.
    pub(super) fn keeps_suspended(&mut self, token: Token) -> bool {
        let passes = matches!(self.canary.finding, Some(Finding::Passed(_)));
        if !passes || self.about.unprotected == Unprotected::Report {
            return false;
        }
        let message = format!(
            "{} Make it refuse them again (`sysctl kernel.ftrace_enabled=1`, then restart guardd), or set \
             `unprotected: report` in guard.yaml.",
            self.canary_view().problem
        );
        self.reply(token, problem(ProblemKind::BadRequest, message));
        true
    }

    pub(super) fn canary_view(&self) -> api::Canary {
        let (state, problem) = match &self.canary.finding {
            None => (CanaryState::Off, String::new()),
            Some(Finding::Refused) => (CanaryState::Refused, String::new()),
            Some(Finding::Passed(hooks)) => (
                CanaryState::Passed,
                format!("The kernel stops nothing: it let the canary through {}.", hooks.join(", ")),
            ),
            Some(Finding::Silent(reason)) => {
                (CanaryState::Silent, format!("Nothing shows that the kernel stops operations: {reason}."))
            }
        };
        api::Canary { state, problem, heard: self.canary.heard.map(|heard| heard.rfc3339()) }
    }
}

/// The same to a person: of what passed, the names change with every try.
fn same(before: &Finding, now: &Finding) -> bool {
    std::mem::discriminant(before) == std::mem::discriminant(now)
}
