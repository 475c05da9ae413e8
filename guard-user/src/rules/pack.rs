//! Cases for the shipped rules, both sides: what they stop, and the ordinary work they must not notice.

use guard_common::{
    op::{Op, rename},
    record::doubt,
};

use super::{
    compile::Policy,
    file::load,
    judge::{Judgement, judge},
    tests::{exec, on, operation, scope},
};
use crate::{
    circumstances::{Circumstances, Found, Lineage, Program},
    operation::{Address, ObjectFacts, Operation},
};

fn policy() -> Policy {
    load(None).unwrap_or_else(|error| panic!("{error}")).policy(&scope())
}

/// Name of the rule that stops it; empty for none. Whatever is stopped must be a candidate of the kernel's tables.
fn rule_of(policy: &Policy, operation: &Operation) -> String {
    let name = match judge(policy, operation) {
        Judgement::Clear => String::new(),
        Judgement::WouldHold(info) => format!("would: {}", info.name),
        Judgement::Match(info) => info.name.clone(),
    };
    assert!(
        name.is_empty() || policy.tables().candidate(operation),
        "{name} holds what is no candidate: {operation:?}"
    );
    name
}

fn moved(from: &str, to: &str, flags: u32) -> Operation {
    Operation { other_path: to.into(), flags, ..on(Op::Rename, from) }
}

fn check(cases: &[(Operation, &str)]) {
    let policy = policy();
    for (operation, expected) in cases {
        let what = (operation.op, &operation.path, &operation.other_path, &operation.argv, &operation.address);
        assert_eq!(rule_of(&policy, operation), *expected, "{what:?}");
    }
}

fn device(op: Op, path: &str, kind: u32) -> Operation {
    Operation { target: ObjectFacts { ino: 9, mode: kind | 0o660, nlink: 1, ..ObjectFacts::default() }, ..on(op, path) }
}

const BLOCK: u32 = 0o060_000;
const CHAR: u32 = 0o020_000;
const DIRECTORY: u32 = 0o040_000;

#[test]
fn destroying_files_is_held_outside_the_workspace_and_nowhere_else() {
    let gone = "delete-outside-workspace";
    check(&[
        (on(Op::Unlink, "/srv/data/customers.db"), gone),
        (on(Op::Rmdir, "/srv/data"), gone),
        (on(Op::Unlink, "/home/u/workshop/x"), gone),
        (on(Op::Unlink, "/home/u/documents/thesis.odt"), gone),
        (moved("/srv/data", "/home/u/work/data", rename::ELSEWHERE), gone),
        (moved("/srv/data/a", "/srv/data/b", 0), ""),
        (moved("/srv/data/a", "/srv/other/a", rename::ELSEWHERE), ""),
        (on(Op::Unlink, "/home/u/work/src/main.rs"), ""),
        (on(Op::Rmdir, "/home/u/work/target"), ""),
        (on(Op::Rmdir, "/home/u/work"), ""),
        (on(Op::Unlink, "/tmp/cc1.o"), ""),
        (on(Op::Unlink, "/home/u/tmp/x"), ""),
        (on(Op::Unlink, "/home/u/.cargo/registry/index/x"), ""),
        (on(Op::Unlink, "/home/u/notes/.todo.txt.swp"), ""),
        (on(Op::Unlink, "/home/u/.gitconfig.lock"), ""),
        (moved("/home/u/.gitconfig.lock", "/home/u/.gitconfig", rename::OVERWRITE), ""),
        (moved("/etc/nginx/new", "/etc/nginx/nginx.conf", rename::OVERWRITE), "overwrite-system-files"),
        // Nothing is lost, and nothing finds it any more.
        (moved("/etc/nginx/nginx.conf", "/etc/nginx/nginx.bak", 0), "overwrite-system-files"),
        (moved("/etc/a", "/home/u/work/a", rename::EXCHANGE | rename::ELSEWHERE), gone),
        (on(Op::Truncate, "/var/lib/postgresql/16/main/base/1"), "overwrite-system-files"),
        (on(Op::OpenWrite, "/usr/bin/ls"), "overwrite-system-files"),
        (on(Op::OpenWrite, "/home/u/work/src/main.rs"), ""),
        (on(Op::OpenWrite, "/home/u/notes.txt"), ""),
        (on(Op::OpenWrite, "/var/lib/dpkg/status"), ""),
        (on(Op::Chmod, "/etc/ssl/private"), "system-permissions"),
        (on(Op::Chmod, "/home/u/work/run.sh"), ""),
    ]);
}

