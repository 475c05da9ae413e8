//! Counters: nothing the kernel programs refuse or lose is silent.

/// Index into the per-CPU `COUNTS` array.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// Operations held for the first time.
    Held = 0,
    /// The same operation stopped again without a grant.
    HeldAgain = 1,
    /// Grants used to approve.
    Approved = 2,
    /// Grants used to deny.
    Denied = 3,
    /// Operations refused because their context cannot wait.
    DeniedContext = 4,
    /// `HOLDS` or `TEXTS` was full: refused.
    HoldsFull = 5,
    /// The ring buffer was full: the notice was lost, the hold was not.
    NoticeLost = 6,
    /// `bpf_send_signal` failed: refused.
    SignalFailed = 7,
    /// No scratch memory was free on this CPU: refused.
    ScratchBusy = 8,
    /// A path could not be walked: treated as a candidate.
    PathDoubt = 9,
    /// A child could not be tagged: the fork was refused.
    TagFailed = 10,
    /// A grant was void (too late, for another hold): removed.
    GrantVoid = 11,
    /// What guard protects of itself was touched by an agent: refused.
    Shielded = 12,
    /// An executed program was not the one judged: stopped or killed.
    ExecMismatch = 13,
    /// What an agent made could not be marked as its own: it counts as foreign.
    MarkFailed = 14,
    /// Execs let through because the same one was cleared before.
    Remembered = 15,
    /// Execs of programs that rules name, let through because no rule could match the arguments.
    OtherArguments = 16,
    /// Operations of guardd's canary: refused, as they must be.
    Canary = 17,
    /// Tags of tasks that ended while the hooks were switched off, found on another task and taken off.
    StaleTag = 18,
    /// Execs of agents that guardd could not be told of: they are not in the log.
    ExecUnseen = 19,
    /// What agents touched that guardd could not be told of.
    FootprintUnseen = 20,
    /// Calls that went on after approval and that there was no room to wait for: how they ended is not known.
    ResultsFull = 21,
}

impl Count {
    pub const ALL: [Self; 22] = [
        Self::Held,
        Self::HeldAgain,
        Self::Approved,
        Self::Denied,
        Self::DeniedContext,
        Self::HoldsFull,
        Self::NoticeLost,
        Self::SignalFailed,
        Self::ScratchBusy,
        Self::PathDoubt,
        Self::TagFailed,
        Self::GrantVoid,
        Self::Shielded,
        Self::ExecMismatch,
        Self::MarkFailed,
        Self::Remembered,
        Self::OtherArguments,
        Self::Canary,
        Self::StaleTag,
        Self::ExecUnseen,
        Self::FootprintUnseen,
        Self::ResultsFull,
    ];

    /// The name used in the API and on screen.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::HeldAgain => "held_again",
            Self::Approved => "approved",
            Self::Denied => "denied",
            Self::DeniedContext => "denied_context",
            Self::HoldsFull => "holds_full",
            Self::NoticeLost => "notice_lost",
            Self::SignalFailed => "signal_failed",
            Self::ScratchBusy => "scratch_busy",
            Self::PathDoubt => "path_doubt",
            Self::TagFailed => "tag_failed",
            Self::GrantVoid => "grant_void",
            Self::Shielded => "shielded",
            Self::ExecMismatch => "exec_mismatch",
            Self::MarkFailed => "mark_failed",
            Self::Remembered => "remembered",
            Self::OtherArguments => "other_arguments",
            Self::Canary => "canary",
            Self::StaleTag => "stale_tag",
            Self::ExecUnseen => "exec_unseen",
            Self::FootprintUnseen => "footprint_unseen",
            Self::ResultsFull => "results_full",
        }
    }
}
