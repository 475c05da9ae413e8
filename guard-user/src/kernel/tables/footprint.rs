//! What the kernel tells and counts of what agents touch: the ring, and the maps in which it goes on counting what it told
//! of once. Nothing is lost but what was counted in an element that made room for another since it was looked at.

use std::{
    collections::HashMap,
    io,
    mem::offset_of,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use aya::maps::{HashMap as KernelMap, Map, MapData, RingBuf};
use guard_common::{
    footprint::{ADDRESS, GAP, IN_DIRECTORY, READ, ReachKey, ReachValue, SOCKET_FILE, Touch, WRITE},
    table::{DirKey, DirValue},
};

use super::{found, take};
use crate::{
    operation::Address,
    touched::{Touched, What},
};

/// Entries of the ring taken at once.
const MOST: usize = 8_192;
/// Elements that are known before those that are gone are looked for: as many as the kernel has room for.
const KNOWN: usize = 16_384 + 4_096;

pub(super) struct Footprints {
    ring: RingBuf<MapData>,
    directories: KernelMap<MapData, DirKey, DirValue>,
    reached: KernelMap<MapData, ReachKey, ReachValue>,
    known: HashMap<Element, Known>,
}

/// Where the kernel counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Element {
    Directory([u64; 3]),
    Reached([u64; 3]),
}

/// What it stands for, and what of it was taken.
struct Known {
    agent: u64,
    what: What,
    ino: u64,
    reads: u32,
    writes: u32,
}

impl Footprints {
    /// # Errors
    /// When there is no such map.
    pub(super) fn take(maps: &mut impl FnMut(&str) -> anyhow::Result<Map>) -> anyhow::Result<Self> {
        Ok(Self {
            ring: RingBuf::try_from(maps("FOOTPRINTS")?)?,
            directories: take(maps, "DIRS")?,
            reached: take(maps, "REACHED")?,
            known: HashMap::new(),
        })
    }

    /// What the kernel told since the last time; with `counted`, also what it only counted.
    ///
    /// # Errors
    /// When a map cannot be read.
    pub(super) fn touched(&mut self, counted: bool) -> io::Result<Vec<Touched>> {
        let mut touched = Vec::new();
        let mut taken = 0;
        while taken < MOST
            && let Some(entry) = self.ring.next()
        {
            taken += 1;
            if let Some((touch, what)) = decode(&entry) {
                touched.extend(told(&mut self.known, &touch, what));
            }
        }
        if counted || self.known.len() > KNOWN {
            self.count(&mut touched)?;
        }
        Ok(touched)
    }

    /// Forgets what an agent touched.
    pub(super) fn forget(&mut self, agent: u64) {
        self.known.retain(|_, known| known.agent != agent);
    }

    fn count(&mut self, touched: &mut Vec<Touched>) -> io::Result<()> {
        let mut error = None;
        self.known.retain(|element, known| {
            let now = match element {
                Element::Directory([dentry, mount, policy]) => {
                    let key = DirKey { dentry: *dentry, mount: *mount, policy: *policy };
                    found(self.directories.get(&key, 0))
                        .map(|value| value.map(|value| (value.ino, value.reads, value.writes)))
                }
                Element::Reached(words) => found(self.reached.get(&reach_key(*words), 0))
                    .map(|value| value.map(|value| (value.ino, value.count, 0))),
            };
            match now {
                Ok(Some((ino, reads, writes))) if ino == known.ino => {
                    touched.extend(known.take(reads, writes));
                    true
                }
                Ok(_) => false,
                Err(other) => {
                    error = Some(other);
                    true
                }
            }
        });
        error.map_or(Ok(()), Err)
    }
}

impl Known {
    /// What is new; `None` where nothing is. An element that was made again counts from nothing.
    fn take(&mut self, reads: u32, writes: u32) -> Option<Touched> {
        let again = reads < self.reads || writes < self.writes;
        let (reads_before, writes_before) = if again { (0, 0) } else { (self.reads, self.writes) };
        (self.reads, self.writes) = (reads, writes);
        let (reads, writes) = (reads - reads_before, writes - writes_before);
        let new = reads > 0 || writes > 0;
        new.then(|| Touched { agent: self.agent, what: self.what.clone(), reads: reads.into(), writes: writes.into() })
    }
}

/// What is new by an entry of the ring.
fn told(known: &mut HashMap<Element, Known>, touch: &Touch, what: What) -> Vec<Touched> {
    let (reads, writes) = (u32::from(touch.act == READ), u32::from(touch.act == WRITE));
    let element = match what {
        What::Directory(_) => Element::Directory(touch.key),
        What::Socket(_) | What::Address(_) => Element::Reached(touch.key),
    };
    let this = Touched { agent: touch.agent, what: what.clone(), reads: reads.into(), writes: writes.into() };
    if touch.key == [0; 3] {
        return vec![this];
    }
    // What was counted before this touch belongs to what the element stood for then.
    let (before_reads, before_writes) = (touch.reads.saturating_sub(reads), touch.writes.saturating_sub(writes));
    let earlier = known.get_mut(&element).filter(|earlier| earlier.ino == touch.ino);
    let earlier = earlier.and_then(|earlier| earlier.take(before_reads, before_writes));
    let (agent, ino) = (touch.agent, touch.ino);
    known.insert(element, Known { agent, what, ino, reads: touch.reads, writes: touch.writes });
    earlier.into_iter().chain((this.reads + this.writes > 0).then_some(this)).collect()
}

