//! What agents execute is in the log: each exec with its arguments, its directory, the digest of the program and the processes
//! above it; and a flood of them costs nobody anything but what the log says.

use std::{fs, path::Path, process::Command, time::Duration};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::{
    Run, Scenario,
    file::{fresh, gone},
    gate,
};
use crate::{
    agent::Agent,
    guard::{Guard, Tier},
    log::Log,
    patience::{until, until_within},
    setting::Setting,
};

pub(super) fn scenarios() -> Vec<Scenario> {
    let trip = |name: &str, run: fn(&mut Guard) -> Result<()>| Scenario {
        name: name.to_owned(),
        run: Run::Guard(Tier::Trip, Setting::Usual, Box::new(run)),
    };
    vec![
        gate("what_an_agent_executes_is_in_the_log", told),
        gate("what_is_executed_while_no_guardd_runs_is_in_the_log", meanwhile),
        gate("a_timeline_is_the_tree_of_an_agents_processes_with_what_was_held_there", timeline),
        gate("a_flood_of_execs_costs_no_hold_and_the_log_says_how_many_are_not_in_it", flood),
        trip("trip_what_an_agent_executes_is_in_the_log", told),
    ]
}

/// Waits until the log says all of these of an agent; answers its execs so far.
fn execs(log: &mut Log, found: &mut Vec<Value>, agent: &str, last: &str) -> Result<Vec<Value>> {
    until(&format!("the exec with {last} to be in the log"), || {
        let records = log.records()?;
        found.extend(records.into_iter().filter(|record| record["kind"] == "exec" && record["agent_name"] == agent));
        Ok(found.iter().any(|exec| arguments(exec).last() == Some(&last)).then(|| found.clone()))
    })
}

fn arguments(exec: &Value) -> Vec<&str> {
    exec["processes"][0]["argv"].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

/// The one exec whose last argument this is.
fn one<'a>(execs: &'a [Value], last: &str, program: &str) -> Result<&'a Value> {
    let is = |exec: &&Value| {
        let is_program = exec["processes"][0]["exe"].as_str().is_some_and(|exe| exe.ends_with(program));
        is_program && arguments(exec).last() == Some(&last)
    };
    let found: Vec<&Value> = execs.iter().filter(is).collect();
    ensure!(found.len() == 1, "{} execs of {program} with {last}: {execs:?}", found.len());
    Ok(found[0])
}

/// As another program reckons it.
fn digest(file: &Path) -> Result<String> {
    let output = Command::new("sha256sum").arg(file).output().context("cannot start sha256sum")?;
    let text = String::from_utf8(output.stdout)?;
    Ok(text.split(' ').next().context("sha256sum said nothing")?.to_owned())
}

/// What a record says of a program, compared with the file itself.
fn is(exec: &Value, program: &str, argv: &[&str], comm: &str, cwd: &Path) -> Result<()> {
    let program = fs::canonicalize(program).with_context(|| format!("there is no {program}"))?;
    let process = &exec["processes"][0];
    ensure!(process["exe"] == json!(program), "{exec}");
    ensure!(arguments(exec) == argv, "{exec}");
    ensure!(process["comm"] == comm && process["cwd"] == json!(cwd), "{exec}");
    ensure!(exec["program"] == digest(&program)?, "another digest than {}: {exec}", digest(&program)?);
    ensure!(exec["pid"] == process["pid"] && exec["starts"][0].is_u64() && exec["executed_ns"].is_u64(), "{exec}");
    Ok(())
}

