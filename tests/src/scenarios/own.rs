//! What an agent made itself since it was tagged it may delete and change without asking; nothing else counts as its own.

use std::{
    ffi::CString,
    fs,
    path::{Path, PathBuf},
    process::{Child, Command},
};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use super::{Scenario, gate};
use crate::{
    guard::Guard,
    patience::{never, until},
};

/// Where the rules hold what the agent did not make.
const FOREIGN: &str = "/srv/foreign";
/// There before any agent.
const THEIRS: &str = "/srv/foreign/theirs";

/// Makes one of each kind, changes what can be changed, and removes it all.
const WORK: &str = "echo ready; while [ ! -e go ]; do sleep 0.1; done; cd /srv/foreign && mkdir -p tree/deep && echo one > tree/deep/file && ln -s file tree/deep/soft \
    && mkfifo tree/pipe && ln tree/deep/file tree/second && echo two >> tree/deep/file && echo three > tree/deep/file \
    && chmod 600 tree/deep/file && mv tree/deep/file tree/moved && echo four > tree/other && mv -f tree/other tree/moved \
    && rm -r tree; echo code $?";

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        gate("an_agent_removes_and_changes_what_it_made_without_asking", |guard| work(guard, None)),
        gate("an_agent_removes_what_it_made_on_tmpfs_without_asking", |guard| work(guard, Some("tmpfs"))),
        gate("an_agent_removes_what_it_made_on_overlayfs_without_asking", |guard| work(guard, Some("overlay"))),
        gate("what_an_agent_made_is_its_own_after_a_crash_of_guardd", crash),
        gate("a_foreign_file_is_held_and_shown_as_foreign", |guard| held(guard, "rm theirs", "unlink")),
        gate("a_foreign_file_moved_into_an_own_directory_is_held", |guard| {
            held(guard, "mkdir mine && mv theirs mine/ && rm mine/theirs", "unlink")
        }),
        gate("an_own_directory_with_something_foreign_in_it_is_not_moved_away", |guard| {
            held(guard, "mkdir mine && mv theirs mine/ && mv mine $OLDPWD/", "rename")
        }),
        gate("a_hard_link_to_a_foreign_file_is_held", |guard| held(guard, "ln theirs mine && rm mine", "unlink")),
        gate("an_own_file_renamed_over_a_foreign_one_is_held", |guard| {
            held(guard, "echo mine > mine && mv -f mine theirs", "rename")
        }),
        gate("a_name_that_could_not_be_made_gives_no_right_to_what_has_it_later", later),
        gate("what_another_agent_made_is_held", other),
        gate("what_was_made_before_a_new_tagging_is_held", tagged_again),
    ]
}

/// Makes the directory anew, with a foreign file in it.
fn fresh() -> Result<()> {
    if Path::new(FOREIGN).exists() {
        fs::remove_dir_all(FOREIGN).context("cannot remove the directory")?;
    }
    fs::create_dir_all(FOREIGN).context("cannot make the directory")?;
    fs::write(THEIRS, "theirs\n").context("cannot write the foreign file")
}

fn work(guard: &mut Guard, kind: Option<&str>) -> Result<()> {
    fresh()?;
    let mounted = kind.map(Mounted::new).transpose()?;
    let script = match kind {
        // An overlay does not keep the inode of a second name in memory once the first is gone.
        Some("overlay") => WORK.replace("&& ln tree/deep/file tree/second", ""),
        Some(_) | None => WORK.to_owned(),
    };
    let mut agent = guard.agent(&script)?;
    agent.says("ready")?;
    let before = guard.count("held")?;
    fs::write(agent.workspace().join("go"), "").context("cannot tell the agent")?;
    until("the agent to end", || {
        if let Some(hold) = guard.pending()?.first() {
            bail!("its own was held: {}", hold["operation"]);
        }
        Ok(agent.has_ended()?.then_some(()))
    })?;
    let output = agent.ends_with(0)?;
    ensure!(output == "ready\ncode 0\n", "the agent printed {output:?}");
    ensure!(!Path::new("/srv/foreign/tree").exists(), "it removed its tree, and the tree is there");
    let after = guard.count("held")?;
    ensure!(before == after, "guardd was asked {} times about what the agent made itself", after - before);
    drop(mounted);
    Ok(())
}

/// A file system on [`FOREIGN`]; unmounted when dropped.
struct Mounted;

impl Mounted {
    fn new(kind: &str) -> Result<Self> {
        let options = match kind {
            "overlay" => {
                // What an overlay lies on cannot be an overlay itself.
                let base = PathBuf::from("/srv/layers");
                fs::create_dir_all(&base).context("cannot make the layers")?;
                mount("none", &base, "tmpfs", MountFlags::empty(), None).context("cannot mount the layers")?;
                for name in ["lower", "upper", "work"] {
                    fs::create_dir_all(base.join(name)).context("cannot make a layer")?;
                }
                "lowerdir=/srv/layers/lower,upperdir=/srv/layers/upper,workdir=/srv/layers/work"
            }
            _ => "",
        };
        let options = CString::new(options)?;
        mount("none", FOREIGN, kind, MountFlags::empty(), options.as_c_str())
            .with_context(|| format!("cannot mount {kind}"))?;
        Ok(Self)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        for place in [FOREIGN, "/srv/layers"] {
            if unmount(place, UnmountFlags::DETACH).is_err() {
                // Only an overlay has layers.
            }
        }
    }
}

