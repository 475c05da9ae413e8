//! Could a rule match this? May err towards yes, never towards no.

use guard_common::{
    count::Count,
    footprint::{READ, WRITE},
    op::{COUNTED, FOREIGN, OpSet, PATH_PART},
    record::{PATH_MAX, doubt},
    table::{Agent, DirKey, DirValue, PREFIX_MAX, PathValue},
};

use crate::{
    agent::{Tagged, state},
    count::count,
    footprint,
    kread::{Addr, copy, load, pointer, read},
    maps::{DIRS, PATHS},
    offset, own,
    path::{self, named},
    quota,
    scratch::{self, slot},
};

/// Could a rule match one of `ops` on the thing `dentry` names in `mount`, whosever it is?
#[inline(always)]
pub(crate) fn path(tagged: &Tagged, ops: OpSet, mount: Addr, dentry: Addr) -> bool {
    look(tagged, ops.in_tables().0, mount, dentry) != 0
}

/// As [`path`], with a look at whose `inode` is where that decides, and at the agent's quota where a count does.
#[inline(always)]
pub(crate) fn object(tagged: &Tagged, ops: OpSet, mount: Addr, dentry: Addr, inode: Addr) -> bool {
    let found = look(tagged, ops.in_tables().0, mount, dentry);
    if found == 0 || is_plain(found) {
        return found != 0;
    }
    let matters = if own::is_own(tagged, inode) { found } else { found | found >> FOREIGN };
    matters as u32 != 0 && (is_plain(matters) || !quota::passes(tagged.agent, inode))
}

/// Does it matter, whosever the object is?
#[inline(always)]
pub(crate) fn is_certain(found: u64) -> bool {
    found as u32 != 0
}

/// Does it matter, whosever the object is and however much of it there was?
#[inline(always)]
fn is_plain(found: u64) -> bool {
    found & ((1 << COUNTED) - 1) != 0
}

/// Those of `bits`, in either half of an [`OpSet`], that a rule could match on what `dentry` names in `mount`.
#[inline(always)]
pub(crate) fn look(tagged: &Tagged, bits: u64, mount: Addr, dentry: Addr) -> u64 {
    if bits & tagged.entry.looked_up.0 == 0 {
        return 0;
    }
    let always = bits & tagged.entry.always.0;
    let known = known_directory(&tagged.entry, bits, mount, dentry);
    if known != UNKNOWN {
        return always | known;
    }
    let known = known_object(&tagged.entry, bits, mount, dentry);
    always | if known == UNKNOWN { walk_and_remember(tagged, bits, mount, dentry) } else { known }
}

/// As [`path`], for a `dentry` and a `mount` that the verifier knows as numbers alone.
#[inline(always)]
pub(crate) fn path_of_numbers(tagged: &Tagged, ops: OpSet, mount: Addr, dentry: Addr) -> bool {
    let bits = ops.in_tables().0;
    if bits & tagged.entry.ops.0 == 0 {
        return false;
    }
    bits & tagged.entry.always.0 != 0 || walk_and_remember(tagged, bits, mount, dentry) != 0
}

/// No answer: the bit of no kind.
const UNKNOWN: u64 = 1 << 63;

/// In the key of `DIRS`: it stands for one thing, not for all in a directory.
const OBJECT: u64 = 1 << 32;

/// The answer from the directory seen before; [`UNKNOWN`] when there is none.
#[inline(never)]
fn known_directory(agent: &Agent, bits: u64, mount: Addr, dentry: Addr) -> u64 {
    let parent: Addr = load(dentry, offset!(dentry_parent));
    if parent == 0 || parent == dentry {
        return UNKNOWN;
    }
    try_known(agent, bits, mount, parent, 0, dentry).unwrap_or(UNKNOWN)
}

/// The same from the thing itself, seen before in a directory that does not answer for it.
#[inline(never)]
fn known_object(agent: &Agent, bits: u64, mount: Addr, dentry: Addr) -> u64 {
    try_known(agent, bits, mount, dentry, OBJECT, dentry).unwrap_or(UNKNOWN)
}

/// Under whose rules, and which: by both numbers, as a guardd that lost what it knew gives that of a policy again.
#[inline(always)]
pub(crate) fn whose(agent: &Agent) -> u64 {
    u64::from(agent.policy) | u64::from(agent.tables) << 33
}

