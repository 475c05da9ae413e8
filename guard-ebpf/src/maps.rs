//! Every map and load-time constant, nothing else.

#[cfg(feature = "lsm")]
use aya_ebpf::{btf_maps::InodeStorage, macros::btf_map};
use aya_ebpf::{
    macros::map,
    maps::{Array, HashMap, LpmTrie, LruHashMap, PerCpuArray, RingBuf, lpm_trie::Key},
};
use guard_common::{
    arguments::{ArgumentKey, Program},
    clear::ClearKey,
    config::Offsets,
    execution::{self, ExecRecord},
    footprint::{GAP, ReachKey, ReachValue, Touch},
    grant::Grant,
    op::OpSet,
    quota::Quota,
    record::{ARGV_MAX, HoldKey, HoldRecord, HoldText, PATH_MAX},
    table::{
        ADOPTED_MAX, AGENTS_MAX, AddressKey, AdoptedKey, Agent, DirKey, DirValue, GUARDS_MAX, GuardsKey, INODE_WORDS,
        NAME_WORDS, NameKey, NameValue, PathKey, PathValue, PortKey,
    },
    task::{State, Task},
};

use crate::{arguments::Look, hooks::call::Call, path::Walk};

/// `BPF_F_NO_PREALLOC`: memory follows use, and an element is never reused while a program reads it.
const NO_PREALLOC: u32 = 1;

/// Where this kernel keeps struct members; written by the daemon before loading.
#[unsafe(no_mangle)]
pub(crate) static OFFSETS: Offsets = Offsets::UNKNOWN;

/// 1 when the trip tier runs: programs at tracepoints stop what the LSM programs would have held.
#[unsafe(no_mangle)]
pub(crate) static TRIP: u32 = 0;

/// Every operation that waits. The truth; notices only point here.
#[map]
pub(crate) static HOLDS: HashMap<HoldKey, HoldRecord> = HashMap::with_max_entries(2048, 0);

/// Texts of those that are too long for `HOLDS`, under the same key: written before the record, removed after it.
/// Allocated ahead, as `HOLDS` is: room must not depend on what memory there is inside a hook.
#[map]
pub(crate) static TEXTS: HashMap<HoldKey, HoldText> = HashMap::with_max_entries(2048, 0);

/// Answers to holds, each good once.
#[map]
pub(crate) static GRANTS: HashMap<HoldKey, Grant> = HashMap::with_max_entries(2048, 0);

/// The doorbell.
#[map]
pub(crate) static NOTICES: RingBuf = RingBuf::with_byte_size(256 * 1024, 0);

/// What agents execute, for the log. A ring of its own: however many there are, no notice is lost for them.
#[map]
pub(crate) static EXECUTIONS: RingBuf = RingBuf::with_byte_size(EXECUTIONS_SIZE, 0);

/// What agents touch, for the log: a ring of its own for the same reason.
#[map]
pub(crate) static FOOTPRINTS: RingBuf = RingBuf::with_byte_size(1024 * 1024, 0);

/// Where agents connected to, and how often. A cache: what is not found is told of again.
#[map]
pub(crate) static REACHED: LruHashMap<ReachKey, ReachValue> = LruHashMap::with_max_entries(4_096, 0);

/// Tasks seen, by address of their `task_struct`. Not LRU: a tag must never be evicted.
#[map]
pub(crate) static TASKS: HashMap<u64, Task> = HashMap::with_max_entries(131_072, NO_PREALLOC);

/// Tagged cgroups, by cgroup id.
#[map]
pub(crate) static AGENTS: HashMap<u64, Agent> = HashMap::with_max_entries(AGENTS_MAX + 1, 0);

/// What agents may do before guardd is asked, and what they did, by cgroup id.
#[map]
pub(crate) static QUOTAS: HashMap<u64, Quota> = HashMap::with_max_entries(AGENTS_MAX, 0);

/// Prefilter: directories.
#[map]
pub(crate) static PATHS: LpmTrie<PathKey, PathValue> = LpmTrie::with_max_entries(65_536, NO_PREALLOC);

/// Prefilter: names.
#[map]
pub(crate) static NAMES: HashMap<NameKey, NameValue> = HashMap::with_max_entries(262_144, NO_PREALLOC);

/// Prefilter: which names may be in `NAMES`, of any tables; see [`guard_common::table::name_mark`].
#[map]
pub(crate) static NAME_FILTER: Array<u64> = Array::with_max_entries(NAME_WORDS, 0);

