//! From settings to a running daemon: what is checked in which order, and what its failure is called.
#![forbid(unsafe_code)]

use std::{
    fs, io,
    io::Write as _,
    os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, PermissionsExt as _},
    path::Path,
};

use anyhow::Context as _;
use tokio::{
    net::UnixListener,
    signal::unix::{SignalKind, signal},
    sync::{mpsc, oneshot},
};

use super::{
    canary::Canary,
    cgroup::Cgroups,
    config::{self, Config, Over},
    core::{About, Answer},
    lock, notify,
    own_files::OwnFiles,
    rights, rulebook,
    run::{self, Setup},
    server::Listeners,
};
use crate::{
    api,
    kernel::{load, pins, probe},
};

/// Why guardd does not run, by exit code.
#[derive(Debug)]
pub enum Stop {
    /// 1
    Failed(anyhow::Error),
    /// 2: settings or rules are wrong.
    Wrong(String),
    /// 4: guardd itself lacks a right.
    NotPermitted(String),
}

impl Stop {
    #[must_use]
    pub fn code(&self) -> u8 {
        match self {
            Self::Failed(_) => 1,
            Self::Wrong(_) => 2,
            Self::NotPermitted(_) => 4,
        }
    }
}

impl From<anyhow::Error> for Stop {
    fn from(error: anyhow::Error) -> Self {
        Self::Failed(error)
    }
}

/// Sends guardd's own log to standard error, as `RUST_LOG` says.
pub fn log() {
    use tracing_subscriber::EnvFilter;
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).with_target(false);
    // Only colour what a person looks at.
    let log = log.with_ansi(rustix::termios::isatty(io::stderr()) && std::env::var_os("NO_COLOR").is_none());
    if log.try_init().is_err() {
        tracing::debug!("the log was set up before");
    }
}

/// The one place that says why guardd does not run.
pub fn say(stop: &Stop) {
    let message = match stop {
        Stop::Failed(error) => format!("guardd: {error:#}\n"),
        Stop::Wrong(message) | Stop::NotPermitted(message) => format!("guardd: {message}\n"),
    };
    if io::stderr().write_all(message.as_bytes()).is_err() {
        tracing::debug!("nobody reads standard error");
    }
}

/// Checks settings and rules without touching anything.
///
/// # Errors
/// [`Stop::Wrong`] with the place.
pub fn check(file: Option<&Path>, over: Over) -> Result<(), Stop> {
    let config = config(file, over)?;
    let rulebook = rulebook::load(config.rules.as_deref()).map_err(Stop::Wrong)?;
    tracing::info!("settings and {} rules are right", rulebook.len());
    Ok(())
}

/// Takes down what an earlier guardd left pinned. A running one is refused: it would go on as if it guarded.
///
/// # Errors
/// When a guardd runs, or a pin cannot be removed.
pub fn teardown(file: Option<&Path>, over: Over) -> Result<(), Stop> {
    let config = config(file, over)?;
    if let Some(missing) = rights::missing() {
        return Err(Stop::NotPermitted(missing));
    }
    let _lock = lock::take(&config.run_dir.join("guardd.lock"))?;
    let removed = pins::teardown(&config.pin)?;
    tracing::info!("{removed} pins removed; nothing is held any more");
    Ok(())
}

/// Loads every kernel program once and prints what the verifier made of it, one JSON object a line.
///
/// # Errors
/// When the object cannot be loaded or standard output is closed.
pub fn probe_load() -> Result<(), Stop> {
    let mut out = io::stdout().lock();
    for program in probe::probe_programs()? {
        let line = serde_json::to_string(&program).context("a program cannot be described")?;
        writeln!(out, "{line}").context("cannot write to standard output")?;
    }
    Ok(())
}

/// Is the canary, in `directory`.
///
/// # Errors
/// When the directory is not as guardd makes it, or guardd is gone.
pub fn be_canary(directory: &Path) -> Result<(), Stop> {
    Ok(super::canary::run(directory).context("the canary")?)
}

/// Is what the canary must not be able to execute.
///
/// # Errors
/// When guardd is gone.
pub fn be_executed() -> Result<(), Stop> {
    Ok(super::canary::executed().context("what the canary executed")?)
}

/// Runs guardd until it is told to stop.
///
/// # Errors
/// Why it does not run, or no longer.
pub fn begin(file: Option<&Path>, over: Over) -> Result<(), Stop> {
    let config = config(file, over)?;
    let rulebook = rulebook::load(config.rules.as_deref()).map_err(Stop::Wrong)?;
    if let Some(missing) = rights::missing() {
        return Err(Stop::NotPermitted(missing));
    }
    let _lock = lock::take(&config.run_dir.join("guardd.lock"))?;
    raise_files();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(32).build();
    let runtime = runtime.context("cannot start the runtime")?;
    let own_files = OwnFiles::of(&config, file);
    let done = tokio::task::LocalSet::new().block_on(&runtime, guard(&config, rulebook, own_files));
    // A thread that waits for a dead disk must not keep guardd from ending.
    runtime.shutdown_background();
    done.map_err(Stop::Failed)
}

