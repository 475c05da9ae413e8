//! An agent gets an approval that nobody meant to give, or makes the rules. Its ways to other processes are `leaving`.

use super::{Row, enforced, gap};

pub(super) const ROWS: &[Row] = &[
    Row {
        id: "A1",
        class: "it approves itself",
        lines: &[
            enforced(
                "`guardctl approve` and `guardctl pending` by an agent that is root",
                &["an_agent_may_not_decide"],
            ),
            enforced(
                "through a script, a link or another user",
                &["an_agent_may_not_decide_through_a_script_or_another_user"],
            ),
            enforced(
                "through ssh to this host",
                &["what_an_agent_says_to_helpers_and_hosts_is_held_before_the_first_packet"],
            )
            .note("the connection is held: see C5"),
            gap("through a helper that is no agent", "as in C7: that one may decide what its user may"),
        ],
    },
    Row {
        id: "A2",
        class: "it types or paints",
        lines: &[
            enforced(
                "typing into a terminal by `TIOCSTI`",
                &["typing_into_its_terminal_is_held_and_fails_cleanly_after_denial"],
            ),
            enforced(
                "escape sequences and characters in what is shown",
                &[
                    "a_name_with_a_newline_and_escapes_is_held_and_shown_escaped",
                    "a_name_that_is_not_utf8_is_held_and_shown_escaped",
                    "a_name_with_direction_overrides_is_held_and_shown_escaped",
                ],
            ),
            gap(
                "typing through X11, Wayland or a terminal's server",
                "as in C7 and C10; a decision asks for no random word to be typed",
            ),
            gap("painting over a person's terminal", "an agent may write to a terminal that its user may write to"),
        ],
    },
    Row {
        id: "A3",
        class: "it persuades",
        lines: &[
            gap(
                "a person who believes it says yes",
                "a prompt shows what the kernel knows, and nobody can refuse for a person",
            ),
            enforced(
                "what is shown is the kernel's: the arguments of an exec",
                &["exec_with_a_watched_argument_shows_the_arguments"],
            ),
            enforced(
                "what is shown is the kernel's: who made a file",
                &["a_foreign_file_is_held_and_shown_as_foreign"],
            ),
            enforced(
                "what is shown is the disk's: how much it is",
                &["a_recursive_delete_asks_once_and_then_completes"],
            ),
        ],
    },
    Row {
        id: "A4",
        class: "answers at the wrong time",
        lines: &[
            enforced("a second, other answer", &["deciding_twice_ends_with_6_and_the_first_decision_stays"]),
            enforced("an answer for what is not there", &["deciding_on_an_unknown_hold_ends_with_5"]),
            enforced(
                "an answer for a process that ended meanwhile",
                &["an_answer_for_a_process_that_ended_goes_to_nobody_who_has_its_number"],
            ),
            gap("one that is not used in time", "tested in the core alone"),
        ],
    },
    Row {
        id: "A5",
        class: "it makes the rules",
        lines: &[
            enforced(
                "an agent changes a file of rules",
                &["an_agent_that_is_root_may_not_change_guards_files_its_log_or_its_pins"],
            )
            .note("by the shipped rule `guard-own-files`"),
            enforced("a bad file on reload", &["a_bad_rules_file_on_reload_leaves_the_old_rules"]),
            enforced(
                "a bad file on reload of the service",
                &["a_reload_waits_for_the_rules_and_fails_when_they_are_wrong"],
            ),
            gap(
                "a file of rules that is a symbolic link, or not root's",
                "guardd follows it and asks for no owner: its directory must be root's",
            ),
            gap(
                "files that change while they are read",
                "no scenario tries; all agents get the new rules, or none does",
            ),
        ],
    },
];
