//! What an agent touched is in the log: directories with how often, programs, and where it connected to; and what it was
//! refused is not.

use std::{collections::BTreeMap, fs, net::TcpListener, os::unix::net::UnixListener};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::{Scenario, file::fresh, gate, short};
use crate::{agent::Agent, guard::Guard, log::Log, patience::until, setting::Setting};

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        gate("what_an_agent_touched_is_in_the_log_and_what_it_was_refused_is_not", told),
        short(
            Setting::RulesDirectory,
            "a_learned_policy_lets_another_agent_do_the_same_work_and_holds_anything_else",
            learned,
        ),
    ]
}

/// What the records about an agent come to, by name: reads and writes of directories, and how often the rest.
#[derive(Default)]
struct Sum {
    directories: BTreeMap<String, (u64, u64)>,
    times: BTreeMap<String, u64>,
}

impl Sum {
    fn add(&mut self, record: &Value) {
        let footprint = &record["footprint"];
        let of = |name: &str| footprint[name].as_array().cloned().unwrap_or_default();
        let number = |value: &Value| value.as_u64().unwrap_or(0);
        for directory in of("directories") {
            let uses = self.directories.entry(directory["path"].as_str().unwrap_or_default().to_owned()).or_default();
            *uses = (uses.0 + number(&directory["reads"]), uses.1 + number(&directory["writes"]));
        }
        for used in of("programs").iter().chain(&of("reached")) {
            *self.times.entry(used["name"].as_str().unwrap_or_default().to_owned()).or_default() +=
                number(&used["times"]);
        }
    }
}

fn told(guard: &mut Guard) -> Result<()> {
    const SOCKET: &str = "/srv/footprint/socket";
    fresh()?;
    fs::create_dir_all("/srv/footprint/read").context("cannot make a directory")?;
    fs::write("/srv/footprint/read/a", "x\n").context("cannot write a file")?;
    let listener = TcpListener::bind("127.0.0.1:0").context("cannot listen")?;
    let port = listener.local_addr().context("it has no address")?.port();
    if fs::exists(SOCKET)? {
        fs::remove_file(SOCKET)?;
    }
    let _socket = UnixListener::bind(SOCKET).context("cannot listen on a socket file")?;
    let mut log = Log::from_now(guard)?;
    let connect = "use Socket; socket(S, PF_UNIX, SOCK_STREAM, 0); connect(S, sockaddr_un(shift)) or print \"$!\\n\"";
    let script = format!(
        "for n in 1 2 3 4 5; do read x </srv/footprint/read/a; done
        mkdir -p out/deep; for n in 1 2 3; do echo x >out/deep/$n; done; rm out/deep/1
        for n in 1 2; do exec 3<>/dev/tcp/127.0.0.1/{port}; done; perl -e '{connect}' {SOCKET}
        mv out renamed; echo x >renamed/deep/4
        rm /srv/guarded/file; echo code $?"
    );
    let mut agent = guard.agent(&script)?;
    let hold = guard.held("unlink", "/srv/guarded/file")?;
    guard.decide("deny", &hold)?;
    ensure!(agent.ends_with(0)?.contains("code 1"), "denied, and the agent was told otherwise");
    let mut sum = Sum::default();
    until("what it touched to be in the log before its end", || {
        let records = log.records()?;
        let own = records.iter().filter(|record| record["agent_name"] == agent.name());
        own.clone().filter(|record| record["kind"] == "footprint").for_each(|record| sum.add(record));
        Ok(own.clone().any(|record| record["kind"] == "agent_ended").then_some(()))
    })?;
    let Sum { directories, times } = sum;
    let uses = |path: &str| directories.get(path).copied().unwrap_or_default();
    let workspace = agent.workspace().display().to_string();
    ensure!(uses("/srv/footprint/read") == (5, 0), "{directories:?}");
    // Three are made and one is removed.
    ensure!(uses(&format!("{workspace}/out/deep")) == (0, 4), "{directories:?}");
    ensure!(uses(&format!("{workspace}/renamed/deep")) == (0, 1), "{directories:?}");
    // Made, and renamed.
    ensure!(uses(&workspace).1 == 2 + 1, "{directories:?}");
    ensure!(uses("/srv/guarded").1 == 0, "refused, and written: {directories:?}");
    let address = format!("127.0.0.1:{port}");
    ensure!(times.get(&address) == Some(&2) && times.get(&format!("unix:{SOCKET}")) == Some(&1), "{times:?}");
    let rm = fs::canonicalize("/bin/rm").context("there is no rm")?;
    ensure!(times.get(&rm.display().to_string()) == Some(&2), "{times:?}");
    let lost = guard.count("footprint_unseen")?;
    ensure!(lost == 0, "{lost} could not be told");
    Ok(())
}

fn learned(guard: &mut Guard) -> Result<()> {
    const WORK: &str = "for n in 1 2 3; do read x </srv/footprint/read/a; done
        mkdir -p out; echo x >out/file; rm out/file; printf '#!/bin/sh\\necho run\\n' >tool; chmod +x tool; ./tool";
    const CASES: &str = "/srv/footprint/cases.yaml";
    fs::create_dir_all("/srv/footprint/read").context("cannot make a directory")?;
    fs::write("/srv/footprint/read/a", "x\n").context("cannot write a file")?;
    if fs::exists(CASES)? {
        fs::remove_file(CASES)?;
    }
    let rules = guard.rules_directory();
    let (rules, policies) = (rules.display().to_string(), rules.join("policies.yaml").display().to_string());
    let mut agent = guard.agent(WORK)?;
    agent.ends_with(0)?;
    let run = |arguments: &[&str]| -> Result<String> {
        let answer = guard.guardctl(arguments)?;
        ensure!(answer.code == 0, "{arguments:?} ended with {}: {}{}", answer.code, answer.stdout, answer.stderr);
        Ok(answer.stdout)
    };
    let page = run(&["footprint", &agent.name(), "--rules", &rules])?;
    ensure!(page.contains("/srv/footprint/read") && page.contains("GAP not limited"), "{page}");
    let name = agent.name();
    run(&["learn", &name, "--name", "learned", "--rules", &rules, "--write", &policies, "--cases", CASES])?;
    run(&["rules", "check", &rules])?;
    run(&["rules", "test", CASES, "--rules", &rules])?;
    run(&["reload"])?;

    let under = |script: &str| Agent::start_with(guard, &["--policy", "learned"], &["/bin/bash", "-c", script]);
    let mut same = under(WORK)?;
    same.ends_with(0).context("the same work, under what was learned from it")?;
    for (script, op, about) in [
        ("echo x >/srv/footprint/other; echo code $?", "mknod", "/srv/footprint/other"),
        ("read x </srv/footprint/cases.yaml; echo code $?", "open_read", CASES),
        // Not of bash, which reads what it may not run.
        ("sh -c /bin/true; echo code $?", "exec", "/true"),
    ] {
        let mut other = under(script)?;
        let hold = guard.held(op, about).with_context(|| format!("{script} was not seen before"))?;
        ensure!(hold["rule"].as_str().is_some_and(|rule| rule.starts_with("policy-")), "{hold}");
        guard.decide("deny", &hold)?;
        other.ends_with(0)?;
    }
    // Its policy limits it in all four ways, and the other's in none.
    let table = run(&["audit-permissions", "--rules", &rules])?;
    let line = |name: &str| table.lines().position(|line| line.starts_with(name));
    ensure!(line(&name) < line(&same.name()) && line(&name).is_some(), "{table}");
    Ok(())
}
