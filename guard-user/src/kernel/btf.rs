//! A read-only walker of the kernel's BTF: where a struct keeps a member, and which functions there are.
//!
//! rustc emits no CO-RE relocations, so guardd resolves the few members guard reads when it starts. The format
//! is `Documentation/bpf/btf.rst` of the kernel.

use std::collections::{HashMap, HashSet};

/// Where the running kernel describes itself.
pub const VMLINUX: &str = "/sys/kernel/btf/vmlinux";

/// What is wrong with a BTF blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BtfError {
    /// It does not start like BTF.
    NotBtf,
    /// It ends before it should.
    Truncated,
    /// A kind of type this reader does not know, so that it cannot go on to the next.
    UnknownKind(u32),
}

impl std::fmt::Display for BtfError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotBtf => formatter.write_str("not BTF"),
            Self::Truncated => formatter.write_str("BTF is truncated"),
            Self::UnknownKind(kind) => write!(formatter, "BTF has a type of unknown kind {kind}"),
        }
    }
}

impl std::error::Error for BtfError {}

/// The parts of a BTF blob guard asks about.
#[derive(Debug)]
pub struct Btf<'a> {
    strings: &'a [u8],
    /// Offset of each type in `types`, by type id; id 0 is void.
    offsets: Vec<u32>,
    types: &'a [u8],
    structs: HashMap<&'a [u8], u32>,
    /// LSM hooks, without [`HOOK`]. A kernel has sixty thousand functions; nobody asks about the others.
    hooks: HashSet<&'a [u8]>,
}

/// How the function begins that stands for an LSM hook.
const HOOK: &[u8] = b"bpf_lsm_";

const KIND_STRUCT: u32 = 4;
const KIND_UNION: u32 = 5;
const KIND_FUNC: u32 = 12;
/// TYPEDEF, VOLATILE, CONST, RESTRICT, TYPE_TAG: another name or quality of the type they refer to.
const MODIFIERS: [u32; 5] = [8, 9, 10, 11, 18];

impl<'a> Btf<'a> {
    /// Indexes a blob.
    ///
    /// # Errors
    /// When it is not BTF, or not all there, or newer than this reader.
    pub fn parse(blob: &'a [u8]) -> Result<Self, BtfError> {
        const MAGIC: u32 = 0xeb9f;
        if blob.len() < 24 || u32::from(u16::from_le_bytes([blob[0], blob[1]])) != MAGIC {
            return Err(BtfError::NotBtf);
        }
        let header = word(blob, 4)? as usize;
        let part = |offset_at: usize| -> Result<&'a [u8], BtfError> {
            let start = header + word(blob, offset_at)? as usize;
            let len = word(blob, offset_at + 4)? as usize;
            blob.get(start..start.saturating_add(len)).ok_or(BtfError::Truncated)
        };
        let mut btf = Self {
            types: part(8)?,
            strings: part(16)?,
            offsets: vec![0],
            structs: HashMap::new(),
            hooks: HashSet::new(),
        };
        let mut at = 0;
        while at < btf.types.len() {
            let id = u32::try_from(btf.offsets.len()).map_err(|_| BtfError::Truncated)?;
            btf.offsets.push(u32::try_from(at).map_err(|_| BtfError::Truncated)?);
            let info = word(btf.types, at + 4)?;
            let (kind, count) = (info >> 24 & 0x1f, (info & 0xffff) as usize);
            let name = word(btf.types, at)?;
            if kind == KIND_STRUCT && name != 0 {
                btf.structs.entry(btf.string(name)).or_insert(id);
            } else if kind == KIND_FUNC && btf.strings_from(name).starts_with(HOOK) {
                btf.hooks.insert(&btf.string(name)[HOOK.len()..]);
            }
            at += 12 + extra(kind, count)?;
        }
        Ok(btf)
    }

    /// Has the kernel an LSM hook of this name that BPF programs attach to?
    #[must_use]
    pub fn has_hook(&self, name: &str) -> bool {
        self.hooks.contains(name.as_bytes())
    }

    /// Byte offset of `path` (`d_name.len`) in `struct name`; members of anonymous structs and unions count as
    /// the outer one's. `None` when there is no such member or it is a bit field off a byte boundary.
    #[must_use]
    pub fn offset(&self, name: &str, path: &str) -> Option<u32> {
        let mut of = *self.structs.get(name.as_bytes())?;
        let mut bits = 0;
        for member in path.split('.') {
            let (offset, member_type) = self.member(of, member.as_bytes(), 0)?;
            bits += offset;
            of = member_type;
        }
        (bits % 8 == 0).then_some(bits / 8)
    }

    /// Bit offset and type of a member.
    fn member(&self, of: u32, name: &[u8], depth: u32) -> Option<(u32, u32)> {
        if depth > 8 {
            return None;
        }
        let at = *self.offsets.get(of as usize)? as usize;
        let info = word(self.types, at + 4).ok()?;
        let (kind, count) = (info >> 24 & 0x1f, (info & 0xffff) as usize);
        if of != 0 && MODIFIERS.contains(&kind) {
            return self.member(word(self.types, at + 8).ok()?, name, depth + 1);
        }
        if of == 0 || (kind != KIND_STRUCT && kind != KIND_UNION) {
            return None;
        }
        for index in 0..count {
            let entry = at + 12 + index * 12;
            let member_name = self.string(word(self.types, entry).ok()?);
            let member_type = word(self.types, entry + 4).ok()?;
            let mut offset = word(self.types, entry + 8).ok()?;
            if info >> 31 != 0 {
                // The upper byte is the size of a bit field.
                offset &= 0x00ff_ffff;
            }
            if member_name == name {
                return Some((offset, member_type));
            }
            if member_name.is_empty()
                && let Some((inner, inner_type)) = self.member(member_type, name, depth + 1)
            {
                return Some((offset + inner, inner_type));
            }
        }
        None
    }

    fn strings_from(&self, offset: u32) -> &'a [u8] {
        self.strings.get(offset as usize..).unwrap_or_default()
    }

    fn string(&self, offset: u32) -> &'a [u8] {
        let rest = self.strings_from(offset);
        let end = rest.iter().position(|byte| *byte == 0).unwrap_or(rest.len());
        &rest[..end]
    }
}

