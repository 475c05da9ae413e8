//! What the closed sets of the API are called in front of a person.

use guard_common::op::Op;

use crate::{
    api::{AgentState, CallResult, Evidence, HoldContext, HoldState, Outcome, Reversibility, Scope, Sureness, Verdict},
    text::shown,
};

/// What the operation does, to follow "wants to".
pub(crate) fn phrase(op: &str) -> String {
    let Some(op) = Op::ALL.into_iter().find(|known| known.name() == op) else {
        return format!("do `{}`", shown(op));
    };
    match op {
        Op::Unlink => "delete a file",
        Op::Rmdir => "delete a directory",
        Op::Rename => "rename or move",
        Op::Link => "give a file another name",
        Op::Symlink => "make a symbolic link",
        Op::Mknod => "create a file",
        Op::Chmod => "change permissions",
        Op::Chown => "change the owner",
        Op::Truncate => "cut off a file's contents",
        Op::OpenWrite => "open a file for writing",
        Op::OpenRead => "read a file",
        Op::Exec => "run a program",
        Op::Connect => "connect",
        Op::Mount => "mount a file system",
        Op::MoveMount => "move a mount",
        Op::Umount => "unmount a file system",
        Op::PivotRoot => "change the root file system",
        Op::Ioctl => "send a command to a device",
        Op::Signal => "send a signal to a process outside the agent",
        Op::Ptrace => "look into or change another process",
        Op::IoUring => "set up io_uring",
    }
    .to_owned()
}

pub(crate) fn reversibility(reversibility: Reversibility) -> &'static str {
    match reversibility {
        Reversibility::Reversible => "reversible",
        Reversibility::Partial => "partly",
        Reversibility::Irreversible => "irreversible",
    }
}

pub(crate) fn agent_state(state: AgentState) -> &'static str {
    match state {
        AgentState::Running => "running",
        AgentState::Suspended => "suspended",
        AgentState::Empty => "empty",
    }
}

pub(crate) fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Approve => "approved",
        Verdict::Deny => "denied",
        Verdict::Kill => "killed",
    }
}

pub(crate) fn scope(scope: Scope) -> &'static str {
    match scope {
        Scope::Once => "once",
        Scope::Process => "for the process",
    }
}

/// What became of the operation, and how it ended where that is known.
pub(crate) fn outcome_and_result(outcome: Outcome, context: HoldContext, result: Option<&CallResult>) -> String {
    let known = result.map_or(String::new(), |result| format!(" and {}", result.words()));
    format!("{}{known}", self::outcome(outcome, context))
}

/// What became of the operation, as a sentence that tells the two tiers apart.
pub(crate) fn outcome(outcome: Outcome, context: HoldContext) -> &'static str {
    match (outcome, context) {
        (Outcome::Released, HoldContext::Held) => "released: the operation went on",
        (Outcome::Released, HoldContext::Denied) => "released: the agent tried again and it went through",
        (Outcome::Released, HoldContext::Tripped) => "released: the process goes on",
        (Outcome::Refused, HoldContext::Held | HoldContext::Denied) => {
            "refused: the program got \"Operation not permitted\""
        }
        (Outcome::Refused, HoldContext::Tripped) => "refused",
        (Outcome::Killed, _) => "killed: the process was ended by this decision",
        (Outcome::Died, _) => "died: the process ended before the decision reached it",
        (Outcome::Expired, _) => "expired: the permission was not used in time and is void",
        (Outcome::Unknown, _) => {
            "unknown: the kernel's notice was lost; the operation went on, or its process ended first"
        }
    }
}

pub(crate) fn sureness(sure: Sureness) -> &'static str {
    match sure {
        Sureness::Possible => "possible",
        Sureness::Likely => "likely",
        Sureness::Strong => "strong",
    }
}

pub(crate) fn evidence(evidence: Evidence) -> &'static str {
    match evidence {
        Evidence::Tree => "a process below the agent's",
        Evidence::Argv => "it runs the call's command",
        Evidence::Object => "the call names the object",
        Evidence::Cwd => "in the call's directory",
        Evidence::Time => "while the call was under way",
    }
}

pub(crate) fn context(context: HoldContext) -> &'static str {
    match context {
        HoldContext::Held => "held",
        HoldContext::Denied => "denied",
        HoldContext::Tripped => "trip",
    }
}

pub(crate) fn hold_state(state: HoldState) -> &'static str {
    match state {
        HoldState::Pending => "pending",
        HoldState::Deciding => "deciding",
        HoldState::Done => "done",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outcome_says_how_the_call_ended_where_that_is_known() {
        let said = |result: Option<u32>| {
            let result = result.map(CallResult::of);
            outcome_and_result(Outcome::Released, HoldContext::Held, result.as_ref())
        };
        assert_eq!(said(None), "released: the operation went on");
        assert_eq!(said(Some(0)), "released: the operation went on and succeeded");
        assert_eq!(said(Some(2)), "released: the operation went on and failed: No such file or directory (ENOENT)");
    }

    #[test]
    fn every_operation_has_its_own_phrase() {
        let phrases: std::collections::BTreeSet<String> = Op::ALL.iter().map(|op| phrase(op.name())).collect();
        assert_eq!(phrases.len(), Op::ALL.len());
    }
}
