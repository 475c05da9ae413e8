//! guard's own files, its log and its pins, which the shipped rules refuse every agent. Somebody else changes them, but for what
//! would end guard. Switches of the kernel are `switches`.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
};

use anyhow::{Context as _, Result, ensure};

use super::{
    Scenario,
    mount::is_mounted,
    short,
    switches::read,
    tries::{Asked, Logged, Otherwise, Refused, place_calls, refused},
};
use crate::{guard::Guard, patience::until, setting::Setting};

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        short(Setting::Shipped, "an_agent_that_is_root_may_not_change_guards_files_its_log_or_its_pins", own_files),
        short(Setting::Shipped, "what_gets_the_number_of_a_removed_file_of_guards_is_anybodys", removed),
    ]
}

/// Files that guard has where it is installed, removed when dropped: a guardd that starts later would read them.
struct Installed;

/// What is in each.
const TEXT: &str = "# guard\n";

const DIRECTORIES: [&str; 5] = [
    "/etc/guard/rules.d",
    "/var/lib/guard",
    "/etc/systemd/system/guardd.service.d",
    "/run/systemd/system/guardd.service.d",
    "/usr/lib/systemd/system",
];
const FILES: [&str; 4] = [
    "/etc/guard/guard.yaml",
    "/etc/guard/rules.d/10-own.yaml",
    "/var/lib/guard/state",
    "/usr/lib/systemd/system/guardd.service",
];

impl Installed {
    fn new() -> Result<Self> {
        for directory in DIRECTORIES {
            fs::create_dir_all(directory).with_context(|| format!("cannot make {directory}"))?;
        }
        for file in FILES {
            fs::write(file, TEXT).with_context(|| format!("cannot write {file}"))?;
        }
        Ok(Self)
    }
}

impl Drop for Installed {
    fn drop(&mut self) {
        drop(fs::remove_file(FILES[3]));
        for directory in ["/etc/guard", DIRECTORIES[1], DIRECTORIES[2], DIRECTORIES[3]] {
            drop(fs::remove_dir_all(directory));
        }
    }
}

