//! What this kernel can do for guard: the facts behind the choice of tier, `guardd`'s one line and `doctor`.

use std::{fs, path::Path};

use crate::{api::Feature, kernel::btf::VMLINUX};

/// Looks without loading anything; needs no rights beyond reading `/sys` and `/proc`.
#[must_use]
pub fn probe() -> Vec<Feature> {
    vec![
        feature(
            "btf",
            Path::new(VMLINUX).exists(),
            "the kernel does not describe its structs",
            "guard cannot run",
            "a kernel built with CONFIG_DEBUG_INFO_BTF",
        ),
        feature(
            "lsm/bpf",
            bpf_in_lsm(),
            "`bpf` is not in /sys/kernel/security/lsm",
            "no gate: operations are not held before they take effect",
            &lsm_fix(),
        ),
        feature(
            "cgroup2",
            cgroup2_is_mounted(),
            "no cgroup v2 hierarchy is mounted",
            "nothing can be tagged",
            "mount -t cgroup2 none /sys/fs/cgroup",
        ),
        feature(
            "bpffs",
            Path::new("/sys/fs/bpf").exists() && is_bpffs(),
            "no bpffs at /sys/fs/bpf",
            "held operations would not outlive guardd",
            "mount -t bpf bpf /sys/fs/bpf",
        ),
        feature(
            "ftrace",
            fs::read_to_string("/proc/sys/kernel/ftrace_enabled").is_ok_and(|value| value.trim() == "1"),
            "kernel.ftrace_enabled is not 1",
            "every BPF LSM program is switched off: nothing is held",
            "reboot: setting it back does not reliably bring the programs back",
        ),
    ]
}

/// Is `bpf` among the active LSMs?
#[must_use]
pub fn bpf_in_lsm() -> bool {
    active_lsms().is_some_and(|list| list.split(',').any(|name| name.trim() == "bpf"))
}

fn active_lsms() -> Option<String> {
    fs::read_to_string("/sys/kernel/security/lsm").ok()
}

/// The boot parameter that would put `bpf` into the list, with what is there now kept.
fn lsm_fix() -> String {
    match active_lsms() {
        Some(list) => format!("add `lsm={},bpf` to the kernel command line and reboot", list.trim()),
        None => "mount -t securityfs none /sys/kernel/security, then look again".to_owned(),
    }
}

fn cgroup2_is_mounted() -> bool {
    fs::read_to_string("/proc/self/mountinfo").is_ok_and(|mounts| mounts.contains(" - cgroup2 "))
}

fn is_bpffs() -> bool {
    const BPF_FS_MAGIC: i64 = 0xcafe_4a11;
    rustix::fs::statfs("/sys/fs/bpf").is_ok_and(|stat| stat.f_type == BPF_FS_MAGIC)
}

fn feature(name: &str, ok: bool, problem: &str, cost: &str, fix: &str) -> Feature {
    let text = |text: &str| if ok { String::new() } else { text.to_owned() };
    Feature { name: name.to_owned(), ok, problem: text(problem), cost: text(cost), fix: text(fix) }
}