#[test]
fn the_repository_is_kept_and_gits_daily_work_is_not_noticed() {
    let git = "git-directory";
    check(&[
        (device(Op::Rmdir, "/home/u/work/.git", DIRECTORY), git),
        (on(Op::Unlink, "/home/u/work/.git/HEAD"), git),
        (moved("/home/u/work/.git", "/tmp/x", rename::ELSEWHERE), git),
        (moved("/home/u/work/.git", "/home/u/work/.git2", 0), git),
        (exec("/usr/bin/rm", &["rm", "-rf", ".git"]), git),
        (exec("/usr/bin/rm", &["rm", "--recursive", "./x/.git/"]), git),
        (exec("/usr/bin/rm", &["rm", "-rf", "target", "node_modules"]), ""),
        (on(Op::Unlink, "/home/u/work/.git/index.lock"), ""),
        (moved("/home/u/work/.git/index.lock", "/home/u/work/.git/index", rename::OVERWRITE), ""),
        (moved("/home/u/work/.git/HEAD.lock", "/home/u/work/.git/HEAD", rename::OVERWRITE), ""),
        (moved("/home/u/work/.git/config.lock", "/home/u/work/.git/config", rename::OVERWRITE), ""),
        (on(Op::Unlink, "/home/u/work/.git/objects/pack/tmp_pack_x"), ""),
        (on(Op::Unlink, "/home/u/work/.git/refs/heads/topic"), ""),
        (device(Op::Rmdir, "/tmp/test-repo/.git", DIRECTORY), ""),
        (device(Op::Rmdir, "/home/u/work/node_modules/left/.git", DIRECTORY), ""),
    ]);
}

#[test]
fn what_git_starts_by_itself_is_let_through_and_the_same_by_hand_is_not() {
    let below = |parent: &str, operation: Operation| {
        let program = |file: &str| Program { file: file.into(), aliases: Vec::new() };
        let lineage = Lineage { programs: vec![program("/usr/bin/git"), program(parent)], whole: true };
        let circumstances = Circumstances { lineage: Found::Is(lineage), ..operation.circumstances.clone() };
        Operation { circumstances, ..operation }
    };
    let core = |arguments: &[&str]| exec("/usr/lib/git-core/git", &[&["/usr/lib/git-core/git"], arguments].concat());
    let reset = || core(&["reset", "--hard", "-q", "--no-recurse-submodules"]);
    let prune = |age: &str| core(&["prune", "--expire", age, "--no-progress"]);
    check(&[
        (below("/usr/bin/git", reset()), ""),
        (below("/usr/bin/git", core(&["clean", "--force", "--quiet", "-d", ":/"])), ""),
        (below("/usr/lib/git-core/git", prune("2.weeks.ago")), ""),
        (below("/usr/lib/git-core/git", core(&["reflog", "expire", "--all"])), ""),
        (below("/usr/bin/bash", reset()), "git-discard"),
        (below("/usr/bin/git", core(&["reset", "--hard", "-q"])), "git-discard"),
        (below("/usr/bin/git", core(&["clean", "-fdx"])), "git-discard"),
        (below("/usr/bin/git", prune("now")), "git-history"),
        (below("/usr/bin/bash", prune("2.weeks.ago")), "git-history"),
        (below("/usr/bin/git", core(&["reflog", "expire", "--all", "--expire=now"])), "git-history"),
        (below("/usr/bin/git", device(Op::Rmdir, "/home/u/work/.git", DIRECTORY)), ""),
        (below("/usr/bin/git", on(Op::Unlink, "/home/u/work/.git/HEAD")), "git-directory"),
        // Who it was is not known.
        (reset(), "git-discard"),
    ]);
}

