//! guard is flooded, starved or confused by names that are used again. What it does when parts of it break is `faults`.

use super::{Row, enforced, gap, unproven};

pub(super) const ROWS: &[Row] = &[
    Row {
        id: "X1",
        class: "more events than the ring buffer takes",
        lines: &[
            enforced(
                "nothing passes, and every hold is found",
                &["holds_made_while_the_ring_buffer_is_full_are_all_found"],
            ),
            gap("a million a second", "the scenario sends ten thousand while guardd sleeps"),
        ],
    },
    Row {
        id: "X2",
        class: "tables that are full",
        lines: &[
            enforced("holds: refused and counted", &["what_finds_no_room_among_the_holds_is_refused_and_counted"]),
            enforced(
                "agents: more in a row than fit at once",
                &["more_short_agents_in_a_row_than_fit_at_once_all_work_and_few_stay_listed"],
            ),
            unproven(
                "tasks: a child that cannot be tagged is not made",
                "refused by the hook `task_alloc`: there is room for 131,072, more than a machine here has memory for",
            ),
            unproven(
                "arguments of execs",
                "refused by the hook `bprm_check_security`: there is room for 1,024 that are on their way at the same moment",
            ),
        ],
    },
    Row {
        id: "X3",
        class: "many processes",
        lines: &[
            enforced("a fork bomb of 1,000 is ended by the kill switch", &["the_kill_switch_ends_a_fork_bomb"]),
            enforced("1,000 processes are held at once", &["a_thousand_holds_at_once_are_all_kept_and_all_end"]),
            enforced("a fork bomb in a slice with a limit of tasks", &["a_fork_bomb_in_the_slice_is_killed"]),
            gap("10,000 held at once", "there is room for 2,048; what finds none is refused, as X2 shows"),
            enforced("guardd has no descriptors left", &["guardd_without_files_holds_and_goes_on_when_it_has_some"]),
        ],
    },
    Row {
        id: "X4",
        class: "memory",
        lines: &[gap("an agent takes all of it", "the unit keeps guardd from being chosen; no scenario tries")],
    },
    Row {
        id: "X5",
        class: "processors",
        lines: &[enforced(
            "an agent keeps all of them busy",
            &["an_agent_that_keeps_every_processor_busy_is_held_decided_about_and_suspended"],
        )],
    },
    Row {
        id: "X6",
        class: "a process number is used again",
        lines: &[enforced(
            "between the display and the decision",
            &["an_answer_for_a_process_that_ended_goes_to_nobody_who_has_its_number"],
        )],
    },
    Row {
        id: "X7",
        class: "the clock jumps, the machine sleeps",
        lines: &[
            enforced(
                "holds and approvals, which are on the clock since boot",
                &["a_clock_that_jumps_ten_years_changes_no_hold"],
            ),
            gap("the time a policy gives an agent (`until`)", "it is on the wall clock, and moves with it"),
        ],
    },
    Row {
        id: "X8",
        class: "the log cannot be written",
        lines: &[
            enforced("disk full", &["nothing_is_approved_while_the_log_cannot_be_written"]),
            enforced(
                "input/output error, read-only",
                &["nothing_is_approved_once_the_logs_file_system_broke_and_is_read_only"],
            ),
        ],
    },
    Row {
        id: "X9",
        class: "an inode number is used again",
        lines: &[
            enforced(
                "by a directory, where another was remembered",
                &["a_directory_made_where_a_harmless_one_was_removed_is_not_taken_for_it"],
            ),
            enforced(
                "a name that an agent could not make, and another did",
                &["a_name_that_could_not_be_made_gives_no_right_to_what_has_it_later"],
            ),
            enforced(
                "by a file, between hold and grant",
                &["a_file_with_the_inode_number_of_the_held_one_is_held_anew"],
            ),
        ],
    },
    Row {
        id: "X10",
        class: "a person is tired or deceived",
        lines: &[
            enforced(
                "one prompt for many of the same",
                &[
                    "a_recursive_delete_asks_once_and_then_completes",
                    "many_small_deletes_are_one_large_one_and_one_prompt_covers_them",
                ],
            ),
            enforced(
                "names that look like others by turning the direction",
                &["a_name_with_direction_overrides_is_held_and_shown_escaped"],
            ),
            gap("names that look like others by similar letters", "shown as they are"),
            gap("a flood of prompts", "nothing limits their rate, and nothing denies after so many"),
            gap("arguments of several kilobytes", "no scenario looks at how they are shown"),
        ],
    },
];
