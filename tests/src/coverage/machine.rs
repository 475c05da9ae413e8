//! One call destroys or stops the machine, or a large part of it. Files are `destroy`.

use super::{Row, command_line, enforced, gap, unproven};

const TOUCH: &str = "an_agent_that_is_root_may_not_touch_guardd_or_lift_it_off_the_kernel";
const CALLS: &str = "an_agent_that_is_root_reaches_guardd_and_its_programs_by_no_call";
const MACHINE: &str = "an_agent_that_is_root_reaches_neither_power_nor_registers_of_the_machine";
const DISKS: &str = "commands_to_a_disk_are_held_and_reach_it_after_approval";
const MOUNTS: &str = "remounting_freezing_and_swapping_are_held_and_happen_after_approval";
/// Scenarios under the shipped rules.
const BY_KIND: &str = "disks_memory_kernel_parameters_and_repositories_are_held_by_the_shipped_rules";
const SWITCHES: &str = "an_agent_that_is_root_may_not_turn_the_switches_of_the_kernel";

pub(super) const ROWS: &[Row] = &[
    Row {
        id: "M1",
        class: "stopping the machine",
        lines: &[
            enforced("reboot(2) by an agent that is root", &[MACHINE]),
            enforced("`/proc/sysrq-trigger`", &[SWITCHES]).note("by the shipped rule `kernel-switches`"),
            enforced("asking systemd over its socket, by the socket's name", &["connect_to_a_unix_socket_is_held"])
                .note("the shipped rule `privileged-sockets` names it"),
            command_line("command lines that stop it", "machine-stop", ""),
        ],
    },
    Row {
        id: "M2",
        class: "below every file system",
        lines: &[
            enforced("opening a disk for writing (dd), by its own node or another", &[BY_KIND])
                .note("by the shipped rule `device-write`"),
            command_line("command lines that format, wipe or resize", "disk-format", ""),
            enforced(
                "`BLKDISCARD`",
                &[
                    "discarding_a_block_device_is_held_and_happens_after_approval",
                    "discarding_a_block_device_is_held_and_fails_cleanly_after_denial",
                ],
            ),
            enforced("`BLKZEROOUT`, `BLKROSET`, `BLKRRPART`, `BLKPG`", &[DISKS]),
            enforced("`BLKSECDISCARD`, `SG_IO`, commands to an NVMe device", &[DISKS])
                .note("no device of the machines knows them: none hears of one before its approval"),
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
            enforced("remounting by mount(2)", &[MOUNTS]),
            enforced("remounting by fspick(2) and fsconfig(2)", &["remounting_by_fsconfig_is_refused_and_told"]),
            enforced("swapoff(2), swapon(2)", &[MOUNTS]).note("where a rule names the file or disk"),
            gap("quotactl(2)", "no hook `quotactl` or `quota_on`"),
            enforced("losetup (`LOOP_SET_FD`, `LOOP_CLR_FD`, `LOOP_CONFIGURE`)", &[DISKS]),
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
            enforced("settimeofday(2)", &[CALLS]),
            enforced("adjtimex(2), clock_adjtime(2)", &[MACHINE]),
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
            enforced(
                "`kill -9 -1`, signals to a group: nobody outside is reached before one answer for all",
                &["a_signal_to_every_process_or_a_group_waits_for_one_answer"],
            )
            .note("a group the agent's own are in too: they get it at once, for the kernel the call is done then, and an approval sends nothing"),
            enforced(
                "tgkill(2), pidfd_send_signal(2), sigqueue(3)",
                &["other_processes_are_held_by_whatever_call_they_are_reached"],
            ),
            enforced("`cgroup.kill`", &[SWITCHES]).note("by the shipped rule `kernel-switches`"),
        ],
    },
    Row {
        id: "M7",
        class: "keys and firmware",
        lines: &[
            gap("keyctl(2)", "no hook on keys; a shipped rule knows the command line"),
            enforced("`cryptsetup luksErase`: opening the disk for writing", &[BY_KIND])
                .note("dd does it there; the kernel sees no difference"),
            gap("a TPM (`/dev/tpm0`)", "no shipped rule names it"),
            unproven(
                "writing or removing EFI variables",
                "held by the hooks on files, by the shipped rules `device-write` and `delete-outside-workspace`: the machines have no EFI",
            ),
            enforced("`hdparm` by `SG_IO`", &[DISKS]).note("as in M2"),
            gap("`hdparm` by its older ioctls", "not among the commands that are held"),
            gap("`fwupd`", "it is asked over D-Bus: see C3"),
        ],
    },
];