/// An entry of the ring; `None` for one that no program of ours writes.
fn decode(entry: &[u8]) -> Option<(Touch, What)> {
    let at = entry.len().checked_sub(size_of::<Touch>())?;
    let text = &entry[..at.checked_sub(GAP)?];
    let word = |field: usize| entry[at + field..].first_chunk().map(|bytes| u32::from_ne_bytes(*bytes));
    let long = |field: usize| entry[at + field..].first_chunk().map(|bytes| u64::from_ne_bytes(*bytes));
    let key = offset_of!(Touch, key);
    let touch = Touch {
        agent: long(offset_of!(Touch, agent))?,
        key: [long(key)?, long(key + 8)?, long(key + 16)?],
        ino: long(offset_of!(Touch, ino))?,
        reads: word(offset_of!(Touch, reads))?,
        writes: word(offset_of!(Touch, writes))?,
        kind: word(offset_of!(Touch, kind))?,
        act: word(offset_of!(Touch, act))?,
    };
    let path = Path::new(std::ffi::OsStr::from_bytes(text));
    let what = match touch.kind {
        IN_DIRECTORY => What::Directory(path.parent().map_or_else(|| PathBuf::from("/"), Path::to_path_buf)),
        SOCKET_FILE => What::Socket(path.to_path_buf()),
        ADDRESS => What::Address(Address::decode(text)?),
        _ => return None,
    };
    Some((touch, what))
}

fn reach_key([first, second, third]: [u64; 3]) -> ReachKey {
    let to = (u128::from(second) << 64 | u128::from(first)).to_ne_bytes();
    let policy = (third & u64::from(u32::MAX)) as u32;
    ReachKey { to, policy, family: (third >> 32) as u16, port: (third >> 48) as u16 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn touch(key: u64, reads: u32, act: u32) -> Touch {
        Touch { agent: 7, key: [key, 1, 2], ino: 9, reads, writes: 0, kind: IN_DIRECTORY, act }
    }

    fn entry(text: &[u8], touch: &Touch) -> Vec<u8> {
        let mut entry = [text, &[0; GAP]].concat();
        entry.extend(touch.agent.to_ne_bytes());
        touch.key.iter().chain([&touch.ino]).for_each(|word| entry.extend(word.to_ne_bytes()));
        for word in [touch.reads, touch.writes, touch.kind, touch.act] {
            entry.extend(word.to_ne_bytes());
        }
        entry
    }

    #[test]
    fn an_entry_is_a_text_and_what_is_told_of_it() {
        let written = touch(3, 4, READ);
        let (read, what) = decode(&entry(b"/srv/data/x", &written)).expect("it is one");
        assert_eq!((read, what), (written, What::Directory("/srv/data".into())));
        assert_eq!(decode(&entry(b"/", &written)).expect("it is one").1, What::Directory("/".into()));
        let whole = entry(b"", &written);
        assert!((0..whole.len()).all(|len| decode(&whole[..len]).is_none()));
        let address = entry(&[2, 0, 1, 187, 192, 0, 2, 1], &Touch { kind: ADDRESS, ..written });
        let to = Address::Inet(([192, 0, 2, 1], 443).into());
        assert_eq!(decode(&address).expect("it is one").1, What::Address(to));
        assert!(decode(&entry(b"x", &Touch { kind: 9, ..written })).is_none());
    }

    #[test]
    fn what_is_counted_belongs_to_the_path_that_was_told_before() {
        let mut known = HashMap::new();
        let directory = |path: &str| What::Directory(path.into());
        let reads = |touched: Vec<Touched>| -> Vec<(What, u64)> {
            touched.into_iter().map(|touched| (touched.what, touched.reads)).collect()
        };
        assert_eq!(reads(told(&mut known, &touch(3, 1, READ), directory("/a"))), [(directory("/a"), 1)]);
        // Five more without a word, then it is called otherwise.
        let renamed = told(&mut known, &touch(3, 7, READ), directory("/b"));
        assert_eq!(reads(renamed), [(directory("/a"), 5), (directory("/b"), 1)]);
        // Its element made room for others, and it was found again.
        assert_eq!(reads(told(&mut known, &touch(3, 1, READ), directory("/b"))), [(directory("/b"), 1)]);
        let mut element = known.remove(&Element::Directory([3, 1, 2])).expect("it is known");
        assert_eq!(element.take(1, 0), None);
        assert_eq!(element.take(4, 2).map(|touched| (touched.reads, touched.writes)), Some((3, 2)));
    }

    #[test]
    fn a_key_is_the_one_the_kernel_wrote() {
        let key = ReachKey { to: *b"0123456789abcdef", policy: 77, family: 2, port: 443 };
        let third = 77 | 2 << 32 | 443 << 48;
        let word = |at: usize| u64::from_ne_bytes(*key.to[at..].first_chunk().expect("eight bytes"));
        assert_eq!(reach_key([word(0), word(8), third]), key);
    }
}
