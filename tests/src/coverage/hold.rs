//! What waits is woken, killed, traced or exchanged. Killing guardd is `guarding` and `faults`.

use super::{Row, enforced, gap};

pub(super) const ROWS: &[Row] = &[
    Row {
        id: "H1",
        class: "SIGCONT in a loop",
        lines: &[
            enforced(
                "by a process outside",
                &["a_rogue_sigcont_in_a_loop_changes_nothing", "a_rogue_sigcont_in_a_loop_connects_nothing"],
            ),
            enforced("by a process of the same agent", &["what_waits_stays_undone_whatever_wakes_or_traces_it"])
                .note("refused; where it is for another thread of what waits, all are stopped again"),
        ],
    },
    Row {
        id: "H2",
        class: "waking oneself",
        lines: &[
            enforced("under a shell with job control", &["an_interactive_shell_with_job_control_is_held_and_goes_on"])
                .note("the shell goes on, the job waits"),
            enforced("`fg`, `bg`", &["what_waits_stays_undone_whatever_wakes_or_traces_it"]),
            enforced(
                "timers, a child's end, `F_SETSIG`, `PR_SET_PDEATHSIG`",
                &["what_waits_stays_undone_whatever_wakes_or_traces_it"],
            ),
            enforced(
                "an orphaned process group, a terminal that hangs up",
                &["what_waits_stays_undone_whatever_wakes_or_traces_it"],
            ),
        ],
    },
    Row {
        id: "H3",
        class: "a tracer of the same agent",
        lines: &[
            enforced("attaching to what waits", &["what_waits_stays_undone_whatever_wakes_or_traces_it"])
                .note("refused"),
            enforced(
                "a tracer from before swallows every stop",
                &["what_waits_stays_undone_whatever_wakes_or_traces_it"],
            ),
            enforced(
                "a tracer from before changes registers",
                &["an_answer_is_for_no_other_object_that_the_same_call_comes_to"],
            ),
        ],
    },
    Row {
        id: "H4",
        class: "what waits ends",
        lines: &[
            enforced("it is killed from outside", &["a_held_process_killed_from_outside_leaves_no_hold"]),
            enforced(
                "it is killed by a process of the same agent",
                &["what_its_agent_kills_or_replaces_while_it_waits_is_undone"],
            ),
            enforced(
                "another thread of it executes a program",
                &["what_its_agent_kills_or_replaces_while_it_waits_is_undone"],
            ),
            enforced("its parent ends", &["what_waits_stays_undone_whatever_wakes_or_traces_it"]).note("it waits on"),
            enforced(
                "its agent is suspended meanwhile",
                &["what_waits_in_a_suspended_agent_is_approved_after_it_was_resumed"],
            ),
        ],
    },
    Row {
        id: "H5",
        class: "the first process of a pid namespace",
        lines: &[enforced(
            "`unshare -fp`, then a hold in the first process",
            &["an_agent_is_held_as_whatever_user_and_in_whatever_namespace"],
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
            enforced(
                "something is mounted there; the bytes of the path change",
                &["an_answer_is_for_no_other_object_that_the_same_call_comes_to"],
            ),
            enforced(
                "a signal handler edits the registers",
                &["an_answer_is_for_no_other_object_that_the_same_call_comes_to"],
            ),
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
        lines: &[enforced("the supervisor's own call", &["what_waits_stays_undone_whatever_wakes_or_traces_it"])],
    },
    Row {
        id: "H9",
        class: "it waits while it has a lock that others need",
        lines: &[
            gap("flock(2), index.lock, the lock of dpkg", "it stays held until somebody decides, and the lock with it"),
            enforced("locks inside the kernel", &["an_answer_is_for_no_other_object_that_the_same_call_comes_to"])
                .note("files are made in the directory while a removal from it waits"),
        ],
    },
];
