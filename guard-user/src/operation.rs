//! An operation as the daemon sees it: the kernel's record, checked once and decoded.
//!
//! Bytes from the kernel become types here and nowhere else. No IO happens here.

use std::{
    ffi::OsString,
    net::SocketAddr,
    os::unix::ffi::{OsStrExt as _, OsStringExt as _},
    path::{Path, PathBuf},
};

use guard_common::{
    op::Op,
    quota::Passed,
    record::{self, HoldKey, HoldRecord, HoldText, INLINE_MAX, Object},
};

use crate::circumstances::Circumstances;

/// How the kernel stopped the operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Context {
    /// Suspended before it took effect; it completes or fails after a decision.
    Held,
    /// Refused at once because the call cannot wait; approval lets a retry through.
    Denied,
    /// Trip tier: the process was stopped after the effect (for exec: before the first instruction).
    Tripped,
}

/// Name of a hold in the kernel: map key and the moment it was first stopped (`CLOCK_BOOTTIME` nanoseconds).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HoldName {
    pub key: HoldKey,
    pub hold: u64,
}

/// The identity and facts of a file-system object the operation touches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObjectFacts {
    /// 0 when nothing is there.
    pub ino: u64,
    pub parent_ino: u64,
    /// major << 20 | minor.
    pub dev: u32,
    pub generation: u32,
    /// `st_mode`, type bits included.
    pub mode: u32,
    /// major << 20 | minor of the device a device node stands for.
    pub rdev: u32,
    pub nlink: u32,
    pub uid: u32,
    /// Bytes.
    pub size: u64,
    /// `statfs` magic number of the file system.
    pub magic: u64,
    /// This agent made it since it was tagged, as far as the kernel knows; what it does not know is not its own.
    pub own: bool,
    pub name: Vec<u8>,
}

/// Where a `connect` goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    Inet(SocketAddr),
    /// Socket file: where it is, or in the trip tier as the program named it.
    UnixPath(PathBuf),
    /// Abstract name, without the leading NUL.
    UnixAbstract(Vec<u8>),
    /// Any other family, with the raw `sockaddr`.
    Other(u16, Vec<u8>),
}

/// One kernel-visible act of an agent: kind, objects, actor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    pub name: HoldName,
    pub op: Op,
    pub context: Context,
    /// Cgroup id of the agent.
    pub agent: u64,
    pub tid: u32,
    pub tgid: u32,
    /// `CLOCK_BOOTTIME` nanoseconds.
    pub start_boottime: u64,
    pub uid: u32,
    pub gid: u32,
    /// Bits of [`guard_common::op::rename`].
    pub flags: u32,
    /// Bits of [`guard_common::record::doubt`]; never cleared when not 0.
    pub doubt: u32,
    /// How often the hook stopped this same operation.
    pub stops: u32,
    /// See [`Op`] for the meaning.
    pub detail: [u64; 4],
    pub target: ObjectFacts,
    pub other: ObjectFacts,
    /// Resolved by the kernel, absolute; empty where there is none.
    pub path: PathBuf,
    /// Second path (rename, link, mount source, symlink text); empty where there is none.
    pub other_path: PathBuf,
    pub argv: Vec<OsString>,
    /// Arguments the kernel counted; may be more than `argv` has.
    pub argc: u32,
    pub address: Option<Address>,
    pub comm: Vec<u8>,
    /// What the agent's quota let pass before it; nothing where none is kept.
    pub passed: Passed,
    /// What the daemon found out because a rule asks for it; nothing when the record is decoded.
    pub circumstances: Circumstances,
}

/// What the kernel keeps of an operation: the record and, where it has no room for them, its texts.
#[derive(Clone)]
pub struct Stopped {
    pub record: HoldRecord,
    pub text: Option<Box<HoldText>>,
}

impl Stopped {
    /// The texts are not in the record.
    #[must_use]
    pub fn is_long(record: &HoldRecord) -> bool {
        text_len(record) > INLINE_MAX as u64
    }

    /// Every part is there and of one hold: none of it was written while it was read.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        let hold = self.record.hold;
        self.record.seal == hold
            && (!Self::is_long(&self.record)
                || self.text.as_ref().is_some_and(|text| text.hold == hold && text.seal == hold))
    }
}

fn text_len(record: &HoldRecord) -> u64 {
    u64::from(record.other_path_len) + u64::from(record.argv_len) + u64::from(record.path_len)
}

/// A record that is not one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// No such operation number.
    UnknownOp(u32),
    /// No such context number.
    UnknownContext(u32),
    /// A length field is larger than its array.
    LengthOutOfRange(&'static str),
    /// Its texts are missing, or parts of it belong to different holds.
    InPieces,
}

impl std::fmt::Display for DecodeError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::UnknownOp(number) => write!(formatter, "unknown operation number {number}"),
            Self::UnknownContext(number) => write!(formatter, "unknown context number {number}"),
            Self::LengthOutOfRange(field) => write!(formatter, "length of {field} is out of range"),
            Self::InPieces => formatter.write_str("parts of it are missing or belong to another hold"),
        }
    }
}

impl std::error::Error for DecodeError {}

