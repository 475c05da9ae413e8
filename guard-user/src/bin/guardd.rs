//! guardd: parses arguments, calls the library, maps the result to an exit code.

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, ValueEnum};
use guard_user::{
    api,
    daemon::{begin, config},
};

/// Holds the irreversible operations of tagged agents until a human decides.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Settings; /etc/guard/guard.yaml if it is there
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Rules file or directory; /etc/guard/rules.d if it is there, else the built-in pack
    #[arg(long, value_name = "PATH")]
    rules: Option<PathBuf>,
    /// Check settings and rules, then exit: 0 when they are right, 2 when not
    #[arg(long)]
    check: bool,
    /// Stay in the foreground, which is what guardd always does
    #[arg(long)]
    foreground: bool,
    /// Where to listen
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// Where agents tell of their tools
    #[arg(long, value_name = "PATH")]
    agent_socket: Option<PathBuf>,
    /// Where the audit log goes
    #[arg(long, value_name = "FILE")]
    audit: Option<PathBuf>,
    /// How to guard: before the effect (gate), at once after the first one (trip), or the best this kernel can
    #[arg(long, value_enum, default_value_t = Tier::Auto)]
    tier: Tier,
    /// Take down the programs and maps an earlier guardd left pinned, then exit: nothing is held after that
    #[arg(long)]
    teardown: bool,
    /// Load every kernel program once, print a JSON line for each, and exit
    #[arg(long, hide = true)]
    probe_load: bool,
    /// Be the canary of a running guardd
    #[arg(long, hide = true, value_name = "DIR")]
    canary: Option<PathBuf>,
    /// Say that the canary could execute a program
    #[arg(long, hide = true)]
    canary_executed: bool,
    /// Where the lock and the list of agents are kept
    #[arg(long, value_name = "DIR")]
    run_dir: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Tier {
    Auto,
    Gate,
    Trip,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    begin::log();
    if let Some(directory) = arguments.canary {
        return end(begin::be_canary(&directory));
    }
    if arguments.canary_executed {
        return end(begin::be_executed());
    }
    let over = config::Over {
        socket: arguments.socket,
        agent_socket: arguments.agent_socket,
        audit: arguments.audit,
        rules: arguments.rules,
        run_dir: arguments.run_dir,
        tier: match arguments.tier {
            Tier::Auto => None,
            Tier::Gate => Some(api::Tier::Gate),
            Tier::Trip => Some(api::Tier::Trip),
        },
    };
    let ended = if arguments.check {
        begin::check(arguments.config.as_deref(), over)
    } else if arguments.teardown {
        begin::teardown(arguments.config.as_deref(), over)
    } else if arguments.probe_load {
        begin::probe_load()
    } else {
        begin::begin(arguments.config.as_deref(), over)
    };
    end(ended)
}

fn end(ended: Result<(), begin::Stop>) -> ExitCode {
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(stop) => {
            begin::say(&stop);
            ExitCode::from(stop.code())
        }
    }
}