fn told(guard: &mut Guard) -> Result<()> {
    let mut log = Log::from_now(guard)?;
    let script = "cd /usr/share; (/usr/bin/env -i /bin/true 'two words' '' inner; :); cd - >/dev/null
        printf '#!/bin/sh -e\\nexit 0\\n' >tool; chmod +x tool; ./tool --password=hunter2 given
        /bin/true \"$(head -c 5000 /dev/zero | tr '\\0' x)\"; /bin/true last";
    let mut agent = guard.agent(script)?;
    agent.ends_with(0)?;
    let execs = execs(&mut log, &mut Vec::new(), &agent.name(), "last")?;

    // The first process, which guardctl became.
    let shell = execs.iter().find(|exec| exec["pid"] == agent.pid()).context("the shell is not in the log")?;
    ensure!(
        arguments(shell)[..2] == ["/bin/bash", "-c"] && shell["program"] == digest(Path::new("/bin/bash"))?,
        "{shell}"
    );

    // Two programs one after the other in one process, below a shell that was only forked.
    let inner = one(&execs, "inner", "true")?;
    is(inner, "/bin/true", &["/bin/true", "two words", "", "inner"], "true", Path::new("/usr/share"))?;
    let env = one(&execs, "inner", "env")?;
    ensure!(env["pid"] == inner["pid"] && env["starts"] == inner["starts"], "{env} {inner}");
    ensure!(env["seq"].as_u64() < inner["seq"].as_u64(), "{env} {inner}");
    let above = [&inner["processes"][1], &inner["processes"][2]];
    ensure!(above[0]["comm"] == "bash" && above[0]["pid"] != agent.pid(), "{inner}");
    ensure!(above[1]["comm"] == "bash" && above[1]["pid"] == agent.pid(), "{inner}");
    ensure!(inner["starts"][2] == shell["starts"][0], "{inner} {shell}");

    // A script is what runs it.
    let tool = one(&execs, "given", "sh")?;
    is(tool, "/bin/sh", &["/bin/sh", "-e", "./tool", "--password=***", "given"], "tool", agent.workspace())?;

    let long = execs.iter().find(|exec| exec["note"].as_str().is_some_and(|note| note.contains("longer arguments")));
    let long = long.with_context(|| format!("nothing is said of the long argument: {execs:?}"))?;
    ensure!(arguments(long).len() == 2 && arguments(long)[1].len() > 4_000, "{long}");
    found(guard, &agent)
}

/// It is found by what the command line asks for.
fn found(guard: &Guard, agent: &Agent) -> Result<()> {
    let program = fs::canonicalize("/bin/true").context("there is no true")?;
    let answer =
        guard.guardctl(&["log", "--kind", "exec", "--agent", &agent.name(), "--path", &program.to_string_lossy()])?;
    let lines: Vec<&str> = answer.stdout.lines().collect();
    ensure!(
        lines.len() == 3 && lines[2].ends_with(" last") || lines[2].contains("/bin/true last"),
        "{}",
        answer.stdout
    );
    Ok(())
}

fn meanwhile(guard: &mut Guard) -> Result<()> {
    let mut log = Log::from_now(guard)?;
    let agent =
        guard.agent("echo ready; while [ ! -e go ]; do sleep 0.1; done; /bin/true meanwhile; echo done; sleep 60")?;
    agent.says("ready")?;
    guard.crash()?;
    fs::write(agent.workspace().join("go"), "")?;
    agent.says("done")?;
    guard.start_again()?;
    let execs = execs(&mut log, &mut Vec::new(), &agent.name(), "meanwhile")?;
    let program = &one(&execs, "meanwhile", "true")?["program"];
    ensure!(*program == digest(Path::new("/bin/true"))?, "another digest: {program}");
    Ok(())
}

/// Whether the lines have these texts, in this order.
fn in_order(page: &str, texts: &[String]) -> Result<()> {
    let mut lines = page.lines();
    for text in texts {
        ensure!(lines.any(|line| line.contains(text)), "{text:?} is not in its place:\n{page}");
    }
    Ok(())
}

