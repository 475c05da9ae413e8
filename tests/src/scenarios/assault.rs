//! guardd itself by calls that ordinary programs do not make, and guard by a script or another user: refused whatever the rules
//! say. Ordinary programs are `shield`.

use std::{fs, os::unix::fs::symlink};

use anyhow::{Context as _, Result, ensure};

use super::{
    Scenario,
    calls::stack,
    file::{fresh, gone},
    gate,
    tries::{Logged, Otherwise, Refused, refused},
};
use crate::guard::{Guard, id};

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        gate("an_agent_that_is_root_reaches_guardd_and_its_programs_by_no_call", calls),
        gate("an_agent_may_not_decide_through_a_script_or_another_user", decide),
    ]
}

/// A signal that guardd takes no notice of: who may send it may send others.
const WINCH: u32 = 28;

fn calls(guard: &mut Guard) -> Result<()> {
    let pid = guard.pid();
    let at = stack(pid)?;
    let pins = fs::read_dir("/sys/fs/bpf/guard")?.next().context("guard has pins")??.path();
    let pin = pins.join("HOLDS").display().to_string();
    ensure!(fs::exists(&pin)?, "there is no {pin}");
    let call = |command: String, logged: Logged| Refused {
        command: format!("CALL {command}"),
        logged,
        happened: Box::new(|_| Ok(false)),
        otherwise: Otherwise::Differs,
    };
    let mut tries = Vec::new();
    for signal in ["kill", "tgkill", "sigqueue", "pidfd_send_signal"] {
        tries.push(call(format!("{signal} {pid} {WINCH}"), Logged::Shield("to signal guardd")));
    }
    for trace in [
        format!("ptrace {pid}"),
        format!("proc_mem {pid} {at} x"),
        format!("process_vm_writev {pid} {at} x"),
        format!("pidfd_getfd {pid} 0"),
    ] {
        tries.push(call(trace, Logged::Shield("to trace guardd")));
    }
    let mut memory = vec![format!("migrate_pages {pid}"), format!("move_pages {pid}")];
    if asks_about_advice() {
        memory.push(format!("process_madvise {pid} {at}"));
    }
    for memory in memory {
        tries.push(call(memory, Logged::Nothing));
    }
    for bpf in ["bpf_map_create", "bpf_map_update", "bpf_link_detach", "bpf_prog_load", &format!("bpf_obj_get {pin}")] {
        tries.push(call(bpf.to_owned(), Logged::Shield("bpf(2)")));
    }
    tries.push(call("init_module".to_owned(), Logged::Shield("to load a kernel module")));
    // These ask for the capability of who restarts the machine before anything is read.
    tries.push(call("kexec_load".to_owned(), Logged::Shield("to restart or stop the machine")));
    tries.push(call("kexec_file_load /etc/hostname".to_owned(), Logged::Shield("to restart or stop the machine")));
    tries.push(call("ioperm".to_owned(), Logged::Shield("to reach ports")));
    tries.push(Refused {
        happened: Box::new(|_| Ok(rustix::time::clock_gettime(rustix::time::ClockId::Realtime).tv_sec < 1_500_000_000)),
        otherwise: Otherwise::Untried,
        ..call("settimeofday 1000000000".to_owned(), Logged::Shield("to set the clock"))
    });
    refused(guard, &tries)?;
    ensure!(guard.status()?["pid"] == pid, "guardd is another one");
    Ok(())
}

/// Kernels after 6.12 do not ask before root advises on the memory of others.
fn asks_about_advice() -> bool {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let mut numbers = release.split('.').map(|number| number.parse::<u32>().unwrap_or(u32::MAX));
    (numbers.next().unwrap_or(u32::MAX), numbers.next().unwrap_or(u32::MAX)) <= (6, 12)
}

fn decide(guard: &mut Guard) -> Result<()> {
    fresh()?;
    let mut victim = guard.agent("rm /srv/guarded/file; echo code $?")?;
    let hold = guard.held("unlink", "/srv/guarded/file")?;
    let id = id(&hold)?;
    let script = "/srv/decide.sh";
    fs::write(script, format!("#!/bin/bash\nguardctl \"$1\" {id}; echo code $?\n"))
        .context("cannot write the script")?;
    let link = "/srv/decide";
    if !fs::exists(link)? {
        symlink("/usr/local/bin/guardctl", link).context("cannot make the link")?;
    }
    let mut agent = guard.agent(&format!(
        "bash {script} approve; {link} approve {id}; echo code $?; setpriv --reuid 1000 --clear-groups bash {script} approve; \
         setpriv --reuid 1000 --regid 1000 --init-groups bash {script} deny; setsid --wait bash {script} approve"
    ))?;
    let output = agent.ends_with(0)?;
    ensure!(output.matches("code 4").count() == 5, "an agent was answered: {output:?}");
    ensure!(!gone("file") && guard.pending()?.len() == 1, "an agent decided: {output:?}");
    guard.decide("deny", &hold)?;
    victim.ends_with(0)?;
    Ok(())
}
