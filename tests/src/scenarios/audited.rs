//! The audit log as evidence: chained, signed, in segments, and what is found of one that somebody changed. With tools that
//! have nothing to do with guard, too, as the documentation says.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::{
    Scenario,
    file::{fresh, gone},
    limit::whole,
    short,
};
use crate::{
    guard::{Answer, Guard},
    patience::until,
    setting::Setting,
};

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        short(Setting::SmallSegments, "a_log_in_segments_is_whole_and_every_change_of_it_is_found", changed),
        short(Setting::SmallSegments, "the_log_is_verified_as_documented_without_guard", documented),
        short(Setting::SmallSegments, "a_log_whose_guardd_is_killed_while_segments_end_stays_whole", crashed),
    ]
}

/// What the documentation has anybody run.
const PAGE: &str = include_str!("../../../docs/audit-log.md");

/// Has agents try things until the log has closed and compressed this many segments more.
fn grown(guard: &mut Guard, more: usize) -> Result<()> {
    let wanted = closed(&guard.audit())?.len() + more;
    until("segments of the log to be closed and compressed", || {
        fresh()?;
        let mut agent = guard.agent("rm /srv/guarded/file; echo code $?")?;
        let hold = guard.held("unlink", "/srv/guarded/file")?;
        guard.decide("deny", &hold)?;
        agent.ends_with(0)?;
        ensure!(!gone("file"), "denied, and gone");
        let closed = closed(&guard.audit())?;
        Ok((closed.len() >= wanted && closed.iter().all(|path| path.extension() == Some("gz".as_ref()))).then_some(()))
    })
}

/// The closed segments, oldest first.
fn closed(log: &Path) -> Result<Vec<PathBuf>> {
    let directory = log.parent().context("a log has a directory")?;
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).with_context(|| format!("cannot list {}", directory.display()))? {
        let path = entry?.path();
        let is_segment = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("audit-"));
        if is_segment && path.extension() != Some("index".as_ref()) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// A copy of the log to do evil to.
fn copy(guard: &Guard) -> Result<PathBuf> {
    let to = PathBuf::from("/srv/copy");
    if to.exists() {
        fs::remove_dir_all(&to).context("cannot remove the last copy")?;
    }
    fs::create_dir_all(&to).context("cannot make room for a copy")?;
    let log = guard.audit();
    let directory = log.parent().context("a log has a directory")?;
    for entry in fs::read_dir(directory).context("cannot list the log")? {
        let from = entry?.path();
        if from.is_file() {
            fs::copy(&from, to.join(from.file_name().context("a file has a name")?)).context("cannot copy the log")?;
        }
    }
    Ok(to.join("audit.jsonl"))
}

fn verified(guard: &Guard, log: &Path, more: &[&str]) -> Result<Answer> {
    guard.guardctl(&[&["log", "verify", &log.to_string_lossy()], more].concat())
}

/// It is not whole, and this is said.
fn finds(guard: &Guard, log: &Path, more: &[&str], said: &str) -> Result<()> {
    let answer = verified(guard, log, more)?;
    let right = answer.code == 1 && answer.stdout.contains("NOT WHOLE") && answer.stdout.contains(said);
    ensure!(right, "{said:?} was wanted; it ended with {}: {}{}", answer.code, answer.stdout, answer.stderr);
    Ok(())
}

/// Changes the text of a segment.
fn edit(segment: &Path, change: impl Fn(String) -> String) -> Result<()> {
    let zipped = segment.extension() == Some("gz".as_ref());
    let text = if zipped {
        let output = Command::new("gzip").arg("-dc").arg(segment).output().context("cannot start gzip")?;
        String::from_utf8(output.stdout)?
    } else {
        fs::read_to_string(segment)?
    };
    let text = change(text);
    if !zipped {
        return fs::write(segment, text).context("cannot write the segment");
    }
    let plain = segment.with_extension("");
    fs::write(&plain, text).context("cannot write the segment")?;
    let status = Command::new("gzip").arg("-f").arg(&plain).status().context("cannot start gzip")?;
    ensure!(status.success(), "gzip ended with {status}");
    Ok(())
}