/// The script comes to an operation that is held; nothing foreign is lost, before or after it is denied.
fn held(guard: &Guard, script: &str, op: &str) -> Result<()> {
    fresh()?;
    let mut agent = guard.agent(&format!("cd {FOREIGN}; {script}; echo code $?"))?;
    let hold = guard.held(op, FOREIGN)?;
    never("a foreign file was lost before anybody decided", || Ok(!is_whole()))?;
    let shown = guard.guardctl(&["show", crate::guard::id(&hold)?])?.stdout;
    ensure!(shown.contains(" made by this agent"), "it does not say who made it: {shown}");
    ensure!(shown.contains("not made by this agent") || op == "rename", "it calls a foreign file own: {shown}");
    until("the agent to end", || {
        for hold in guard.pending()? {
            guard.guardctl(&["deny", crate::guard::id(&hold)?])?;
        }
        Ok(agent.has_ended()?.then_some(()))
    })?;
    ensure!(is_whole(), "denied, and a foreign file is lost: {}", agent.output()?);
    Ok(())
}

/// The foreign file is somewhere in the directory.
fn is_whole() -> bool {
    let text = |path: &str| fs::read_to_string(path).unwrap_or_default();
    [THEIRS, "/srv/foreign/mine/theirs", "/srv/foreign/mine"].iter().any(|path| text(path) == "theirs\n")
}

fn crash(guard: &mut Guard) -> Result<()> {
    fresh()?;
    let mut agent = guard.agent(
        "mkdir /srv/foreign/mine && echo x > /srv/foreign/mine/file; echo ready; \
         while [ ! -e go ]; do sleep 0.1; done; rm -r /srv/foreign/mine; echo code $?",
    )?;
    agent.says("ready")?;
    guard.crash()?;
    guard.start_again()?;
    fs::write(agent.workspace().join("go"), "").context("cannot tell the agent")?;
    let output = agent.ends_with(0)?;
    ensure!(output == "ready\ncode 0\n", "the agent printed {output:?}");
    Ok(())
}

/// The kernel asks about the name first and refuses the making after it, so guard has seen the beginning alone.
const REFUSED: &str = "python3 -c '
import os, time
os.seteuid(1000)
for make in [os.mkdir, os.mkfifo, os.mknod, lambda name: os.symlink(\"x\", name)]:
    try:
        make(\"/srv/foreign/later\"); print(\"made\", flush=True)
    except PermissionError:
        print(\"refused\", flush=True)
os.seteuid(0)
print(\"ready\", flush=True)
while not os.path.exists(\"/srv/foreign/later\"):
    time.sleep(0.1)
os.unlink(\"/srv/foreign/later\")'";

fn later(guard: &mut Guard) -> Result<()> {
    fresh()?;
    let mut agent = guard.agent(REFUSED)?;
    agent.says("ready")?;
    ensure!(!agent.output()?.contains("made"), "it could make what it should not: {:?}", agent.output()?);
    std::os::unix::fs::symlink("x", "/srv/foreign/later").context("cannot make the name")?;
    fs::write("/srv/foreign/later", "x").context("cannot write the file")?;
    let hold = guard.held("unlink", "/srv/foreign/later")?;
    guard.decide("deny", &hold)?;
    agent.end()?;
    ensure!(fs::symlink_metadata("/srv/foreign/later").is_ok(), "a foreign name is gone");
    Ok(())
}

fn other(guard: &mut Guard) -> Result<()> {
    fresh()?;
    let maker = guard.agent("echo theirs > /srv/foreign/mine; echo ready; sleep 600")?;
    maker.says("ready")?;
    let mut agent = guard.agent("rm /srv/foreign/mine; echo code $?")?;
    let hold = guard.held("unlink", "/srv/foreign/mine")?;
    guard.decide("deny", &hold)?;
    agent.ends_with(0)?;
    ensure!(Path::new("/srv/foreign/mine").exists(), "another agent's file is gone");
    Ok(())
}

fn tagged_again(guard: &mut Guard) -> Result<()> {
    const CGROUP: &str = "/sys/fs/cgroup/tagged-again";
    fresh()?;
    for name in ["/srv/first", "/srv/second"] {
        // They are there after an earlier run.
        drop(fs::remove_file(name));
    }
    fs::create_dir_all(CGROUP).context("cannot make a cgroup")?;
    let script = "until [ -e /srv/first ]; do sleep 0.1; done; echo x > /srv/foreign/mine; \
                  until [ -e /srv/second ]; do sleep 0.1; done; rm /srv/foreign/mine";
    let mut shell = Shell(Command::new("/bin/bash").args(["-c", script]).spawn().context("cannot start a shell")?);
    fs::write(format!("{CGROUP}/cgroup.procs"), shell.0.id().to_string()).context("cannot move the shell")?;
    let run = |arguments: &[&str]| -> Result<()> {
        let answer = guard.guardctl(arguments)?;
        ensure!(answer.code == 0, "guardctl {} ended with {}", arguments.join(" "), answer.stderr);
        Ok(())
    };
    run(&["tag", "--cgroup", "/tagged-again", "--name", "again"])?;
    fs::write("/srv/first", "").context("cannot tell the shell")?;
    until("the file of the agent", || Ok(Path::new("/srv/foreign/mine").exists().then_some(())))?;
    run(&["untag", "again"])?;
    run(&["tag", "--cgroup", "/tagged-again", "--name", "again"])?;
    fs::write("/srv/second", "").context("cannot tell the shell")?;
    let hold = guard.held("unlink", "/srv/foreign/mine")?;
    guard.decide("deny", &hold)?;
    shell.0.wait().context("cannot wait for the shell")?;
    ensure!(Path::new("/srv/foreign/mine").exists(), "what an earlier tagging made is gone");
    run(&["untag", "again"])
}

/// A process that ends with its scenario.
struct Shell(Child);

impl Drop for Shell {
    fn drop(&mut self) {
        // It has usually ended.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}
