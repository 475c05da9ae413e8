//! A file is reached by another name than the rule's. What is then done to it is `destroy`.

use super::{Row, enforced, gap};

pub(super) const ROWS: &[Row] = &[
    Row {
        id: "P1",
        class: "symbolic links and magic links",
        lines: &[
            enforced(
                "a symbolic link as the last component",
                &["a_symlink_flipped_while_held_does_not_move_the_approval"],
            ),
            enforced("a symbolic link on the way", &["a_file_is_held_by_whatever_name_it_is_reached"]),
            enforced(
                "`/proc/self/root`, `/proc/self/cwd`, `/proc/PID/root`",
                &["a_file_is_held_by_whatever_name_it_is_reached"],
            ),
        ],
    },
    Row {
        id: "P2",
        class: "hard links",
        lines: &[
            enforced(
                "making one of a file that a rule names",
                &[
                    "link_is_held_and_untouched_and_happens_after_approval",
                    "link_is_held_and_fails_cleanly_after_denial",
                ],
            ),
            enforced(
                "removing a second name that the agent gave a foreign file",
                &["a_hard_link_to_a_foreign_file_is_held"],
            ),
            gap(
                "destroying through a second name elsewhere that was there before",
                "rules name paths, not objects: the other name is judged as what it is",
            ),
        ],
    },
    Row {
        id: "P3",
        class: "mounts that move files",
        lines: &[
            enforced("mounting a file system", &["mount_is_held_and_mounts_after_approval"]),
            enforced(
                "attaching a clone by open_tree(2) and move_mount(2)",
                &["move_mount_is_held_and_mounts_after_approval", "move_mount_is_held_and_fails_cleanly_after_denial"],
            ),
            enforced(
                "pivot_root(2)",
                &["pivot_root_is_held_and_happens_after_approval", "pivot_root_is_held_and_fails_cleanly_after_denial"],
            ),
            enforced(
                "executing what another has mounted under a name that a rule knows",
                &["exec_of_a_program_mounted_under_a_watched_name_is_held"],
            ),
            enforced("mount(2) with `MS_BIND`, `MS_MOVE`, `MS_REMOUNT`", &["every_way_to_mount_is_held"]),
            enforced("remounting by fspick(2) and fsconfig(2)", &["remounting_by_fsconfig_is_refused_and_told"]),
            gap("mount_setattr(2), which takes `ro` or `noexec` away", "the kernel has no hook there"),
            gap(
                "one prompt, not two, for a file of an overlay",
                "the inner open is let through; no scenario counts the prompts",
            ),
        ],
    },
    Row {
        id: "P4",
        class: "mounts that are attached nowhere",
        lines: &[
            enforced(
                "open_tree(2) with `OPEN_TREE_CLONE`, then unlinkat(2) below the tree, as root and in a user namespace",
                &["a_file_in_a_tree_that_is_mounted_nowhere_is_held"],
            ),
            enforced(
                "a mount that was detached under its user",
                &["a_directory_that_was_unmounted_under_its_user_is_held"],
            ),
            enforced(
                "fsopen(2) and fsmount(2) of a file system that is mounted, then unlinkat(2) below it",
                &["a_file_is_held_by_whatever_name_it_is_reached"],
            ),
        ],
    },
    Row {
        id: "P5",
        class: "namespaces and roots",
        lines: &[
            enforced(
                "in a mount namespace of its own (`unshare --mount`)",
                &["pivot_root_is_held_and_happens_after_approval"],
            )
            .note("it holds there; the mounts in it are held too, and approved on the way"),
            enforced("after chroot(2)", &["a_file_is_held_by_whatever_name_it_is_reached"]),
            enforced("in a user namespace", &["a_file_is_held_by_whatever_name_it_is_reached"]),
            gap(
                "setns(2) into the mount namespace of a container",
                "no hook; paths are then those of that namespace, and rules are compared with them",
            ),
        ],
    },
    Row {
        id: "P6",
        class: "open_by_handle_at(2)",
        lines: &[enforced(
            "a file by its handle, whether the kernel knows its name or not",
            &["a_file_is_held_by_whatever_name_it_is_reached"],
        )],
    },
    Row {
        id: "P7",
        class: "names made to deceive or to break",
        lines: &[
            enforced("newlines and terminal escapes", &["a_name_with_a_newline_and_escapes_is_held_and_shown_escaped"]),
            enforced("bytes that are not UTF-8", &["a_name_that_is_not_utf8_is_held_and_shown_escaped"]),
            enforced(
                "characters that turn the direction",
                &["a_name_with_direction_overrides_is_held_and_shown_escaped"],
            ),
            enforced("names of 255 bytes", &["a_name_of_255_bytes_is_held"]),
            enforced("a path of about 3,900 bytes", &["a_path_longer_than_the_walk_is_held_and_never_let_through"])
                .note("held or refused"),
            enforced(
                "a path of more than 4,096 bytes, reached step by step",
                &["a_file_is_held_by_whatever_name_it_is_reached"],
            ),
        ],
    },
    Row {
        id: "P8",
        class: "other spellings of a path",
        lines: &[
            enforced("relative to a directory descriptor", &["a_recursive_delete_asks_once_and_then_completes"]),
            enforced("relative to the current directory", &["a_foreign_file_is_held_and_shown_as_foreign"]),
            enforced("`..`, `//`, `/.` at the end", &["a_file_is_held_by_whatever_name_it_is_reached"]),
            enforced("linkat(2) with `AT_EMPTY_PATH`", &["a_file_is_held_by_whatever_name_it_is_reached"]),
            enforced(
                "a current directory that another process changes while the call waits (`CLONE_FS`)",
                &["an_answer_is_for_no_other_object_that_the_same_call_comes_to"],
            ),
        ],
    },
    Row {
        id: "P9",
        class: "another name for a device",
        lines: &[
            enforced("making a node of a disk elsewhere", &["a_disk_is_held_by_whatever_name_it_is_reached"]),
            enforced(
                "opening a disk for writing by a node elsewhere",
                &["a_disk_is_held_by_whatever_name_it_is_reached"],
            ),
            gap(
                "character devices that reach a disk (`/dev/sgN`, `/dev/nvmeN`) by write(2)",
                "no rule names them, and their numbers are not compared; their ioctls are M2",
            ),
        ],
    },
    Row {
        id: "P10",
        class: "a FUSE file system of the agent's own",
        lines: &[
            enforced("mounting it over a watched directory", &["every_way_to_mount_is_held"]),
            gap("guardd waits for the agent when it looks into such a mount", "no scenario looks"),
        ],
    },
];
