//! Any bytes as what the kernel programs write: a notice or an exec in a ring, a record in `HOLDS`, its texts in `TEXTS`. What is
//! decoded is judged by the shipped rules, and what is in doubt is never let through where, without the doubt, a rule
//! could stop it.

use std::{
    ffi::OsString,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
    sync::LazyLock,
};

use guard_common::{
    execution::{ANCESTORS, ExecRecord},
    op::Op,
    record::{ADDRESS_MAX, COMM_LEN, HoldKey, HoldRecord, HoldText, INLINE_MAX, NAME_MAX, Object, TEXT_MAX, doubt},
};

use super::{SHIPPED, scope};
use crate::{
    daemon::{scope::root, testing::unlink},
    execution::Execution,
    kernel::source,
    operation::{Address, ObjectFacts, Operation, Stopped},
    rules::{
        compile::Policy,
        judge::{Judgement, judge, keeps_nothing},
        lower::Tables,
    },
};

static POLICY: LazyLock<(Policy, Tables)> = LazyLock::new(|| {
    let policy = SHIPPED.policy(&scope());
    let tables = policy.tables();
    (policy, tables)
});

/// Where the object of an operation may be when its path is not known.
const PLACES: [&str; 10] = [
    "/srv/customers/2026.db",
    "/home/u/.ssh/id_ed25519",
    "/home/u/work/.git/config",
    "/etc/shadow",
    "/usr/bin/git",
    "/usr/bin/rm",
    "/usr/bin/psql",
    "/run/docker.sock",
    "/dev/sda",
    "/var/log/guard/audit.jsonl",
];

/// Arguments that may follow those the kernel had room for.
const MORE: [&[&str]; 5] =
    [&["push", "--force"], &["DROP TABLE users"], &["-delete"], &["delete", "namespace", "x"], &["destroy"]];

/// Reads `bytes` as a notice, as an exec, and as a key, a record and its texts one behind the other.
pub fn record(bytes: &[u8]) {
    if let Some(notice) = source::notice(bytes) {
        assert_eq!(bytes.len(), size_of_val(&notice));
    }
    if let Some(execution) = Execution::decode(bytes) {
        let argv: usize = execution.argv.iter().map(|argument| argument.len() + 1).sum();
        let texts = execution.path.as_os_str().len() + execution.cwd.as_os_str().len() + argv;
        // The last argument may lack its end.
        assert!(texts <= bytes.len() - size_of::<ExecRecord>() + 1, "{execution:?} is more than there is");
        assert!(execution.ancestors.len() <= ANCESTORS && execution.comm.len() <= COMM_LEN);
    }
    let mut reader = Reader(bytes);
    let key = HoldKey { id: reader.u32(), slot: reader.u32() };
    let record = reader.record();
    let text = (!reader.0.is_empty()).then(|| Box::new(reader.text()));
    decoded(key, &Stopped { record, text: text.clone() });
    // Few inputs have the same number three times; without it nothing is read.
    let record = HoldRecord { seal: record.hold, ..record };
    let text = text.map(|text| Box::new(HoldText { hold: record.hold, seal: record.hold, ..*text }));
    decoded(key, &Stopped { record, text });
}

fn decoded(key: HoldKey, stopped: &Stopped) {
    let record = &stopped.record;
    let Ok(operation) = Operation::decode(key, stopped) else { return };
    assert!(stopped.is_whole(), "a record in pieces was read");
    assert_eq!((operation.op as u32, operation.doubt), (record.op, record.doubt));
    let texts = [record.path_len, record.other_path_len, record.argv_len].map(|length| length as usize);
    assert!(texts.iter().sum::<usize>() <= TEXT_MAX, "{texts:?} is more than there is");
    let argv: usize = operation.argv.iter().map(|argument| argument.len()).sum();
    assert!(argv <= texts[2] && operation.other_path.as_os_str().len() == texts[1]);
    judged(&operation);
    // A decision for a whole directory must not reach above the object.
    if let Some(root) = root(&operation, &operation.argv, &PathBuf::from("/home/u/work")) {
        assert!(operation.path.starts_with(&root.path), "{root:?} is not above {operation:?}");
    }
}

/// The judgement of one operation, and of all that it may be.
fn judged(operation: &Operation) {
    let (policy, tables) = &*POLICY;
    let judgement = judge(policy, operation);
    assert!(policy.counters(operation).len() <= policy.clauses.len());
    assert_eq!(policy.needs(operation), policy.needs(operation));
    // A connect in doubt was a candidate before it was read; and the kernel walks second paths from the root, too, or says
    // that it could not: guardd holds any other, and has nothing to compare with.
    let read_later = operation.op == Op::Connect && operation.doubt != 0;
    let has_two = matches!(operation.op, Op::Rename | Op::Link | Op::MoveMount | Op::PivotRoot);
    let is_walked =
        (!has_two || operation.other_path.has_root()) && has_names(&operation.path) && has_names(&operation.other_path);
    // A raw or packet socket leads to any address. The kernel asks about it where a rule is on every address; guardd, once it
    // is asked, takes it for each.
    let is_anywhere = operation.address.as_ref().is_some_and(Address::is_anywhere);
    if judgement != Judgement::Clear && !read_later && is_walked && !is_anywhere {
        assert!(tables.candidate(operation), "the kernel lets pass what is held: {judgement:?} {operation:?}");
    }
    if !judgement.is_clear() || operation.doubt == 0 {
        return;
    }
    for whole in possible(operation) {
        let could = judge(policy, &whole);
        assert!(could.is_clear(), "let through in doubt, and could be stopped as {could:?}: {whole:?}\n{operation:?}");
    }
}

