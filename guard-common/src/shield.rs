//! What guard refuses every agent, whatever the rules say: what would harm guard itself, or lift it off the kernel.

/// What was refused.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Shield {
    /// A signal to guardd.
    Signal = 1,
    /// `SIGCONT` to a thread that waits for a decision.
    Wake = 2,
    /// Tracing guardd, or a thread that waits for a decision.
    Trace = 3,
    /// `bpf(2)`.
    Bpf = 4,
    /// Resource limits of guardd.
    Limits = 5,
    /// Scheduling class, affinity, niceness or IO priority of guardd.
    Scheduling = 6,
    /// Moving guardd's memory between nodes.
    Memory = 7,
    /// Loading a kernel module, a kexec image or a policy.
    KernelCode = 8,
    /// Setting the clock.
    Clock = 9,
    /// Restarting or stopping the machine.
    Reboot = 10,
    /// Ports, registers and memory of the machine.
    RawIo = 11,
    /// The file the kernel writes of every process that ends.
    Accounting = 12,
    /// Changing guard's own files, whatever they are reached by.
    OwnFiles = 13,
    /// Writing to cgroups, pins of BPF, tracing and debugging.
    Controls = 14,
}

impl Shield {
    pub const ALL: [Self; 14] = [
        Self::Signal,
        Self::Wake,
        Self::Trace,
        Self::Bpf,
        Self::Limits,
        Self::Scheduling,
        Self::Memory,
        Self::KernelCode,
        Self::Clock,
        Self::Reboot,
        Self::RawIo,
        Self::Accounting,
        Self::OwnFiles,
        Self::Controls,
    ];

    /// `None` for a number this version has no name for.
    #[must_use]
    pub fn from_number(number: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|shield| *shield as u32 == number)
    }

    /// Completes "an agent tried …".
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Signal => "to signal guardd",
            Self::Wake => "to wake a thread that waits for a decision",
            Self::Trace => "to trace guardd, or a thread that waits for a decision",
            Self::Bpf => "bpf(2)",
            Self::Limits => "to change guardd's resource limits",
            Self::Scheduling => "to change how guardd is scheduled",
            Self::Memory => "to move guardd's memory",
            Self::KernelCode => "to load a kernel module, a kexec image or a kernel policy",
            Self::Clock => "to set the clock",
            Self::Reboot => "to restart or stop the machine",
            Self::RawIo => "to reach ports, registers or memory of the machine",
            Self::Accounting => "to change where the kernel writes its process accounting",
            Self::OwnFiles => "to change guard's own files",
            Self::Controls => "to write to cgroups, BPF pins, tracing or debugging",
        }
    }
}
