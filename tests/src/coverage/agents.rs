//! The sentences that must hold whatever is tried. Single ways past them are the other sections.

use super::{Row, enforced, gap, unproven};

pub(super) const ROWS: &[Row] = &[
    Row {
        id: "I1",
        class: "no effect before a decision, whatever signals are sent",
        lines: &[
            enforced(
                "SIGCONT, again and again",
                &["a_rogue_sigcont_in_a_loop_changes_nothing", "a_rogue_sigcont_in_a_loop_connects_nothing"],
            ),
            enforced("SIGKILL", &["a_held_process_killed_from_outside_leaves_no_hold"]),
            gap("every other signal, and every other operation", "no scenario"),
        ],
    },
    Row {
        id: "I2",
        class: "the same verdict for every spelling, entry, namespace, thread and user",
        lines: &[
            enforced(
                "Python, Node and Perl, each in the way of its libraries",
                &[
                    "python_os_unlink_gets_a_clean_error_after_denial_and_deletes_after_approval",
                    "node_promises_unlink_gets_a_clean_error_after_denial_and_deletes_after_approval",
                    "perl_unlink_gets_a_clean_error_after_denial_and_deletes_after_approval",
                ],
            ),
            enforced(
                "a second thread",
                &["python_in_a_thread_gets_a_clean_error_after_denial_and_deletes_after_approval"],
            ),
            enforced(
                "32-bit calls, other users",
                &["every_entry_into_the_kernel_is_held", "an_agent_is_held_as_whatever_user_and_in_whatever_namespace"],
            ),
            gap("every namespace", "see P4 and P5"),
        ],
    },
    Row {
        id: "I3",
        class: "whatever fails inside guard ends in a hold or a refusal, and is counted",
        lines: &[
            enforced("no room for a hold", &["what_finds_no_room_among_the_holds_is_refused_and_counted"]),
            enforced("no room for a notice", &["holds_made_while_the_ring_buffer_is_full_are_all_found"]),
            unproven(
                "a read of kernel memory, scratch memory, the tag of a child",
                "refused by `gate` and `task_alloc`; nothing outside makes them fail",
            ),
        ],
    },
    Row {
        id: "I4",
        class: "an approval is for one task, one object, once, and in time",
        lines: &[
            enforced(
                "one object",
                &[
                    "a_directory_renamed_while_held_does_not_move_the_approval",
                    "a_symlink_flipped_while_held_does_not_move_the_approval",
                ],
            ),
            enforced("one thread", &["two_threads_are_held_at_once_and_each_gets_its_own_decision"]),
            enforced("once", &["an_approval_is_used_once"]),
            enforced("in time", &["an_approval_that_is_too_old_is_not_used"])
                .note("guardd is gone meanwhile: it is the kernel that compares"),
        ],
    },
    Row {
        id: "I5",
        class: "an agent makes nobody who is not tagged, and may not speak to guardd",
        lines: &[
            enforced("children", &["a_daemonised_grandchild_is_still_an_agent"]),
            enforced("guardd", &["an_agent_may_not_decide"]),
            gap("others that act for it", "see C3 to C11"),
        ],
    },
    Row {
        id: "I6",
        class: "without guardd nothing more is allowed, and nothing is called protected that is not",
        lines: &[
            enforced("no guardd", &["what_happens_while_no_guardd_runs_is_held"]),
            enforced(
                "the status while the kernel stops nothing",
                &["hooks_that_are_switched_off_are_noticed_and_agents_suspended"],
            )
            .note("that the status says so, and that nobody is resumed; see G8 for the seconds before"),
            enforced("the status while the canary does not answer", &["a_canary_that_is_killed_is_replaced_and_said"]),
        ],
    },
    Row {
        id: "I7",
        class: "every verdict is in the log before it takes effect, and the log shows what was changed in it",
        lines: &[
            enforced("no approval without its line", &["nothing_is_approved_while_the_log_cannot_be_written"]),
            enforced("the order of a hold's lines", &["the_audit_log_tells_the_whole_story_of_a_hold"]),
            gap("a denial", "it takes effect at once, because it releases nothing; its line follows"),
            gap("lines removed or changed by root", "lines are numbered, and not chained"),
        ],
    },
    Row {
        id: "I8",
        class: "nobody else is held",
        lines: &[enforced(
            "untagged processes",
            &["an_untagged_process_is_never_held", "an_untagged_process_gets_its_io_uring"],
        )],
    },
];
