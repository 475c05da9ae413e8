//! One call destroys or stops the machine, or a large part of it. Files are `destroy`.

use super::{Row, command_line, enforced, gap, unproven};

const TOUCH: &str = "an_agent_that_is_root_may_not_touch_guardd_or_lift_it_off_the_kernel";

pub(super) const ROWS: &[Row] = &[
    Row {
        id: "M1",
        class: "stopping the machine",
        lines: &[
            gap("reboot(2) by an agent that is root", "no hook: `capable` is not asked"),
            unproven("`/proc/sysrq-trigger`", "refused by the hook `file_open`, by the shipped rule `kernel-switches`"),
            enforced("asking systemd over its socket, by the socket's name", &["connect_to_a_unix_socket_is_held"])
                .note("the shipped rule `privileged-sockets` names it"),
            command_line("command lines that stop it", "machine-stop", ""),
        ],
    },
    Row {
        id: "M2",
        class: "below every file system",
        lines: &[
            unproven("opening a disk for writing (dd, mkfs)", "held by the hook `file_open`, by the kind of the node"),
            command_line("command lines that format, wipe or resize", "disk-format", ""),
            enforced(
                "`BLKDISCARD`",
                &[
                    "discarding_a_block_device_is_held_and_happens_after_approval",
                    "discarding_a_block_device_is_held_and_fails_cleanly_after_denial",
                ],
            ),
            unproven(
                "`BLKSECDISCARD`, `BLKZEROOUT`, `BLKROSET`, `BLKRRPART`, `BLKPG`",
                "held by the hook `file_ioctl`",
            ),
            unproven("`SG_IO`, commands to an NVMe device", "held by the hook `file_ioctl`"),
            gap(
                "ioctls of device mapper",
                "not among the commands that are held; opening `/dev/mapper/control` for writing is, by a shipped rule",
            ),
            gap(
                "ioctls of md (`STOP_ARRAY`)",
                "not among the commands that are held; `mdadm --stop` opens the device for reading",
            ),
        ],
    },
    Row {
        id: "M3",
        class: "mounts, swap, quotas, loop devices",
        lines: &[
            enforced("mount(2)", &["mount_is_held_and_mounts_after_approval"]),
            enforced("umount(2)", &["umount_is_held_and_fails_cleanly_after_denial"]),
            unproven("remounting by mount(2)", "held by the hook `sb_mount`"),
            gap("remounting by fspick(2) and fsconfig(2)", "no hook `sb_remount`"),
            unproven("swapoff(2), swapon(2)", "held by the hook `file_open` where a rule names the file or disk"),
            gap("quotactl(2)", "no hook `quotactl` or `quota_on`"),
            unproven("losetup (`LOOP_SET_FD`, `LOOP_CLR_FD`, `LOOP_CONFIGURE`)", "held by the hook `file_ioctl`"),
        ],
    },
    Row {
        id: "M4",
        class: "network of the machine",
        lines: &[
            gap("netlink: addresses, routes, nftables, traffic control, audit rules", "no hook `netlink_send`"),
            command_line("command lines for firewalls and routes", "firewall", ""),
        ],
    },
    Row {
        id: "M5",
        class: "the clock",
        lines: &[
            enforced("clock_settime(2)", &[TOUCH]),
            unproven("settimeofday(2)", "refused by the hook `settime`"),
            gap("adjtimex(2), clock_adjtime(2)", "they do not reach that hook"),
        ],
    },
    Row {
        id: "M6",
        class: "other people's processes",
        lines: &[
            enforced(
                "kill(2) of one process",
                &[
                    "a_signal_to_a_process_outside_is_held_and_arrives_after_approval",
                    "a_signal_to_a_process_outside_never_arrives_after_denial",
                ],
            ),
            unproven("`kill -9 -1`, signals to a group", "held by the hook `task_kill`, one process at a time"),
            unproven("tgkill(2), pidfd_send_signal(2)", "held by the hook `task_kill`"),
            unproven("`cgroup.kill`", "refused by the hook `file_open`, by the shipped rule `kernel-switches`"),
        ],
    },
    Row {
        id: "M7",
        class: "keys and firmware",
        lines: &[
            gap("keyctl(2)", "no hook on keys; a shipped rule knows the command line"),
            unproven(
                "`cryptsetup luksErase`: opening the disk for writing",
                "held by the hook `file_open`, by the kind of the node",
            ),
            gap("a TPM (`/dev/tpm0`)", "no shipped rule names it"),
            gap("writing EFI variables", "no shipped rule names them"),
            unproven(
                "removing EFI variables",
                "held by the hook `path_unlink`, by the shipped rule `delete-outside-workspace`",
            ),
            unproven("`hdparm` by `SG_IO`", "held by the hook `file_ioctl`"),
            gap("`hdparm` by its older ioctls", "not among the commands that are held"),
            gap("`fwupd`", "it is asked over D-Bus: see C3"),
        ],
    },
];