#[test]
fn command_lines_are_understood_as_their_programs_read_them() {
    let git = |arguments: &[&str]| exec("/usr/bin/git", &[&["git"], arguments].concat());
    let run =
        |program: &str, arguments: &[&str]| exec(&format!("/usr/bin/{program}"), &[&[program], arguments].concat());
    let force = "git-force-push";
    check(&[
        (git(&["push", "--force"]), force),
        (git(&["push", "-f", "origin", "main"]), force),
        (git(&["push", "-uf"]), force),
        (git(&["-C", "/repo", "push", "--force-with-lease=main"]), force),
        (git(&["-c", "user.name=x", "--no-pager", "push", "origin", "+main"]), force),
        (git(&["--some-new-option", "value", "push", "--forc"]), force),
        (git(&["push", "origin", ":old"]), force),
        (git(&["push", "origin", "--delete", "old"]), force),
        (git(&["-c", "remote.origin.push=+refs/heads/*:refs/heads/*", "push"]), force),
        (exec("/usr/lib/git-core/git-push", &["git-push", "--mirror"]), force),
        (exec("/usr/lib/git-core/git", &["/usr/lib/git-core/git-push", "--force"]), force),
        (git(&["push"]), ""),
        (git(&["push", "-u", "origin", "main"]), ""),
        (git(&["push", "--follow-tags"]), ""),
        (git(&["commit", "-m", "push --force"]), ""),
        (git(&["fetch", "-f", "push"]), ""),
        (git(&["-C", "push", "status", "-f"]), ""),
        (git(&["checkout", "-f", "push"]), "git-discard"),
        (git(&["checkout", "push"]), ""),
        (exec("/usr/bin/grep", &["grep", "push", "--force"]), ""),
        (run("terraform", &["destroy"]), "terraform-destroy"),
        (run("tofu", &["-chdir=infra", "destroy", "-auto-approve"]), "terraform-destroy"),
        (run("terraform", &["apply", "--destroy"]), "terraform-destroy"),
        (run("terraform", &["state", "rm", "aws_db_instance.main"]), "terraform-destroy"),
        (run("terraform", &["apply", "-auto-approve"]), "terraform-apply"),
        (run("terraform", &["plan", "-destroy"]), ""),
        (run("terraform", &["state", "list"]), ""),
        (run("kubectl", &["delete", "pod", "x"]), "kubectl-delete"),
        (run("kubectl", &["--context", "prod", "-n", "web", "delete", "ns", "x"]), "kubectl-delete"),
        (run("kubectl", &["get", "pods", "-w"]), ""),
        (run("kubectl", &["-n", "delete", "get", "pods"]), ""),
        (run("helm", &["-n", "web", "uninstall", "x"]), "kubectl-delete"),
        (run("psql", &["-c", "DROP TABLE users"]), "sql-drop"),
        (run("psql", &["prod", "--command=begin; truncate\torders; commit"]), "sql-drop"),
        (run("psql", &["-c", "select/**/1;drop/**/schema x"]), "sql-drop"),
        (run("psql", &["-c", "select * from dropped_items"]), ""),
        (run("dropdb", &["prod"]), "sql-drop"),
    ]);
}

#[test]
fn arguments_that_could_not_be_held_are_judged_by_what_is_known() {
    let cut = |operation: Operation| Operation { doubt: doubt::ARGV, argc: 9000, ..operation };
    check(&[
        (cut(exec("/usr/bin/git", &["git", "push", "origin", "a"])), "doubt"),
        (cut(exec("/usr/bin/git", &["git", "push", "-f", "a"])), "git-force-push"),
        (cut(exec("/usr/bin/git", &["git", "add", "a", "b"])), ""),
        (cut(exec("/usr/bin/rustc", &["rustc", "a", "b"])), ""),
        (Operation { argc: 4, ..exec("/usr/bin/git", &["git", "push"]) }, "doubt"),
        (Operation { doubt: doubt::READ, ..exec("/usr/bin/rustc", &["rustc"]) }, "doubt"),
    ]);
}

#[test]
fn what_was_not_seen_whole_is_never_cleared_by_its_path() {
    let doubtful = |bits: u32, operation: Operation| Operation { doubt: bits, ..operation };
    let pipe = || device(Op::OpenWrite, "pipe:[7]", 0o010_000);
    let on_system = |op: Op, magic: u64| {
        let operation = device(op, "/", 0o100_000);
        Operation { target: ObjectFacts { magic, ..operation.target }, ..operation }
    };
    check(&[
        (doubtful(doubt::PATH, on(Op::Unlink, "/home/u/work/deep")), "doubt"),
        (doubtful(doubt::DETACHED, on(Op::Unlink, "/work/x")), "doubt"),
        (doubtful(doubt::DETACHED, on(Op::OpenWrite, "/x")), "doubt"),
        (on(Op::OpenWrite, ""), "doubt"),
        (doubtful(1 << 31, on(Op::Unlink, "/home/u/work/x")), "doubt"),
        // A pipe through /proc/self/fd: `tee /dev/stderr`.
        (doubtful(doubt::DETACHED, pipe()), ""),
        (doubtful(doubt::DETACHED | doubt::READ, pipe()), "doubt"),
        // pidfd_open(2), and the same file system's number on something else.
        (doubtful(doubt::DETACHED, on_system(Op::OpenWrite, 0x5049_4446)), ""),
        (doubtful(doubt::DETACHED, on_system(Op::Unlink, 0x5049_4446)), "doubt"),
    ]);
}

