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
                    "python_os_unlink_gets_a_clean_error_after_denial",
                    "node_unlink_sync_gets_a_clean_error_after_denial",
                    "perl_unlink_gets_a_clean_error_after_denial",
                ],
            ),
            gap("a rule on a program, whose copy has another name", "rules know a program by its file's name"),
            unproven(
                "another argv[0], `PR_SET_NAME`, `/proc/self/comm`",
                "the hook `bprm_check_security` goes by the file",
            ),
        ],
    },
    Row {
        id: "E2",
        class: "the loader starts the program (`ld.so /usr/bin/rm`)",
        lines: &[
            unproven("what it does to files", EFFECT),
            gap("a rule on the program", "the program executed is the loader; no hook `mmap_file`"),
        ],
    },
    Row {
        id: "E3",
        class: "a program without a name",
        lines: &[
            unproven("memfd_create(2) and fexecve(3), `O_TMPFILE`, a deleted file: what it does to files", EFFECT),
            unproven(
                "its start",
                "held by the hook `bprm_check_security` where a rule is on programs: what is connected to no root is a doubt",
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
                    "python_os_unlink_is_held_and_deletes_after_approval",
                    "node_unlink_sync_is_held_and_deletes_after_approval",
                    "perl_unlink_is_held_and_deletes_after_approval",
                ],
            ),
            unproven("`base64 -d | sh`, awk, vim `:!`, git aliases, make, npm scripts, build.rs", EFFECT),
            unproven("a program through binfmt_misc", "held by the hook `bprm_check_security`"),
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
            unproven(
                "setuid programs, sudo, su, setresuid(2), file capabilities",
                "the tag is the task's, not the user's",
            ),
            unproven("setns(2), unshare(2) of users and processes", "the tag is the task's, in whatever namespace"),
        ],
    },
    Row {
        id: "E7",
        class: "code in somebody else",
        lines: &[
            enforced("ptrace(2) attaches to a process outside", &["tracing_a_process_outside_is_refused_and_shown"])
                .note("refused at once; after an approval the next try passes"),
            unproven(
                "process_vm_writev(2), `/proc/PID/mem`, pidfd_getfd(2) on a process outside",
                "refused by the hook `ptrace_access_check`",
            ),
            unproven("code of its own by mmap(2), `LD_PRELOAD`, a library's constructor", EFFECT),
        ],
    },
    Row {
        id: "E8",
        class: "other ways to start, other ways into the kernel",
        lines: &[
            unproven("vfork(2), posix_spawn(3), exec from a second thread", "held by the hook `bprm_check_security`"),
            unproven(
                "32-bit programs and `int 0x80`",
                "held by the hooks of the gate, which are the same for every entry",
            ),
            unproven("x32 calls", "held by the hooks of the gate, which are the same for every entry"),
            gap("a check without a start (`AT_EXECVE_CHECK`)", "guard does not tell it from a start, and may hold it")
                .on(&[Kernel::Newest]),
        ],
    },
];
