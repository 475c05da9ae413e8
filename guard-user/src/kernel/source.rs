//! What the kernel programs write into ring buffers: waits for it, and decodes it. Of what is held the state is in the maps; a
//! notice only says where.

use std::{future::Future, io};

use aya::maps::{MapData, RingBuf};
use guard_common::{notice::Notice, record::HoldKey};
use tokio::io::{Interest, unix::AsyncFd};

/// A ring the kernel programs write into.
pub trait Ring<T> {
    /// Waits until there is at least one entry and takes all there are, up to a bound. May be dropped while it waits without
    /// losing any.
    fn next(&mut self) -> impl Future<Output = io::Result<Vec<T>>>;
    /// What is there at this moment, up to the same bound, without waiting.
    fn now(&mut self) -> Vec<T>;
}

/// A ring buffer of the kernel's.
pub struct Source<T> {
    ring: AsyncFd<RingBuf<MapData>>,
    /// `None` for an entry of another size, which no program of ours writes.
    decode: fn(&[u8]) -> Option<T>,
}

impl<T> Source<T> {
    /// Registers with the current tokio runtime.
    ///
    /// # Errors
    /// When there is no runtime, or it refuses the descriptor.
    pub fn new(ring: RingBuf<MapData>, decode: fn(&[u8]) -> Option<T>) -> io::Result<Self> {
        // SAFETY: a `RingBuf` owns its descriptor and names the same one for as long as it lives.
        let ring = unsafe { AsyncFd::register_with_interest(ring, Interest::READABLE) }?;
        Ok(Self { ring, decode })
    }
}

impl<T> Ring<T> for Source<T> {
    async fn next(&mut self) -> io::Result<Vec<T>> {
        loop {
            let mut guard = self.ring.readable_mut().await?;
            let entries = take(guard.get_inner_mut(), self.decode);
            if entries.len() < MOST {
                guard.clear_ready();
            }
            if !entries.is_empty() {
                return Ok(entries);
            }
        }
    }

    fn now(&mut self) -> Vec<T> {
        take(self.ring.get_mut(), self.decode)
    }
}

/// Most entries taken at once, so that a flood leaves room for everything else.
pub const MOST: usize = 1024;

fn take<T>(ring: &mut RingBuf<MapData>, decode: fn(&[u8]) -> Option<T>) -> Vec<T> {
    let mut entries = Vec::new();
    while entries.len() < MOST
        && let Some(item) = ring.next()
    {
        entries.extend(decode(&item));
    }
    entries
}

/// A notice.
pub(crate) fn notice(bytes: &[u8]) -> Option<Notice> {
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
        let expected = Notice { key: HoldKey { id: 7, slot: 0 }, hold: 9, kind: 1, tgid: 5 };
        assert_eq!(notice(&bytes), Some(expected));
        bytes.push(0);
        assert_eq!(notice(&bytes), None);
        assert_eq!(notice(&bytes[..8]), None);
    }
}
