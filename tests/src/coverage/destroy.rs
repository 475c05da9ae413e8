//! Data in files is destroyed. Which file it is, by whatever name, is `paths`; block devices are `machine`.

use super::{Kernel, Row, enforced, gap, unproven};

/// What stands in the way of whatever needs an open file.
const HAD_OPEN: &str = "what_a_process_had_open_when_it_was_tagged_is_held_at_its_first_use";
const WAYS_IN: &str = "files_that_were_open_are_held_however_something_gets_into_them";
const ALREADY_OPEN: &str = "once an agent's own open was let through, what it writes there is not judged again; what it had open when it was tagged is, as F15 shows";

pub(super) const ROWS: &[Row] = &[
    Row {
        id: "F1",
        class: "files and directories are removed",
        lines: &[
            enforced(
                "unlinkat(2), also below a directory descriptor",
                &[
                    "unlink_is_held_and_untouched_and_happens_after_approval",
                    "unlink_is_held_and_fails_cleanly_after_denial",
                    "a_recursive_delete_asks_once_and_then_completes",
                ],
            ),
            enforced(
                "unlink(2) by the libraries of languages, also in their threads",
                &[
                    "python_os_unlink_gets_a_clean_error_after_denial_and_deletes_after_approval",
                    "python_in_a_thread_gets_a_clean_error_after_denial_and_deletes_after_approval",
                    "node_promises_unlink_gets_a_clean_error_after_denial_and_deletes_after_approval",
                    "perl_unlink_gets_a_clean_error_after_denial_and_deletes_after_approval",
                ],
            ),
            enforced(
                "rmdir(2)",
                &[
                    "rmdir_is_held_and_untouched_and_happens_after_approval",
                    "rmdir_is_held_and_fails_cleanly_after_denial",
                ],
            ),
            enforced(
                "unlinkat(2) with `AT_REMOVEDIR`",
                &["every_call_that_destroys_a_file_is_held_and_works_only_when_approved"],
            ),
        ],
    },
    Row {
        id: "F2",
        class: "the same through io_uring",
        lines: &[
            enforced("making a ring", &["an_agent_gets_no_io_uring_and_the_refusal_is_shown"])
                .note("refused, not held; the shipped rule `io-uring` says so"),
            enforced(
                "opens, removals and renames in a ring from before the tagging, also by its worker",
                &["an_io_uring_from_before_the_tagging_destroys_nothing"],
            )
            .note("refused one by one, as nothing can wait there"),
            gap("writes, splices and truncations in such a ring, to a file that is open", ALREADY_OPEN),
            gap("passthrough commands to a device (`uring_cmd`)", "no hook; an agent has no ring to send them through"),
        ],
    },
    Row {
        id: "F3",
        class: "something is renamed over a file, or away",
        lines: &[
            enforced(
                "rename over an existing file",
                &[
                    "rename_over_a_file_is_held_and_untouched_and_happens_after_approval",
                    "rename_over_a_file_is_held_and_fails_cleanly_after_denial",
                    "an_own_file_renamed_over_a_foreign_one_is_held",
                ],
            ),
            enforced("`RENAME_EXCHANGE`", &["an_exchange_of_two_files_is_held"]),
            enforced("`RENAME_WHITEOUT`", &["every_call_that_destroys_a_file_is_held_and_works_only_when_approved"]),
            enforced(
                "moving a file away",
                &[
                    "move_away_is_held_and_untouched_and_happens_after_approval",
                    "move_away_is_held_and_fails_cleanly_after_denial",
                ],
            ),
            enforced(
                "moving a directory with something in it away",
                &["an_own_directory_with_something_foreign_in_it_is_not_moved_away"],
            ),
        ],
    },
    Row {
        id: "F4",
        class: "an open empties the file",
        lines: &[
            enforced(
                "`O_TRUNC`, as `>` of a shell",
                &[
                    "overwrite_by_redirection_is_held_and_untouched_and_happens_after_approval",
                    "overwrite_by_redirection_is_held_and_fails_cleanly_after_denial",
                ],
            ),
            enforced("creat(2), openat2(2)", &["every_call_that_destroys_a_file_is_held_and_works_only_when_approved"]),
        ],
    },
    Row {
        id: "F5",
        class: "truncation",
        lines: &[
            enforced(
                "truncate(2)",
                &[
                    "truncate_is_held_and_untouched_and_happens_after_approval",
                    "truncate_is_held_and_fails_cleanly_after_denial",
                ],
            ),
            enforced(
                "ftruncate(2) of a file that came under a rule after it was opened",
                &["every_call_that_destroys_a_file_is_held_and_works_only_when_approved"],
            ),
        ],
    },
    Row {
        id: "F6",
        class: "fallocate(2) punches, zeroes, collapses or inserts",
        lines: &[
            enforced(
                "in a file the agent opens: the open for writing",
                &["every_call_that_destroys_a_file_is_held_and_works_only_when_approved"],
            ),
            gap("in a file the agent was let open", ALREADY_OPEN),
            enforced("in a file that was open when the agent was tagged", &[HAD_OPEN]),
        ],
    },
    Row {
        id: "F7",
        class: "writing over what is there",
        lines: &[
            enforced(
                "in a file the agent opens: the open for writing",
                &[
                    "append_is_held_and_untouched_and_happens_after_approval",
                    "append_is_held_and_fails_cleanly_after_denial",
                ],
            ),
            gap("in a file the agent was let open", ALREADY_OPEN),
            enforced("in a file that was open when the agent was tagged", &[HAD_OPEN]),
        ],
    },
    Row {
        id: "F8",
        class: "writing through shared memory",
        lines: &[
            enforced(
                "mmap(2) of a file the agent opens: the open for writing",
                &["every_call_that_destroys_a_file_is_held_and_works_only_when_approved"],
            ),
            enforced("mmap(2) of a file that was open when the agent was tagged", &[WAYS_IN]),
            gap(
                "memory that was mapped for writing when the agent was tagged; mprotect(2) of a mapping that was not",
                "no hook sees a store, and there is none `file_mprotect`; `guardctl tag` says how many files are mapped for writing",
            ),
        ],
    },
    Row {
        id: "F9",
        class: "other files' data takes the place of a file's",
        lines: &[
            enforced(
                "`FICLONE`",
                &[
                    "sharing_the_blocks_of_another_file_is_held_and_happens_after_approval",
                    "sharing_the_blocks_of_another_file_is_held_and_fails_cleanly_after_denial",
                ],
            ),
            enforced("`FICLONERANGE`, `FIDEDUPERANGE`", &["whatever_puts_the_blocks_of_one_file_into_another_is_held"]),
            enforced(
                "copy_file_range(2), sendfile(2), splice(2) to a file the agent opens: the open for writing",
                &["every_call_that_destroys_a_file_is_held_and_works_only_when_approved"],
            ),
            gap("the same to a file the agent was let open", ALREADY_OPEN),
            enforced("the same to a file that was open when the agent was tagged", &[WAYS_IN]),
        ],
    },
    Row {
        id: "F10",
        class: "ioctls of file systems",
        lines: &[
            unproven(
                "removing a btrfs subvolume or snapshot (`SNAP_DESTROY`, `_V2`)",
                "held by the hook `file_ioctl`; the machines have no btrfs",
            ),
            enforced(
                "ext4 `RESIZE_FS` and `SHUTDOWN`",
                &["every_ioctl_on_a_whole_file_system_or_a_loop_device_is_held"],
            )
            .note("`SHUTDOWN` of XFS has the same number"),
            enforced("`FIFREEZE`, `FITRIM`", &["every_ioctl_on_a_whole_file_system_or_a_loop_device_is_held"]),
            gap(
                "XFS `EXCHANGE_RANGE`, `SWAPEXT`, `UNRESVSP`; ext4 `MOVE_EXT`, `SWAP_BOOT`",
                "not among the commands that are held; the open for writing that they need is",
            ),
            gap("taking an encryption key away, `ENABLE_VERITY`", "not among the commands that are held"),
            gap("btrfs `RM_DEV`, `BALANCE`, `RESIZE` and the like", "not among the commands that are held"),
            gap("zfs", "its ioctls are unknown to guard; the shipped rules know the command lines"),
            enforced("by the 32-bit entry: `FS_IOC32_SETFLAGS`", &["every_entry_into_the_kernel_is_held"]),
        ],
    },
    Row {
        id: "F11",
        class: "rights and attributes that lock people out",
        lines: &[
            enforced(
                "chmod",
                &[
                    "chmod_is_held_and_untouched_and_happens_after_approval",
                    "chmod_is_held_and_fails_cleanly_after_denial",
                ],
            ),
            enforced(
                "chown",
                &[
                    "chown_is_held_and_untouched_and_happens_after_approval",
                    "chown_is_held_and_fails_cleanly_after_denial",
                ],
            ),
            enforced(
                "fchmod(2), fchown(2), lchown(2)",
                &["every_call_that_destroys_a_file_is_held_and_works_only_when_approved"],
            ),
            enforced("fchmodat2(2)", &["every_call_that_destroys_a_file_is_held_and_works_only_when_approved"])
                .on(&[Kernel::V6_12, Kernel::Newest]),
            enforced(
                "chattr (`FS_IOC_SETFLAGS`)",
                &[
                    "chattr_is_held_and_changes_the_file_after_approval",
                    "chattr_is_held_and_fails_cleanly_after_denial",
                ],
            ),
            enforced("`FS_IOC_FSSETXATTR`", &["every_call_that_destroys_a_file_is_held_and_works_only_when_approved"]),
            gap("file_setattr(2), which does what chattr does", "no hook `inode_file_setattr`").on(&[Kernel::Newest]),
            gap("setxattr(2), ACLs, removexattr(2)", "no hook `inode_setxattr` or `inode_set_acl`"),
            gap("utimensat(2)", "no hook; nothing is lost but the times"),
        ],
    },
    Row {
        id: "F12",
        class: "asynchronous writes (io_submit)",
        lines: &[gap("to any file that is open for writing", ALREADY_OPEN)
            .note("opening it for writing is held, as F7 shows")],
    },
    Row {
        id: "F13",
        class: "message queues, shared memory, semaphores",
        lines: &[
            gap("mq_unlink(3)", "it reaches none of the hooks on paths"),
            gap("`IPC_RMID` of shmctl(2), msgctl(2), semctl(2)", "no hook on System V objects"),
        ],
    },
    Row {
        id: "F14",
        class: "the kernel opens or writes for the agent",
        lines: &[
            enforced("a core dump over a file", &["a_core_dump_over_a_file_is_refused"])
                .note("refused, as a dying task cannot wait"),
            enforced(
                "swapon(2), swapoff(2) on a file a rule names",
                &["every_call_that_destroys_a_file_is_held_and_works_only_when_approved"],
            )
            .note("acct(2) is M4"),
            enforced(
                "a loop device on a file (`LOOP_SET_FD`, `LOOP_CONFIGURE`, `LOOP_CHANGE_FD`)",
                &["every_ioctl_on_a_whole_file_system_or_a_loop_device_is_held"],
            ),
            gap(
                "writes of a loop device that is there already",
                "the kernel writes by itself; opening the device is M2",
            ),
            gap("nfsd, ksmbd", "they are not the agent; see C7"),
        ],
    },
    Row {
        id: "F15",
        class: "a descriptor that was not opened as this agent",
        lines: &[
            enforced("open when it was tagged: its first use", &[HAD_OPEN]),
            enforced("received over a socket", &["a_file_that_another_sends_is_refused_until_approved"])
                .note("refused, as nothing can wait there"),
            gap(
                "descriptors 0 to 2 of what `guardctl run` starts",
                "they are what a person redirected on the command line",
            ),
            enforced(
                "opened anew through `/proc/self/fd/N`, from `O_PATH` too",
                &["every_call_that_destroys_a_file_is_held_and_works_only_when_approved"],
            ),
        ],
    },
    Row {
        id: "F16",
        class: "data lost by ordinary writes inside a file",
        lines: &[gap("SQLite, LevelDB, JSON", "no hook knows what a write means: only a copy from before helps")],
    },
];
