//! What guardd itself must be allowed to do, checked before anything is loaded so that the message names it.
#![forbid(unsafe_code)]

use super::facts::bounded;

/// Capability numbers of `linux/capability.h` that guardd cannot do without, and what for.
const NEEDED: [(u32, &str, &str); 6] = [
    (39, "CAP_BPF", "to load the programs"),
    (38, "CAP_PERFMON", "to read kernel memory in them"),
    (21, "CAP_SYS_ADMIN", "to attach them and to pin them"),
    (5, "CAP_KILL", "to stop, wake and kill agents"),
    (1, "CAP_DAC_OVERRIDE", "to move processes between cgroups and write the log"),
    (19, "CAP_SYS_PTRACE", "to read what a held process is"),
];

/// `None` when nothing is missing, else the user's sentence.
#[must_use]
pub fn missing() -> Option<String> {
    let status = bounded("/proc/self/status", 64 << 10).unwrap_or_default();
    let text = String::from_utf8_lossy(&status);
    let effective = text.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let effective = effective.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()).unwrap_or(0);
    sentence(effective)
}

fn sentence(effective: u64) -> Option<String> {
    let missing: Vec<String> = NEEDED
        .iter()
        .filter(|(bit, _, _)| effective & (1 << bit) == 0)
        .map(|(_, name, purpose)| format!("{name} ({purpose})"))
        .collect();
    if missing.is_empty() {
        return None;
    }
    Some(format!("guardd may not run here: it lacks {}. Start it as root.", missing.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_missing_capability_is_named() {
        assert_eq!(sentence(u64::MAX), None);
        let said = sentence(!(1 << 39)).expect("one is missing");
        assert!(said.contains("CAP_BPF") && !said.contains("CAP_KILL"), "{said}");
    }
}
