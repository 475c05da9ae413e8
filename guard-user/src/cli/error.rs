//! What can go wrong for somebody at the command line: each kind has its exit code and says what to do next.
//! Printing is `render`'s.

use std::{
    fmt,
    path::{Path, PathBuf},
    process::ExitCode,
};

use crate::api::{Problem, ProblemKind};

/// Every exit code of guardctl but those of a command started by `run`. A higher one is worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Exit {
    Success = 0,
    Failure = 1,
    Usage = 2,
    NotRunning = 3,
    NotPermitted = 4,
    NotFound = 5,
    AlreadyDecided = 6,
    Denied = 7,
    /// `check`: it would be held.
    WouldHold = 8,
    TimedOut = 124,
    /// `run`: guard itself failed, the command was never started.
    GuardFailed = 125,
    /// `run`: the command was found and cannot be executed.
    CannotExecute = 126,
    /// `run`: there is no such command.
    CommandNotFound = 127,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a verb ended early.
#[derive(Debug)]
pub(crate) enum Error {
    /// Nobody listens on the socket.
    NotRunning(PathBuf),
    /// The kernel refused to connect us.
    SocketRefused(PathBuf),
    /// The daemon said so.
    Problem(Problem),
    /// The arguments do not go together, or name nothing that can be acted on.
    Usage(String),
    /// An agent or hold that the arguments name does not exist.
    NotFound(String),
    /// Nobody decided, or the daemon did not answer, in time.
    TimedOut(String),
    /// `run`: what kept guard from putting the command into an agent.
    GuardFailed(Box<Self>),
    /// `run`: the command could not be executed.
    Exec {
        command: String,
        error: std::io::Error,
    },
    /// The reader of our output went away: no news to anybody.
    OutputClosed,
    Other(anyhow::Error),
}

impl Error {
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::NotRunning(_) => Exit::NotRunning,
            Self::SocketRefused(_) => Exit::NotPermitted,
            Self::Problem(problem) => match problem.kind {
                ProblemKind::BadRequest => Exit::Usage,
                ProblemKind::NotPermitted => Exit::NotPermitted,
                ProblemKind::NotFound => Exit::NotFound,
                ProblemKind::AlreadyDecided => Exit::AlreadyDecided,
                ProblemKind::AuditUnavailable | ProblemKind::Internal => Exit::Failure,
            },
            Self::Usage(_) => Exit::Usage,
            Self::NotFound(_) => Exit::NotFound,
            Self::TimedOut(_) => Exit::TimedOut,
            Self::GuardFailed(_) => Exit::GuardFailed,
            Self::Exec { error, .. } if error.kind() == std::io::ErrorKind::NotFound => Exit::CommandNotFound,
            Self::Exec { .. } => Exit::CannotExecute,
            Self::OutputClosed => Exit::Success,
            Self::Other(_) => Exit::Failure,
        }
    }

    /// What to type next, for the kinds whose message does not say it.
    fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Problem(problem) => match problem.kind {
                ProblemKind::NotPermitted => {
                    Some("deciding and listing belong to root and group `guard` (try `sudo`), never to an agent")
                }
                ProblemKind::NotFound => Some("`guardctl pending` and `guardctl agents` list what there is"),
                ProblemKind::AlreadyDecided => Some("`guardctl show ID` says who decided and what came of it"),
                ProblemKind::AuditUnavailable => {
                    Some("`guardctl status` names the log; deny and kill still work meanwhile")
                }
                ProblemKind::BadRequest | ProblemKind::Internal => None,
            },
            Self::GuardFailed(error) => error.hint(),
            Self::NotFound(_) => Some("`guardctl pending` and `guardctl agents` list what there is"),
            Self::NotRunning(_)
            | Self::SocketRefused(_)
            | Self::Usage(_)
            | Self::TimedOut(_)
            | Self::Exec { .. }
            | Self::OutputClosed
            | Self::Other(_) => None,
        }
    }

    /// The sentence, and the hint on a line of its own when `message` does not name the same command already.
    pub(crate) fn report(&self) -> String {
        let message = self.to_string();
        match self.hint() {
            Some(hint) if !message.contains("guardctl ") && !message.contains("sudo") => {
                format!("{message}\nhint: {hint}")
            }
            _ => message,
        }
    }

    /// Turns what the kernel said about `connect` into what it means to a person.
    pub(crate) fn connecting(socket: &Path, error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::NotFound | std::io::ErrorKind::ConnectionRefused => {
                Self::NotRunning(socket.to_path_buf())
            }
            std::io::ErrorKind::PermissionDenied => Self::SocketRefused(socket.to_path_buf()),
            _ => anyhow::Error::new(error).context(format!("cannot connect to guardd at {}", socket.display())).into(),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotRunning(socket) if socket.exists() => write!(
                formatter,
                "guardd is not running (nobody listens on the socket {}): start it with `systemctl start guardd` or `sudo guardd`",
                socket.display()
            ),
            Self::NotRunning(socket) => write!(
                formatter,
                "guardd is not running (no socket at {}): start it with `systemctl start guardd` or `sudo guardd`",
                socket.display()
            ),
            Self::SocketRefused(socket) => {
                write!(formatter, "not permitted to connect to {}: try with `sudo`", socket.display())
            }
            Self::Problem(problem) => formatter.write_str(&problem.message),
            Self::Usage(message) | Self::NotFound(message) | Self::TimedOut(message) => formatter.write_str(message),
            Self::GuardFailed(error) => write!(formatter, "the command was not started: {error}"),
            Self::Exec { command, error } if error.kind() == std::io::ErrorKind::NotFound => {
                write!(formatter, "{command}: command not found")
            }
            Self::Exec { command, error } => write!(formatter, "cannot execute {command}: {error}"),
            Self::OutputClosed => formatter.write_str("the reader of the output went away"),
            Self::Other(error) => write!(formatter, "{error:#}"),
        }
    }
}

impl std::error::Error for Error {}

impl From<anyhow::Error> for Error {
    fn from(error: anyhow::Error) -> Self {
        Self::Other(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_problem_has_the_documented_exit_code() {
        let exit = |kind| Error::Problem(Problem { kind, message: String::new() }).exit() as u8;
        assert_eq!(exit(ProblemKind::BadRequest), 2);
        assert_eq!(exit(ProblemKind::NotPermitted), 4);
        assert_eq!(exit(ProblemKind::NotFound), 5);
        assert_eq!(exit(ProblemKind::AlreadyDecided), 6);
        assert_eq!(exit(ProblemKind::AuditUnavailable), 1);
        assert_eq!(exit(ProblemKind::Internal), 1);
    }

    #[test]
    fn a_missing_socket_says_how_to_start_the_daemon() {
        let error = Error::connecting(Path::new("/nowhere/guard.sock"), std::io::ErrorKind::NotFound.into());
        assert_eq!(error.exit() as u8, 3);
        assert_eq!(
            error.report(),
            "guardd is not running (no socket at /nowhere/guard.sock): start it with `systemctl start guardd` or `sudo guardd`"
        );
    }

    #[test]
    fn a_hint_is_added_only_where_the_message_has_none() {
        let report = |message: &str| {
            Error::Problem(Problem { kind: ProblemKind::NotFound, message: message.to_owned() }).report()
        };
        assert!(report("there is no hold h9").contains("\nhint: `guardctl pending`"));
        assert_eq!(report("no hold h9; see `guardctl pending`"), "no hold h9; see `guardctl pending`");
    }
}
