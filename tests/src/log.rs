//! Follows guardd's audit log: cheaper than asking guardd, which would slow down what is watched. What a record means is not
//! known here.

use std::{
    fs::File,
    io::{Read as _, Seek as _, SeekFrom},
};

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::guard::Guard;

/// The log from where it was opened on.
pub(crate) struct Log {
    file: File,
    /// The beginning of a line that is not there whole.
    read: Vec<u8>,
}

impl Log {
    /// What is written from now on.
    pub(crate) fn from_now(guard: &Guard) -> Result<Self> {
        let mut file = File::open(guard.audit()).context("cannot open the audit log")?;
        file.seek(SeekFrom::End(0)).context("cannot find the end of the log")?;
        Ok(Self { file, read: Vec::new() })
    }

    /// The records since the last look.
    pub(crate) fn records(&mut self) -> Result<Vec<Value>> {
        self.file.read_to_end(&mut self.read).context("cannot read the audit log")?;
        let record = |line: String| serde_json::from_str(&line).context("a line of the log is not JSON");
        lines(&mut self.read).into_iter().map(record).collect()
    }
}

/// Takes the whole lines from what was read.
pub(crate) fn lines(bytes: &mut Vec<u8>) -> Vec<String> {
    let Some(end) = bytes.iter().rposition(|byte| *byte == b'\n') else { return Vec::new() };
    let whole: Vec<u8> = bytes.drain(..=end).collect();
    String::from_utf8_lossy(&whole).lines().map(str::to_owned).collect()
}
