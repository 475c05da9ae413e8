//! Starting programs: held before the new program exists, and judged again on what it became.

use std::{collections::HashSet, fs};

use anyhow::{Context as _, Result, ensure};
use std::os::unix::fs::PermissionsExt as _;

use super::{Scenario, gate};
use crate::{
    guard::Guard,
    patience::{never, until},
};

const PROGRAM: &str = "/srv/bin/guarded-program";

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        gate("exec_of_a_watched_program_is_held_and_runs_after_approval", approved),
        gate("a_watched_program_without_arguments_runs_after_approval", alone),
        gate("exec_of_a_watched_program_fails_cleanly_after_denial", denied),
        gate("exec_of_a_program_mounted_under_a_watched_name_is_held", mounted),
        gate("exec_with_a_watched_argument_shows_the_arguments", arguments),
        gate("an_empty_argument_is_shown_and_is_no_doubt", empty),
        gate("exec_of_other_programs_is_not_held", others),
        gate("arguments_changed_by_another_thread_never_run_when_denied", |guard| rewritten(guard, "echo", false)),
        gate("arguments_changed_by_another_thread_run_only_as_approved", |guard| rewritten(guard, "echo", true)),
        gate("arguments_the_kernel_looks_up_and_another_thread_changes_never_run", |guard| {
            rewritten(guard, "basename", false)
        }),
        gate("arguments_no_rule_asks_for_are_the_kernels_to_let_through", looked_up),
    ]
}

fn install() -> Result<()> {
    fs::create_dir_all("/srv/bin").context("cannot make /srv/bin")?;
    fs::write(PROGRAM, "#!/bin/sh\necho ran \"$@\"\n").context("cannot write the program")?;
    fs::set_permissions(PROGRAM, fs::Permissions::from_mode(0o755)).context("cannot chmod the program")
}

/// Kernels differ in what they say of an empty text.
fn empty(guard: &mut Guard) -> Result<()> {
    install()?;
    let mut agent = guard.agent("/srv/bin/guarded-program one '' two ''; echo code $?")?;
    let hold = guard.held("exec", "guarded-program")?;
    let operation = &hold["operation"];
    ensure!(operation["doubt"] == "", "there is a doubt: {operation}");
    let argv = operation["argv"].as_array().context("an exec has arguments")?;
    ensure!(argv[argv.len() - 4..] == ["one", "", "two", ""], "it shows {argv:?}");
    guard.decide("approve", &hold)?;
    let output = agent.ends_with(0)?;
    ensure!(output == "ran one  two \ncode 0\n", "it printed {output:?}");
    Ok(())
}

fn approved(guard: &mut Guard) -> Result<()> {
    install()?;
    let mut agent = guard.agent("/srv/bin/guarded-program one; echo code $?")?;
    let hold = guard.held("exec", "guarded-program")?;
    never("it ran before anybody decided", || Ok(agent.output()?.contains("ran")))?;
    guard.decide("approve", &hold)?;
    let output = agent.ends_with(0)?;
    ensure!(output == "ran one\ncode 0\n", "it printed {output:?}");
    Ok(())
}

fn alone(guard: &mut Guard) -> Result<()> {
    install()?;
    // No script: its interpreter would be put before the one word there is.
    fs::copy("/bin/true", PROGRAM).context("cannot copy a program")?;
    let mut agent = guard.agent("/srv/bin/guarded-program; echo code $?")?;
    let hold = guard.held("exec", "guarded-program")?;
    guard.decide("approve", &hold)?;
    let output = agent.ends_with(0)?;
    ensure!(output == "code 0\n", "it printed {output:?}");
    Ok(())
}

/// What lies elsewhere under another name, and was read before: directories are remembered by then.
fn mounted(guard: &mut Guard) -> Result<()> {
    install()?;
    fs::create_dir_all("/srv/real").context("cannot make /srv/real")?;
    fs::copy("/bin/true", "/srv/real/innocent").context("cannot copy a program")?;
    fs::remove_file(PROGRAM).and_then(|()| fs::write(PROGRAM, "")).context("cannot make a place")?;
    rustix::mount::mount_bind("/srv/real/innocent", PROGRAM).context("cannot mount a program")?;
    let tried = (|| {
        let mut agent = guard.agent("cat /srv/bin/guarded-program | wc -l; /srv/bin/guarded-program; echo code $?")?;
        let hold = guard.held("exec", "guarded-program")?;
        guard.decide("deny", &hold)?;
        let output = agent.ends_with(0)?;
        ensure!(output.ends_with("code 126\n"), "it printed {output:?}");
        Ok(())
    })();
    rustix::mount::unmount(PROGRAM, rustix::mount::UnmountFlags::DETACH).context("cannot unmount it")?;
    tried
}

fn denied(guard: &mut Guard) -> Result<()> {
    install()?;
    let mut agent = guard.agent("/srv/bin/guarded-program one; echo code $?; echo and on")?;
    let hold = guard.held("exec", "guarded-program")?;
    guard.decide("deny", &hold)?;
    let output = agent.ends_with(0)?;
    ensure!(!output.contains("ran"), "denied, and it ran: {output:?}");
    ensure!(
        output.contains("Operation not permitted") && output.contains("code 126\nand on\n"),
        "not a clean error: {output:?}"
    );
    Ok(())
}

