//! The proof that the kernel's tables miss nothing: for random rules and operations, what the daemon would hold is a
//! candidate. Tests only.

use std::ffi::OsString;

use guard_common::op::Op;
use proptest::{prelude::*, sample::select};

use super::{
    compile::Scope,
    judge::{Judgement, judge},
    tests::{operation, rules},
};
use crate::{
    circumstances::{Circumstances, Found, Lineage, Program},
    operation::{Address, ObjectFacts, Operation},
    tally::Tally,
};

const PARTS: [&str; 6] = ["a", "b", "ws", ".git", "HEAD", "long-name-of-more-than-twenty-four-bytes"];
const WORDS: [&str; 14] = [
    "delete",
    "overwrite",
    "read",
    "write",
    "create",
    "unlink",
    "rename",
    "move_away",
    "rename_over",
    "link",
    "mknod",
    "truncate",
    "open_write",
    "mount",
];

fn path() -> impl Strategy<Value = String> {
    let deep = prop::bool::weighted(0.05);
    (prop::collection::vec(select(&PARTS[..]), 1..5), deep).prop_map(|(parts, deep)| {
        let path = format!("/{}", parts.join("/"));
        if deep { format!("/{}{path}", vec!["a"; 130].join("/")) } else { path }
    })
}

fn glob() -> impl Strategy<Value = String> {
    let part = prop_oneof![4 => select(&PARTS[..]).prop_map(str::to_owned), 1 => Just("*".to_owned()),
        1 => Just("**".to_owned()), 1 => Just("a*".to_owned()), 1 => Just("[ab]".to_owned()), 1 => Just("{a,b}".to_owned())];
    let start = select(&["/", "**/", "${HOME}/", "${WORKSPACE}/", "${TMP}/"][..]);
    let deep = prop::bool::weighted(0.05);
    (start, prop::collection::vec(part, 1..4), prop::bool::ANY, deep).prop_map(|(start, parts, below, deep)| {
        let deep = if deep { format!("{}/", vec!["a"; 130].join("/")) } else { String::new() };
        format!("{start}{deep}{}{}", parts.join("/"), if below { "/**" } else { "" })
    })
}

fn list(of: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    prop::collection::vec(of, 1..3).prop_map(|all| format!("{all:?}"))
}

fn clause() -> impl Strategy<Value = String> {
    let on_paths = (
        list(select(&WORDS[..]).prop_map(str::to_owned)),
        prop::option::of(list(glob())),
        prop::option::of(list(glob())),
        prop::option::weighted(0.3, list(select(&PARTS[..]).prop_map(str::to_owned))),
        prop::option::weighted(0.3, select(&["file", "directory", "block_device"][..])),
        more(),
    )
        .prop_map(|(op, path, not_path, name, object, more)| {
            let key = |name: &str, value: Option<String>| {
                value.map_or_else(String::new, |value| format!(", {name}: {value}"))
            };
            let (path, not_path, name) = (key("path", path), key("not_path", not_path), key("name", name));
            let object = key("object", object.map(str::to_owned));
            format!("{{op: {op}{path}{not_path}{name}{object}{more}}}")
        });
    let fixed = select(
        &[
            "{op: exec, program: [a, HEAD]}",
            "{op: exec, program: git, argv: {subcommand: push, any_option: [-f]}}",
            "{op: exec, program: git}",
            "{op: exec, program: git, argv: {any_option: -f}}",
            "{op: exec, path: /a/**}",
            "{op: connect}",
            "{op: connect, port: [22, 443]}",
            "{op: connect, address: [127.0.0.0/8, \"::1\"], port: 22}",
            "{op: connect, address: 10.0.0.0/8}",
            "{op: connect, socket: [/run/x.sock, \"@bus\"]}",
            "{op: signal, signal: [term, kill]}",
            "{op: [ptrace, io_uring]}",
            "{op: [ioctl, umount], object: block_device}",
            "{op: [move_mount, pivot_root], path: /a/**}",
            "{op: [open_write, open_read, mknod], device: \"8:*\"}",
            "{op: mknod, path: /a/**, device: [\"8:1\", \"1:3\"]}",
            "{op: exec, program: /usr/bin/git}",
            "{op: exec, program: [\"**/git\", a], argv: {subcommand: push}}",
            "{op: exec, program: \"${HOME}/**\"}",
            "{op: exec, program: \"/usr/*/git-push\", path: /usr/**}",
            "{op: exec, sha256: \"0000000000000000000000000000000000000000000000000000000000000000\"}",
        ][..],
    );
    // Every fixed one may also be narrowed by what only the daemon knows.
    let fixed = prop_oneof![1 => fixed.prop_map(str::to_owned), 1 => on_arguments()];
    let fixed = (fixed, actor()).prop_map(|(text, actor)| {
        let open = text.strip_suffix('}').expect("a map ends");
        format!("{open}{actor}}}")
    });
    prop_oneof![2 => on_paths, 1 => fixed]
}

