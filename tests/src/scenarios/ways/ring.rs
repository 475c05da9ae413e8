//! An io_uring from before its maker became an agent. Making one is `uring`'s.

use std::{
    fs::{self, File},
    path::Path,
    process::{Child, Command},
};

use anyhow::{Context as _, Result, ensure};

use super::destroy::said;
use crate::{
    guard::Guard,
    patience::until,
    scenarios::{
        Scenario,
        file::{GUARDED, fresh},
        gate,
    },
};

const PROGRAM: &str = "/srv/ring";

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![gate("an_io_uring_from_before_the_tagging_destroys_nothing", ring)]
}

/// The same program does it all before anybody is tagged: what is refused then is refused by guard.
fn ring(guard: &mut Guard) -> Result<()> {
    let source = Path::new("/srv/ring.c");
    fs::write(source, include_str!("ring.c")).context("cannot write the program")?;
    said(Command::new("gcc").args(["-O1", "-o", PROGRAM]).arg(source))?;

    let mut free = Ring::start()?;
    free.goes_on()?;
    let output = free.ends()?;
    ensure!(output.matches("done").count() == 6, "without a tag it said {output:?}");
    ensure!(!is_whole(), "nothing happened without a tag");

    let mut tagged = Ring::start()?;
    let answer = guard.guardctl(&["tag", "--pid", &tagged.0.id().to_string(), "--name", "ring"])?;
    ensure!(answer.code == 0, "guardctl tag ended with {}: {}", answer.code, answer.stderr);
    tagged.goes_on()?;
    let output = tagged.ends()?;
    ensure!(output.matches("Operation not permitted").count() == 6, "it said {output:?}");
    ensure!(is_whole(), "refused, and it happened: {output:?}");
    Ok(())
}

/// Whether every file is there with what was in it.
fn is_whole() -> bool {
    let names = ["one", "two", "three", "four", "five", "six"];
    names.iter().all(|name| fs::read(Path::new(GUARDED).join(name)).is_ok_and(|bytes| bytes == b"x"))
}

/// The program, which has its ring; ended when dropped.
struct Ring(Child);

impl Ring {
    fn start() -> Result<Self> {
        fresh()?;
        for name in ["one", "two", "three", "four", "five", "six"] {
            fs::write(Path::new(GUARDED).join(name), "x").context("cannot make a file")?;
        }
        let output = File::create(Self::OUTPUT).context("cannot make its output")?;
        let child = Command::new(PROGRAM).arg(GUARDED).stdout(output.try_clone()?).stderr(output).spawn();
        let ring = Self(child.context("cannot start the program")?);
        until("the ring", || Ok(ring.said()?.contains("ready").then_some(())))?;
        Ok(ring)
    }

    const OUTPUT: &str = "/srv/ring.output";

    fn said(&self) -> Result<String> {
        fs::read_to_string(Self::OUTPUT).context("cannot read its output")
    }

    fn goes_on(&self) -> Result<()> {
        fs::write(Path::new(GUARDED).join("go"), "").context("cannot tell it")
    }

    fn ends(&mut self) -> Result<String> {
        until("the program to end", || self.0.try_wait().context("cannot look at it"))
            .with_context(|| format!("it said {:?}", self.said().unwrap_or_default()))?;
        self.said()
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // It has usually ended.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}
