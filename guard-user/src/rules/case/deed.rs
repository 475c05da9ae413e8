//! The operation of a case, as a person would say it, and the record the kernel would have made of it.

use std::{collections::BTreeMap, ffi::OsString, net::IpAddr, path::Path};

use guard_common::{
    op::{Op, rename},
    record::HoldKey,
};
use serde::{Deserialize, Deserializer, de::Error as _};

use crate::{
    circumstances::{Circumstances, Found, Lineage, Program},
    operation::{Address, Context, HoldName, ObjectFacts, Operation},
    rules::{
        amount::Amount,
        error::unknown,
        syntax::{ObjectType, Signal},
        touch::O_TRUNC,
        who::{Device, Hash},
    },
};

/// The operation of a case, as a person would say it.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Deed {
    op: OpName,
    path: Option<Absolute>,
    /// The second path of a rename, link or mount.
    to: Option<Absolute>,
    argv: Vec<String>,
    address: Option<IpAddr>,
    port: Option<u16>,
    /// A Unix socket, or `@name`.
    socket: Option<String>,
    signal: Option<Signal>,
    object: Option<ObjectType>,
    size: Option<Amount>,
    links: Option<u32>,
    owner: u32,
    device: Option<Device>,
    /// A rename or an open for writing that destroys what was there.
    replaces: bool,
    uid: u32,
    /// Name of the user with that number.
    user: Option<String>,
    env: BTreeMap<String, String>,
    cwd: Option<Absolute>,
    /// The program the process runs, and what it descends from, the nearest first.
    programs: Vec<Absolute>,
    /// Of the program of an exec.
    sha256: Option<Hash>,
    /// The agent made the object itself.
    own: bool,
    /// What the agent did before, within the time of every threshold.
    pub(super) earlier: Earlier,
}

/// Amounts that were counted before a case.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Earlier {
    pub(super) files: u64,
    pub(super) bytes: Option<Amount>,
    pub(super) directories: u64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(transparent)]
pub(super) struct Absolute(pub(super) String);

#[derive(Clone, Copy, Debug)]
struct OpName(Op);

impl Default for OpName {
    fn default() -> Self {
        Self(Op::Exec)
    }
}

impl<'de> Deserialize<'de> for OpName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let kinds = || Op::ALL.into_iter().filter(|op| op.name() != "exec_verify");
        kinds().find(|op| op.name() == text).map(Self).ok_or_else(|| {
            let names: Vec<&str> = kinds().map(Op::name).collect();
            D::Error::custom(unknown("operation", &text, &names))
        })
    }
}

impl Deed {
    /// What a failing case is called that has no name.
    pub(super) fn sentence(&self) -> String {
        let mut words = vec![self.op.0.name().to_owned()];
        words.extend(self.path.iter().chain(&self.to).map(|path| path.0.clone()));
        words.extend(self.argv.iter().cloned());
        words.extend(self.address.map(|address| address.to_string()));
        words.extend(self.socket.clone());
        words.join(" ")
    }

    pub(super) fn operation(self) -> Result<Operation, String> {
        let op = self.op.0;
        for path in [&self.path, &self.to].into_iter().flatten() {
            if !path.0.starts_with('/') {
                return Err(format!("`{}` is not absolute: the kernel shows whole paths", path.0));
            }
        }
        // A program that is only called by its name is looked up as a shell would find it.
        let program = || match self.argv.first().filter(|_| op == Op::Exec) {
            Some(name) if name.starts_with('/') => name.clone(),
            Some(name) => format!("/usr/bin/{name}"),
            None => String::new(),
        };
        let path = self.path.map_or_else(program, |path| path.0);
        let pathless = matches!(op, Op::Connect | Op::Signal | Op::Ptrace | Op::IoUring);
        if path.is_empty() && !pathless {
            return Err(format!("{} happens to a path: name it with `path`", op.name()));
        }
        let other_path = self.to.map_or_else(String::new, |path| path.0);
        if matches!(op, Op::Rename | Op::Link) && other_path.is_empty() {
            return Err(format!("{} has a second path: name it with `to`", op.name()));
        }
        let address = match (self.address, self.port, self.socket) {
            (Some(address), Some(port), None) => Some(Address::Inet((address, port).into())),
            (None, None, Some(socket)) => Some(match socket.strip_prefix('@') {
                Some(name) => Address::UnixAbstract(name.as_bytes().to_vec()),
                None => Address::UnixPath(socket.into()),
            }),
            (None, None, None) if op != Op::Connect => None,
            (_, _, _) => return Err("connect goes to an `address` and a `port`, or to a `socket`".to_owned()),
        };
        let mode = self.object.unwrap_or(if op == Op::Rmdir { ObjectType::Directory } else { ObjectType::File }).mode();
        let elsewhere = op == Op::Rename && Path::new(&path).parent() != Path::new(&other_path).parent();
        let mut flags = if elsewhere { rename::ELSEWHERE } else { 0 };
        flags |= if op == Op::Rename && self.replaces { rename::OVERWRITE } else { 0 };
        let mut detail = [0; 4];
        detail[0] = match (op, self.signal) {
            (Op::OpenWrite, _) if self.replaces => O_TRUNC,
            (Op::Mknod, _) => u64::from(mode),
            (Op::Signal, Some(signal)) => signal.first,
            (Op::Signal, None) => return Err("name the `signal`".to_owned()),
            (_, _) => 0,
        };
        let rdev = self.device.map_or(0, |device| device.major << 20 | device.minor.unwrap_or(0));
        let there = |path: &str| ObjectFacts {
            ino: 1,
            mode: mode | 0o644,
            nlink: self.links.unwrap_or(1),
            size: self.size.map_or(0, |size| size.0),
            uid: self.owner,
            own: self.own,
            rdev,
            name: path.rsplit('/').next().unwrap_or("").as_bytes().to_vec(),
            ..ObjectFacts::default()
        };
        // A case is a small world: what it does not say is not there.
        let program = |path: Absolute| Program { file: path.0.into(), aliases: Vec::new() };
        let circumstances = Circumstances {
            environment: Found::Is(
                self.env.into_iter().map(|(name, value)| (name.into_bytes(), value.into_bytes())).collect(),
            ),
            directory: Found::Is(self.cwd.map_or_else(|| "/".into(), |cwd| cwd.0.into())),
            lineage: Found::Is(Lineage { programs: self.programs.into_iter().map(program).collect(), whole: true }),
            users: Found::Is(self.user.map(|name| (self.uid, name)).into_iter().collect()),
            hash: Found::from(self.sha256.map(|hash| hash.0)),
            tallies: Found::NotAsked,
        };
        Ok(Operation {
            name: HoldName { key: HoldKey { id: 1, slot: 0 }, hold: 1 },
            op,
            context: Context::Held,
            agent: 1,
            tid: 1,
            tgid: 1,
            start_boottime: 1,
            uid: self.uid,
            gid: self.uid,
            flags,
            doubt: 0,
            stops: 1,
            detail,
            target: there(&path),
            other: if self.replaces { there(&other_path) } else { ObjectFacts::default() },
            path: path.into(),
            other_path: other_path.into(),
            argc: u32::try_from(self.argv.len()).map_err(|_| "too many arguments".to_owned())?,
            argv: self.argv.into_iter().map(OsString::from).collect(),
            address,
            comm: Vec::new(),
            passed: guard_common::quota::Passed::default(),
            circumstances,
        })
    }
}