/// What of its arguments a rule may ask: of tools that read options in different ways.
fn on_arguments() -> impl Strategy<Value = String> {
    let some = |of: &'static [&'static str], chance: f64| {
        prop::option::weighted(chance, list(select(of).prop_map(str::to_owned)))
    };
    (
        select(&["git", "find", "rm", "echo", "[git, find, other]"][..]),
        some(&["push", "stash {drop,clear}", "** x", "pu*", "stash *", "p{ush,ull} x", "?ush", "x push"], 0.6),
        some(&["-f", "--force", "-delete", "--force=now", "-C=x", "--x", "-x", "--dry-run="], 0.4),
        some(&["-n", "--dry-run"], 0.2),
        some(&["+?*", "[*]", "push", "pu*", "{x,drop}", "?", "*", "remote.*", "[!p]*"], 0.3),
    )
        .prop_filter("something is asked", |(_, words, options, _, arguments)| {
            words.is_some() || options.is_some() || arguments.is_some()
        })
        .prop_map(|(program, words, options, not, arguments)| {
            let keys =
                [("subcommand", words), ("any_option", options), ("not_option", not), ("any_argument", arguments)];
            let keys = keys.into_iter().filter_map(|(key, value)| Some(format!("{key}: {}", value?)));
            format!("{{op: exec, program: {program}, argv: {{{}}}}}", keys.collect::<Vec<_>>().join(", "))
        })
}

/// Keys about the object and the actor, which the kernel's tables do not know.
fn more() -> impl Strategy<Value = String> {
    let object = prop::option::weighted(
        0.2,
        select(
            &[
                ", size: {min: 2}",
                ", size: {max: 1KiB}",
                ", links: {min: 2}",
                ", owner: self",
                ", owner: [root, other]",
                ", owner: alice",
                ", own: false",
                ", more_than: {files: 2, bytes: 1MiB, within: 5m}",
                ", when: \"size > 1 || links > 1\"",
                ", when: \"path.startsWith('/a') && uid != 7\"",
                ", when: \"'AWS' in env || cwd == '/a/ws'\"",
            ][..],
        ),
    );
    (object, actor()).prop_map(|(object, actor)| format!("{}{actor}", object.unwrap_or_default()))
}

fn actor() -> impl Strategy<Value = String> {
    let keys = &[
        ", env: {STAGE: \"prod*\"}",
        ", env: {STAGE: [a, b], X: \"*\"}",
        ", user: [1000, alice]",
        ", user: bob",
        ", parent: make",
        ", by: [git, /usr/bin/make]",
        ", by: \"${HOME}/**\"",
        ", cwd: \"${WORKSPACE}/**\"",
        ", cwd: [\"/a/*\"]",
        ", agent: \"n*\"",
        ", agent_label: production",
    ][..];
    prop_oneof![2 => Just(String::new()), 1 => select(keys).prop_map(str::to_owned)]
}

fn found<T: Clone + std::fmt::Debug>(facts: impl Strategy<Value = T>) -> impl Strategy<Value = Found<T>> {
    prop_oneof![2 => facts.prop_map(Found::Is), 1 => Just(Found::Unreadable), 1 => Just(Found::NotAsked)]
}

fn tally() -> impl Strategy<Value = (String, Tally)> {
    let key = select(&["r0#0", "r0#1", "r1#0"][..]).prop_map(str::to_owned);
    (key, 0_u64..5, select(&[0_u64, 1 << 21][..]))
        .prop_map(|(key, files, bytes)| (key, Tally { files, bytes, directories: 1 }))
}

