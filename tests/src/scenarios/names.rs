//! Names made to deceive: held where they match, shown so that no terminal obeys them.

use std::{
    ffi::OsStr,
    fs,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};

use super::{
    Scenario,
    file::{GUARDED, fresh},
    gate,
};
use crate::guard::{Guard, id};

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        gate("a_name_with_a_newline_and_escapes_is_held_and_shown_escaped", |guard| {
            one(guard, b"x\n\x1b[2J\x1b]0;title\x07y")
        }),
        gate("a_name_that_is_not_utf8_is_held_and_shown_escaped", |guard| one(guard, b"x\xff\xfe\x80y")),
        gate("a_name_with_direction_overrides_is_held_and_shown_escaped", |guard| {
            one(guard, "x\u{202e}gpj.\u{2066}y".as_bytes())
        }),
        gate("a_name_of_255_bytes_is_held", |guard| one(guard, &[b'n'; 255])),
        gate("a_path_longer_than_the_walk_is_held_and_never_let_through", deep),
    ]
}

fn one(guard: &Guard, name: &[u8]) -> Result<()> {
    fresh()?;
    let path = Path::new(GUARDED).join(OsStr::from_bytes(name));
    fs::write(&path, "data").context("cannot make the file")?;
    held_and_deleted(guard, &path, "guard-tests act unlink-all /srv/guarded")
}

/// Deeper than any bound of the kernel side: the doubt must end in a hold or a refusal.
fn deep(guard: &mut Guard) -> Result<()> {
    fresh()?;
    let mut path = PathBuf::from(GUARDED);
    let name = "d".repeat(200);
    while path.as_os_str().len() + name.len() < 3900 {
        path.push(&name);
    }
    fs::create_dir_all(&path).context("cannot make the directories")?;
    path.push("file");
    fs::write(&path, "data").context("cannot make the file")?;
    let mut agent = guard.agent(&format!("rm {}; echo code $?", path.display()))?;
    let id_or_end = crate::patience::until("a hold or a refusal", || {
        if agent.has_ended()? {
            return Ok(Some(None));
        }
        Ok(guard.pending()?.into_iter().next().map(Some))
    })?;
    ensure!(path.exists(), "deleted without a decision");
    if let Some(hold) = id_or_end {
        guard.decide("approve", &hold)?;
        agent.ends_with(0)?;
        ensure!(!path.exists(), "approved, and still there");
    }
    Ok(())
}

fn held_and_deleted(guard: &Guard, path: &Path, script: &str) -> Result<()> {
    let mut agent = guard.agent(script)?;
    let hold = guard.held("unlink", GUARDED)?;
    ensure!(path.exists(), "deleted before anybody decided");
    for arguments in [&["pending"][..], &["show", id(&hold)?][..]] {
        let shown = guard.guardctl(arguments)?.stdout;
        let bad = shown.chars().find(|c| {
            (c.is_control() && *c != '\n')
                || ('\u{202a}'..='\u{202e}').contains(c)
                || ('\u{2066}'..='\u{2069}').contains(c)
        });
        ensure!(bad.is_none(), "guardctl {} printed {bad:?}", arguments.join(" "));
    }
    guard.decide("approve", &hold)?;
    crate::patience::until("the agent's end", || {
        for hold in guard.pending()? {
            guard.guardctl(&["approve", id(&hold)?])?;
        }
        Ok(agent.has_ended()?.then_some(()))
    })?;
    ensure!(!path.exists(), "approved, and still there: {}", agent.output()?);
    Ok(())
}
