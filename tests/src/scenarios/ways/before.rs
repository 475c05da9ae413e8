//! What may happen between the hold and the call that is done again: another object is there, or too much time has passed.
//! An approval is for one object, once, and not for ever.

use std::{fs, path::Path, time::Duration};

use anyhow::{Context as _, Result, ensure};
use rustix::mount::{MountFlags, mount};
use serde_json::Value;

use super::{
    FREE, GUARDED, Mounts, Try, Way, decide, disguise, free, gone, made, pids, text, wait_until_held, way, whose,
};
use crate::{
    agent::Agent,
    guard::Guard,
    patience::{never, never_within, until},
    scenarios::{
        Scenario,
        file::fresh,
        gate,
        race::{held_pid, rewrite},
    },
};

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        gate("an_answer_is_for_no_other_object_that_the_same_call_comes_to", exchanged),
        gate("an_approval_is_used_once", once),
        gate("an_approval_that_is_too_old_is_not_used", late),
    ]
}

/// All remove `file` first, and another file when they are done again. That the other is gone is what happened.
const WAYS: &[Way] = &[
    way("mounted_over", "unlink", r#"unlink("$d/file")"#, |d| d.join("here").exists() && gone(d, "file")).meanwhile(
        |d| {
            mount("none", d, "tmpfs", MountFlags::empty(), None).context("cannot mount")?;
            for name in ["file", "here"] {
                fs::write(d.join(name), "").context("cannot make a file")?;
            }
            Ok(())
        },
    ),
    way("rewritten", "unlink", r#"told($free); unlink("$d/file")"#, |d| gone(d, "good"))
        .prepared(|d| fs::write(d.join("good"), "").context("cannot make a file"))
        .meanwhile(|d| {
            let path = |name: &str| d.join(name).display().to_string().into_bytes();
            let changed = rewrite(pid(d)?, &path("file"), &path("good"))?;
            ensure!(changed > 0, "the path was not found in the process");
            Ok(())
        }),
    // CLONE_FS: a process that shares the current directory goes elsewhere.
    way(
        "other_directory",
        "unlink",
        r#"told($free); chdir($d); my $pid = syscall(56, 0x211, 0, 0, 0, 0);
           if (!$pid) { select(undef, undef, undef, 0.05) until -e "$d/go"; chdir("$d/empty"); exit } unlink("file")"#,
        |d| gone(d, "empty/file"),
    )
    .prepared(|d| fs::write(d.join("empty/file"), "").context("cannot make a file"))
    .meanwhile(|d| {
        fs::write(d.join("go"), "").context("cannot tell the agent")?;
        let place = format!("/proc/{}/cwd", pid(d)?);
        until("another current directory", || {
            Ok((fs::read_link(&place).context("the process is there")? == d.join("empty")).then_some(()))
        })
    }),
    // Its signal handler gives the call another path, when it is woken to do the call again.
    way("edited_by_a_handler", "unlink", r#"entry("edit", "$d/file", "$d/other")"#, |d| gone(d, "other")),
    // Its tracer from before gives the call another path by PTRACE_SETREGS and lets it go on once the answer was given: that is
    // a SIGCONT which a traced process keeps. The numbers are where `rdi` and `orig_rax` are.
    way(
        "edited_by_its_tracer",
        "unlink",
        r#"my ($one, $two, $status) = ("$d/file", "$d/other", pack("L", 0)); my $pid = fork;
           if (!$pid) { call(PTRACE, 0, 0, 0, 0); kill(19, $$); exit(syscall(87, $one) == 0 ? 0 : 200 + $!) }
           my $answered = sub {
               open(my $status, "<", "/proc/$pid/status"); grep { /Pnd:\s*(\w+)/ && hex($1) & 1 << 17 } <$status>
           };
           my $is_edited = 0;
           while (syscall(61, $pid, $status, 0, 0) == $pid && (unpack("L", $status) & 0xff) == 0x7f) {
               my $registers = "\0" x 216; syscall(PTRACE, 12, $pid, 0, $registers);
               if (!$is_edited && unpack("x120 Q", $registers) == 87) {
                   select(undef, undef, undef, 0.05) until -e "$d/go";
                   substr($registers, 112, 8, pack("P", $two));
                   syscall(PTRACE, 13, $pid, 0, $registers); told($free);
                   select(undef, undef, undef, 0.05) until $answered->();
                   $is_edited = 1;
               }
               select(undef, undef, undef, 0.1); call(PTRACE, 7, $pid, 0, 0);
           }
           $! = (unpack("L", $status) >> 8) - 200; unpack("L", $status) == 0"#,
        |d| gone(d, "other"),
    )
    .meanwhile(|d| {
        fs::write(d.join("go"), "").context("cannot tell the agent")?;
        until("the tracer to have edited the call", || Ok(free(d).exists().then_some(())))
    }),
];

/// The process that wrote its number where nothing is held.
fn pid(directory: &Path) -> Result<u64> {
    fs::read_to_string(free(directory)).context("no number")?.trim().parse().context("not a number")
}

fn exchanged(guard: &mut Guard) -> Result<()> {
    disguise::compile()?;
    let mounts = Mounts(Path::new(GUARDED));
    let mut tries = made(Path::new(GUARDED), WAYS)?;
    let program = Path::new(FREE).join("ways.pl");
    fs::write(&program, text(&tries)).with_context(|| format!("cannot write {}", program.display()))?;
    let agent = Agent::start(guard, &["perl", &program.display().to_string()])?;
    wait_until_held(guard, &agent, &mut tries)?;
    let pids = pids(&agent.output()?);
    let first = guard.pending()?;
    for one in &tries {
        (one.way.meanwhile)(&one.directory).with_context(|| format!("while {} waited", one.name))?;
    }
    answer(guard, &tries, &pids, &first)?;
    let second = until("each to wait for another answer", || {
        let known = |hold: &Value| first.iter().any(|other| other["id"] == hold["id"]);
        let holds: Vec<Value> = guard.pending()?.into_iter().filter(|hold| !known(hold)).collect();
        let waits =
            |one: &Try| holds.iter().any(|hold| whose(&tries, &pids, hold).is_some_and(|it| it.name == one.name));
        Ok(tries.iter().all(waits).then_some(holds))
    })
    .with_context(|| format!("it said {}", agent.output().unwrap_or_default()))?;
    never("an answer moved to another object", || Ok(tries.iter().any(Try::has_happened)))?;
    answer(guard, &tries, &pids, &second)?;
    until("every way to end", || {
        let output = agent.output()?;
        Ok(tries.iter().all(|one| one.said(&output).is_some()).then_some(()))
    })?;
    let output = agent.output()?;
    let wrong: Vec<String> = tries.iter().filter_map(|one| one.mistake(&output)).collect();
    ensure!(wrong.is_empty(), "{}; it said {output}", wrong.join("; "));
    drop(mounts);
    let lost: Vec<&str> =
        tries.iter().filter(|one| gone(&one.directory, "file")).map(|one| one.name.as_str()).collect();
    ensure!(lost.is_empty(), "the object of the first answer is gone: {lost:?}");
    Ok(())
}

/// Gives each the answer of its try.
fn answer(guard: &Guard, tries: &[Try], pids: &[(String, u64)], holds: &[Value]) -> Result<()> {
    for verb in ["deny", "approve"] {
        let these = holds.iter().filter(|hold| whose(tries, pids, hold).is_some_and(|one| one.verb == verb));
        decide(guard, &[verb, "--once"], these)?;
    }
    Ok(())
}

fn once(guard: &mut Guard) -> Result<()> {
    fresh()?;
    let file = Path::new(GUARDED).join("file");
    let agent = guard.agent(
        "for i in 1 2; do until [ -e /srv/guarded/file ]; do sleep 0.1; done; rm /srv/guarded/file; echo code $?; done",
    )?;
    let hold = guard.held("unlink", "/srv/guarded/file")?;
    decide(guard, &["approve", "--once"], [&hold])?;
    agent.says("code 0")?;
    fs::write(&file, "again\n").context("cannot make the file again")?;
    let second = guard.held("unlink", "/srv/guarded/file")?;
    ensure!(second["id"] != hold["id"] && file.exists(), "the approval was used twice");
    guard.decide("deny", &second)?;
    agent.says("code 1")?;
    ensure!(file.exists(), "denied, and gone");
    Ok(())
}

/// Its agent is frozen and guardd is gone when the time is over: it is the kernel that compares.
fn late(guard: &mut Guard) -> Result<()> {
    fresh()?;
    let mut agent = guard.agent("rm /srv/guarded/file; echo code $?")?;
    let hold = guard.held("unlink", "/srv/guarded/file")?;
    let group = fs::read_to_string(format!("/proc/{}/cgroup", held_pid(&hold)?)).context("cannot find its cgroup")?;
    let group = group.trim().strip_prefix("0::").context("a cgroup v2")?;
    let group = Path::new("/sys/fs/cgroup").join(group.trim_start_matches('/'));
    fs::write(group.join("cgroup.freeze"), "1").context("cannot freeze the agent")?;
    decide(guard, &["approve", "--once"], [&hold])?;
    guard.crash()?;
    never_within(Duration::from_secs(11), "it went on although it is frozen", || Ok(gone(Path::new(GUARDED), "file")))?;
    fs::write(group.join("cgroup.freeze"), "0").context("cannot thaw the agent")?;
    never("an approval was used after its time", || Ok(gone(Path::new(GUARDED), "file")))?;
    guard.start_again()?;
    let second = guard.held("unlink", "/srv/guarded/file")?;
    guard.decide("deny", &second)?;
    let output = agent.ends_with(0)?;
    ensure!(output.contains("code 1") && !gone(Path::new(GUARDED), "file"), "denied, and it printed {output:?}");
    Ok(())
}
