//! What guardctl answers when asked for something that cannot be: nothing is released by mistake.

use std::fs;

use anyhow::{Context as _, Result, ensure};

use super::{
    Scenario,
    file::{fresh, gone},
    gate,
};
use crate::{
    guard::{Guard, id},
    patience::until,
};

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        gate("deciding_on_an_unknown_hold_ends_with_5", unknown),
        gate("deciding_twice_ends_with_6_and_the_first_decision_stays", twice),
        gate("a_bad_rules_file_on_reload_leaves_the_old_rules", reload),
        gate("what_an_observing_rule_would_hold_goes_on_and_is_in_the_log", observed),
        gate("the_audit_log_tells_the_whole_story_of_a_hold", story),
        gate("an_incident_is_told_after_guardd_was_started_again", incident),
    ]
}

fn unknown(guard: &mut Guard) -> Result<()> {
    for verb in ["approve", "deny", "show"] {
        let answer = guard.guardctl(&[verb, "h999999"])?;
        ensure!(answer.code == 5, "{verb} ended with {}: {}", answer.code, answer.stderr);
    }
    Ok(())
}

fn twice(guard: &mut Guard) -> Result<()> {
    fresh()?;
    let mut agent = guard.agent("rm /srv/guarded/file; echo code $?")?;
    let hold = guard.held("unlink", "/srv/guarded/file")?;
    guard.decide("deny", &hold)?;
    let answer = guard.guardctl(&["approve", id(&hold)?])?;
    ensure!(answer.code == 6, "approve after deny ended with {}: {}", answer.code, answer.stderr);
    agent.ends_with(0)?;
    ensure!(!gone("file"), "the second decision counted");
    Ok(())
}

fn reload(guard: &mut Guard) -> Result<()> {
    fresh()?;
    let file = "/run/guard-test/rules.yaml";
    let good = fs::read_to_string(file).context("cannot read the rules")?;
    fs::write(file, "rules:\n  - name: broken\n    acton: hold\n").context("cannot write the rules")?;
    let answer = guard.guardctl(&["reload"])?;
    ensure!(answer.code != 0, "a bad file was taken");
    ensure!(answer.stderr.contains("acton"), "the message should show the place: {}", answer.stderr);
    for (text, changed) in [(format!("{good}# reviewed\n"), "\n+# reviewed\n"), (good, "\n-# reviewed\n")] {
        fs::write(file, text).context("cannot write the rules")?;
        let answer = guard.guardctl(&["reload"])?;
        ensure!(answer.code == 0, "reload ended with {}: {}", answer.code, answer.stderr);
        let log = fs::read_to_string(guard.audit()).context("cannot read the audit log")?;
        let line = log.lines().rfind(|line| line.contains("\"kind\":\"reload\"")).context("no line about it")?;
        let record: serde_json::Value = serde_json::from_str(line).context("the line is not JSON")?;
        let diff = record["diff"].as_str().unwrap_or_default();
        ensure!(diff.starts_with(&format!("--- {file}\n+++ {file}\n")) && diff.contains(changed), "it says {record}");
    }
    let mut agent = guard.agent("rm /srv/guarded/file; echo code $?")?;
    let hold = guard.held("unlink", "/srv/guarded/file")?;
    guard.decide("deny", &hold)?;
    agent.ends_with(0)?;
    Ok(())
}

fn observed(guard: &mut Guard) -> Result<()> {
    fs::create_dir_all("/srv/watched").context("cannot make the directory")?;
    fs::write("/srv/watched/file", "").context("cannot make the file")?;
    let mut agent = guard.agent("rm /srv/watched/file; echo code $?")?;
    let output = agent.ends_with(0)?;
    ensure!(output.contains("code 0") && !fs::exists("/srv/watched/file")?, "it was stopped: {output}");
    let line = until("the line in the log", || {
        let log = fs::read_to_string(guard.audit()).context("cannot read the audit log")?;
        Ok(log.lines().find(|line| line.contains("\"would_hold\"")).map(str::to_owned))
    })?;
    let record: serde_json::Value = serde_json::from_str(&line).context("the line is not JSON")?;
    ensure!(
        record["rule"] == "watched-tree"
            && record["operation"]["op"] == "unlink"
            && record["operation"]["path"] == "/srv/watched/file"
            && record["agent_name"] == agent.name(),
        "the log says {line}"
    );
    let status = guard.guardctl(&["status"])?.stdout;
    ensure!(status.contains("would_hold 1"), "the status says {status}");
    Ok(())
}

/// The page is from the log alone: guardd may have been started again since.
fn incident(guard: &mut Guard) -> Result<()> {
    fresh()?;
    let mut agent = guard.agent("rm /srv/guarded/file; echo code $?")?;
    let hold = guard.held("unlink", "/srv/guarded/file")?;
    let answer = guard.guardctl(&["deny", id(&hold)?, "-m", "not this one"])?;
    ensure!(answer.code == 0, "deny ended with {}: {}", answer.code, answer.stderr);
    agent.ends_with(0)?;
    ensure!(!gone("file"), "denied, and gone");
    guard.crash()?;
    guard.start_again()?;
    let ask = |words: &[&str]| guard.guardctl(&[&["incident", id(&hold)?], words].concat());
    for words in [&[][..], &["--markdown"]] {
        let page = ask(words)?;
        let told =
            ["rm", "unlink /srv/guarded/file", "guarded-tree", "denied", "not this one", "refused", &agent.name()];
        let missing: Vec<&str> = told.into_iter().filter(|text| !page.stdout.contains(text)).collect();
        ensure!(page.code == 0 && missing.is_empty(), "{missing:?} is not on the page: {}{}", page.stdout, page.stderr);
    }
    let json: serde_json::Value = serde_json::from_str(&ask(&["-o", "json"])?.stdout).context("no JSON")?;
    let kinds: Vec<&str> =
        json["steps"].as_array().into_iter().flatten().filter_map(|step| step["kind"].as_str()).collect();
    ensure!(kinds == ["tag", "hold", "decision", "outcome"], "the steps are {kinds:?}");
    let none = guard.guardctl(&["incident", "h9999999"])?;
    ensure!(none.code == 5, "an unknown hold ended with {}: {}", none.code, none.stderr);
    Ok(())
}

fn story(guard: &mut Guard) -> Result<()> {
    fresh()?;
    let mut agent = guard.agent("rm /srv/guarded/file; echo code $?")?;
    let hold = guard.held("unlink", "/srv/guarded/file")?;
    guard.decide("approve", &hold)?;
    agent.ends_with(0)?;
    let log = fs::read_to_string(guard.audit()).context("cannot read the audit log")?;
    let quoted = format!("\"{}\"", id(&hold)?);
    let kinds: Vec<String> = log
        .lines()
        .filter(|line| line.contains(&quoted))
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter_map(|record| Some(record["kind"].as_str()?.to_owned()))
        .collect();
    let at = |kind: &str| kinds.iter().position(|found| found == kind);
    ensure!(
        at("hold").is_some() && at("hold") < at("decision") && at("decision") < at("outcome"),
        "the log says {kinds:?}"
    );
    Ok(())
}
