//! guard itself is attacked: its process, its files, its programs in the kernel, its log.

use super::{Row, audited, command_line, enforced, gap, unproven};

const TOUCH: &str = "an_agent_that_is_root_may_not_touch_guardd_or_lift_it_off_the_kernel";
const CALLS: &str = "an_agent_that_is_root_reaches_guardd_and_its_programs_by_no_call";
const MACHINE: &str = "an_agent_that_is_root_reaches_neither_power_nor_registers_of_the_machine";
const BY_IDENTITY: &str = "guards_own_files_are_kept_from_agents_by_whatever_name_they_are_reached";
const CONTROLS: &str = "controls_of_the_kernel_are_kept_from_agents_wherever_they_are_mounted";
/// Scenarios under the shipped rules.
const OWN_FILES: &str = "an_agent_that_is_root_may_not_change_guards_files_its_log_or_its_pins";
const SWITCHES: &str = "an_agent_that_is_root_may_not_turn_the_switches_of_the_kernel";
const MOUNTS: &str = "remounting_freezing_and_swapping_are_held_and_happen_after_approval";
const BY_KIND: &str = "disks_memory_kernel_parameters_and_repositories_are_held_by_the_shipped_rules";
const PLANTED: &str = "what_an_agent_plants_for_later_is_held";
/// The rules behind them.
const BY_OWN_FILES: &str = "by the shipped rule `guard-own-files`";
const BY_SWITCHES: &str = "by the shipped rule `kernel-switches`";