/// Prefilter: programs that rules name together with their arguments. Like `ARGUMENTS` not pinned: what a new guardd has
/// not written yet is a candidate.
#[map]
pub(crate) static PROGRAMS: HashMap<NameKey, Program> = HashMap::with_max_entries(262_144, NO_PREALLOC);

/// Prefilter: what rules ask for among the arguments.
#[map]
pub(crate) static ARGUMENTS: HashMap<ArgumentKey, u64> = HashMap::with_max_entries(262_144, NO_PREALLOC);

/// Prefilter: ports.
#[map]
pub(crate) static PORTS: HashMap<PortKey, OpSet> = HashMap::with_max_entries(4_096, NO_PREALLOC);

/// Prefilter: addresses.
#[map]
pub(crate) static ADDRESSES: LpmTrie<AddressKey, OpSet> = LpmTrie::with_max_entries(16_384, NO_PREALLOC);

/// What agents had open when they were tagged, with the kinds of operation that nobody has judged there yet.
#[map]
pub(crate) static ADOPTED: HashMap<AdoptedKey, OpSet> = HashMap::with_max_entries(ADOPTED_MAX, NO_PREALLOC);

/// Which inode numbers may be in `ADOPTED`, of any agent: every other read and write costs next to nothing.
#[map]
pub(crate) static ADOPTED_FILTER: Array<u64> = Array::with_max_entries(INODE_WORDS, 0);

/// Files and directories of guard's own, and directories above them: `GUARDS_OWN` or `GUARDS_ABOVE`.
#[map]
pub(crate) static GUARDS: HashMap<GuardsKey, u32> = HashMap::with_max_entries(GUARDS_MAX, NO_PREALLOC);

/// Which inode numbers may be in `GUARDS`; see [`guard_common::table::inode_mark`].
#[map]
pub(crate) static GUARDS_FILTER: Array<u64> = Array::with_max_entries(INODE_WORDS, 0);

/// What the prefilter found out about directories, and how often agents used them. A cache: losing an entry costs a walk, and
/// what was counted in it since guardd looked.
#[map]
pub(crate) static DIRS: LruHashMap<DirKey, DirValue> = LruHashMap::with_max_entries(16_384, 0);

/// Execs the rules cleared, with the moment. A cache: what is not found is judged.
#[map]
pub(crate) static CLEARED: LruHashMap<ClearKey, u64> = LruHashMap::with_max_entries(2_048, 0);

/// Arguments as they were judged, by address of the `task_struct`, until the program runs.
#[map]
pub(crate) static EXECS: HashMap<u64, Exec<SHORT_ARGV>> = HashMap::with_max_entries(1_024, NO_PREALLOC);

/// The same whole, where there is more of them than `EXECS` holds.
#[map]
pub(crate) static LONG_EXECS: HashMap<u64, Exec<ARGV_MAX>> = HashMap::with_max_entries(1_024, NO_PREALLOC);

/// What agents made themselves: a mark on the inode, which goes when the inode leaves memory.
#[cfg(feature = "lsm")]
#[btf_map]
pub(crate) static CREATED: InodeStorage<Mark> = InodeStorage::new();

/// Names that are about to be given to something new, by the hash of the name. Of two at once under one number the
/// later wins, and what the other makes is nobody's.
#[map]
pub(crate) static MAKING: Array<Making> = Array::with_max_entries(MAKINGS, 0);

/// Calls that an approval let through and that are not over, by address of the `task_struct`. They inform: what has no
/// room goes on all the same.
#[map]
pub(crate) static RESULTS: HashMap<u64, Awaited> = HashMap::with_max_entries(1_024, NO_PREALLOC);

/// One element: the number under which the end of system calls is listened to, 0 while it is not.
#[map]
pub(crate) static LISTENING: Array<u64> = Array::with_max_entries(1, 0);

/// Memory too large for the stack; see [`crate::scratch`].
#[map]
pub(crate) static SCRATCH: PerCpuArray<Scratch> = PerCpuArray::with_max_entries(SCRATCHES, 0);

/// The record of an exec while it is written; the element is of the claimed scratch with the same number.
#[map]
pub(crate) static EXECUTION: PerCpuArray<Execution> = PerCpuArray::with_max_entries(SCRATCHES, 0);

/// [`guard_common::count::Count`]
#[map]
pub(crate) static COUNTS: PerCpuArray<u64> = PerCpuArray::with_max_entries(32, 0);

/// One element.
#[map]
pub(crate) static STATE: Array<State> = Array::with_max_entries(1, 0);