/// What was remembered of `parent`, the directory of `dentry` or `dentry` itself.
#[inline(always)]
fn try_known(agent: &Agent, bits: u64, mount: Addr, parent: Addr, of: u64, dentry: Addr) -> Option<u64> {
    let key = DirKey { dentry: parent, mount, policy: whose(agent) | of };
    // SAFETY: fields are copied at once; an element reused meanwhile fails the comparison of its inode. One that is reused
    // right after that may count one more.
    let seen = unsafe { &mut *DIRS.get_ptr_mut(&key)? };
    let (paths, inode, ino, known) = (seen.paths, seen.inode, seen.ino, seen.ops);
    let (above, generation, hash) = (seen.above, seen.generation, seen.hash);
    if paths != state().paths {
        return None;
    }
    let now: Addr = load(parent, offset!(dentry_inode));
    // What cannot be read is zero, which no directory that was remembered has.
    // `black_box`: the compiler would read through the equal number instead of the pointer the verifier knows.
    if now == 0 || core::hint::black_box(now) != inode || load::<u64>(now, offset!(inode_ino)) != ino {
        return None;
    }
    if load::<u32>(now, offset!(inode_generation)) != generation
        || load::<u32>(parent, offset!(dentry_name_hash)) != hash
        || load::<u64>(parent, offset!(dentry_parent)) != above
    {
        return None;
    }
    let found = known.0 & bits;
    let has_parts = known.0 & PATH_PART.0 != 0;
    if !has_parts && is_plain(found) {
        footprint::add(seen, bits);
        return Some(found);
    }
    let len: u32 = load(dentry, offset!(dentry_name_len));
    let name: Addr = load(dentry, offset!(dentry_name));
    if name == 0 || len == 0 || len > 255 {
        return None;
    }
    let value = named(agent.tables, name, len, read(name, 0)?)?;
    if has_parts && value.last.0 & PATH_PART.0 != 0 {
        // What is below this directory may be below another of the table.
        return None;
    }
    footprint::add(seen, bits);
    Some(found | (value.any.0 | value.last.0) & bits)
}

/// Walks to the root, looks the path up, and remembers what holds for the whole directory.
#[inline(always)]
fn walk_and_remember(tagged: &Tagged, bits: u64, mount: Addr, dentry: Addr) -> u64 {
    // What no rule names is looked up to be counted alone: not even a doubt makes it a candidate.
    let named = if bits & tagged.entry.ops.0 == 0 { 0 } else { bits };
    let Some(index) = scratch::claim() else {
        // The gate will find no memory either and refuse.
        return named;
    };
    footprint::begin(index, tagged, bits);
    let found = match path::begin(index, mount, dentry, tagged.entry.tables) {
        Some(()) => core::hint::black_box(look_apart(index, named)),
        None => named,
    };
    scratch::release(index);
    found
}

/// See [`crate::apart`].
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn look_apart(index: u32, bits: u64) -> u64 {
    let paths = state().paths;
    if let Some(memory) = slot(index) {
        // SAFETY: a field of a claimed slot.
        unsafe { (*memory).state.paths = paths };
    }
    path::walk(index).and_then(|()| judge_walk(index, bits)).unwrap_or(bits)
}

#[inline(always)]
fn judge_walk(index: u32, bits: u64) -> Option<u64> {
    // SAFETY: the fields of a claimed slot are copied at once.
    let (doubts, start, last, named, named_above, mount, dentry, tables) = unsafe {
        let state = &(*slot(index)?).state;
        let (named, named_above) = (state.named, state.named_above);
        (state.doubt, state.start, state.last, named, named_above, state.mount, state.dentry, state.tables)
    };
    if doubts & (doubt::PATH | doubt::READ | doubt::DETACHED) != 0 {
        count(Count::PathDoubt);
        return Some(bits);
    }
    prepare(index, tables, start)?;
    let object = look_up(index, start, PATH_MAX as u32 + 1)?;
    let found = (object.ops.0 | named) & bits;
    let directory = look_up(index, start, last + 1)?;
    let exact = directory.len == last + 1 - start;
    let has_parts = exact && directory.deeper != 0;
    let parts = if has_parts { PATH_PART.0 } else { 0 };
    // A mount's root is called otherwise by its path than by itself.
    if pointer(mount, offset!(vfsmount_root)) == Some(dentry) {
        told(footprint::tell_each(index));
        return Some(found);
    }
    if let Some(parent) = pointer(dentry, offset!(dentry_parent)).filter(|parent| *parent != dentry) {
        remember(index, 0, mount, parent, directory.ops.0 | named_above | parts);
    }
    if has_parts {
        remember(index, OBJECT, mount, dentry, object.ops.0 | named);
    }
    Some(found)
}