#[test]
fn secrets_are_held_and_what_lies_beside_them_is_not() {
    let secret = "read-credentials";
    check(&[
        (on(Op::OpenRead, "/home/u/.ssh/id_ed25519"), secret),
        (on(Op::OpenRead, "/home/u/.aws/credentials"), secret),
        (on(Op::OpenRead, "/home/u/.kube/config"), secret),
        (on(Op::OpenRead, "/home/u/.config/gcloud/credentials.db"), secret),
        (on(Op::OpenRead, "/etc/shadow"), secret),
        (Operation { other_path: "/home/u/work/k".into(), ..on(Op::Link, "/home/u/.ssh/id_rsa") }, secret),
        (on(Op::OpenRead, "/home/u/.ssh/id_ed25519.pub"), ""),
        (on(Op::OpenRead, "/home/u/.ssh/known_hosts"), ""),
        (on(Op::OpenRead, "/home/u/.aws/config"), ""),
        (on(Op::OpenRead, "/etc/passwd"), ""),
        (on(Op::OpenRead, "/home/u/work/.env.example"), ""),
        (on(Op::OpenWrite, "/home/u/.bashrc"), "persistence"),
        (on(Op::Mknod, "/etc/cron.d/job"), "persistence"),
        (on(Op::Mknod, "/boot/loader/entries/other.conf"), "persistence"),
        (on(Op::Mknod, "/etc/grub.d/99_other"), "persistence"),
        (moved("/home/u/work/k", "/home/u/.ssh/authorized_keys", rename::ELSEWHERE), "persistence"),
        (on(Op::OpenRead, "/home/u/.bashrc"), ""),
    ]);
}

#[test]
fn the_machine_and_guard_itself_are_kept() {
    check(&[
        (device(Op::OpenWrite, "/dev/sda", BLOCK), "device-write"),
        (device(Op::OpenWrite, "/home/u/work/disk", BLOCK), "device-write"),
        (device(Op::OpenRead, "/dev/sda", BLOCK), ""),
        (device(Op::OpenWrite, "/dev/null", CHAR), ""),
        (device(Op::OpenWrite, "/dev/mem", CHAR), "device-write"),
        (Operation { detail: [0o060_600, 8 << 20, 0, 0], ..on(Op::Mknod, "/tmp/sda") }, "device-write"),
        (device(Op::Ioctl, "/dev/sda", BLOCK), "device-write"),
        (device(Op::Ioctl, "/dev/pts/3", CHAR), "device-write"),
        // `cp` asks for a clone first, on every file system.
        (on(Op::Ioctl, "/home/u/work/copy"), ""),
        (on(Op::OpenWrite, "/proc/sys/kernel/ftrace_enabled"), "kernel-switches"),
        (on(Op::OpenWrite, "/proc/sysrq-trigger"), "kernel-switches"),
        (on(Op::OpenWrite, "/sys/fs/cgroup/user.slice/cgroup.procs"), "kernel-switches"),
        (on(Op::OpenRead, "/sys/fs/cgroup/user.slice/memory.max"), ""),
        (on(Op::OpenWrite, "/etc/guard/rules.d/x.yaml"), "guard-own-files"),
        (on(Op::Unlink, "/var/log/guard/audit.jsonl"), "guard-own-files"),
        (device(Op::Umount, "/sys/fs/bpf", DIRECTORY), "guard-own-files"),
        (on(Op::Mount, "/mnt"), "mounts"),
        (operation(Op::IoUring), "io-uring"),
        (operation(Op::Ptrace), "ptrace-outside"),
        (Operation { detail: [9, 1, 0, 0], ..operation(Op::Signal) }, "signal-outside"),
        (Operation { detail: [18, 1, 0, 0], ..operation(Op::Signal) }, ""),
    ]);
}