/// Who made something.
#[cfg(feature = "lsm")]
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Mark {
    /// Cgroup id of the agent.
    pub(crate) agent: u64,
    /// [`guard_common::table::Agent::epoch`] at that time.
    pub(crate) epoch: u64,
}

/// A power of two.
pub(crate) const MAKINGS: u32 = 256;

/// A name that a tagged task is about to give to something new.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Making {
    /// 0 when there is none.
    pub(crate) dentry: u64,
    pub(crate) parent: u64,
    pub(crate) task: u64,
    /// Hash of the name.
    pub(crate) hash: u32,
    /// `S_IFMT` bits of what is made.
    pub(crate) kind: u32,
}

/// A call that an approval let through.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Awaited {
    /// What `LISTENING` was then. Under another number some call was missed, and it may have been this one.
    pub(crate) listening: u64,
    pub(crate) key: HoldKey,
    /// [`HoldRecord::hold`] under that key; 0 where only an interpreter was approved.
    pub(crate) hold: u64,
    /// The same under [`guard_common::record::SLOT_INTERPRETER`]; 0 where none was.
    pub(crate) interpreter: u64,
    /// Thread group of the task: its address is used again. Unlike its start it stays when a thread executes a program.
    pub(crate) tgid: u32,
    pub(crate) pad: u32,
}

/// What was judged of an exec.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Exec<const ARGV: usize> {
    /// Arguments the kernel counted at the first look.
    pub(crate) argc: u32,
    /// Bytes of all arguments that could be read; `argv` holds them, or the first of them.
    pub(crate) argv_len: u32,
    /// There was more.
    pub(crate) truncated: u32,
    pub(crate) pad: u32,
    pub(crate) argv: [u8; ARGV],
}

/// Bytes of `EXECUTIONS`: some thousand execs as most are, which is what an agent does in seconds.
pub(crate) const EXECUTIONS_SIZE: u32 = 1024 * 1024;

/// A record with its texts behind it, as it is sent.
#[repr(C)]
pub(crate) struct Execution {
    pub(crate) record: ExecRecord,
    /// As long again as a path may be, for the verifier; see [`Scratch`].
    pub(crate) text: [u8; execution::TEXT_MAX + PATH_MAX],
}

/// Bytes of arguments most commands have no more of.
pub(crate) const SHORT_ARGV: usize = 240;

/// How many programs may be preempted by each other on one CPU and still have memory.
pub(crate) const SCRATCHES: u32 = 4;

/// Room past the end of a walk, so that a masked offset plus a masked length stays inside.
pub(crate) const SLACK: usize = 256;

/// The verifier sees an offset and a length that are each masked, never their sum: what is written in parts is followed
/// by enough of something else. No real offset and length reach there.
#[repr(C)]
pub(crate) struct Scratch {
    /// 1 while a program uses it.
    pub(crate) busy: u64,
    pub(crate) key: Key<PathKey>,
    /// Where a walk is.
    pub(crate) state: Walk,
    /// Where the reading of arguments is.
    pub(crate) look: Look,
    /// The system call that is looked at, in the trip tier.
    pub(crate) call: Call,
    /// 1 when `clear` is what guardd cleared just now.
    pub(crate) cleared: u64,
    /// An exec to be looked up, or to be remembered.
    pub(crate) clear: ClearKey,
    pub(crate) record: HoldRecord,
    /// The texts of the record, when it has no room for them.
    pub(crate) text: HoldText,
    /// The arguments, where they are read.
    pub(crate) exec: Exec<ARGV_MAX>,
    /// A path grows here from `PATH_MAX` downwards.
    pub(crate) walk: [u8; PATH_MAX + GAP],
    /// What is told of that path, behind it.
    pub(crate) touch: Touch,
    slack: [u8; SLACK],
    /// The paths, where they are read.
    pub(crate) path: [u8; PATH_MAX],
    pub(crate) other_path: [u8; PATH_MAX],
}

const _: () = {
    use core::mem::{offset_of, size_of};
    // What a per-CPU array takes at most.
    assert!(size_of::<Scratch>() <= 32 * 1024);
    assert!(offset_of!(Scratch, text) + 8 + 2 * (2 * PATH_MAX - 1) <= size_of::<Scratch>());
    assert!(offset_of!(Scratch, touch) == offset_of!(Scratch, walk) + PATH_MAX + GAP);
    assert!(offset_of!(Scratch, touch) + size_of::<Touch>() + PATH_MAX <= size_of::<Scratch>());
    assert!(offset_of!(Scratch, exec) + 16 + 2 * (2 * ARGV_MAX - 1) <= size_of::<Scratch>());
};
