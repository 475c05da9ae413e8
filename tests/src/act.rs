//! What an agent does that no ordinary program does in one call. Runs inside the agent; knows nothing of guard.

mod receive;
mod rewrite;

use std::{fs, os::fd::OwnedFd, path::Path, process::Command, thread};

use anyhow::{Context as _, Result, bail};
use rustix::{
    fs::{AtFlags, CWD, RenameFlags, renameat_with, unlinkat},
    mount::{MoveMountFlags, OpenTreeFlags, move_mount, open_tree},
};

/// `guard-tests act VERB …`
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["exchange", one, other] => renameat_with(CWD, *one, CWD, *other, RenameFlags::EXCHANGE)
            .with_context(|| format!("cannot exchange {one} and {other}")),
        ["pivot", new, old] => pivot(new, old),
        ["move-mount", from, to] => clone_and_move(from, to),
        ["unlink-in-clone", directory, name] => {
            let tree = clone(directory)?;
            unlinkat(tree, *name, AtFlags::empty()).with_context(|| format!("cannot remove {name}"))
        }
        ["rewrite", rounds, program] => rewrite::rounds(rounds.parse().context("not a number")?, program),
        ["rewrite-once", program] => rewrite::once(program),
        ["unlink", path] => fs::remove_file(path).with_context(|| format!("cannot remove {path}")),
        ["unlink-all", directory] => unlink_all(Path::new(directory)),
        ["unlink-each", directory, prefix, count] => {
            let count: u32 = count.parse().context("not a number")?;
            together((0..count).map(|number| vec!["unlink".to_owned(), format!("{directory}/{prefix}{number}")]))
        }
        ["load-module", file] => {
            let open = fs::File::open(file).with_context(|| format!("cannot open {file}"))?;
            rustix::system::finit_module(open, c"", 0).with_context(|| format!("cannot load {file}"))
        }
        ["receive", socket, text] => receive::run(socket, text),
        ["follow"] => crate::lists::follow::run(),
        ["bomb", size] => bomb(size.parse().context("not a number")?),
        _ => bail!(
            "usage: guard-tests act exchange|pivot|move-mount|unlink-in-clone|rewrite|unlink|unlink-all|unlink-each|load-module|receive|follow|bomb …"
        ),
    }
}

/// Makes another root, and says whether it is the one with a `marker` in it.
fn pivot(new: &str, old: &str) -> Result<()> {
    rustix::process::pivot_root(new, old).context("cannot pivot the root")?;
    std::env::set_current_dir("/").context("cannot enter the root")?;
    println!("the root has a marker: {}", Path::new("/marker").exists());
    Ok(())
}

/// Mounts what is at one place at another as well, without `mount(2)`.
fn clone_and_move(from: &str, to: &str) -> Result<()> {
    move_mount(clone(from)?, "", CWD, to, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
        .with_context(|| format!("cannot mount on {to}"))
}

/// The tree of a directory as a mount that is attached nowhere.
fn clone(directory: &str) -> Result<OwnedFd> {
    open_tree(CWD, directory, OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC)
        .with_context(|| format!("cannot clone {directory}"))
}

/// Removes every file of a directory, whatever its name.
fn unlink_all(directory: &Path) -> Result<()> {
    for entry in fs::read_dir(directory).with_context(|| format!("cannot read {}", directory.display()))? {
        let path = entry?.path();
        if !path.is_dir() {
            fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
    }
    Ok(())
}

/// Starts one process for each and waits for all.
fn together(each: impl Iterator<Item = Vec<String>>) -> Result<()> {
    let children: Result<Vec<_>> =
        each.map(|arguments| me()?.args(arguments).spawn().context("cannot start a process")).collect();
    for mut child in children? {
        child.wait().context("cannot wait for a process")?;
    }
    Ok(())
}

/// A tree of about `size` processes that never end by themselves.
fn bomb(size: u32) -> Result<()> {
    for _ in 0..2.min(size.saturating_sub(1)) {
        me()?.args(["bomb", &(size / 2).to_string()]).spawn().context("cannot start a process")?;
    }
    loop {
        thread::park();
    }
}

fn me() -> Result<Command> {
    let mut command = Command::new(std::env::current_exe().context("cannot find this program")?);
    command.arg("act");
    Ok(command)
}