/// Makes the beginning of the path, and a slash after it, the key of the look-ups.
#[inline(always)]
fn prepare(index: u32, tables: u32, start: u32) -> Option<()> {
    let memory = slot(index)?;
    let start = core::hint::black_box(start) & (PATH_MAX as u32 - 1);
    let wanted = PATH_MAX as u32 + 1 - start;
    let len = if wanted > PREFIX_MAX as u32 { PREFIX_MAX as u32 } else { wanted };
    let bounded = core::hint::black_box(len) & 255;
    if bounded > PREFIX_MAX as u32 {
        return None;
    }
    // SAFETY: `walk` and `key` are parts of a claimed slot; the copy ends at most 4095 + 248 bytes from the start of
    // the one, and at the end of the other. Bytes past `bounded` are an earlier path's, and past every prefix length.
    unsafe {
        (*memory).walk[PATH_MAX] = b'/';
        (*memory).key.data.tables = tables;
        let from = (&raw const (*memory).walk).cast::<u8>().add(start as usize);
        copy((&raw mut (*memory).key.data.path).cast(), bounded, from as u64)
    }
}

/// The longest prefix of the prepared path that ends before `end` (exclusive, its slash included).
#[inline(always)]
fn look_up(index: u32, start: u32, end: u32) -> Option<PathValue> {
    let memory = slot(index)?;
    let wanted = end.wrapping_sub(start);
    let len = if wanted > PREFIX_MAX as u32 { PREFIX_MAX as u32 } else { wanted };
    // SAFETY: `key` is part of a claimed slot; the value is copied at once.
    unsafe {
        (*memory).key.prefix_len = 32 + len * 8;
        Some(match PATHS.get(&(*memory).key) {
            Some(value) => *value,
            None => PathValue { ops: OpSet::EMPTY, len: 0, deeper: 0 },
        })
    }
}

/// Remembers a directory, or a thing in it, with what was counted there before. A function of its own, so that its key and
/// its value are off the stack when a path is walked: of all frames together 6.1 allows 512 bytes.
#[inline(never)]
fn remember(index: u32, of: u64, mount: Addr, dentry: Addr, ops: u64) {
    let known = (|| {
        // SAFETY: the fields of a claimed slot are copied at once.
        let (paths, policy, act) = unsafe {
            let memory = &*slot(index)?;
            (memory.state.paths, memory.touch.key[2], memory.touch.act)
        };
        let inode = pointer(dentry, offset!(dentry_inode))?;
        let ino = read::<u64>(inode, offset!(inode_ino)).filter(|ino| *ino != 0)?;
        let key = DirKey { dentry, mount, policy: policy | of };
        let above = pointer(dentry, offset!(dentry_parent))?;
        let generation = read::<u32>(inode, offset!(inode_generation))?;
        let hash = read::<u32>(dentry, offset!(dentry_name_hash))?;
        let (reads, writes) = (u32::from(act == READ), u32::from(act == WRITE));
        let mut value = DirValue { paths, inode, ino, above, generation, hash, ops: OpSet(ops), reads, writes };
        let mut is_told = false;
        // SAFETY: fields are copied at once.
        if let Some(seen) = unsafe { DIRS.get(&key) }
            && seen.inode == inode
            && seen.ino == ino
            && seen.generation == generation
        {
            (value.reads, value.writes) = (seen.reads.wrapping_add(reads), seen.writes.wrapping_add(writes));
            is_told = seen.paths == paths;
        }
        Some((key, value, is_told))
    })();
    if let Some((key, value, is_told)) = known {
        if DIRS.insert(&key, &value, 0).is_err() {
            // A cache: the next look walks again.
        }
        told(footprint::tell(index, &key, &value, is_told));
    }
}

#[inline(always)]
fn told(answer: Option<()>) {
    if answer.is_none() {
        count(Count::FootprintUnseen);
    }
}

/// Could a rule match `ops` on a block device?
#[inline(always)]
pub(crate) fn block(tagged: &Tagged, ops: OpSet, mode: u32) -> bool {
    mode & 0o170_000 == 0o060_000 && ops.0 & tagged.entry.block.0 != 0
}