async fn guard(config: &Config, rulebook: Box<dyn rulebook::Rulebook>, own_files: OwnFiles) -> anyhow::Result<()> {
    let cgroups = Cgroups::find().context("agents are cgroups")?;
    let options = load::Options { tier: config.tier, max_holds: config.max_holds, pin: Some(config.pin.clone()) };
    let loaded = load::load(&options)?;
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let about = About {
        pid: std::process::id(),
        kernel: release.clone(),
        tier: loaded.tier,
        reason: loaded.reason.clone(),
        summary: loaded.summary.clone(),
        features: loaded.features,
        audit_path: config.audit.path.display().to_string(),
        audit_key: String::new(),
        boot: boot_id(),
        unprotected: config.unprotected,
    };
    let listeners = Listeners { people: listen(&config.socket)?, agents: listen(&config.agent_socket)? };
    let mut terminate = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot wait for SIGINT")?;
    let mut hangup = signal(SignalKind::hangup()).context("cannot wait for SIGHUP")?;
    let tier = match loaded.tier {
        api::Tier::Gate => "gate",
        api::Tier::Trip => "trip",
    };
    let line = format!("{tier} tier on Linux {release}, {} rules: {}", rulebook.len(), loaded.summary);
    let because = if loaded.reason.is_empty() { String::new() } else { format!(" ({})", loaded.reason) };
    let sockets = [config.socket.clone(), config.agent_socket.clone()];
    let mut kernel = loaded.kernel;
    let canary = match loaded.tier {
        api::Tier::Gate => Some(Canary::new(&config.run_dir, cgroups.clone(), &mut kernel)?),
        api::Tier::Trip => None,
    };
    let (reload, reloads) = mpsc::channel(1);
    let protects = line.clone();
    tokio::task::spawn_local(async move {
        while hangup.recv().await.is_some() {
            notify::reloading();
            let (reply, answer) = oneshot::channel();
            if reload.send(reply).await.is_err() {
                return;
            }
            // systemd takes the reload for done at READY=1, so that is said when the rules were read.
            let said = match answer.await {
                Ok(Answer::Problem(problem)) => format!("; reload failed, the old rules stay: {}", problem.message),
                Ok(_) => "; the rules were read again".to_owned(),
                Err(_) => return,
            };
            notify::ready(&(protects.clone() + &said));
        }
    });
    let setup = Setup {
        about,
        kernel,
        canary,
        notices: loaded.notices,
        executions: loaded.executions,
        cgroups,
        rulebook,
        rules: config.rules.clone(),
        audit: config.audit.clone(),
        state_file: config.run_dir.join("agents.json"),
        fresh: loaded.fresh,
        earlier: loaded.earlier,
        own_files,
        variables: config.variables.clone(),
    };
    let ready = || {
        tracing::info!("{line}{because}");
        notify::ready(&line);
    };
    let shutdown = async move {
        tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
        tracing::info!("stopping; what is held stays held");
        notify::stopping();
    };
    let ended = run::run(setup, listeners, reloads, ready, shutdown).await;
    for socket in sockets {
        if let Err(error) = fs::remove_file(&socket) {
            tracing::debug!("{} stays: {error}", socket.display());
        }
    }
    ended
}

/// Tells the records of one boot from those of another.
fn boot_id() -> String {
    match fs::read_to_string("/proc/sys/kernel/random/boot_id") {
        Ok(id) => id.chars().filter(char::is_ascii_hexdigit).collect(),
        Err(error) => {
            tracing::warn!("this boot has no id: {error}");
            String::new()
        }
    }
}

fn config(file: Option<&Path>, over: Over) -> Result<Config, Stop> {
    Ok(config::read(file).map_err(Stop::Wrong)?.resolve(over))
}

/// Anybody may connect; what they may do is decided by who they are.
fn listen(path: &Path) -> anyhow::Result<UnixListener> {
    if let Some(directory) = path.parent().filter(|directory| !directory.exists()) {
        let made = fs::DirBuilder::new().recursive(true).mode(0o755).create(directory);
        made.with_context(|| format!("cannot make {}", directory.display()))?;
    }
    // The lock is held, so a socket that is there belongs to nobody.
    match fs::symlink_metadata(path) {
        Ok(there) if there.file_type().is_socket() => {
            fs::remove_file(path).with_context(|| format!("cannot remove the old socket {}", path.display()))?;
        }
        Ok(_) => anyhow::bail!("{} is there and is no socket", path.display()),
        Err(_) => {}
    }
    let listener = UnixListener::bind(path).with_context(|| format!("cannot listen on {}", path.display()))?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o666))
        .with_context(|| format!("cannot open {} to everybody", path.display()))?;
    Ok(listener)
}

/// Each held process keeps a descriptor open.
fn raise_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }) {
        tracing::warn!("the number of open files cannot be raised: {error}");
    }
}
