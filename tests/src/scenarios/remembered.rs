//! Execs the rules cleared: the kernel lets the same one through again, and asks about whatever differs.

use std::fs;

use anyhow::{Context as _, Result, ensure};

use super::{Scenario, gate};
use crate::guard::Guard;

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        gate("a_command_the_rules_cleared_is_asked_about_once", once),
        gate("a_command_that_differs_in_anything_is_asked_about_again", differs),
        gate("what_other_rules_cleared_is_asked_about_again", reloaded),
    ]
}

/// How many operations were asked about, and how many execs remembered.
fn counts(guard: &Guard) -> Result<[u64; 2]> {
    Ok([guard.count("held")?, guard.count("remembered")?])
}

/// Starting an agent asks about something, too.
fn start(guard: &Guard) -> Result<[u64; 2]> {
    run(guard, [0; 2], ":")
}

/// Runs it as an agent, and says how many were asked about and remembered beyond `start`.
fn run(guard: &Guard, start: [u64; 2], script: &str) -> Result<[u64; 2]> {
    let before = counts(guard)?;
    let output = guard.agent(script)?.ends_with(0)?;
    ensure!(!output.contains("fail"), "{script} printed {output:?}");
    let after = counts(guard)?;
    Ok([after[0] - before[0] - start[0], after[1] - before[1] - start[1]])
}

fn once(guard: &mut Guard) -> Result<()> {
    let found = run(
        guard,
        start(guard)?,
        "for i in 1 2 3 4 5 6 7 8 9 10; do /bin/echo fine || echo fail; done; /bin/echo other",
    )?;
    ensure!(found == [2, 9], "asked and remembered {found:?}");
    let mut agent = guard.agent("/bin/echo fine; /bin/echo destroy-everything; /bin/echo destroy-everything")?;
    let hold = guard.held("exec", "destroy-everything")?;
    guard.decide("deny", &hold)?;
    // What a person decided is about this one alone.
    let hold = guard.held("exec", "destroy-everything")?;
    guard.decide("deny", &hold)?;
    let output = agent.end()?.output;
    ensure!(!output.contains("\ndestroy-everything"), "denied, and it ran: {output:?}");
    Ok(())
}

fn differs(guard: &mut Guard) -> Result<()> {
    let start = start(guard)?;
    let asked = |what: &str, script: &str, wanted: [u64; 2]| -> Result<()> {
        let found = run(guard, start, script)?;
        ensure!(found == wanted, "{what}: asked and remembered {found:?}, not {wanted:?}");
        Ok(())
    };
    fs::create_dir_all("/srv/programs/a").context("cannot make a directory")?;
    fs::copy("/bin/echo", "/srv/programs/a/echo").context("cannot copy a program")?;
    let base = "cd /srv/programs/a && ./echo fine && ./echo fine";
    asked("twice the same", base, [1, 1])?;
    asked("the same as another agent", base, [1, 1])?;
    asked("another argument", "cd /srv/programs/a && ./echo fine && ./echo fine also", [2, 0])?;
    asked("another argument 0", "cd /srv/programs/a && ./echo fine && ../a/echo fine", [2, 0])?;
    asked("an argument in two", "cd /srv/programs/a && ./echo 'a b' && ./echo a b", [2, 0])?;
    let user = "setpriv --reuid=1000 --clear-groups ./echo fine";
    let found = run(guard, start, &format!("cd /srv/programs/a && ./echo fine && {user} && {user}"))?;
    // `setpriv` does more that is asked about.
    ensure!(found[1] == 1, "another user, and again: remembered {}, not 1", found[1]);
    let moved = "cd /srv/programs/a && ./echo fine && mv ../a ../b && ./echo fine && mv ../b ../a && ./echo fine";
    asked("another path, and back", moved, [2, 1])?;
    let grown = "cd /srv/programs/a && ./echo fine && echo >> echo && ./echo fine && ./echo fine";
    asked("a changed program", grown, [2, 1])?;
    let long = "cd /srv/programs/a && ./echo $(seq 100) && ./echo $(seq 100)";
    asked("more than a key holds", long, [2, 0])
}

fn reloaded(guard: &mut Guard) -> Result<()> {
    let file = "/run/guard-test/rules.yaml";
    let good = fs::read_to_string(file).context("cannot read the rules")?;
    let other = good.replace(r#"any_argument: ["*-everything"]"#, r#"any_argument: ["*-everything", fine]"#);
    ensure!(other != good, "the rules are the same");
    let mut agent = guard.agent(
        "/bin/echo fine; /bin/echo fine; echo ready; until [ -e go ]; do sleep 0.1; done; /bin/echo fine; echo code $?",
    )?;
    agent.says("ready")?;
    fs::write(file, other).context("cannot write the rules")?;
    let answer = guard.guardctl(&["reload"])?;
    fs::write(file, good).context("cannot write the rules")?;
    ensure!(answer.code == 0, "reload ended with {}: {}", answer.code, answer.stderr);
    fs::write(agent.workspace().join("go"), "").context("cannot write")?;
    let hold = guard.held("exec", "fine")?;
    guard.decide("deny", &hold)?;
    let output = agent.ends_with(0)?;
    ensure!(output.ends_with("code 126\n"), "it printed {output:?}");
    let answer = guard.guardctl(&["reload"])?;
    ensure!(answer.code == 0, "reload ended with {}: {}", answer.code, answer.stderr);
    ensure!(run(guard, start(guard)?, "/bin/echo fine || echo fail")? == [1, 0], "the first rules' agent is another");
    Ok(())
}