/// By what an attempt would be seen to have worked.
#[derive(Clone, Copy)]
enum Sign {
    Gone(&'static str),
    Made(&'static str),
    Changed(&'static str),
    Open(&'static str),
    Mounted(&'static str),
}

impl Sign {
    fn shows(self) -> Result<bool> {
        match self {
            Self::Gone(path) => Ok(fs::symlink_metadata(path).is_err()),
            Self::Made(path) => Ok(fs::symlink_metadata(path).is_ok()),
            Self::Changed(path) => Ok(read(path)? != TEXT.trim()),
            Self::Open(path) => Ok(fs::metadata(path)?.permissions().mode() & 0o777 == 0o777),
            Self::Mounted(place) => is_mounted(place),
        }
    }
}

/// An attempt, a part of what it is about, the sign that it worked, and what undoes it.
const TRIES: [(&str, &str, Sign, &str); 18] = [
    ("echo x >>/etc/guard/guard.yaml", "/guard.yaml", Sign::Changed(FILES[0]), "echo '# guard' >/etc/guard/guard.yaml"),
    ("chmod 777 /etc/guard/guard.yaml", "/guard.yaml", Sign::Open(FILES[0]), "chmod 644 /etc/guard/guard.yaml"),
    ("ln /etc/guard/guard.yaml /srv/linked", "/guard.yaml", Sign::Made("/srv/linked"), "rm /srv/linked"),
    (
        "rm /etc/guard/rules.d/10-own.yaml",
        "/10-own.yaml",
        Sign::Gone(FILES[1]),
        "echo '# guard' >/etc/guard/rules.d/10-own.yaml",
    ),
    (
        ": >/etc/guard/rules.d/2.yaml",
        "/2.yaml",
        Sign::Made("/etc/guard/rules.d/2.yaml"),
        "rm /etc/guard/rules.d/2.yaml",
    ),
    (
        "ln -s /srv /etc/guard/rules.d/3.yaml",
        "/3.yaml",
        Sign::Made("/etc/guard/rules.d/3.yaml"),
        "rm /etc/guard/rules.d/3.yaml",
    ),
    (
        "mv /etc/guard/rules.d /etc/guard/gone",
        "/rules.d",
        Sign::Gone("/etc/guard/rules.d"),
        "mv /etc/guard/gone /etc/guard/rules.d",
    ),
    ("mv /etc/guard /etc/elsewhere", "/etc/guard", Sign::Gone("/etc/guard"), "mv /etc/elsewhere /etc/guard"),
    // Directories above them, where they are.
    (
        "perl -e 'rename \"/var/log\", \"/var/elsewhere\" or die \"$!\\n\"'",
        "/var/log",
        Sign::Gone("/var/log"),
        "mv /var/elsewhere /var/log",
    ),
    ("perl -e 'rename \"/var\", \"/elsewhere\" or die \"$!\\n\"'", "/var", Sign::Gone("/var"), "mv /elsewhere /var"),
    ("rm /var/lib/guard/state", "/state", Sign::Gone(FILES[2]), "echo '# guard' >/var/lib/guard/state"),
    (
        "mv /usr/local/bin/guardctl /usr/local/bin/other",
        "/guardctl",
        Sign::Gone("/usr/local/bin/guardctl"),
        "mv /usr/local/bin/other /usr/local/bin/guardctl",
    ),
    (
        "rm /usr/lib/systemd/system/guardd.service",
        "/guardd.service",
        Sign::Gone(FILES[3]),
        "echo '# guard' >/usr/lib/systemd/system/guardd.service",
    ),
    (
        ": >/etc/systemd/system/guardd.service.d/a",
        "/etc/systemd/system/guardd.service.d/a",
        Sign::Made("/etc/systemd/system/guardd.service.d/a"),
        "rm /etc/systemd/system/guardd.service.d/a",
    ),
    (
        ": >/run/systemd/system/guardd.service.d/a",
        "/run/systemd/system/guardd.service.d/a",
        Sign::Made("/run/systemd/system/guardd.service.d/a"),
        "rm /run/systemd/system/guardd.service.d/a",
    ),
    (
        "CALL mount /srv /sys/fs/bpf/guard 4096",
        "/sys/fs/bpf/guard",
        Sign::Mounted("/sys/fs/bpf/guard"),
        "umount /sys/fs/bpf/guard",
    ),
    (
        "mount -t tmpfs none /sys/fs/bpf/guard",
        "/sys/fs/bpf/guard",
        Sign::Mounted("/sys/fs/bpf/guard"),
        "umount /sys/fs/bpf/guard",
    ),
    ("CALL mount /srv /var/log/guard 4096", "/var/log/guard", Sign::Mounted("/var/log/guard"), "umount /var/log/guard"),
];

fn own_files(guard: &mut Guard) -> Result<()> {
    const RULE: &str = "guard-own-files";
    const SHIELD: &str = "to change guard's own files";
    place_calls()?;
    let _installed = Installed::new()?;
    let mut tries: Vec<Refused> = TRIES
        .into_iter()
        .map(|(command, about, sign, undo)| Refused {
            command: command.to_owned(),
            logged: Logged::Either(RULE, about.to_owned(), SHIELD),
            happened: Box::new(move |_| sign.shows()),
            otherwise: Otherwise::Works(undo),
        })
        .collect();
    // These would end guard, or its log.
    let log = guard.audit();
    ensure!(log.starts_with("/var/log/guard"), "the log is at {}, where no rule protects it", log.display());
    let log: &'static str = log.display().to_string().leak();
    let begun = fs::metadata(log)?.len();
    let version = fs::read_dir("/sys/fs/bpf/guard")
        .context("guard has pins")?
        .next()
        .context("guard has pins of a version")??;
    let pin: &'static str = version.path().join("HOLDS").display().to_string().leak();
    let mut last = |command: String, about: &str, happened: Asked| {
        tries.push(Refused {
            command,
            logged: Logged::Either(RULE, about.to_owned(), SHIELD),
            happened,
            otherwise: Otherwise::Untried,
        });
    };
    last(format!("rm {pin}"), pin, Box::new(move |_| Sign::Gone(pin).shows()));
    last("CALL umount /sys/fs/bpf".to_owned(), "/sys/fs/bpf", Box::new(|_| Ok(!is_mounted("/sys/fs/bpf")?)));
    last(
        format!("echo 'not of guard' >>{log}"),
        log,
        Box::new(move |_| Ok(read(log)?.lines().any(|line| line == "not of guard"))),
    );
    last(format!(": >{log}"), log, Box::new(move |_| Ok(fs::metadata(log)?.len() < begun)));
    last(format!("rm {log}"), log, Box::new(move |_| Sign::Gone(log).shows()));
    last(format!("ln {log} /var/log/linked"), log, Box::new(|_| Sign::Made("/var/log/linked").shows()));
    refused(guard, &tries)
}

/// Guard's own files are known by their numbers, and those are used again.
fn removed(guard: &mut Guard) -> Result<()> {
    const NAMES: [&str; 2] = ["/var/lib/guard/removed", "/srv/linked"];
    fs::create_dir_all("/var/lib/guard").context("cannot make a directory")?;
    fs::write(NAMES[0], TEXT).context("cannot write a file")?;
    fs::hard_link(NAMES[0], NAMES[1]).context("cannot link it")?;
    let answer = guard.guardctl(&["reload"])?;
    ensure!(answer.code == 0, "reload ended with {}: {}", answer.code, answer.stderr);
    let mut agent = guard.agent(&format!("echo more >>{}; echo code $?", NAMES[1]))?;
    let said = agent.ends_with(0)?;
    ensure!(said.contains("not permitted") && read(NAMES[1])? == TEXT.trim(), "it is guard's own, and {said:?}");
    let mut agent = guard.agent("echo ready; until [ -e go ]; do sleep 0.1; done; echo more >>found; echo code $?")?;
    let found = agent.workspace().join("found");
    agent.says("ready")?;
    let number = fs::metadata(NAMES[0])?.ino();
    for name in NAMES {
        fs::remove_file(name).context("cannot remove it")?;
    }
    // A file system gives numbers by directories.
    let mut others = Vec::new();
    until("the number to be used again", || {
        let name = format!("/var/lib/guard/new-{}", others.len());
        fs::write(&name, TEXT).context("cannot make a file")?;
        if fs::metadata(&name)?.ino() == number {
            fs::rename(&name, &found).context("cannot rename it")?;
            return Ok(Some(()));
        }
        ensure!(others.len() < 1_000, "{number} is not used again: this proves nothing");
        others.push(name);
        Ok(None)
    })?;
    fs::write(agent.workspace().join("go"), "").context("cannot tell the agent")?;
    let said = agent.ends_with(0)?;
    ensure!(said.contains("code 0") && fs::read_to_string(&found)? != TEXT, "it is nobody's, and {said:?}");
    for name in others {
        fs::remove_file(name).context("cannot remove it")?;
    }
    Ok(())
}
