//! Variables of a process that say on whose behalf it runs, as they were when its program began. Agents set them as they
//! like: they are told, never believed.
#![forbid(unsafe_code)]

use super::bounded;
use crate::{api::Variable, text::lossy};

/// Bytes of an environment that are read.
const MOST: u64 = 128 << 10;
/// Bytes of a value that are kept.
const VALUE: usize = 512;

/// Those that are asked for everywhere: a trace's context as W3C has it, and sessions of agents.
pub const LISTED: [&str; 4] = ["TRACEPARENT", "CLAUDE_CODE_SESSION_ID", "CODEX_THREAD_ID", "GEMINI_SESSION_ID"];

/// Adds what `pid` has of `variables` and no process below it had.
pub(super) fn add(pid: u32, variables: &[String], found: &mut Vec<Variable>) {
    let missing = |found: &[Variable], name: &[u8]| {
        variables.iter().any(|wanted| wanted.as_bytes() == name)
            && !found.iter().any(|known| known.name.as_bytes() == name)
    };
    if variables.iter().all(|wanted| found.iter().any(|known| known.name == *wanted)) {
        return;
    }
    let environment = bounded(&format!("/proc/{pid}/environ"), MOST).unwrap_or_default();
    for assignment in environment.split(|byte| *byte == 0) {
        let Some(equals) = assignment.iter().position(|byte| *byte == b'=') else { continue };
        let (name, value) = (&assignment[..equals], &assignment[equals + 1..]);
        if missing(found, name) {
            let value = lossy(value.get(..VALUE).unwrap_or(value));
            found.push(Variable { name: lossy(name), value, pid });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_process_is_asked_first() {
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .env("GUARD_NEAR", "child=1")
            .env("GUARD_LONG", "x".repeat(1_000))
            .env_remove("HOME")
            .spawn()
            .expect("sleep starts");
        let wanted = ["GUARD_NEAR", "GUARD_LONG", "PATH", "GUARD_NOWHERE"].map(str::to_owned);
        let mut found = vec![Variable { name: "PATH".to_owned(), value: "below".to_owned(), pid: 1 }];
        // Until it is another program it has this one's environment.
        while !found.iter().any(|variable| variable.name == "GUARD_NEAR") {
            add(child.id(), &wanted, &mut found);
        }
        child.kill().and_then(|()| child.wait()).expect("it ends");
        let value = |name: &str| found.iter().find(|known| known.name == name).map(|known| known.value.clone());
        assert_eq!((value("GUARD_NEAR").as_deref(), value("PATH").as_deref()), (Some("child=1"), Some("below")));
        assert_eq!(value("GUARD_LONG").map(|value| value.len()), Some(VALUE));
        assert_eq!(found.len(), 3);
    }
}