fn circumstances() -> impl Strategy<Value = Circumstances> {
    let variable = |name: &str, value: &str| (name.as_bytes().to_vec(), value.as_bytes().to_vec());
    let environment =
        select(vec![Vec::new(), vec![variable("STAGE", "prod-1")], vec![variable("STAGE", "a"), variable("X", "")]]);
    let program = select(&["/usr/bin/make", "/usr/bin/git", "/a/tool"][..])
        .prop_map(|file| Program { file: file.into(), aliases: vec![b"git".to_vec()] });
    let lineage = (prop::collection::vec(program, 1..3), prop::bool::ANY)
        .prop_map(|(programs, whole)| Lineage { programs, whole });
    let directory = select(&["/a/ws", "/a/b/c", "/"][..]).prop_map(std::path::PathBuf::from);
    let users = select(vec![Vec::new(), vec![(1000, "alice".to_owned())]]);
    (
        found(environment),
        found(directory),
        found(lineage),
        found(users),
        found(prop_oneof![Just([0; 32]), Just([1; 32])]),
        found(prop::collection::vec(tally(), 0..3)),
    )
        .prop_map(|(environment, directory, lineage, users, hash, tallies)| Circumstances {
            environment,
            directory,
            lineage,
            users,
            hash,
            tallies,
        })
}

fn rules_text() -> impl Strategy<Value = String> {
    let mode = prop::bool::weighted(0.8);
    prop::collection::vec((prop::collection::vec(clause(), 1..3), mode), 1..5).prop_map(|all| {
        let mut text = "rules:\n".to_owned();
        for (index, (clauses, enforce)) in all.iter().enumerate() {
            let mode = if *enforce { "enforce" } else { "observe" };
            let head = format!("name: r{index}, text: t, action: hold, reversibility: partial, mode: {mode}");
            text.push_str(&format!("  - {{{head}, match: [{}]}}\n", clauses.join(", ")));
        }
        text
    })
}

fn facts() -> impl Strategy<Value = ObjectFacts> {
    let mode = select(&[0_u32, 0o100_644, 0o040_755, 0o060_600, 0o010_600][..]);
    (
        mode,
        0_u64..2,
        0_u32..3,
        select(&[0_u64, 1, 1 << 20][..]),
        select(&[0_u32, 1000][..]),
        select(&[0_u32, 8 << 20, 8 << 20 | 1][..]),
        prop::bool::ANY,
    )
        .prop_map(|(mode, ino, nlink, size, uid, rdev, own)| ObjectFacts {
            own,
            mode,
            ino,
            nlink,
            size,
            uid,
            rdev,
            ..ObjectFacts::default()
        })
}

fn address() -> impl Strategy<Value = Option<Address>> {
    let inet = (
        select(&["127.0.0.1", "0.0.0.0", "10.1.2.3", "8.8.8.8", "::1", "::", "::ffff:10.0.0.1", "fd00::1"][..]),
        select(&[22_u16, 443, 80][..]),
    );
    prop_oneof![
        Just(None),
        inet.prop_map(|(ip, port)| Some(Address::Inet(
            (ip.parse::<std::net::IpAddr>().expect("an address"), port).into()
        ))),
        select(&["/run/x.sock", "x.sock", "/tmp/y"][..]).prop_map(|path| Some(Address::UnixPath(path.into()))),
        Just(Some(Address::UnixAbstract(b"bus".to_vec()))),
        Just(Some(Address::Other(40, vec![40, 0]))),
    ]
}

