//! Leads the agent through the lists, one line at a time, denies whatever is held, and says what came of each line.

use std::{
    io::{Read as _, Write as _},
    process::{Child, ChildStdin, ChildStdout, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Pid, Signal, kill_process_group},
};

use super::{
    Case,
    follow::if_any,
    world::{SHOP, STUBS, World},
};
use crate::{
    guard::Guard,
    log::{Log, lines},
    socket::ask,
};

const NAME: &str = "lists";
/// Longer than the agent gives any line.
const LIMIT: Duration = Duration::from_secs(60);

/// What came of a line.
pub(crate) struct Came {
    /// Rule and operation of the first thing that was stopped.
    pub(crate) stopped: Option<String>,
    /// It did not end by itself.
    pub(crate) late: bool,
    /// What would have been stopped is done by a program that is only a stub here.
    pub(crate) by_stub: bool,
}

pub(crate) struct Lead<'a> {
    guard: &'a Guard,
    world: World,
    child: Child,
    input: ChildStdin,
    output: ChildStdout,
    said: Vec<u8>,
    log: Log,
}

impl<'a> Lead<'a> {
    pub(crate) fn start(guard: &'a Guard) -> Result<Self> {
        let world = World::new()?;
        let path = format!("{STUBS}:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        let mut command = guard.command();
        command.args(["run", "--name", NAME, "--workspace", SHOP, "--", "guard-tests", "act", "follow"]);
        command.current_dir(SHOP).env("HOME", "/home/dev").env("PATH", path).env("GIT_EDITOR", "true");
        command.env("GIT_PAGER", "cat").env("GIT_TERMINAL_PROMPT", "0");
        command.env("GIT_CONFIG_COUNT", "1").env("GIT_CONFIG_KEY_0", "url./opt/remote/.insteadOf");
        command.env("GIT_CONFIG_VALUE_0", "https://github.com/acme/");
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().context("cannot start the agent")?;
        let input = child.stdin.take().context("the agent has an input")?;
        let output = child.stdout.take().context("the agent has an output")?;
        let log = Log::from_now(guard)?;
        Ok(Self { guard, world, child, input, output, said: Vec::new(), log })
    }

    pub(crate) fn run(&mut self, case: &Case) -> Result<Came> {
        self.world.prepare(case)?;
        writeln!(self.input, "{}", case.line).context("the agent is gone")?;
        let deadline = Instant::now() + LIMIT;
        let (mut stopped, mut group, mut late) = (None, None, false);
        let (mut done, mut before) = (false, None);
        while !done {
            ensure!(Instant::now() < deadline, "the agent does not answer, stopped at {stopped:?}");
            for line in self.hear()? {
                match line.split_once(' ') {
                    Some(("after", number)) => before = number.parse().ok(),
                    Some(("started", number)) => group = number.parse().ok().and_then(Pid::from_raw),
                    Some(("done", _)) => (done, late) = (true, true),
                    None if line == "done" => done = true,
                    Some(_) | None => bail!("the agent said {line:?}"),
                }
            }
            let Some(before) = before else { continue };
            self.deny_what_is_held(before, &mut stopped)?;
            if let (Some(group), Some(_), false) = (group, &stopped, done) {
                // What comes after the first stop is of no interest.
                if_any(kill_process_group(group, Signal::KILL))?;
            }
        }
        self.deny_what_is_held(before.context("the agent did not begin")?, &mut stopped)?;
        Ok(Came { stopped, late, by_stub: self.by_stub(case) })
    }

    /// The program before the step that is to be stopped is a stub.
    fn by_stub(&self, case: &Case) -> bool {
        let steps = &case.foreseen.operations;
        let at = steps.iter().position(|step| step.action != "allow").unwrap_or(0);
        steps[..at].iter().any(|step| self.world.is_stub(step))
    }

    /// Whole lines the agent has said, waiting a moment for the first.
    fn hear(&mut self) -> Result<Vec<String>> {
        let wait = Timespec { tv_sec: 0, tv_nsec: 4_000_000 };
        let ready = poll(&mut [PollFd::new(&self.output, PollFlags::IN)], Some(&wait)).context("cannot poll")?;
        if ready > 0 {
            let mut buffer = [0; 4096];
            let count = self.output.read(&mut buffer).context("cannot hear the agent")?;
            ensure!(count > 0, "the agent ended: {:?}", self.child.try_wait());
            self.said.extend_from_slice(&buffer[..count]);
        }
        Ok(lines(&mut self.said))
    }

    /// The first stop of a process younger than `before` is told. guardd may write of others when their line is over.
    fn deny_what_is_held(&mut self, before: u32, stopped: &mut Option<String>) -> Result<()> {
        for record in self.log.records()? {
            if record["agent_name"] != NAME {
                continue;
            }
            match record["kind"].as_str() {
                Some("hold") => {
                    if let Some(id) = record["hold"].as_str() {
                        decide(self.guard, id)?;
                    }
                }
                Some("decision") => {}
                Some(_) | None => continue,
            }
            if !record["pid"].as_u64().is_some_and(|pid| is_younger(pid, before)) {
                continue;
            }
            let rule = record["rule"].as_str().unwrap_or_default();
            let operation = &record["operation"];
            stopped.get_or_insert_with(|| {
                format!("{rule}: {} {} {}", operation["op"], operation["path"], operation["argv"])
            });
        }
        Ok(())
    }
}

/// Whether a process was made after another. The kernel counts on, and begins again at 32,768 or far above.
fn is_younger(pid: u64, before: u32) -> bool {
    const FEW: u64 = 10_000;
    let before = u64::from(before);
    pid > before || before - pid > FEW
}

impl Drop for Lead<'_> {
    fn drop(&mut self) {
        // Its input ends with this, and it may have ended before.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Denies over the socket, as guardctl would: starting guardctl for each of a thousand takes minutes here.
fn decide(guard: &Guard, id: &str) -> Result<()> {
    let path = format!("/v1/holds/{id}/decision");
    let (status, answer) = ask(&guard.socket(), "POST", &path, r#"{"verdict":"deny","scope":"process"}"#)?;
    // 409: a rule, or the end of the process, decided before.
    ensure!([200, 404, 409].contains(&status), "denying {id}: {answer}");
    Ok(())
}