#[test]
fn sockets_of_powerful_services_are_held_however_they_are_named() {
    let unix = |path: &str| Operation { address: Some(Address::UnixPath(path.into())), ..operation(Op::Connect) };
    let inet = |address: &str| Operation {
        address: Some(Address::Inet(address.parse().expect("an address"))),
        ..operation(Op::Connect)
    };
    let socket = "privileged-sockets";
    check(&[
        (unix("/run/docker.sock"), socket),
        (unix("/var/run/docker.sock"), socket),
        (unix("//run/./docker.sock"), socket),
        (unix("../../run/docker.sock"), socket),
        (unix("/proc/self/root/run/docker.sock"), socket),
        (unix("/run/user/1000/bus"), socket),
        (unix("/tmp/tmux-1000/default"), ""),
        (unix("/run/user/1000/gnupg/S.gpg-agent"), ""),
        (Operation { address: Some(Address::UnixAbstract(b"x".to_vec())), ..operation(Op::Connect) }, ""),
        (inet("127.0.0.1:22"), socket),
        (inet("0.0.0.0:22"), socket),
        (inet("[::ffff:127.0.0.1]:22"), socket),
        (inet("[::1]:22"), socket),
        (inet("10.0.0.5:2375"), socket),
        (inet("140.82.112.3:443"), ""),
        (inet("127.0.0.1:8080"), ""),
    ]);
}

#[test]
fn work_in_the_workspace_is_no_candidate_at_all() {
    let tables = policy().tables();
    for op in [Op::Unlink, Op::Rmdir, Op::Truncate, Op::OpenWrite, Op::OpenRead, Op::Mknod, Op::Chmod, Op::Chown] {
        assert!(!tables.candidate(&on(op, "/home/u/work/src/main.rs")), "{op:?}");
        assert!(!tables.candidate(&on(op, "/tmp/cc1.o")), "{op:?}");
    }
    let renamed = Operation { other_path: "/home/u/work/b".into(), ..on(Op::Rename, "/home/u/work/a") };
    assert!(!tables.candidate(&renamed));
    let commit = moved("/home/u/work/.git/index.lock", "/home/u/work/.git/index", rename::OVERWRITE);
    assert!(!tables.candidate(&commit));
    for path in ["/usr/lib/libc.so.6", "/etc/ld.so.cache", "/home/u/.cargo/config.toml", "/usr/include/stdio.h"] {
        let read = on(Op::OpenRead, path);
        assert!(!tables.candidate(&read), "{path}");
    }
    assert!(!tables.candidate(&device(Op::OpenWrite, "/dev/null", CHAR)));
    assert!(!tables.candidate(&exec("/usr/bin/cc", &["cc", "-c", "x.c"])));
    assert!(tables.candidate(&on(Op::Unlink, "/srv/data/x")));
}

#[test]
fn commands_of_every_day_are_no_candidates_at_all() {
    let tables = policy().tables();
    let is_candidate = |line: &&&str| {
        let argv: Vec<&str> = line.split(' ').collect();
        tables.candidate(&exec(&format!("/usr/bin/{}", argv[0]), &argv))
    };
    let lines = [
        "git config --global user.name dev",
        "git clone -q origin.git shop",
        "git commit -q -m first",
        "git commit --amend -m again",
        "git checkout -q -b topic",
        "git checkout main",
        "git -C ../other add .",
        "git push -q -u origin main",
        "git rebase -q main",
        "git stash pop",
        "git merge --no-ff topic",
        "git log --format=%h",
        "npm install",
        "npm run build",
        "pip install requests",
        "cargo test",
        "docker build -t x .",
        "kubectl get pods",
        "rm -f note.txt",
        "sed -i s/a/b/ file",
        "find . -name x",
    ];
    let candidates: Vec<_> = lines.iter().filter(is_candidate).collect();
    assert!(candidates.is_empty(), "{candidates:#?}");
}

#[test]
fn an_unknown_workspace_protects_more() {
    let policy = load(None).expect("guard's own").policy(&super::compile::Scope::default());
    assert_eq!(rule_of(&policy, &on(Op::Unlink, "/home/u/work/x")), "delete-outside-workspace");
}

#[test]
fn every_rule_says_why_in_one_sentence() {
    for line in load(None).expect("guard's own").summary() {
        assert!(line.text.ends_with('.') && line.text.len() < 140 && !line.text.contains('\n'), "{line:?}");
    }
    for rule in load(None).expect("guard's own").iter() {
        let instead = &rule.info.instead;
        let is_sentence = instead.ends_with('.') && instead.len() < 140 && !instead.contains('\n');
        assert!(instead.is_empty() || is_sentence, "{}: {instead}", rule.info.name);
    }
}