fn any_operation() -> impl Strategy<Value = Operation> {
    let what = (select(&Op::ALL[..]), path(), path(), prop::bool::ANY);
    // What the kernel may say of an operation, and what it may not know.
    let how = (0_u32..16, prop_oneof![6 => Just(0_u32), 1 => 1_u32..16], select(&[0_u64, 0o1000, 0o060_600, 15][..]));
    let argument = select(
        &[
            "push",
            "pull",
            "pushy",
            "stash",
            "drop",
            "x",
            "+x",
            "*",
            "remote.a",
            "",
            "-",
            "--",
            "-f",
            "-qf",
            "-n",
            "-C",
            "-Cx",
            "-xf",
            "--f",
            "--forc",
            "--force",
            "--force=now",
            "--force=",
            "now",
            "-delete",
            "--delete",
            "---delete",
            "--dry-run",
            "--x",
        ][..],
    );
    let name = select(&["git", "/usr/bin/git", "git-push", "git-stash", "find", "echo", ""][..]);
    let argv = (prop::option::weighted(0.9, name), prop::collection::vec(argument, 0..5))
        .prop_map(|(name, rest)| name.into_iter().chain(rest).collect::<Vec<_>>());
    (what, how, facts(), facts(), argv, address(), circumstances()).prop_map(
        |((op, path, other, git), (flags, doubt, detail), target, second, argv, address, circumstances)| {
            let argv: Vec<OsString> = argv.into_iter().map(OsString::from).collect();
            let programs = ["git", "git-push", "git-lfs", "find", "rm", "echo"];
            let program = format!("/usr/bin/{}", programs[flags as usize % programs.len()]);
            let path = if git && op == Op::Exec { program } else { path };
            let two = matches!(op, Op::Rename | Op::Link | Op::MoveMount | Op::PivotRoot);
            Operation {
                path: path.into(),
                other_path: if two { other.into() } else { "".into() },
                flags,
                doubt,
                detail: [detail, 0x801, 0, 0],
                target,
                other: second,
                argc: argv.len() as u32,
                argv,
                address,
                circumstances,
                ..operation(op)
            }
        },
    )
}

fn scope() -> impl Strategy<Value = Scope> {
    let directory = || select(&["", "/", "/a", "/a/ws", "/b/[x]"][..]);
    let agent = (select(&["nightly", "x"][..]), prop::bool::ANY);
    (directory(), directory(), directory(), agent).prop_map(|(home, workspace, tmp, (agent, production))| Scope {
        home: home.into(),
        workspace: workspace.into(),
        tmp: tmp.into(),
        agent: agent.to_owned(),
        mode: super::syntax::Mode::Enforce,
        expired: false,
        agent_labels: production.then(|| "production".to_owned()).into_iter().collect(),
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 800, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_would_be_held_is_a_candidate(text in rules_text(), scope in scope(), operations in prop::collection::vec(any_operation(), 20)) {
        let policy = rules(&text).policy(&scope);
        let tables = policy.tables();
        for (directory, _) in &tables.paths {
            prop_assert!(directory.ends_with(b"/") && directory.len() <= guard_common::table::PREFIX_MAX);
        }
        for operation in operations {
            match judge(&policy, &operation) {
                Judgement::Clear => {}
                Judgement::WouldHold(info) | Judgement::Match(info) => {
                    // A connect or signal whose record is doubtful was a candidate before it was read.
                    let read_later = operation.doubt != 0 && !matches!(operation.op, Op::Ioctl | Op::Signal | Op::Ptrace | Op::IoUring);
                    let pathless = operation.op == Op::Connect && read_later;
                    prop_assert!(pathless || tables.candidate(&operation), "{}\n{operation:?}\n{tables:?}", info.name);
                }
            }
        }
    }

    /// Two execs with the same [`guard_common::clear::ClearKey`] are judged the same, whoever does them and when.
    #[test]
    fn an_exec_is_judged_by_what_is_remembered_of_it(
        text in rules_text(),
        scope in scope(),
        operations in prop::collection::vec(any_operation(), 20),
        (id, moment) in (1_u32..1_000, 1_u64..1_000),
    ) {
        let policy = rules(&text).policy(&scope);
        for operation in operations {
            let exec = Operation { op: Op::Exec, doubt: 0, circumstances: Circumstances::default(), ..operation };
            let key = guard_common::record::HoldKey { id, slot: exec.name.key.slot };
            let other = Operation {
                name: crate::operation::HoldName { key, hold: moment },
                agent: moment,
                tid: id,
                tgid: id,
                start_boottime: moment,
                stops: id,
                comm: b"other".to_vec(),
                passed: guard_common::quota::Passed { files: moment, bytes: moment },
                ..exec.clone()
            };
            prop_assert_eq!(policy.needs(&exec), policy.needs(&other));
            prop_assert_eq!(judge(&policy, &exec), judge(&policy, &other));
        }
    }
}
