//! The lists of `rules/cases`, for real: what they call destructive is stopped in the kernel, what they call harmless runs,
//! and `guardctl check` says the same beforehand.

use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::{Scenario, short};
use crate::{
    guard::{Guard, Tier},
    lists::{
        self, Case,
        lead::{Came, Lead},
    },
    setting::Setting,
};

/// Of so many lines one is run on each kernel, not the same: all of them take a quarter of an hour.
/// `cargo xtask vm -- guard-tests lists` runs them all.
const SHARE: usize = 9;

/// Lines that are not run, by what stands in them, and why.
const NOT_RUN: &[(&str, &str)] =
    &[(":(){", "a fork bomb slows the rest down"), ("kill -9 -1", "it ends the agent that runs the lists, too")];

/// Lines that do nothing here, or nothing guardd sees, by what stands in them, and why.
const UNSEEN: &[(&str, &str)] = &[
    (r#""rm", "-rf", "/"]"#, "rm refuses by itself"),
    (r#""rm", "-rf", ".."]"#, "rm refuses by itself"),
    (r#""rm", "-rf", "."]"#, "rm refuses by itself"),
    ("(pwd)/../..", "rm refuses by itself"),
    ("$PWD/../..", "rm refuses by itself"),
    ("rm -rf /srv/$i", "nothing of the kind is there"),
    ("git rebase --onto main a b", "what stands before fails here"),
    ("-name '*.tf'", "nothing of the kind is there"),
    ("git submodule foreach", "nothing of the kind is there"),
    (r#""git", "bisect", "run""#, "no bisection is under way"),
    ("(sleep 5 &&", "it begins when the line is over"),
    ("find / ", "it looks through the whole machine, longer than the lists wait"),
    ("-mtime +", "nothing here is that old"),
    ("case $1", "it has no arguments here"),
    ("/dev/tcp/", "the redirection is the shell's own, and the address is in no rule"),
    (r#"[ -n \"$X\" ]"#, "the variable is not set here"),
    ("git rebase -i --root &&", "what stands before fails here"),
    ("| xargs rm", "the names are those of other files here"),
    ("| psql", "check reads what goes through the pipe; guardd judges arguments"),
    ("psql shop <<<", "check reads what goes through the pipe; guardd judges arguments"),
    ("| mysql", "check reads what goes through the pipe; guardd judges arguments"),
    ("| redis-cli", "check reads what goes through the pipe; guardd judges arguments"),
];

/// What the scenario is called.
pub(crate) const NAME: &str = "command_lines_of_both_lists_are_stopped_or_not_as_they_say";

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![short(Setting::Shipped, NAME, |guard| {
        let kernel = rustix::system::uname();
        run(guard, &lists::read(first(&kernel.release().to_string_lossy()), SHARE)?)
    })]
}

/// The first line that is run on this kernel.
fn first(kernel: &str) -> usize {
    let is = |series: &&str| kernel == *series || kernel.starts_with(&format!("{series}."));
    ["6.1", "6.12"].iter().position(is).unwrap_or(2) * (SHARE / 3)
}

/// Programs that start others, and are stubs where the lists are run.
const STARTERS: [&str; 9] = ["sudo", "doas", "su ", "ssh", "docker", "kubectl exec", "npx", "parallel", "watch "];

/// The lines that this kernel must stop and that prove something, each after the rule that stops it.
pub(crate) fn stopped(kernel: &str) -> Vec<(String, String)> {
    let unproven: Vec<&str> = NOT_RUN.iter().chain(UNSEEN).map(|(part, _)| *part).chain(STARTERS).collect();
    let mut found = Vec::new();
    for (_, line) in
        lists::lines(first(kernel), SHARE).filter(|(_, line)| !unproven.iter().any(|part| line.contains(part)))
    {
        let Ok(case) = serde_json::from_str::<Value>(line) else { continue };
        let words = case["argv"].as_array().into_iter().flatten().filter_map(Value::as_str).collect::<Vec<_>>();
        let text = case["shell"].as_str().map_or_else(|| words.join(" "), str::to_owned);
        if let (Some(rule), true) = (case["rule"].as_str(), case["expect"] != "allow") {
            found.push((rule.to_owned(), text));
        }
    }
    found
}

/// `guard-tests lists [PART]`: every line, or every line with `part` in it.
pub(crate) fn whole(part: Option<&str>) -> Result<ExitCode> {
    let mut cases = lists::read(0, 1)?;
    cases.retain(|case| part.is_none_or(|part| case.line.contains(part)));
    run(&Guard::start(Tier::Gate, None)?, &cases)?;
    Ok(ExitCode::SUCCESS)
}

/// Lines that were not proven, by the reason.
#[derive(Default)]
struct Unproven(std::collections::BTreeMap<&'static str, Vec<String>>);

fn run(guard: &Guard, cases: &[Case]) -> Result<()> {
    let mut lead = Lead::start(guard)?;
    let mut unproven = Unproven::default();
    let (mut proven, mut wrong, mut late) = (0, 0, 0);
    for case in cases {
        let mut differs = |what: String| {
            println!("lists: {} {what}: {}", case.place, case.line);
            wrong += 1;
        };
        let foreseen = &case.foreseen;
        if (foreseen.action != "allow") != case.stops || foreseen.rule != case.rule {
            differs(format!("check says {} {:?}", foreseen.action, foreseen.rule));
        }
        if let Some((_, why)) = NOT_RUN.iter().find(|(part, _)| case.line.contains(part)) {
            unproven.add(why, case);
            continue;
        }
        let came = lead.run(case).with_context(|| case.line.clone())?;
        late += usize::from(came.late);
        match reason(case, &came) {
            Some(why) => unproven.add(why, case),
            None if came.stopped.is_some() == case.stops => proven += 1,
            None => differs(format!("was stopped by {:?}", came.stopped)),
        }
    }
    drop(lead);
    println!("lists: {proven} of {} lines came out as they say; {late} never ended by themselves", cases.len());
    for (why, places) in &unproven.0 {
        println!("lists: {} lines are not proven here ({why}): {}", places.len(), places.join(" "));
    }
    ensure!(wrong == 0, "{wrong} lines came out otherwise");
    ensure!(proven > 0, "no line was run");
    Ok(())
}

/// Why a line says nothing here, where it does not.
fn reason(case: &Case, came: &Came) -> Option<&'static str> {
    if !case.stops || came.stopped.is_some() {
        return None;
    }
    if case.rule.as_deref() == Some("doubt") {
        return Some("check holds what it cannot foresee; nothing that a rule names happened");
    }
    if came.by_stub {
        return Some("a stub stands for the program that would do it");
    }
    UNSEEN.iter().find(|(part, _)| case.line.contains(part)).map(|(_, why)| *why)
}

impl Unproven {
    fn add(&mut self, why: &'static str, case: &Case) {
        self.0.entry(why).or_default().push(case.place.clone());
    }
}
