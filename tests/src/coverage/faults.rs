//! Parts of guard, or what it stands on, break: while nothing happens, while something is held, while it is changed.

use super::{Kernel, Row, audited, enforced, gap};

const UNPROTECTED: &str = "guardd_on_a_kernel_without_bpf_lsm_says_that_it_prevents_nothing";

pub(super) const ROWS: &[Row] = &[
    Row {
        id: "T1",
        class: "guardd is killed",
        lines: &[
            enforced(
                "while nothing is held",
                &[
                    "what_happens_while_no_guardd_runs_is_held",
                    "the_tables_of_an_earlier_guardd_are_removed_and_its_agents_stay_guarded",
                ],
            ),
            enforced("while something is held", &["a_hold_outlives_guardd_and_is_decided_by_the_next_one"]),
            enforced(
                "as a service",
                &["a_hold_outlives_a_guardd_that_was_killed", "a_hold_outlives_a_restart_of_the_service_under_its_id"],
            ),
            enforced("what an agent made stays its own", &["what_an_agent_made_is_its_own_after_a_crash_of_guardd"]),
            enforced(
                "at random moments while an answer is under way",
                &["guardd_killed_at_any_moment_loses_no_hold_and_leaks_no_approval"],
            )
            .note("six answers in every run, a thousand in `cargo xtask test --soak`"),
            enforced("while rules are read", &["guardd_killed_while_it_reads_rules_lets_nothing_through"]),
            enforced(
                "while it takes over from an older version",
                &["guardd_killed_while_it_takes_over_lets_nothing_through"],
            ),
        ],
    },
    Row {
        id: "T2",
        class: "guardd hangs",
        lines: &[
            enforced(
                "stopped by a signal while operations come",
                &["holds_made_while_the_ring_buffer_is_full_are_all_found"],
            ),
            enforced("the service ends it and starts another", &["a_guardd_that_hangs_is_ended_and_started_again"]),
            enforced("no memory", &["guardd_without_memory_is_killed_and_the_next_one_goes_on"]),
            enforced("too little of the processors", &["holds_are_made_and_decided_while_every_processor_is_busy"]),
        ],
    },
    Row {
        id: "T3",
        class: "the log's disk",
        lines: &[
            enforced("full, while something is held", &["nothing_is_approved_while_the_log_cannot_be_written"]),
            enforced(
                "broken and read-only, while something is held",
                &["nothing_is_approved_once_the_logs_file_system_broke_and_is_read_only"],
            ),
            enforced(
                "no descriptors left (`EMFILE`), while operations come",
                &["guardd_without_files_holds_and_goes_on_when_it_has_some"],
            ),
            enforced("full, while rules are read", &["rules_read_while_the_log_cannot_be_written_let_nothing_through"]),
            gap("during an upgrade", "no scenario"),
        ],
    },
    Row {
        id: "T4",
        class: "the power fails",
        lines: &[gap("lines torn or out of order on the disk", "no scenario; a torn last line is tested on the host")],
    },
    Row {
        id: "T5",
        class: "the kernel's tables are full",
        lines: &[
            enforced("holds", &["what_finds_no_room_among_the_holds_is_refused_and_counted"]),
            enforced("the ring buffer", &["holds_made_while_the_ring_buffer_is_full_are_all_found"]),
            gap("tags, arguments", "no scenario; see X2"),
        ],
    },
    Row {
        id: "T6",
        class: "clocks",
        lines: &[
            enforced("ten years forward and back", &["a_clock_that_jumps_ten_years_changes_no_hold"]),
            gap("suspend", "no scenario"),
        ],
    },
    Row {
        id: "T7",
        class: "several versions of guardd",
        lines: &[
            enforced("a second one", &["a_second_guardd_refuses_and_names_the_first"]),
            enforced("an upgrade while something is held", &["a_hold_outlives_an_upgrade_of_the_package_under_its_id"])
                .note("both versions have the same tables"),
            enforced("programs of an older version", &["programs_of_an_older_version_are_replaced_and_hold_anew"]),
            enforced(
                "programs of a newer version, tables of another layout",
                &[
                    "programs_of_a_newer_version_keep_guardd_from_starting",
                    "maps_of_another_layout_keep_guardd_from_starting",
                ],
            ),
        ],
    },
    Row {
        id: "T8",
        class: "what guard stands on is taken away",
        lines: &[
            audited("`ftrace_enabled=0` by root", &["hooks_that_are_switched_off_are_noticed_and_agents_suspended"]),
            enforced("the pins are removed", &["what_was_held_is_held_anew_when_the_pins_are_gone"]).note(
                "guardd keeps the programs at work; once it ends as well, nothing is held until the next one starts",
            ),
            audited("a kernel without BPF LSM", &[UNPROTECTED])
                .on(&[Kernel::V6_12])
                .note("guardd starts the trip tier and says so"),
        ],
    },
];