fn changed(guard: &mut Guard) -> Result<()> {
    grown(guard, 3)?;
    whole(guard)?;
    let answer = verified(guard, &guard.audit(), &[])?;
    ensure!(answer.stdout.contains("is whole") && answer.stdout.contains("signed up to record"), "{}", answer.stdout);

    asked(guard)?;

    // A denial becomes an approval.
    let log = copy(guard)?;
    let second = closed(&log)?.get(1).context("three are closed")?.clone();
    edit(&second, |text| text.replacen("\"verdict\":\"deny\"", "\"verdict\":\"approve\"", 1))?;
    finds(guard, &log, &[], "was changed")?;
    // A line goes.
    let log = copy(guard)?;
    edit(&second, |text| {
        let mut lines: Vec<&str> = text.split_inclusive('\n').collect();
        lines.remove(2);
        lines.concat()
    })?;
    finds(guard, &log, &[], "are missing before this one")?;
    // A whole segment goes.
    let log = copy(guard)?;
    fs::remove_file(&second).context("cannot remove a segment")?;
    finds(guard, &log, &[], "segment 2 is missing")?;
    // The oldest goes: guardd would have said so.
    let log = copy(guard)?;
    fs::remove_file(&closed(&log)?[0]).context("cannot remove a segment")?;
    finds(guard, &log, &[], "and no record says why")?;
    // Somebody else's key.
    let log = copy(guard)?;
    let other = log.with_file_name("other.pem");
    let make = "openssl genpkey -algorithm ed25519 -out /srv/copy/other.key && openssl pkey -in /srv/copy/other.key -pubout -out";
    let made = Command::new("bash").args(["-c", &format!("{make} {}", other.display())]).status().context("no bash")?;
    ensure!(made.success(), "openssl ended with {made}");
    finds(guard, &log, &["--key", &other.to_string_lossy()], "is not of the key")?;

    // Its end is cut off, back to before the last checkpoint: only what was kept elsewhere tells.
    let log = copy(guard)?;
    let live = fs::read_to_string(&log)?;
    ensure!(!live.contains("\"checkpoint\""), "the segment that grows has no checkpoint yet");
    let last = closed(&log)?.pop().context("three are closed")?;
    fs::remove_file(&log).and_then(|()| fs::remove_file(&last)).context("cannot cut the log off")?;
    let before = closed(&log)?.pop().context("two are left")?;
    let output = Command::new("gzip").arg("-dc").arg(&before).output().context("cannot start gzip")?;
    fs::write(&log, output.stdout).and_then(|()| fs::remove_file(&before)).context("cannot cut the log off")?;
    let answer = verified(guard, &log, &[])?;
    ensure!(answer.code == 0, "alone, it looks whole: {}{}", answer.stdout, answer.stderr);
    let journal = guard.journal();
    finds(guard, &log, &["--checkpoints", &journal.to_string_lossy()], "which was kept elsewhere, is missing")?;
    let told = guard.told();
    finds(guard, &log, &["--checkpoints", &told.to_string_lossy()], "which was kept elsewhere, is missing")?;
    for elsewhere in [journal, told] {
        let answer = verified(guard, &guard.audit(), &["--checkpoints", &elsewhere.to_string_lossy()])?;
        ensure!(answer.code == 0, "the log itself is whole: {}{}", answer.stdout, answer.stderr);
    }
    Ok(())
}

/// The log answers from every segment, and with what was asked for alone.
fn asked(guard: &Guard) -> Result<()> {
    let ask = |words: &[&str]| -> Result<Vec<Value>> {
        let answer = guard.guardctl(&[&["log", "-n", "1000", "-o", "json"], words].concat())?;
        ensure!(answer.code == 0, "{words:?} ended with {}: {}", answer.code, answer.stderr);
        serde_json::from_str(&answer.stdout).with_context(|| format!("{words:?} printed no list: {}", answer.stdout))
    };
    let mut written = 0;
    for segment in closed(&guard.audit())?.iter().chain([&guard.audit()]) {
        let zipped = segment.extension() == Some("gz".as_ref());
        let output = Command::new(if zipped { "zcat" } else { "cat" }).arg(segment).output().context("cannot read")?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        written += text.lines().filter(|line| line.contains("\"kind\":\"decision\"")).count();
    }
    let denials = ask(&["--kind", "decision", "--decision", "deny", "--path", "/srv/guarded", "--since", "1h ago"])?;
    ensure!(denials.len() == written && written > 3, "{} of {written} denials are shown", denials.len());
    ensure!(denials.iter().all(|record| record["verdict"] == "deny"), "{denials:?}");
    for words in [["--decision", "approve"], ["--path", "/srv/guard"], ["--until", "1h ago"], ["--agent", "nobody"]] {
        let found = ask(&words)?;
        ensure!(found.is_empty(), "{words:?} fit {found:?}");
    }
    Ok(())
}

fn documented(guard: &mut Guard) -> Result<()> {
    let (_, script) = PAGE.split_once("```bash\n").context("the page has a script")?;
    let (script, _) = script.split_once("```").context("the script has an end")?;
    let file = Path::new("/srv/verify.sh");
    fs::write(file, script).context("cannot write the script")?;
    grown(guard, 2)?;
    let verify = |log: &Path| -> Result<(bool, String)> {
        let (mut said, mut next) = (String::new(), "0".repeat(64));
        for segment in closed(log)? {
            let output = Command::new("bash")
                .arg(file)
                .arg(&segment)
                .arg(log.with_extension("pub"))
                .arg(&next)
                .stdin(Stdio::null())
                .output()
                .context("cannot start bash")?;
            said += &String::from_utf8_lossy(&output.stdout);
            said += &String::from_utf8_lossy(&output.stderr);
            if !output.status.success() {
                return Ok((false, said));
            }
            next = said.trim().rsplit(' ').next().unwrap_or_default().to_owned();
        }
        Ok((true, said))
    };
    let log = copy(guard)?;
    let (good, said) = verify(&log)?;
    ensure!(good && said.matches("signed up to line").count() >= 2, "{said}");
    let first = closed(&log)?[0].clone();
    edit(&first, |text| text.replacen("\"verdict\":\"deny\"", "\"verdict\":\"approve\"", 1))?;
    let (good, said) = verify(&log)?;
    ensure!(!good && said.contains("does not name what is before it"), "{said}");
    let log = copy(guard)?;
    edit(&first, |text| text.replacen("\"closes\":true", "\"closes\":null", 1))?;
    let (good, said) = verify(&log)?;
    ensure!(!good, "a checkpoint was changed: {said}");
    Ok(())
}

fn crashed(guard: &mut Guard) -> Result<()> {
    for _ in 0..3 {
        grown(guard, 1)?;
        guard.crash()?;
        guard.start_again()?;
        whole(guard)?;
    }
    Ok(())
}
