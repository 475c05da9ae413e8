//! guard itself is attacked: its process, its files, its programs in the kernel, its log.

use super::{Row, audited, command_line, enforced, gap, unproven};

const TOUCH: &str = "an_agent_that_is_root_may_not_touch_guardd_or_lift_it_off_the_kernel";
const OWN_FILES: &str = "refused by the hooks on files, by the shipped rule `guard-own-files`";
const SWITCHES: &str = "refused by the hook `file_open`, by the shipped rule `kernel-switches`";

pub(super) const ROWS: &[Row] = &[
    Row {
        id: "G1",
        class: "signals to guardd",
        lines: &[
            enforced("kill(2) by an agent, root or not", &[TOUCH]),
            unproven("tgkill(2), pidfd_send_signal(2), sigqueue(3) by an agent", "refused by the hook `task_kill`"),
            gap("signals by anybody else", "not guard's to refuse, and not told; what follows is in the faults"),
        ],
    },
    Row {
        id: "G2",
        class: "guardd's cgroup",
        lines: &[unproven("`cgroup.kill`, `cgroup.freeze`, `memory.max`, `pids.max`, `cpu.max`, moving it", SWITCHES)],
    },
    Row {
        id: "G3",
        class: "starving guardd",
        lines: &[
            enforced("prlimit, renice, ionice, chrt, taskset on it", &[TOUCH]),
            unproven("migrate_pages(2), move_pages(2)", "refused by the hook `task_movememory`"),
            unproven("process_madvise(2)", "refused by the hook `ptrace_access_check`"),
        ],
    },
    Row {
        id: "G4",
        class: "taking guardd over",
        lines: &[unproven(
            "ptrace(2), `/proc/PID/mem`, process_vm_writev(2), pidfd_getfd(2) on it",
            "refused by the hook `ptrace_access_check`",
        )],
    },
    Row {
        id: "G5",
        class: "stopping or changing guard by its administration",
        lines: &[
            unproven("its settings, rules, programs and units are changed or removed", OWN_FILES),
            unproven("the same through a tree that is attached nowhere", "as in P4, by a doubt"),
            gap("a drop-in below `/run/systemd/system/guardd.service.d`", "no shipped rule names it"),
            enforced("asking systemd over its socket, by the socket's name", &["connect_to_a_unix_socket_is_held"])
                .note("the shipped rule `privileged-sockets` names it"),
            command_line("command lines that stop it or answer for a person", "guard-control", ""),
            enforced(
                "a person removes the package while something is held",
                &["a_removal_denies_what_is_held_and_leaves_the_log"],
            )
            .on(&[super::Kernel::V6_12]),
        ],
    },
    Row {
        id: "G6",
        class: "bpf(2)",
        lines: &[
            enforced("asking which programs there are", &["a_canary_that_is_killed_is_replaced_and_said"])
                .note("it is the canary that tries and is refused"),
            unproven(
                "changing maps, detaching links, loading programs",
                "refused to every agent by the hook `bpf`, whatever the command",
            ),
        ],
    },
    Row {
        id: "G7",
        class: "the pins below `/sys/fs/bpf`",
        lines: &[
            unproven("they are removed", OWN_FILES),
            unproven(
                "the file system is unmounted",
                "refused by the hook `sb_umount`, by the shipped rule `guard-own-files`",
            )
            .note("M3 shows it of another file system"),
            unproven(
                "something is mounted over them",
                "refused by the hook `sb_mount`, by the shipped rule `guard-own-files`",
            ),
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
            unproven("debugfs, tracefs", SWITCHES),
            gap("live patches (`/sys/kernel/livepatch`)", "no shipped rule names them; loading one is G9"),
            unproven(
                "`unprivileged_bpf_disabled`, `bpf_jit_*`",
                "held by the hook `file_open`, by the shipped rule `kernel-parameters`",
            ),
        ],
    },
    Row {
        id: "G9",
        class: "code for the kernel",
        lines: &[
            enforced("finit_module(2)", &[TOUCH]),
            unproven("init_module(2), kexec_load(2)", "refused by the hook `kernel_load_data`"),
            unproven("kexec_file_load(2)", "refused by the hook `kernel_read_file`"),
            unproven(
                "`/dev/mem`, `/dev/kmem`, `/dev/port` for writing",
                "held by the hook `file_open`, by the shipped rule `device-write`",
            ),
            gap(
                "`/dev/cpu/*/msr`, iopl(2), ioperm(2), memory of PCI devices",
                "no hook, and no shipped rule names the files",
            ),
        ],
    },
    Row {
        id: "G10",
        class: "the next boot",
        lines: &[
            unproven(
                "`/boot`, `/etc/default/grub`",
                "held by the hooks on files, by the shipped rule `overwrite-system-files`",
            ),
            unproven(
                "`/etc/sysctl.d`, `/etc/modprobe.d`",
                "held by the hooks on files, by the shipped rule `persistence`",
            ),
            gap("guardd on a kernel without BPF LSM does not say that it protects", "no scenario boots such a kernel"),
        ],
    },
    Row {
        id: "G11",
        class: "the audit log",
        lines: &[
            unproven("an agent changes, empties or removes it", OWN_FILES),
            enforced("its disk is full: nothing is approved", &["nothing_is_approved_while_the_log_cannot_be_written"]),
            enforced(
                "its file system is read-only: nothing is approved",
                &["nothing_is_approved_once_the_logs_file_system_broke_and_is_read_only"],
            ),
            unproven("an agent freezes its file system (`FIFREEZE`)", "held by the hook `file_ioctl`"),
            unproven("an agent mounts over it, or remounts by mount(2)", "held by the hook `sb_mount`"),
            gap("an agent remounts it by fspick(2) and fsconfig(2)", "no hook `sb_remount`"),
            gap("quotas", "no hook `quotactl` or `quota_on`"),
            enforced("an agent sets the clock", &[TOUCH]),
            gap("adjtimex(2)", "it does not reach the hook `settime`"),
            gap("somebody who is root and no agent changes or removes lines", "lines are numbered, and not chained"),
            enforced("removing the package leaves it", &["a_purge_leaves_the_log_alone"]).on(&[super::Kernel::V6_12]),
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
