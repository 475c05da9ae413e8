//! `guard-tests bench`: measures inside a machine and prints one JSON object. Per-operation costs need a machine that
//! counts instructions (`-icount`), where a nanosecond is an instruction; the rest needs an ordinary one.

mod cost;
mod host;
mod latency;
mod machine;
mod seccomp;
mod strain;
mod work;

use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use serde::Serialize;

/// One figure.
#[derive(Serialize)]
pub(crate) struct Measure {
    pub(crate) name: String,
    pub(crate) value: f64,
    pub(crate) unit: &'static str,
    /// What it must not exceed; absent for what is only compared with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) limit: Option<f64>,
    /// `uname -r`.
    pub(crate) kernel: String,
    pub(crate) method: &'static str,
}

/// `guard-tests bench cost|work|latency|strain|host`
pub(crate) fn run(arguments: &[String]) -> Result<ExitCode> {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let measures = match words.as_slice() {
        ["cost"] => cost::measure()?,
        ["latency"] => latency::measure()?,
        ["strain"] => strain::measure()?,
        ["host"] => host::measure()?,
        ["work"] => work::measure(&work::WORK)?,
        // By hand, of one alone.
        ["work", name] => work::measure(&[name])?,
        // What the ones above start in an agent.
        ["loop", operation, directory, count] => {
            return cost::looped(operation, directory, count.parse().context("not a number")?);
        }
        ["unlinks", directory, count] => return latency::unlinks(directory, count.parse().context("not a number")?),
        ["execs", program, count] => return host::execs(program, count.parse().context("not a number")?),
        ["churn", directory] => return strain::churn(directory),
        _ => bail!("usage: guard-tests bench cost|work|latency|strain|host"),
    };
    println!("measures {}", serde_json::to_string(&measures).context("cannot write JSON")?);
    Ok(ExitCode::SUCCESS)
}

/// The running kernel.
fn kernel() -> String {
    rustix::system::uname().release().to_string_lossy().into_owned()
}

/// The monotonic clock, which is one for all processes of a machine.
fn nanoseconds() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    u64::try_from(time.tv_sec * 1_000_000_000 + time.tv_nsec).unwrap_or(0)
}