/// Whether a path is made of names alone, as the kernel finds them from a file upwards: none is empty, `.` or `..`, which
/// `Path` leaves out at the end.
fn has_names(path: &Path) -> bool {
    let bytes = path.as_os_str().as_bytes();
    let names = bytes.strip_prefix(b"/").unwrap_or(bytes);
    names.is_empty() || names.split(|byte| *byte == b'/').all(|name| ![&b""[..], b".", b".."].contains(&name))
}

/// What an operation in doubt may be in truth: with all of the parts known that the doubt is about.
fn possible(operation: &Operation) -> Vec<Operation> {
    let known = Operation { doubt: 0, ..operation.clone() };
    let mut possible = Vec::new();
    let strange = operation.doubt & !(doubt::PATH | doubt::ARGV | doubt::DETACHED) != 0;
    // What keeps nothing is nowhere, and no place is one it may be in.
    if (strange || operation.doubt & (doubt::PATH | doubt::DETACHED) != 0) && !keeps_nothing(operation) {
        possible.push(known.clone());
        for place in PLACES {
            possible.push(Operation { path: place.into(), ..known.clone() });
            possible.push(Operation { other_path: place.into(), ..known.clone() });
        }
    }
    if strange || operation.doubt & doubt::ARGV != 0 {
        for more in MORE {
            let argv: Vec<OsString> = known.argv.iter().cloned().chain(more.iter().map(OsString::from)).collect();
            let argc = u32::try_from(argv.len()).expect("a record is short");
            possible.push(Operation { argv, argc, ..known.clone() });
        }
    }
    if strange {
        for mode in [0o100_644, 0o040_755, 0o060_600] {
            let target = ObjectFacts { ino: 9, mode, own: false, nlink: 1, ..known.target.clone() };
            possible.push(Operation { target, ..known.clone() });
        }
    }
    possible
}

/// A whole operation of an agent on nothing in particular.
pub(super) fn operation() -> Operation {
    let target = ObjectFacts { ino: 9, mode: 0o100_755, nlink: 1, ..ObjectFacts::default() };
    Operation { target, comm: b"agent".to_vec(), ..unlink(42, "") }
}

/// `unlink(path)` as the kernel would write it.
pub(super) fn held(agent: u64, pid: u32, path: &str) -> HoldRecord {
    let mut record = Reader(&[]).record();
    (record.hold, record.seal, record.agent, record.tid, record.tgid) = (1_000, 1_000, agent, pid, pid);
    (record.op, record.stops, record.target.ino, record.target.mode) = (Op::Unlink as u32, 1, 9, 0o100_644);
    record.path_len = u32::try_from(path.len()).expect("short");
    record.text[..path.len()].copy_from_slice(path.as_bytes());
    record
}

/// The fields as they lie in memory; where the input ends, there is nothing but zeros.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let (head, rest) = self.0.split_at(self.0.len().min(N));
        self.0 = rest;
        let mut bytes = [0; N];
        bytes[..head.len()].copy_from_slice(head);
        bytes
    }

    fn u32(&mut self) -> u32 {
        u32::from_ne_bytes(self.bytes())
    }

    fn u64(&mut self) -> u64 {
        u64::from_ne_bytes(self.bytes())
    }

    fn object(&mut self) -> Object {
        Object {
            ino: self.u64(),
            parent_ino: self.u64(),
            size: self.u64(),
            dev: self.u32(),
            generation: self.u32(),
            mode: self.u32(),
            rdev: self.u32(),
            nlink: self.u32(),
            uid: self.u32(),
            magic: self.u32(),
            own: self.u32(),
            name: self.bytes::<NAME_MAX>(),
        }
    }

    fn record(&mut self) -> HoldRecord {
        HoldRecord {
            hold: self.u64(),
            agent: self.u64(),
            start_boottime: self.u64(),
            tid: self.u32(),
            tgid: self.u32(),
            uid: self.u32(),
            gid: self.u32(),
            op: self.u32(),
            flags: self.u32(),
            context: self.u32(),
            stops: self.u32(),
            doubt: self.u32(),
            path_len: self.u32(),
            other_path_len: self.u32(),
            address_len: self.u32(),
            argv_len: self.u32(),
            argc: self.u32(),
            detail: [self.u64(), self.u64(), self.u64(), self.u64()],
            target: self.object(),
            other: self.object(),
            address: self.bytes::<ADDRESS_MAX>(),
            comm: self.bytes::<COMM_LEN>(),
            text: self.bytes::<INLINE_MAX>(),
            passed_files: self.u64(),
            passed_bytes: self.u64(),
            seal: self.u64(),
        }
    }

    fn text(&mut self) -> HoldText {
        HoldText { hold: self.u64(), text: self.bytes::<TEXT_MAX>(), seal: self.u64() }
    }
}
