//! What waits is woken, killed, traced or exchanged. Killing guardd is `guarding` and `faults`.

use super::{Row, enforced, gap, unproven};

const AGAIN: &str = "woken in whatever way, the call is done again and `gate` decides again";

pub(super) const ROWS: &[Row] = &[
    Row {
        id: "H1",
        class: "SIGCONT in a loop",
        lines: &[
            enforced(
                "by a process outside",
                &["a_rogue_sigcont_in_a_loop_changes_nothing", "a_rogue_sigcont_in_a_loop_connects_nothing"],
            ),
            unproven("by a process of the same agent", "refused by the hook `task_kill`"),
        ],
    },
    Row {
        id: "H2",
        class: "waking oneself",
        lines: &[
            enforced("under a shell with job control", &["an_interactive_shell_with_job_control_is_held_and_goes_on"])
                .note("the shell goes on, the job waits"),
            unproven("`fg`, `bg`", AGAIN),
            unproven("timers, a child's end, `F_SETSIG`, `PR_SET_PDEATHSIG`", AGAIN),
            unproven("an orphaned process group, a terminal that hangs up", AGAIN),
        ],
    },
    Row {
        id: "H3",
        class: "a tracer of the same agent",
        lines: &[
            unproven("attaching to what waits", "refused by the hook `ptrace_access_check`"),
            unproven("a tracer from before swallows the stop, or changes registers", AGAIN),
        ],
    },
    Row {
        id: "H4",
        class: "what waits ends",
        lines: &[
            enforced("it is killed from outside", &["a_held_process_killed_from_outside_leaves_no_hold"]),
            unproven("it is killed by a process of the same agent", "closed by the hook `task_free`"),
            unproven("another thread of it executes a program; its parent ends", "closed by the hook `task_free`"),
            gap("its agent is suspended meanwhile", "tested in the core alone"),
        ],
    },
    Row {
        id: "H5",
        class: "the first process of a pid namespace",
        lines: &[unproven(
            "`unshare -fp`, then a hold in the first process",
            "stopped by a signal that the kernel forces",
        )],
    },
    Row {
        id: "H6",
        class: "another object takes the approved one's place",
        lines: &[
            enforced("a directory is renamed", &["a_directory_renamed_while_held_does_not_move_the_approval"]),
            enforced("a symbolic link is turned", &["a_symlink_flipped_while_held_does_not_move_the_approval"]),
            enforced(
                "the arguments of an exec are rewritten",
                &["arguments_rewritten_while_held_do_not_run_under_the_approval"],
            ),
            unproven(
                "something is mounted there; the bytes of the path change",
                "a grant names the object, compared by `held::same`",
            ),
            unproven("a signal handler edits the registers", "a grant names the object, compared by `held::same`"),
        ],
    },
    Row {
        id: "H7",
        class: "many threads wait at once",
        lines: &[
            enforced("each has its own decision", &["two_threads_are_held_at_once_and_each_gets_its_own_decision"]),
            enforced(
                "stopped and woken together, over and over",
                &["eight_threads_held_over_and_over_never_see_the_restart"],
            ),
            gap("a thousand threads of one process", "no scenario has more than eight; a thousand processes are X3"),
        ],
    },
    Row {
        id: "H8",
        class: "a seccomp supervisor inside the agent does the call",
        lines: &[unproven("the supervisor's own call", "held, as the supervisor is tagged by the hook `task_alloc`")],
    },
    Row {
        id: "H9",
        class: "it waits while it has a lock that others need",
        lines: &[
            gap("flock(2), index.lock, the lock of dpkg", "it stays held until somebody decides, and the lock with it"),
            gap(
                "locks inside the kernel",
                "the call is undone before it stops, which lets go of them; no scenario looks",
            ),
        ],
    },
];
