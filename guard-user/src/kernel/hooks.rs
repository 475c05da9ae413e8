//! The list of kernel programs: what each is for, and what its absence costs.

use guard_common::op::Op;

/// How a program attaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attach {
    /// LSM hook of this name.
    Lsm(&'static str),
    /// Raw tracepoint of this name.
    RawTracepoint(&'static str),
}

/// One kernel program.
#[derive(Clone, Copy, Debug)]
pub struct Hook {
    /// Name of the program in the object.
    pub program: &'static str,
    pub attach: Attach,
    /// What is not seen without it; empty for one that has a stand-in.
    pub cost: &'static str,
    /// Another program does the same on kernels that lack this hook.
    pub instead: Option<&'static str>,
    /// The operations it holds; empty for one that tags or cleans up.
    pub ops: &'static [Op],
}

/// Without one of these a tier is not what it says: guardd does not start it.
const ESSENTIAL: [&str; 12] = [
    "task_alloc",
    "bprm_check_security",
    "path_unlink",
    "path_rmdir",
    "path_rename",
    "file_open",
    // `socket_connect` leaves socket files to these.
    "unix_stream_connect",
    "unix_may_send",
    "sched_process_fork",
    "sched_process_exit",
    "sched_process_exec",
    "sys_exit",
];

impl Hook {
    /// True for a program without which its tier must not be claimed.
    #[must_use]
    pub fn is_essential(&self) -> bool {
        ESSENTIAL.contains(&self.program)
    }
}

const fn lsm(program: &'static str, ops: &'static [Op], cost: &'static str) -> Hook {
    Hook { program, attach: Attach::Lsm(program), cost, instead: None, ops }
}

/// Programs of the gate tier, in the order they attach: who is tagged first, then what they do.
pub const GATE: &[Hook] = &[
    lsm("task_alloc", &[], "children of an agent would not be tagged: no gate without it"),
    lsm("task_free", &[], "holds of ended tasks are closed late"),
    lsm("bprm_check_security", &[Op::Exec], "programs are not held before they run"),
    Hook {
        program: "sched_process_exec",
        attach: Attach::RawTracepoint("sched_process_exec"),
        cost: "arguments changed after judgement are not noticed",
        instead: None,
        ops: &[],
    },
    lsm("path_unlink", &[Op::Unlink], "removal of files is not held"),
    lsm("path_rmdir", &[Op::Rmdir], "removal of directories is not held"),
    lsm("path_rename", &[Op::Rename], "renaming over files is not held"),
    lsm("path_link", &[Op::Link], "hard links are not held"),
    lsm("path_symlink", &[Op::Symlink], "symbolic links are not held"),
    lsm("path_mknod", &[Op::Mknod], "creation of files and nodes is not held"),
    lsm("path_mkdir", &[], "directories that an agent makes are not known to be its own: removing them is held"),
    lsm("d_instantiate", &[], "what an agent makes is not known to be its own: removing it is held"),
    lsm("path_chmod", &[Op::Chmod], "changes of mode are not held"),
    lsm("path_chown", &[Op::Chown], "changes of owner are not held"),
    lsm("path_truncate", &[Op::Truncate], "truncation by name is not held"),
    Hook {
        program: "file_truncate",
        attach: Attach::Lsm("file_truncate"),
        cost: "truncation of open files is not held",
        instead: Some("path_truncate"),
        ops: &[Op::Truncate],
    },
    lsm("file_open", &[Op::OpenWrite, Op::OpenRead], "opening of files is not held"),
    lsm("file_ioctl", &[Op::Ioctl], "destructive ioctls are not held"),
    lsm("file_ioctl_compat", &[Op::Ioctl], "destructive ioctls of 32-bit programs are not held"),
    lsm("socket_connect", &[Op::Connect], "connections are not held"),
    lsm("unix_stream_connect", &[Op::Connect], "connections to socket files are not held"),
    lsm("unix_may_send", &[Op::Connect], "datagrams to socket files are not held"),
    lsm("socket_create", &[Op::Connect], "raw and packet sockets are not held where any connection is"),
    lsm("socket_sendmsg", &[Op::Connect], "what is sent to an address without a connection is not held"),
    lsm(
        "file_permission",
        &[Op::OpenWrite, Op::OpenRead],
        "what an agent does with files it had open when it was tagged is not held",
    ),
    lsm("mmap_file", &[Op::OpenWrite], "what an agent maps of files it had open when it was tagged is not held"),
    lsm("file_receive", &[Op::OpenWrite, Op::OpenRead], "files that others send to an agent are not refused"),
    lsm("sb_mount", &[Op::Mount], "mounts are not held"),
    lsm("sb_remount", &[Op::Mount], "remounting by fsconfig(2) is not refused"),
    lsm("move_mount", &[Op::MoveMount], "moving of mounts is not held"),
    lsm("sb_umount", &[Op::Umount], "unmounting is not held"),
    lsm("sb_pivotroot", &[Op::PivotRoot], "pivot_root is not held"),
    lsm("task_kill", &[Op::Signal], "signals at other processes are not held, guardd's own included"),
    lsm("ptrace_access_check", &[Op::Ptrace], "attaching to other processes is not refused"),
    Hook {
        program: "uring_allowed",
        attach: Attach::Lsm("uring_allowed"),
        cost: "",
        instead: Some("inode_init_security_anon"),
        ops: &[Op::IoUring],
    },
    Hook {
        program: "inode_init_security_anon",
        attach: Attach::Lsm("inode_init_security_anon"),
        cost: "io_uring rings are not refused; their operations are, one by one",
        instead: Some("uring_allowed"),
        ops: &[Op::IoUring],
    },
    lsm("bpf", &[], "an agent that is root could take guard's programs down"),
    lsm("task_setrlimit", &[], "an agent that is root could take guardd its files or its processor time"),
    lsm("task_setscheduler", &[], "an agent that is root could keep guardd from running"),
    lsm("task_setnice", &[], "an agent that is root could slow guardd down"),
    lsm("task_setioprio", &[], "an agent that is root could slow guardd's log down"),
    lsm("task_movememory", &[], "an agent that is root could move guardd's memory"),
    lsm("kernel_read_file", &[], "an agent that is root could load kernel modules"),
    lsm("kernel_load_data", &[], "an agent that is root could load kernel modules from memory, or another kernel"),
    lsm("capable", &[], "an agent that is root could restart the machine or reach its registers and memory"),
    lsm("inode_free_security", &[], "what gets the number of a removed file of guard's is refused to agents"),
    lsm("settime", &[], "an agent that is root could set the clock by which the log is read"),
];

/// Of the gate tier, and at work only while the end of a call is awaited that an approval let through.
pub const CALL_OVER: Hook = Hook {
    program: "call_over",
    attach: Attach::RawTracepoint("sys_exit"),
    cost: "how approved operations ended is not known",
    instead: None,
    ops: &[],
};

/// Programs of the trip tier.
pub const TRIP: &[Hook] = &[
    Hook {
        program: "sched_process_fork",
        attach: Attach::RawTracepoint("sched_process_fork"),
        cost: "children of an agent would not be tagged once they leave its cgroup",
        instead: None,
        ops: &[],
    },
    Hook {
        program: "sched_process_exit",
        attach: Attach::RawTracepoint("sched_process_exit"),
        cost: "holds of ended tasks are closed late",
        instead: None,
        ops: &[],
    },
    Hook {
        program: "sched_process_exec",
        attach: Attach::RawTracepoint("sched_process_exec"),
        cost: "programs are not stopped before their first instruction",
        instead: None,
        ops: &[Op::Exec],
    },
    Hook {
        program: "sys_exit",
        attach: Attach::RawTracepoint("sys_exit"),
        cost: "nothing but exec is stopped",
        instead: None,
        ops: &[
            Op::Unlink,
            Op::Rmdir,
            Op::Rename,
            Op::Link,
            Op::Symlink,
            Op::Mknod,
            Op::Chmod,
            Op::Chown,
            Op::Truncate,
            Op::OpenWrite,
            Op::OpenRead,
            Op::Connect,
            Op::Mount,
            Op::MoveMount,
            Op::Umount,
            Op::PivotRoot,
            Op::Ioctl,
            Op::Ptrace,
            Op::IoUring,
        ],
    },
    Hook {
        program: "signal_generate",
        attach: Attach::RawTracepoint("signal_generate"),
        cost: "signals at other processes are not seen, guardd's own included",
        instead: None,
        ops: &[Op::Signal],
    },
];

/// What no tracepoint can close: name, what is so, what it costs.
pub const TRIP_BLIND: &[(&str, &str, &str)] = &[
    (
        "trip/memory",
        "paths, addresses and descriptors are looked at when the call is done, not while the kernel uses them",
        "an agent whose threads change them in that moment can hide what it did",
    ),
    (
        "trip/bpf",
        "bpf(2) is not refused: a tracepoint refuses nothing",
        "an agent that is root could take guard's programs down",
    ),
    (
        "trip/open-before",
        "reads, writes and sends are not looked at, only what opens and connects",
        "what an agent had open when it was tagged, or is sent by others, it may use as it likes",
    ),
    (
        "trip/own-files",
        "guard's own files are known by their paths, and controls of the kernel by the rules' names for them",
        "a hard link or another mount from before hides them",
    ),
    (
        "trip/kernel-opens",
        "files that the kernel opens for a call are not seen (swapon, acct)",
        "a protected file can be written through them by an agent that is root",
    ),
    (
        "trip/woken",
        "a stop is a signal, which another process may take back",
        "a program stopped at its start that its agent wakes is killed only at the end of its first system call",
    ),
];
