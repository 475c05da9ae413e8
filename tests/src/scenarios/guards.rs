//! guard's own files and the kernel's controls are kept from every agent by what they are, not by what they are called. Rules
//! that name them are other scenarios'.

use std::{fs, path::Path};

use anyhow::{Context as _, Result, ensure};
use rustix::mount::{MountFlags, UnmountFlags, mount, mount_bind, unmount};

use super::{Scenario, gate};
use crate::{guard::Guard, patience::until};

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        gate("guards_own_files_are_kept_from_agents_by_whatever_name_they_are_reached", own_files),
        gate("controls_of_the_kernel_are_kept_from_agents_wherever_they_are_mounted", controls),
    ]
}

/// Something mounted at a place that no rule names; unmounted when dropped.
struct Elsewhere(&'static str);

impl Elsewhere {
    fn new(at: &'static str, make: impl FnOnce(&str) -> rustix::io::Result<()>) -> Result<Self> {
        fs::create_dir_all(at).with_context(|| format!("cannot make {at}"))?;
        make(at).with_context(|| format!("cannot mount {at}"))?;
        Ok(Self(at))
    }
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        if let Err(error) = unmount(self.0, UnmountFlags::DETACH) {
            eprintln!("cannot unmount {}: {error}", self.0);
        }
    }
}

/// What an agent that is root tries in another mount of guardd's directory, in one that is attached nowhere, and by a hard
/// link from before.
const TRIES: [&str; 12] = [
    "echo 'rules: []' >> /srv/elsewhere/rules.yaml",
    "echo 'rules: []' > /srv/elsewhere/rules.yaml",
    "echo 'rules: []' >> /run/linked-rules",
    "rm -f /srv/elsewhere/rules.yaml",
    "mv /srv/elsewhere/rules.yaml /srv/elsewhere/moved",
    "ln /srv/elsewhere/rules.yaml /srv/elsewhere/linked",
    "touch /srv/elsewhere/made",
    "mkdir /srv/elsewhere/made",
    "ln -s /etc/passwd /srv/elsewhere/made",
    "chmod 777 /srv/elsewhere",
    "chown 1000 /srv/elsewhere/rules.yaml",
    // open_tree(2) with OPEN_TREE_CLONE, and openat(2) to append to what is below.
    r#"perl -e 'my ($top, $file) = ("/run/guard-test", "rules.yaml"); my $tree = syscall(428, -100, $top, 1);
       $tree >= 0 or die "no tree"; syscall(257, $tree, $file, 02001, 0) >= 0 or die "$!\n"'"#,
];

fn own_files(guard: &mut Guard) -> Result<()> {
    let directory = "/run/guard-test";
    let link = Path::new("/run/linked-rules");
    drop(fs::remove_file(link));
    fs::hard_link(format!("{directory}/rules.yaml"), link).context("cannot link the rules")?;
    let _elsewhere = Elsewhere::new("/srv/elsewhere", |at| mount_bind(directory, at))?;
    let names = || -> Result<Vec<_>> {
        let entries = fs::read_dir(directory).with_context(|| format!("cannot read {directory}"))?;
        let mut names = entries.map(|entry| Ok(entry?.file_name())).collect::<Result<Vec<_>>>()?;
        names.sort();
        Ok(names)
    };
    let rules = || fs::read(format!("{directory}/rules.yaml")).context("cannot read the rules");
    // guardd's own file of its agents comes with the first one.
    guard.agent("true")?.ends_with(0)?;
    until("guardd to write its agents down", || Ok(names()?.iter().any(|name| name == "agents.json").then_some(())))?;
    let (names_before, rules_before) = (names()?, rules()?);
    let script: Vec<String> = TRIES.iter().map(|command| format!("{command}; echo code $?")).collect();
    let mut agent = guard.agent(&script.join("; "))?;
    let output = agent.ends_with(0)?;
    drop(fs::remove_file(link));
    let refused = output.matches("Operation not permitted").count();
    ensure!(
        !output.contains("code 0") && refused == TRIES.len(),
        "of {}, {refused} were refused: {output}",
        TRIES.len()
    );
    ensure!(names()? == names_before && rules()? == rules_before, "something was changed: {:?}", names()?);
    ensure!(guard.pending()?.is_empty(), "somebody is asked: {:?}", guard.pending()?);
    told(guard, &agent.name(), "to change guard's own files")
}

/// The log says that this agent tried that.
fn told(guard: &Guard, agent: &str, says: &str) -> Result<()> {
    until(&format!("the log to say that an agent tried {says}"), || {
        let log = fs::read_to_string(guard.audit()).unwrap_or_default();
        let mut lines = log.lines().filter(|line| line.contains(r#""kind":"shielded""#) && line.contains(agent));
        Ok(lines.any(|line| line.contains(says)).then_some(()))
    })
}

fn controls(guard: &mut Guard) -> Result<()> {
    let plain = |kind: &'static str| move |at: &str| mount("none", at, kind, MountFlags::empty(), None);
    let _cgroups = Elsewhere::new("/srv/cgroups", plain("cgroup2"))?;
    let _traces = Elsewhere::new("/srv/traces", plain("tracefs"))?;
    let _bpf = Elsewhere::new("/srv/bpf", |at| mount_bind("/sys/fs/bpf", at))?;
    let read = |file: &str| fs::read_to_string(file).with_context(|| format!("cannot read {file}"));
    let canary_lives = || Ok::<_, anyhow::Error>(guard.status()?["canary"]["state"] == "refused");
    ensure!(canary_lives()?, "the canary is not refused to begin with");
    let tracing = read("/srv/traces/tracing_on")?;
    let pins = || -> Result<usize> { Ok(fs::read_dir("/sys/fs/bpf/guard").context("there are pins")?.count()) };
    let before = pins()?;
    let mut agent = guard.agent(
        "cd /srv; echo 1 > cgroups/guard-agents/cgroup.freeze; echo code $?; \
         echo $$ > cgroups/cgroup.threads; echo code $?; \
         echo 0 > traces/tracing_on; echo code $?; \
         rm bpf/guard/*/HOLDS; echo code $?; rm bpf/guard/*/link_path_unlink; echo code $?",
    )?;
    let output = agent.ends_with(0)?;
    ensure!(!output.contains("code 0") && output.matches("code 1").count() == 5, "it printed {output}");
    ensure!(read("/srv/cgroups/guard-agents/cgroup.freeze")?.trim() == "0", "the agents are frozen");
    ensure!(read("/srv/traces/tracing_on")? == tracing, "tracing was switched");
    ensure!(pins()? == before && canary_lives()?, "pins are gone");
    told(guard, &agent.name(), "to write to cgroups, BPF pins, tracing or debugging")
}