impl Operation {
    /// Decodes the record found in `HOLDS` under `key`.
    ///
    /// # Errors
    /// When a field has a value this version does not know: the caller keeps the hold and never clears it.
    pub fn decode(key: HoldKey, stopped: &Stopped) -> Result<Self, DecodeError> {
        if !stopped.is_whole() {
            return Err(DecodeError::InPieces);
        }
        let record = &stopped.record;
        let op = Op::try_from(record.op).map_err(DecodeError::UnknownOp)?;
        let context = match record.context {
            record::context::HELD => Context::Held,
            record::context::DENIED => Context::Denied,
            record::context::TRIPPED => Context::Tripped,
            unknown => return Err(DecodeError::UnknownContext(unknown)),
        };
        let text = match &stopped.text {
            Some(text) if Stopped::is_long(record) => &text.text[..],
            Some(_) | None => &record.text[..],
        };
        let (other_path, text) = cut(text, record.other_path_len, "other_path")?;
        let (argv, text) = cut(text, record.argv_len, "argv")?;
        let (path, _) = cut(text, record.path_len, "path")?;
        let (address, _) = cut(&record.address, record.address_len, "address")?;
        // Of a socket that has a file the kernel says the file, not what the program called it.
        let (path, address) = match (op, path, address) {
            (Op::Connect, [_, ..], [_, _]) => (&[][..], Some(Address::UnixPath(path_of(path)))),
            (_, path, address) => (path, Address::decode(address)),
        };
        Ok(Self {
            name: HoldName { key, hold: record.hold },
            op,
            context,
            agent: record.agent,
            tid: record.tid,
            tgid: record.tgid,
            start_boottime: record.start_boottime,
            uid: record.uid,
            gid: record.gid,
            flags: record.flags,
            doubt: record.doubt,
            stops: record.stops,
            detail: record.detail,
            target: ObjectFacts::decode(&record.target),
            other: ObjectFacts::decode(&record.other),
            path: path_of(path),
            other_path: path_of(other_path),
            argv: split_argv(argv),
            argc: record.argc,
            address,
            comm: until_nul(&record.comm).to_vec(),
            passed: Passed { files: record.passed_files, bytes: record.passed_bytes },
            circumstances: Circumstances::default(),
        })
    }

    /// Name of the program or object: the last component of the path.
    #[must_use]
    pub fn file_name(&self) -> &[u8] {
        self.path.file_name().map_or(&[], |name| name.as_bytes())
    }

    /// The object is a block device.
    #[must_use]
    pub fn is_block_device(&self) -> bool {
        self.target.mode & 0o170_000 == 0o060_000
    }
}

impl ObjectFacts {
    fn decode(object: &Object) -> Self {
        Self {
            ino: object.ino,
            parent_ino: object.parent_ino,
            dev: object.dev,
            generation: object.generation,
            mode: object.mode,
            rdev: object.rdev,
            nlink: object.nlink,
            uid: object.uid,
            size: object.size,
            magic: u64::from(object.magic),
            own: object.own == 1,
            name: until_nul(&object.name).to_vec(),
        }
    }
}

impl Address {
    /// A raw or packet socket, which leads to whatever address is in the bytes that are sent.
    #[must_use]
    pub fn is_anywhere(&self) -> bool {
        /// `AF_INET`, `AF_INET6`, `AF_PACKET`, `AF_XDP`
        const FAMILIES: [u16; 4] = [2, 10, 17, 44];
        matches!(self, Self::Other(family, _) if FAMILIES.contains(family))
    }

    /// `None` for no bytes at all; anything that cannot be understood is [`Address::Other`].
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        const AF_UNIX: u16 = 1;
        const AF_INET: u16 = 2;
        const AF_INET6: u16 = 10;
        let (family, rest) = bytes.split_first_chunk::<2>()?;
        let family = u16::from_ne_bytes(*family);
        let inet = |address_at: usize| -> Option<SocketAddr> {
            let port = u16::from_be_bytes(*rest.first_chunk::<2>()?);
            let address = rest.get(address_at..)?;
            Some(if family == AF_INET {
                (*address.first_chunk::<4>()?, port).into()
            } else {
                (*address.first_chunk::<16>()?, port).into()
            })
        };
        let understood = match family {
            AF_INET => inet(2).map(Self::Inet),
            AF_INET6 => inet(6).map(Self::Inet),
            AF_UNIX => match rest.split_first() {
                None => None,
                Some((0, name)) => Some(Self::UnixAbstract(name.to_vec())),
                Some(_) => Some(Self::UnixPath(path_of(until_nul(rest)))),
            },
            _ => None,
        };
        Some(understood.unwrap_or_else(|| Self::Other(family, bytes.to_vec())))
    }
}

/// The first `len` bytes, and the rest.
fn cut<'a>(bytes: &'a [u8], len: u32, field: &'static str) -> Result<(&'a [u8], &'a [u8]), DecodeError> {
    bytes.split_at_checked(len as usize).ok_or(DecodeError::LengthOutOfRange(field))
}

fn until_nul(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    &bytes[..end]
}

fn path_of(bytes: &[u8]) -> PathBuf {
    Path::new(std::ffi::OsStr::from_bytes(bytes)).to_path_buf()
}

/// Splits NUL-ended arguments; a last one without its NUL is kept.
#[must_use]
pub fn split_argv(bytes: &[u8]) -> Vec<OsString> {
    let bytes = bytes.strip_suffix(b"\0").unwrap_or(bytes);
    if bytes.is_empty() {
        return Vec::new();
    }
    bytes.split(|byte| *byte == 0).map(|argument| OsString::from_vec(argument.to_vec())).collect()
}

#[cfg(test)]
mod tests;
