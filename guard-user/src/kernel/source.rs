//! The doorbell: waits for notices from the kernel programs. State is in the maps; a notice only says where.

use std::{io, os::fd::AsRawFd as _};

use aya::maps::{MapData, RingBuf};
use guard_common::{notice::Notice, record::HoldKey};
use tokio::io::{Interest, unix::AsyncFd};

/// The ring buffer as a stream of notices.
pub struct Doorbell {
    // The descriptor is the ring's own; it is registered apart so that the ring can be read mutably.
    ready: AsyncFd<std::os::fd::RawFd>,
    ring: RingBuf<MapData>,
}

impl Doorbell {
    /// Registers with the current tokio runtime.
    ///
    /// # Errors
    /// When there is no runtime, or it refuses the descriptor.
    pub fn new(ring: RingBuf<MapData>) -> io::Result<Self> {
        let ready = AsyncFd::with_interest(ring.as_raw_fd(), Interest::READABLE)?;
        Ok(Self { ready, ring })
    }

    /// Waits until there is at least one notice and takes all there are, up to a bound.
    ///
    /// # Errors
    /// When waiting fails.
    pub async fn next(&mut self) -> io::Result<Vec<Notice>> {
        loop {
            let mut guard = self.ready.readable().await?;
            let mut notices = Vec::new();
            while notices.len() < 1024 {
                let Some(item) = self.ring.next() else {
                    break;
                };
                notices.extend(decode(&item));
            }
            if notices.len() < 1024 {
                guard.clear_ready();
            }
            if !notices.is_empty() {
                return Ok(notices);
            }
        }
    }
}

/// `None` for an entry of another size, which no program of ours writes.
fn decode(bytes: &[u8]) -> Option<Notice> {
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
