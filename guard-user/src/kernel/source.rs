//! The doorbell: waits for notices from the kernel programs. State is in the maps; a notice only says where.

use std::io;

use aya::maps::{MapData, RingBuf};
use guard_common::{notice::Notice, record::HoldKey};
use tokio::io::{Interest, unix::AsyncFd};

use crate::daemon::effect::Notices;

/// The ring buffer as a stream of notices.
pub struct Doorbell {
    ring: AsyncFd<RingBuf<MapData>>,
}

impl Doorbell {
    /// Registers with the current tokio runtime.
    ///
    /// # Errors
    /// When there is no runtime, or it refuses the descriptor.
    pub fn new(ring: RingBuf<MapData>) -> io::Result<Self> {
        // SAFETY: a `RingBuf` owns its descriptor and names the same one for as long as it lives.
        let ring = unsafe { AsyncFd::register_with_interest(ring, Interest::READABLE) }?;
        Ok(Self { ring })
    }
}

impl Notices for Doorbell {
    /// Waits until there is at least one notice and takes all there are, up to a bound.
    async fn next(&mut self) -> io::Result<Vec<Notice>> {
        loop {
            let mut guard = self.ring.readable_mut().await?;
            let notices = take(guard.get_inner_mut());
            if notices.len() < MOST {
                guard.clear_ready();
            }
            if !notices.is_empty() {
                return Ok(notices);
            }
        }
    }

    fn now(&mut self) -> Vec<Notice> {
        take(self.ring.get_mut())
    }
}

/// Most notices taken at once, so that a flood leaves room for everything else.
const MOST: usize = 1024;

fn take(ring: &mut RingBuf<MapData>) -> Vec<Notice> {
    let mut notices = Vec::new();
    while notices.len() < MOST
        && let Some(item) = ring.next()
    {
        notices.extend(decode(&item));
    }
    notices
}

/// `None` for an entry of another size, which no program of ours writes.
pub(crate) fn decode(bytes: &[u8]) -> Option<Notice> {
    let word = |at: usize| bytes.get(at..)?.first_chunk::<4>().map(|bytes| u32::from_ne_bytes(*bytes));
    let hold = bytes.get(8..)?.first_chunk::<8>().map(|bytes| u64::from_ne_bytes(*bytes))?;
    (bytes.len() == size_of::<Notice>()).then_some(Notice {
        key: HoldKey { id: word(0)?, slot: word(4)? },
        hold,
        kind: word(16)?,
        tgid: word(20)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_of_another_size_is_not_one() {
        let mut bytes = vec![7, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 5, 0, 0, 0];
        let notice = Notice { key: HoldKey { id: 7, slot: 0 }, hold: 9, kind: 1, tgid: 5 };
        assert_eq!(decode(&bytes), Some(notice));
        bytes.push(0);
        assert_eq!(decode(&bytes), None);
        assert_eq!(decode(&bytes[..8]), None);
    }
}