fn arguments(guard: &mut Guard) -> Result<()> {
    let mut agent = guard.agent("/bin/echo destroy-everything now")?;
    let hold = guard.held("exec", "destroy-everything")?;
    ensure!(
        hold["operation"]["argv"] == serde_json::json!(["/bin/echo", "destroy-everything", "now"]),
        "argv is {}",
        hold["operation"]["argv"]
    );
    ensure!(hold["rule"] == "guarded-argument", "the rule is {}", hold["rule"]);
    guard.decide("approve", &hold)?;
    agent.ends_with(0)?;
    Ok(())
}

fn others(guard: &mut Guard) -> Result<()> {
    let mut agent = guard.agent("/bin/echo a && /bin/ls / > /dev/null && python3 -c 'print(1)'")?;
    let output = agent.ends_with(0)?;
    ensure!(output == "a\n1\n", "it printed {output:?}");
    Ok(())
}

/// Which of them guardd is asked about. What is asked for stands at every place, in every spelling the kernel reads.
fn looked_up(guard: &mut Guard) -> Result<()> {
    let found = |script: &str| -> Result<[u64; 2]> {
        let counts =
            |guard: &Guard| -> Result<[u64; 2]> { Ok([guard.count("held")?, guard.count("other_arguments")?]) };
        let before = counts(guard)?;
        let mut agent = guard.agent(script)?;
        until("it to end", || {
            for hold in guard.pending()? {
                guard.decide("deny", &hold)?;
            }
            Ok(agent.has_ended()?.then_some(()))
        })?;
        let output = agent.end()?.output;
        ensure!(!output.contains("everything\n"), "denied, and it ran: {output:?}");
        let after = counts(guard)?;
        Ok([after[0] - before[0], after[1] - before[1]])
    };
    let start = found(":")?;
    let check = |script: &str, wanted: [u64; 2]| -> Result<()> {
        let [asked, other] = found(script)?;
        let got = [asked - start[0], other - start[1]];
        ensure!(got == wanted, "{script}: asked and let through {got:?}, not {wanted:?}");
        Ok(())
    };
    // Each is another command: nothing is remembered of any.
    check("basename a; basename b c; basename destroy; basename destroy-everything2", [0, 4])?;
    check("basename destroy-everything/x; basename '' x; basename 'destroy-everything '", [0, 3])?;
    check("basename destroy-everything", [1, 0])?;
    check("basename x destroy-everything; basename -- destroy-everything", [2, 0])?;
    check("basename -s x destroy-everything; basename -zq; basename -z a; basename --zero a", [1, 3])?;
    check("basename -xdq a; basename --destroy a; basename --des a; basename -x--d a", [4, 0])?;
    check("(exec -a destroy-everything basename a); (exec -a '' basename a)", [0, 2])?;
    check("basename $(seq 400)", [0, 1])?;
    // More than the kernel reads.
    check("basename $(seq 4000)", [1, 0])?;
    check("/usr/bin/env basename a; env -i basename destroy-everything", [1, 1])
}

/// Rounds of an exec whose arguments another thread changes all the time, between ones that no rule holds and ones that
/// a rule does. What a round prints is what ran.
fn rewritten(guard: &Guard, program: &str, approve: bool) -> Result<()> {
    const ROUNDS: usize = 20;
    let mismatches = guard.count("exec_mismatch")?;
    let mut agent = guard.agent(&format!("guard-tests act rewrite {ROUNDS} {program}"))?;
    let mut decided = HashSet::new();
    until("the rounds to end", || {
        for hold in guard.pending()? {
            let id = crate::guard::id(&hold)?;
            let argv = &hold["operation"]["argv"];
            ensure!(*argv == serde_json::json!([program, "destroy-everything"]), "{id} shows {argv}");
            // It may have ended since it was listed; an approval may come too late for what it is now.
            guard.guardctl(&[if approve { "approve" } else { "deny" }, "--once", id])?;
            decided.insert(id.to_owned());
        }
        Ok(agent.has_ended()?.then_some(()))
    })?;
    let output = agent.ends_with(0)?;
    let count = |line: &str| output.lines().filter(|printed| *printed == line).count();
    let (ran, refused, killed) = (count("round: ran"), count("round: refused"), count("round: killed"));
    let (harmless, dangerous) = (count("harmless-arguments"), count("destroy-everything"));
    println!(
        "{ran} ran ({dangerous} as approved), {refused} refused, {killed} killed; {} decisions, {} mismatches",
        decided.len(),
        guard.count("exec_mismatch")? - mismatches
    );
    ensure!(ran + refused + killed == ROUNDS && harmless + dangerous == ran, "the rounds do not add up: {output}");
    ensure!(dangerous <= if approve { decided.len() } else { 0 }, "{dangerous} ran of {} decided", decided.len());
    ensure!(!decided.is_empty() || killed > 0, "the arguments never changed: this proves nothing");
    Ok(())
}