/// Bytes after the common head of a type.
fn extra(kind: u32, count: usize) -> Result<usize, BtfError> {
    Ok(match kind {
        // INT, VAR, DECL_TAG
        1 | 14 | 17 => 4,
        // PTR, FWD, TYPEDEF, VOLATILE, CONST, RESTRICT, FUNC, FLOAT, TYPE_TAG
        2 | 7..=12 | 16 | 18 => 0,
        // ARRAY
        3 => 12,
        // STRUCT, UNION, DATASEC, ENUM64
        4 | 5 | 15 | 19 => count * 12,
        // ENUM, FUNC_PROTO
        6 | 13 => count * 8,
        unknown => return Err(BtfError::UnknownKind(unknown)),
    })
}

fn word(bytes: &[u8], at: usize) -> Result<u32, BtfError> {
    let bytes = bytes.get(at..).and_then(|rest| rest.first_chunk::<4>()).ok_or(BtfError::Truncated)?;
    Ok(u32::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_of_the_running_kernel_are_where_its_own_tools_say() {
        let Ok(blob) = std::fs::read(VMLINUX) else {
            return;
        };
        let btf = Btf::parse(&blob).unwrap();
        // `struct path` is two pointers since 2.6.26, and a name's length is the upper half of its hash word.
        assert_eq!(btf.offset("path", "dentry"), Some(8));
        assert_eq!(btf.offset("qstr", "len"), Some(4));
        assert_eq!(btf.offset("dentry", "d_name.len").unwrap() + 4, btf.offset("dentry", "d_name.name").unwrap());
        assert_eq!(btf.offset("dentry", "no_such_member"), None);
        assert_eq!(btf.offset("no_such_struct", "member"), None);
        // A kernel without BPF LSM has none of them.
        assert_eq!(btf.has_hook("path_unlink"), btf.has_hook("file_open"));
        assert!(!btf.has_hook("no_such_hook") && !btf.has_hook(""));
    }

    #[test]
    fn bytes_that_are_not_btf_are_refused_and_never_panic() {
        assert_eq!(Btf::parse(b"").unwrap_err(), BtfError::NotBtf);
        let mut blob = vec![0x9f, 0xeb, 1, 0, 24, 0, 0, 0];
        blob.extend([0; 16]);
        assert!(Btf::parse(&blob).is_ok());
        blob[12] = 0xff;
        assert_eq!(Btf::parse(&blob).unwrap_err(), BtfError::Truncated);
    }
}
