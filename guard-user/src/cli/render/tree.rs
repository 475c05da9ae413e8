//! Who wants it: the agent, the user and the processes as a tree. Facts of the kernel come first; `says:` marks what a
//! process can write about itself.

use super::{Tone, page::Page, words};
use crate::{
    api::{Hold, Process},
    text::{command_line, shown},
};

pub(super) fn who(page: &mut Page<'_>, hold: &Hold) {
    let mut agent = format!("agent {}", shown(&hold.agent));
    if !hold.agent_name.is_empty() {
        agent.push_str(&format!(" {}", words::quoted(&hold.agent_name)));
    }
    if let Some(process) = hold.processes.first() {
        agent.push_str(&format!(", user {}", user(process)));
    }
    page.field("who", &agent);
    let last = hold.processes.len().saturating_sub(1);
    // The chain comes innermost first; a tree is drawn from its root.
    for (depth, process) in hold.processes.iter().rev().enumerate() {
        let branch = if depth == 0 { String::new() } else { format!("{}└─ ", "   ".repeat(depth - 1)) };
        let mut line = format!("{branch}{} {}", process.pid, words::quoted(&process.comm));
        if !process.exe.is_empty() {
            line.push_str(&format!(" {}", words::quoted(&process.exe)));
        }
        if hold.processes.first().is_some_and(|first| first.uid != process.uid) {
            line.push_str(&format!(" user {}", user(process)));
        }
        if !process.argv.is_empty() {
            line.push_str(&format!(" says: {}", words::shorten(&command_line(&process.argv), 160)));
        }
        if depth == last {
            line.push_str(&page.look.paint(Tone::Careful, "  ← stopped"));
        }
        page.more(&line);
    }
    if let Some(process) = hold.processes.first()
        && !process.cwd.is_empty()
    {
        page.field("in", &words::quoted(&process.cwd));
    }
}

fn user(process: &Process) -> String {
    if process.user.is_empty() {
        format!("uid {}", process.uid)
    } else {
        format!("{} (uid {})", words::quoted(&process.user), process.uid)
    }
}