fn timeline(guard: &mut Guard) -> Result<()> {
    fresh()?;
    let mut log = Log::from_now(guard)?;
    let mut agent = guard.agent("(rm /srv/guarded/file; :); /bin/true last; exit 0")?;
    let hold = guard.held("unlink", "/srv/guarded/file")?;
    guard.decide("deny", &hold)?;
    agent.ends_with(0)?;
    execs(&mut log, &mut Vec::new(), &agent.name(), "last")?;
    let (name, id) = (agent.name(), crate::guard::id(&hold)?.to_owned());
    let wanted = [
        "tagged by".to_owned(),
        format!("  {} /usr/bin/bash in {}: /bin/bash -c", agent.pid(), agent.workspace().display()),
        "├─ ".to_owned(),
        "│  └─ ".to_owned(),
        format!("├─ {id} held: unlink /srv/guarded/file"),
        format!("├─ {id} denied"),
        format!("└─ {id} refused"),
        "/usr/bin/true: /bin/true last".to_owned(),
    ];
    let page = guard.guardctl(&["timeline", &name])?;
    in_order(&page.stdout, &wanted)?;
    let rm = page.stdout.lines().find(|line| line.contains("/usr/bin/rm: rm /srv/guarded/file"));
    let pid = hold["processes"][0]["pid"].to_string();
    ensure!(rm.is_some_and(|rm| rm.contains(&format!("└─ {pid} "))), "{}", page.stdout);
    // It is the log's, whoever wrote that.
    guard.crash()?;
    guard.start_again()?;
    let again = guard.guardctl(&["timeline", &name, "--until", "now"])?;
    in_order(&again.stdout, &wanted)?;
    let tree: Value = serde_json::from_str(&guard.guardctl(&["timeline", &name, "-o", "json"])?.stdout)?;
    let shell = tree["items"].as_array().into_iter().flatten().find(|item| item["pid"] == agent.pid());
    ensure!(shell.is_some_and(|shell| shell["items"][0]["is"] == "exec"), "{tree}");
    let few = guard.guardctl(&["timeline", &name, "-n", "2"])?;
    ensure!(few.stdout.contains("What was before is left out"), "{}", few.stdout);
    let none = guard.guardctl(&["timeline", "nobody"])?;
    ensure!(none.code == 5, "it ended with {}: {}", none.code, none.stderr);
    Ok(())
}

fn flood(guard: &mut Guard) -> Result<()> {
    const TIMES: u64 = 1_000;
    // Under emulation, on a machine that does other things.
    const LONG: Duration = Duration::from_secs(300);
    fresh()?;
    let mut log = Log::from_now(guard)?;
    // What takes much room: each of these characters is six in JSON.
    let script = format!(
        "x=$(printf '\\001%.0s' {{1..4000}}); for n in {{1..{TIMES}}}; do /bin/true $x; done; echo done; rm /srv/guarded/file; echo code $?"
    );
    let mut agent = guard.agent(&script)?;
    until_within(LONG, "the flood to end", || Ok(agent.output()?.contains("done").then_some(())))?;
    let hold = guard.held("unlink", "/srv/guarded/file")?;
    ensure!(!gone("file"), "held, and gone");
    guard.decide("deny", &hold)?;
    ensure!(agent.ends_with(0)?.contains("code 1"), "denied, and the agent was told otherwise");
    // Of the shell, of each, and of `rm`.
    let all = TIMES + 2;
    let (mut written, mut missing) = (0, 0);
    until("every exec to be in the log, or to be counted there", || {
        for record in log.records()?.iter().filter(|record| record["kind"] == "exec") {
            match record["missing"].as_u64() {
                Some(count) => missing += count,
                None => written += 1,
            }
        }
        Ok((written + missing >= all).then_some(()))
    })
    .with_context(|| format!("{written} are in the log, {missing} are counted, of {all}"))?;
    ensure!(written + missing == all, "{written} are in the log, {missing} are counted, of {all}");
    ensure!(written > 300 && missing > 100, "{written} are in the log, {missing} are counted, of {all}");
    Ok(())
}
