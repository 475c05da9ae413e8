//! How a call ended that an approval let through, as its program saw it: a number of `errno(3)`, and its words.
#![forbid(unsafe_code)]

use nix::errno::Errno;
use serde::{Deserialize, Serialize};

/// The end of a system call.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CallResult {
    /// 0: it succeeded.
    pub errno: u32,
    /// What `errno(3)` calls that; empty for 0, and where it has no name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
}

impl CallResult {
    #[must_use]
    pub fn of(errno: u32) -> Self {
        let known = known(errno);
        Self { errno, name: known.map(|known| format!("{known:?}")).unwrap_or_default() }
    }

    /// `succeeded`, or `failed: No such file or directory (ENOENT)`
    #[must_use]
    pub fn words(&self) -> String {
        match (self.errno, known(self.errno)) {
            (0, _) => "succeeded".to_owned(),
            // A socket that does not wait: it may still come about.
            (_, Some(known @ Errno::EINPROGRESS)) => format!("is under way: {} ({known:?})", known.desc()),
            (_, Some(known)) => format!("failed: {} ({known:?})", known.desc()),
            (errno, None) => format!("failed: error {errno}"),
        }
    }
}

fn known(errno: u32) -> Option<Errno> {
    let known = Errno::from_raw(i32::try_from(errno).ok()?);
    (known != Errno::UnknownErrno).then_some(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_has_its_name_and_its_words() {
        let cases = [
            (0, "", "succeeded"),
            (2, "ENOENT", "failed: No such file or directory (ENOENT)"),
            (111, "ECONNREFUSED", "failed: Connection refused (ECONNREFUSED)"),
            (115, "EINPROGRESS", "is under way: Operation now in progress (EINPROGRESS)"),
            (4_000, "", "failed: error 4000"),
        ];
        for (errno, name, words) in cases {
            let result = CallResult::of(errno);
            assert_eq!((result.name.as_str(), result.words().as_str()), (name, words));
        }
    }
}
