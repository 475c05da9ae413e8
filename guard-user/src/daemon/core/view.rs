//! What the core shows of itself: the API's shapes, made from its state. Text from agents becomes lossy UTF-8 here.

use std::os::unix::ffi::OsStrExt as _;

use guard_common::{
    op::{Op, rename, signal},
    record::doubt,
};

use super::{Answer, Core, Effect, problem};
use crate::{
    api::{self, HoldContext, HoldState, NamedCount, ProblemKind},
    daemon::scope,
    holds::{Hold, Stage},
    operation::{Address, Context, Operation},
    rules::touch::touches,
    text::lossy,
};

impl Core {
    pub(super) fn status(&self) -> api::Status {
        let counts = self.counts;
        let named = [
            ("cleared", counts.cleared),
            ("covered", counts.covered),
            ("would_hold", counts.would_hold),
            ("undecodable", counts.undecodable),
            ("missed", counts.missed),
            ("unknown_agent", counts.unknown_agent),
            ("refused_peers", counts.refused_peers),
            ("grant_failed", counts.grant_failed),
            ("tool_calls_lost", counts.untold),
            ("execs", counts.execs),
            ("execs_unwritten", counts.execs_unwritten),
            ("canary_passed", self.canary.passed),
        ];
        let (about, canary) = (&self.about, self.canary_view());
        let mut summary = about.summary.clone();
        if let Some(reason) = &self.audit_failed {
            summary = format!("NOTHING IS APPROVED: the audit log cannot be written ({reason}). {summary}");
        }
        if let Some(trouble) = &self.trouble {
            summary = format!("NOT FULLY PROTECTED: {trouble}. {summary}");
        }
        if self.is_blind() {
            summary = format!("NOTHING IS STOPPED FOR CERTAIN: {} {summary}", canary.problem);
        }
        let whole = self.trouble.is_none() && !self.is_blind() && about.features.iter().all(|feature| feature.ok);
        api::Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: about.pid,
            started: self.started.rfc3339(),
            kernel: about.kernel.clone(),
            tier: about.tier,
            reason: about.reason.clone(),
            protecting: about.tier == api::Tier::Gate && whole,
            summary,
            rules: u32::try_from(self.rulebook.len()).unwrap_or(u32::MAX),
            agents: u32::try_from(self.agents.len()).unwrap_or(u32::MAX),
            pending: self.holds.pending(None),
            audit_ok: self.audit_failed.is_none(),
            audit_path: about.audit_path.clone(),
            canary,
            counts: named.map(|(name, value)| NamedCount { name: name.to_owned(), value }).into(),
            features: about.features.clone(),
        }
    }

    #[cfg(test)]
    pub(crate) fn status_for_tests(&self) -> api::Status {
        self.status()
    }

    #[cfg(test)]
    pub(crate) fn agents_for_tests(&self) -> Option<api::Agent> {
        self.agents.iter().next().map(|agent| agent.view(0))
    }

    pub(super) fn publish_status(&mut self) {
        let status = Box::new(self.status());
        self.emit(Effect::Publish(Box::new(api::Event::Status { status })));
    }

    pub(super) fn publish_hold(&mut self, number: u64, event: impl FnOnce(Box<api::Hold>) -> api::Event) {
        if let Some(hold) = self.holds.get(number) {
            let event = event(Box::new(self.hold_view(hold)));
            self.emit(Effect::Publish(Box::new(event)));
        }
    }

    pub(super) fn hold_answer(&self, number: u64) -> Answer {
        match self.holds.get(number) {
            Some(hold) => Answer::Hold(Box::new(self.hold_view(hold))),
            None => problem(ProblemKind::NotFound, format!("There is no hold h{number}.")),
        }
    }

    /// Oldest first.
    pub(super) fn hold_views(&self, all: bool) -> Vec<api::Hold> {
        self.holds.iter().filter(|hold| all || hold.live()).map(|hold| self.hold_view(hold)).collect()
    }

    fn hold_view(&self, hold: &Hold) -> api::Hold {
        let operation = &hold.operation;
        api::Hold {
            id: hold.id(),
            state: match hold.stage {
                Stage::Pending => HoldState::Pending,
                Stage::Recording { .. } | Stage::Granted { .. } | Stage::Killing => HoldState::Deciding,
                Stage::Done => HoldState::Done,
            },
            since: hold.since.rfc3339(),
            agent: hold.agent.map(|agent| format!("a{agent}")).unwrap_or_default(),
            agent_name: hold.agent_name.clone(),
            operation: self::operation(operation),
            processes: match &hold.facts {
                Some(facts) if !facts.processes.is_empty() => facts.processes.clone(),
                Some(_) | None => vec![actor(operation)],
            },
            rule: hold.ruling.rule.clone(),
            rule_text: hold.ruling.text.clone(),
            reversibility: hold.ruling.reversibility,
            context: context(operation),
            blast: hold.blast.clone(),
            scope: words(hold),
            stops: hold.stops,
            decision: hold.decision.clone(),
            outcome: hold.outcome,
            result: hold.result.clone(),
            cause: hold.cause.clone(),
            environment: hold.facts.as_ref().map(|facts| facts.environment.clone()).unwrap_or_default(),
        }
    }
}

/// How it was stopped.
pub(super) fn context(operation: &Operation) -> HoldContext {
    match operation.context {
        Context::Held => HoldContext::Held,
        Context::Denied => HoldContext::Denied,
        Context::Tripped => HoldContext::Tripped,
    }
}

