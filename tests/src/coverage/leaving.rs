//! An agent leaves its tag, or has somebody act who has none. The approval channel is `prompts`.

use super::{Row, command_line, enforced, gap, unproven};

/// Scenarios under the shipped rules.
const PLANTED: &str = "what_an_agent_plants_for_later_is_held";
const TOLD: &str = "what_an_agent_says_to_helpers_and_hosts_is_held_before_the_first_packet";
const SWITCHES: &str = "an_agent_that_is_root_may_not_turn_the_switches_of_the_kernel";
/// Under those of the scenarios.
const PROCESSES: &str = "other_processes_are_held_by_whatever_call_they_are_reached";

pub(super) const ROWS: &[Row] = &[
    Row {
        id: "C1",
        class: "moving to another cgroup",
        lines: &[
            enforced("writing its own number to `cgroup.procs`", &["an_agent_may_not_move_itself_out_of_its_cgroup"])
                .note("by a rule; the shipped `kernel-switches` has it"),
            enforced("`cgroup.threads`, `tasks` of version 1 below `/sys/fs/cgroup`", &[SWITCHES])
                .note("by the shipped rule `kernel-switches`"),
            enforced(
                "files of cgroups mounted elsewhere",
                &["controls_of_the_kernel_are_kept_from_agents_wherever_they_are_mounted"],
            ),
            enforced(
                "somebody else moves it: it stays an agent",
                &[
                    "a_process_that_left_its_cgroup_is_still_an_agent",
                    "an_agent_ends_only_when_nobody_of_it_lives_anywhere",
                ],
            ),
        ],
    },
    Row {
        id: "C2",
        class: "children elsewhere",
        lines: &[
            enforced("a child that becomes a daemon", &["a_daemonised_grandchild_is_still_an_agent"]),
            enforced("clone3(2) with `CLONE_INTO_CGROUP`", &[PROCESSES]),
        ],
    },
    Row {
        id: "C3",
        class: "systemd and D-Bus start it",
        lines: &[
            enforced("connecting to a socket that a rule names, by its name", &["connect_to_a_unix_socket_is_held"])
                .note("the shipped rule `privileged-sockets` names those of systemd and D-Bus"),
            enforced(
                "the same socket by a symbolic link, a relative name, or `/proc/self/fd/N`",
                &["connect_to_a_unix_socket_is_held_by_whatever_name_it_is_reached"],
            ),
            enforced("sending to a datagram socket without connecting", &["a_datagram_to_a_unix_socket_is_held"]),
            enforced(
                "a connection that was there before the tagging",
                &["a_connection_from_before_the_tagging_is_held_at_its_first_use"],
            ),
            enforced("a file in a directory of units", &[PLANTED]).note("by the shipped rule `persistence`"),
            enforced("a drop-in below `/run/systemd/system` or `/etc/systemd/system.control`", &[PLANTED])
                .note("by the shipped rule `persistence`"),
            command_line("the command lines of systemd and `at`", "plant-later", ""),
        ],
    },
    Row {
        id: "C4",
        class: "a container engine does it",
        lines: &[
            enforced("connecting to a socket that a rule names", &["connect_to_a_unix_socket_is_held"])
                .note("the shipped rule `privileged-sockets` names those of docker, podman, containerd, cri-o, libvirt, lxd and snapd"),
            enforced("connecting to a port that a rule names", &["connect_over_ipv4_is_held_and_connects_after_approval"])
                .note("the shipped rule names 2375 and 2376"),
            enforced("connecting to the sockets of docker and buildkit", &[TOLD])
                .note("by the shipped rule `privileged-sockets`"),
            gap("the nix daemon, flatpak's portal", "no shipped rule names their sockets"),
            gap("the same sockets by another name", "as in C3"),
        ],
    },
    Row {
        id: "C5",
        class: "ssh to this host, timed jobs, other services that run things",
        lines: &[
            enforced("ssh to `127.0.0.1` or `::1`, to `0.0.0.0` or `::`", &[TOLD])
                .note("by the shipped rule `privileged-sockets`"),
            gap("ssh to this host's other addresses", "the shipped rule names those of the loopback"),
            enforced("files of cron, at, systemd timers, udev rules, `~/.ssh/rc`, `authorized_keys`", &[PLANTED])
                .note("by the shipped rule `persistence`"),
            gap("filters of mail, inetd", "no shipped rule names them"),
        ],
    },
    Row {
        id: "C6",
        class: "left for a person to run",
        lines: &[
            enforced("rc files of shells, `ld.so.preload`, `.pth` files of the system's python", &[PLANTED])
                .note("by the shipped rule `persistence`"),
            enforced("hooks in `.git/hooks`", &[PLANTED]).note("by the shipped rule `git-hooks`"),
            gap(
                "Makefile, package.json, `.vscode/tasks.json`, `.envrc`, build.rs, anything in the workspace",
                "that is the agent's work; what a person runs afterwards is untagged",
            ),
        ],
    },
    Row {
        id: "C7",
        class: "a helper that runs already",
        lines: &[
            gap(
                "servers of tmux, screen, emacs, VS Code, watchman, gradle, bazel, language servers, Jupyter, a browser's debugger",
                "no shipped rule names their sockets and ports: builds need many of them",
            ),
            gap("`tmux send-keys`", "a shipped rule knows the command line alone"),
        ],
    },
    Row {
        id: "C8",
        class: "descriptors change hands",
        lines: &[
            gap("sending a writable file to an untagged process", "no hook looks at what is sent over a socket"),
            enforced("taking one with pidfd_getfd(2)", &[PROCESSES]),
            enforced("`/proc/PID/fd/N` of another process", &[PROCESSES]),
        ],
    },
    Row {
        id: "C9",
        class: "the kernel starts helpers as root",
        lines: &[
            enforced("`core_pattern`, `modprobe`, `release_agent`", &[SWITCHES])
                .note("by the shipped rule `kernel-switches`"),
            unproven(
                "`hotplug`, `uevent_helper`, `binfmt_misc`",
                "refused by the hook `file_open`, by the shipped rule `kernel-switches`: the kernels of the machines have no such files",
            ),
            gap("modules the kernel loads because of a call (socket families, file systems)", "no hook `kernel_module_request`"),
            gap("`request_key`", "no hook on keys"),
        ],
    },
    Row {
        id: "C10",
        class: "typing in a person's place",
        lines: &[
            enforced(
                "`TIOCSTI` into a terminal",
                &[
                    "typing_into_its_terminal_is_held_and_happens_after_approval",
                    "typing_into_its_terminal_is_held_and_fails_cleanly_after_denial",
                ],
            ),
            unproven(
                "`TIOCLINUX` (paste on a console)",
                "held by the hook `file_ioctl`: the machines have serial lines and no console with a screen",
            ),
            unproven(
                "`/dev/uinput`",
                "held by the hook `file_open`, by the shipped rule `device-write`: the kernels of the machines have no such device",
            ),
            gap("writing to a terminal (`/dev/pts/N`), escape sequences for its clipboard", "no shipped rule names terminals"),
            gap("X11 and Wayland", "no shipped rule names their sockets, which every window needs"),
        ],
    },
    Row {
        id: "C11",
        class: "another machine does it",
        lines: &[
            command_line("command lines that publish", "publish", "publish"),
            gap("a pushed workflow, a webhook, a cloud function", "guard sees a connection, and what is in it is encrypted"),
        ],
    },
];
