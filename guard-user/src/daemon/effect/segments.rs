//! Closed segments of the log: tidied beside the loop, one time after the other, and removed when the core says so.
#![forbid(unsafe_code)]

use std::{path::PathBuf, sync::Arc};

use tokio::sync::{Semaphore, mpsc};

use crate::daemon::{
    audit::keep::{self, Keep},
    core::Input,
};

/// What is done with them.
pub struct Segments {
    live: PathBuf,
    keep: Keep,
    /// One at a time.
    turn: Arc<Semaphore>,
}

impl Segments {
    /// Those beside the log at `live`.
    #[must_use]
    pub fn new(live: PathBuf, keep: Keep) -> Self {
        Self { live, keep, turn: Arc::new(Semaphore::new(1)) }
    }

    /// Compresses them, and says which are to be removed.
    pub(super) fn tidy(&self, inputs: mpsc::Sender<Input>) {
        let (live, keep, turn) = (self.live.clone(), self.keep, self.turn.clone());
        tokio::task::spawn_local(async move {
            let Ok(turn) = turn.acquire_owned().await else { return };
            let done = tokio::task::spawn_blocking(move || {
                let _held_until_done = turn;
                keep::tidy(&live, keep).map_err(|error| error.to_string())
            });
            let old = done.await.unwrap_or_else(|error| Err(error.to_string()));
            let input = old.map_or_else(
                |error| Input::Trouble(format!("closed segments of the audit log stay as they are: {error}")),
                Input::SegmentsOld,
            );
            if inputs.send(input).await.is_err() {
                tracing::debug!("guardd ends");
            }
        });
    }

    pub(super) fn remove(&self, number: u64) -> Option<Input> {
        let removed = keep::remove(&self.live, number);
        removed.err().map(|error| Input::Trouble(format!("segment {number} of the audit log stays: {error}")))
    }
}