pub(super) const ROWS: &[Row] = &[
    Row {
        id: "G1",
        class: "signals to guardd",
        lines: &[
            enforced("kill(2) by an agent, root or not", &[TOUCH]),
            enforced("tgkill(2), pidfd_send_signal(2), sigqueue(3) by an agent", &[CALLS]),
            gap("signals by anybody else", "not guard's to refuse, and not told; what follows is in the faults"),
        ],
    },
    Row {
        id: "G2",
        class: "guardd's cgroup",
        lines: &[enforced(
            "`cgroup.kill`, `cgroup.freeze`, `memory.max`, `pids.max`, `cpu.max`, moving it",
            &[SWITCHES],
        )
        .note("no agent writes to a file of cgroups, wherever they are mounted")],
    },
    Row {
        id: "G3",
        class: "starving guardd",
        lines: &[
            enforced("prlimit, renice, ionice, chrt, taskset on it", &[TOUCH]),
            enforced("migrate_pages(2), move_pages(2)", &[CALLS]).note("not told: the kernel asks as it does for `ps`"),
            enforced("process_madvise(2)", &[CALLS])
                .on(&[super::Kernel::V6_1, super::Kernel::V6_12])
                .note("not told: the kernel asks as it does for `ps`"),
            gap(
                "process_madvise(2)",
                "the kernel asks nobody about an agent that is root; the advice can slow guardd down",
            )
            .on(&[super::Kernel::Newest]),
        ],
    },
    Row {
        id: "G4",
        class: "taking guardd over",
        lines: &[enforced("ptrace(2), `/proc/PID/mem`, process_vm_writev(2), pidfd_getfd(2) on it", &[CALLS])],
    },
    Row {
        id: "G5",
        class: "stopping or changing guard by its administration",
        lines: &[
            enforced("its settings, rules, programs and units are changed or removed", &[OWN_FILES]).note(BY_OWN_FILES),
            enforced(
                "the same by a hard link, another mount, a tree that is attached nowhere, or with no rule",
                &[BY_IDENTITY],
            )
            .note("they are known by identity"),
            enforced("a drop-in below `/run/systemd/system/guardd.service.d`", &[OWN_FILES]).note(BY_OWN_FILES),
            enforced("asking systemd over its socket, by the socket's name", &["connect_to_a_unix_socket_is_held"])
                .note("the shipped rule `privileged-sockets` names it"),
            command_line("command lines that stop it or answer for a person", "guard-control", ""),
            enforced(
                "a person removes the package while something is held",
                &["a_removal_denies_what_is_held_and_leaves_the_log"],
            ),
        ],
    },
    Row {
        id: "G6",
        class: "bpf(2)",
        lines: &[
            enforced("asking which programs there are", &["a_canary_that_is_killed_is_replaced_and_said"])
                .note("it is the canary that tries and is refused"),
            enforced("changing maps, detaching links, loading programs, opening pins", &[CALLS]),
        ],
    },
    Row {
        id: "G7",
        class: "the pins below `/sys/fs/bpf`",
        lines: &[
            enforced("they are removed", &[OWN_FILES]).note(BY_OWN_FILES),
            enforced("the file system is unmounted", &[OWN_FILES]).note(BY_OWN_FILES),
            enforced("something is mounted over them", &[OWN_FILES]).note(BY_OWN_FILES),
        ],
    },
    Row {
        id: "G8",
        class: "the kernel calls no programs any more",
        lines: &[
            enforced("an agent writes to `ftrace_enabled`", &["an_agent_may_not_switch_the_kernel_hooks_off"])
                .note("by a rule; the shipped `kernel-switches` has it"),
            audited("somebody else does", &["hooks_that_are_switched_off_are_noticed_and_agents_suspended"])
                .note("noticed within seconds, and agents are suspended; until then nothing is stopped"),
            enforced("cgroups, BPF pins and tracefs mounted elsewhere", &[CONTROLS]),
            enforced("debugfs, tracefs", &[SWITCHES]).note(BY_SWITCHES),
            unproven(
                "live patches (`/sys/kernel/livepatch`)",
                "refused by the hook `file_open`, by the shipped rule `kernel-switches`: no live patch is there to try; loading one is G9",
            ),
            enforced("`unprivileged_bpf_disabled`, `bpf_jit_*`", &[BY_KIND])
                .note("held, by the shipped rule `kernel-parameters`"),
        ],
    },
    Row {
        id: "G9",
        class: "code for the kernel",
        lines: &[
            enforced("finit_module(2)", &[TOUCH]),
            enforced("init_module(2), kexec_load(2), kexec_file_load(2)", &[CALLS]),
            enforced("`/dev/mem` for writing", &[BY_KIND])
                .note("held by the shipped rule `device-write`, and refused even after approval"),
            unproven(
                "`/dev/kmem`, `/dev/port` for writing",
                "held by the hook `file_open`, by the shipped rule `device-write`: the kernels of the machines have no such devices",
            ),
            enforced("iopl(2), `/proc/kcore`", &[MACHINE]),
            enforced("ioperm(2)", &[CALLS]),
            unproven(
                "`/dev/cpu/*/msr`",
                "refused by the hook `capable`: the kernels of the machines have no such file",
            ),
            gap("memory of PCI devices", "no hook, and no shipped rule names the files"),
        ],
    },
    Row {
        id: "G10",
        class: "the next boot",
        lines: &[
            enforced("files of `/boot` and `/etc/default/grub` are changed", &[PLANTED])
                .note("by the shipped rule `overwrite-system-files`"),
            enforced("new files in `/boot` and `/etc/grub.d`", &[PLANTED]).note("by the shipped rule `persistence`"),
            enforced("`/etc/sysctl.d`, `/etc/modprobe.d`", &[PLANTED]).note("by the shipped rule `persistence`"),
            audited(
                "the host boots without BPF LSM: guardd does not say that it prevents",
                &["guardd_on_a_kernel_without_bpf_lsm_says_that_it_prevents_nothing"],
            )
            .on(&[super::Kernel::V6_12]),
        ],
    },
    Row {
        id: "G11",
        class: "the audit log",
        lines: &[
            enforced("an agent changes, empties or removes it", &[OWN_FILES]).note(BY_OWN_FILES),
            enforced("its disk is full: nothing is approved", &["nothing_is_approved_while_the_log_cannot_be_written"]),
            enforced(
                "its file system is read-only: nothing is approved",
                &["nothing_is_approved_once_the_logs_file_system_broke_and_is_read_only"],
            ),
            audited(
                "records are changed, moved or removed by somebody else, or a whole segment is",
                &["a_log_in_segments_is_whole_and_every_change_of_it_is_found"],
            )
            .note("`guardctl log verify`; the end of it only by checkpoints that were kept elsewhere"),
            enforced("a directory above it is renamed where it is (`/var/log`, `/var`)", &[OWN_FILES])
                .note("by identity, whatever the rules say"),
            enforced("an agent freezes its file system (`FIFREEZE`)", &[MOUNTS]),
            gap(
                "it freezes or shuts it down through a file or directory of its workspace, under the shipped rules",
                "they hold ioctls on devices, system files and other directories: copying by shared blocks is one, too",
            ),
            enforced("an agent mounts over it", &[OWN_FILES]).note(BY_OWN_FILES),
            enforced("an agent remounts by mount(2)", &[MOUNTS]),
            enforced(
                "an agent remounts it by fspick(2) and fsconfig(2)",
                &["remounting_by_fsconfig_is_refused_and_told"],
            ),
            gap("quotas", "no hook `quotactl` or `quota_on`"),
            enforced("an agent sets the clock", &[TOUCH]),
            enforced("adjtimex(2)", &[MACHINE]),
            gap("somebody who is root and no agent changes or removes lines", "lines are numbered, and not chained"),
            enforced("removing the package leaves it", &["a_purge_leaves_the_log_alone"]),
        ],
    },
    Row {
        id: "G12",
        class: "guardd is not there when it is asked",
        lines: &[
            enforced("it ends while something is held", &["a_hold_outlives_guardd_and_is_decided_by_the_next_one"]),
            enforced("it is not running when something comes", &["what_happens_while_no_guardd_runs_is_held"])
                .note("execs cleared before, or with arguments no rule asks for, pass without it as they do with it"),
            enforced(
                "it does not read what the kernel tells",
                &["holds_made_while_the_ring_buffer_is_full_are_all_found"],
            ),
        ],
    },
];