/// What `approve` covers, in words.
fn words(hold: &Hold) -> String {
    let operation = &hold.operation;
    let (op, comm, pid) = (operation.op.name(), lossy(&operation.comm), operation.tgid);
    match hold.root() {
        Some(root) => {
            format!("{op} by {comm} (pid {pid}) below {} until it ends", lossy(root.as_os_str().as_bytes()))
        }
        None if scope::has_place(operation.op) && hold.facts.is_none() => {
            format!("this {op} by {comm} (pid {pid}), and the same again until it ends")
        }
        None => format!("this very {op} by {comm} (pid {pid}), and the same again until it ends"),
    }
}

/// The acting process as far as the kernel told, while nothing more is known.
pub(super) fn actor(operation: &Operation) -> api::Process {
    api::Process {
        pid: operation.tgid,
        ppid: 0,
        uid: operation.uid,
        user: String::new(),
        comm: lossy(&operation.comm),
        exe: String::new(),
        argv: Vec::new(),
        cwd: String::new(),
    }
}

pub(super) fn operation(operation: &Operation) -> api::OperationView {
    api::OperationView {
        op: operation.op.name().to_owned(),
        path: lossy(operation.path.as_os_str().as_bytes()),
        other_path: lossy(operation.other_path.as_os_str().as_bytes()),
        argv: operation.argv.iter().map(|argument| lossy(argument.as_bytes())).collect(),
        address: operation.address.as_ref().map(address).unwrap_or_default(),
        object_type: if operation.target.ino == 0 { String::new() } else { object_type(operation.target.mode).into() },
        size: operation.target.size,
        own: asks_whose(operation).then_some(operation.target.own),
        detail: detail(operation),
        doubt: doubts(operation.doubt),
    }
}

pub(super) fn address(address: &Address) -> String {
    match address {
        Address::Inet(address) => address.to_string(),
        Address::UnixPath(path) => format!("unix:{}", lossy(path.as_os_str().as_bytes())),
        Address::UnixAbstract(name) => format!("unix:@{}", lossy(name)),
        Address::Other(..) if address.is_anywhere() => "anywhere, by a raw or packet socket".to_owned(),
        Address::Other(family, _) => format!("address family {family}"),
    }
}

/// The kernel looked whose the object is.
fn asks_whose(operation: &Operation) -> bool {
    operation.context != Context::Tripped
        && operation.target.ino != 0
        && touches(operation).iter().any(|touch| touch.act.asks_whose())
}

fn object_type(mode: u32) -> &'static str {
    match mode & 0o170_000 {
        0o100_000 => "file",
        0o040_000 => "directory",
        0o120_000 => "symlink",
        0o060_000 => "block device",
        0o020_000 => "character device",
        0o010_000 => "fifo",
        0o140_000 => "socket",
        _ => "",
    }
}

fn detail(operation: &Operation) -> String {
    let [first, second, third, _] = operation.detail;
    match operation.op {
        Op::Rename => {
            let says = [
                (rename::OVERWRITE, "overwrites what stood there"),
                (rename::EXCHANGE, "exchanges the two"),
                (rename::WHITEOUT, "leaves a whiteout"),
                (rename::ELSEWHERE, "moves it to another directory"),
            ];
            let said: Vec<_> =
                says.iter().filter(|(flag, _)| operation.flags & flag != 0).map(|(_, text)| *text).collect();
            said.join(", ")
        }
        Op::Mknod | Op::Chmod => format!("mode {:o}", first & 0o7777),
        Op::Chown => format!("to uid {} gid {}", owner(first), owner(second)),
        Op::Ioctl => format!("ioctl command {first:#x}"),
        Op::Signal if second == 0 => format!("signal {first} to {}", group(third)),
        Op::Signal => format!("signal {first} to pid {second}"),
        Op::Ptrace => format!("of pid {second}"),
        // fsconfig(2) names a file system, and nobody knows by which of its mounts it was found.
        Op::Mount if operation.path.as_os_str().is_empty() => {
            format!("fsconfig(2) remounts the file system {}", operation.other_path.display())
        }
        Op::Mount => format!("mount flags {first:#x}"),
        Op::Unlink
        | Op::Rmdir
        | Op::Link
        | Op::Symlink
        | Op::Truncate
        | Op::OpenWrite
        | Op::OpenRead
        | Op::Exec
        | Op::Connect
        | Op::MoveMount
        | Op::Umount
        | Op::PivotRoot
        | Op::IoUring => String::new(),
    }
}

/// Whom a signal goes to that may go to several.
fn group(to: u64) -> String {
    match (to.cast_signed(), to.wrapping_sub(signal::PIDFD_GROUP)) {
        (0, _) => "its own process group, which others are in".to_owned(),
        (-1, _) => "every process it may send one to".to_owned(),
        (group, _) if group < 0 => format!("process group {}", group.unsigned_abs()),
        (_, descriptor) => format!("the process group of descriptor {descriptor}"),
    }
}

/// `chown(2)` leaves alone what is -1.
fn owner(id: u64) -> String {
    if id as u32 == u32::MAX { "unchanged".to_owned() } else { id.to_string() }
}

pub(super) fn doubts(bits: u32) -> String {
    let known = [
        (doubt::PATH, "the path is longer or deeper than guard reads, or is not known"),
        (doubt::READ, "the kernel could not read all of it"),
        (doubt::ARGV, "there are more or longer arguments than guard reads"),
        (doubt::DETACHED, "the object is not connected to a root"),
    ];
    let mut says: Vec<&str> = known.iter().filter(|(bit, _)| bits & bit != 0).map(|(_, text)| *text).collect();
    if bits & !known.iter().fold(0, |all, (bit, _)| all | bit) != 0 {
        says.push("for a reason this version does not know");
    }
    says.join("; ")
}
