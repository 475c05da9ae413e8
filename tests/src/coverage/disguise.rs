//! A program is not what it seems. That effects are held whatever program causes them is shown in `destroy`.

use super::{Kernel, Row, enforced, gap, unproven};

const EFFECT: &str = "what it does to files is held by the hooks on files, which do not ask for the program";

pub(super) const ROWS: &[Row] = &[
    Row {
        id: "E1",
        class: "a program under another name",
        lines: &[
            enforced(
                "what it does to files, whatever the program is",
                &[
                    "python_os_unlink_gets_a_clean_error_after_denial_and_deletes_after_approval",
                    "node_unlink_sync_gets_a_clean_error_after_denial_and_deletes_after_approval",
                    "perl_unlink_gets_a_clean_error_after_denial_and_deletes_after_approval",
                ],
            ),
            gap("a rule on a program, whose copy has another name", "rules know a program by its file's name"),
            enforced(
                "another argv[0], `PR_SET_NAME`, `/proc/self/comm`",
                &["whatever_starts_a_program_what_it_does_is_held"],
            ),
        ],
    },
    Row {
        id: "E2",
        class: "the loader starts the program (`ld.so /usr/bin/rm`)",
        lines: &[
            enforced("what it does to files", &["whatever_starts_a_program_what_it_does_is_held"]),
            gap("a rule on the program", "the program executed is the loader; no hook `mmap_file`"),
        ],
    },
    Row {
        id: "E3",
        class: "a program without a name",
        lines: &[
            enforced(
                "memfd_create(2) and fexecve(3), `O_TMPFILE`, a removed file: what it does to files",
                &["whatever_starts_a_program_what_it_does_is_held"],
            ),
            enforced(
                "the start of a memfd where a rule is on programs: what is connected to no root is a doubt",
                &["whatever_starts_a_program_what_it_does_is_held"],
            ),
        ],
    },
    Row {
        id: "E4",
        class: "interpreters and what they are fed",
        lines: &[
            enforced(
                "a script that a rule names, by its `#!` line",
                &[
                    "exec_of_a_watched_program_is_held_and_runs_after_approval",
                    "exec_of_a_watched_program_fails_cleanly_after_denial",
                ],
            ),
            enforced(
                "`python -c`, `node -e`, `perl -e`: what they do to files",
                &[
                    "python_os_unlink_gets_a_clean_error_after_denial_and_deletes_after_approval",
                    "node_unlink_sync_gets_a_clean_error_after_denial_and_deletes_after_approval",
                    "perl_unlink_gets_a_clean_error_after_denial_and_deletes_after_approval",
                ],
            ),
            enforced(
                "`base64 -d | sh`, awk, vim `:!`, git aliases, make: what they do to files",
                &["whatever_starts_a_program_what_it_does_is_held"],
            ),
            unproven("npm scripts, build.rs", EFFECT),
            unproven(
                "a program through binfmt_misc",
                "held by the hook `bprm_check_security`; the machines do not have it",
            ),
        ],
    },
    Row {
        id: "E5",
        class: "arguments change between judgement and start",
        lines: &[
            enforced(
                "argv, by another thread or process",
                &[
                    "arguments_changed_by_another_thread_never_run_when_denied",
                    "arguments_changed_by_another_thread_run_only_as_approved",
                    "arguments_the_kernel_looks_up_and_another_thread_changes_never_run",
                    "arguments_rewritten_while_held_do_not_run_under_the_approval",
                ],
            ),
            gap("the environment", "it is read when the exec is judged and not compared afterwards"),
        ],
    },
    Row {
        id: "E6",
        class: "another user, other rights, other namespaces",
        lines: &[
            enforced("unshare(2) of mounts", &["pivot_root_is_held_and_happens_after_approval"]),
            enforced(
                "setuid programs, setresuid(2), file capabilities",
                &["an_agent_is_held_as_whatever_user_and_in_whatever_namespace"],
            ),
            unproven(
                "su, sudo",
                "the tag is the task's, not the user's; su stops itself with what it started and is not woken with it",
            ),
            enforced(
                "setns(2), unshare(2) of users and processes",
                &["an_agent_is_held_as_whatever_user_and_in_whatever_namespace"],
            ),
        ],
    },
    Row {
        id: "E7",
        class: "code in somebody else",
        lines: &[
            enforced("ptrace(2) attaches to a process outside", &["tracing_a_process_outside_is_refused_and_shown"])
                .note("refused at once; after an approval the next try passes"),
            enforced(
                "process_vm_writev(2), pidfd_getfd(2) on a process outside",
                &["neither_memory_nor_descriptors_of_others_are_reached_before_an_approval"],
            )
            .note("refused at once; after an approval the next try passes"),
            enforced(
                "`/proc/PID/mem` of a process outside",
                &["other_processes_are_held_by_whatever_call_they_are_reached"],
            )
            .note("refused at once; after an approval the next try passes"),
            enforced(
                "code of its own by mmap(2), `LD_PRELOAD`, a library's constructor: what it does to files",
                &["whatever_starts_a_program_what_it_does_is_held"],
            ),
        ],
    },
    Row {
        id: "E8",
        class: "other ways to start, other ways into the kernel",
        lines: &[
            enforced("vfork(2), posix_spawn(3), exec from a second thread", &["every_entry_into_the_kernel_is_held"]),
            enforced("`int 0x80`: removals, opens, programs, ioctls", &["every_entry_into_the_kernel_is_held"]),
            unproven(
                "x32 calls",
                "held by the hooks of the gate, which are the same for every entry; the kernels of the machines have none",
            ),
            gap("a check without a start (`AT_EXECVE_CHECK`)", "guard does not tell it from a start, and may hold it")
                .on(&[Kernel::Newest]),
        ],
    },
];
