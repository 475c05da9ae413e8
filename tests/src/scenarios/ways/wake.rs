//! Ways to wake, trace or stand in for what waits, from inside the agent: it stays undone until somebody decided. What takes
//! the place of the approved object is `before`.

use anyhow::Result;

use super::{Way, disguise, each_is_held, gone, way};
use crate::{
    guard::Guard,
    scenarios::{Scenario, gate},
};

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![gate("what_waits_stays_undone_whatever_wakes_or_traces_it", woken)]
}

const fn removal(name: &'static str, does: &'static str) -> Way {
    way(name, "unlink", does, |d| gone(d, "file"))
}

/// 18 is SIGCONT throughout.
const WAYS: &[Way] = &[
    // Refused: a second line of the try would say that it was not.
    removal(
        "continued_by_its_agent",
        r#"beside(sub { kill(18, $_[0]) and print "$name: woken\n" for 1 .. 20 }); unlink("$d/file")"#,
    ),
    removal(
        "traced_by_its_agent",
        r#"beside(sub { call(PTRACE, $_, $_[0], 0, 0) and print "$name: traced\n" for 16, 0x4206 }); unlink("$d/file")"#,
    ),
    // Of several threads it is another that the signal is for, and it wakes them all.
    removal(
        "thread_continued_by_its_agent",
        r#"my $pid = fork; if (!$pid) { exec("/srv/entry", "unlink_in_thread", "$d/file") }
           stopped($pid); kill(18, $pid); waitpid($pid, 0); $? == 0 or die "a program: ended with $?\n""#,
    )
    .woken(),
    removal(
        "timer",
        r#"my $event = pack("q l2 x48", 0, 18, 0); my $timer = pack("q", 0);
           syscall(TIMER_CREATE, 0, $event, $timer) == 0 or return 0;
           call(TIMER_SETTIME, unpack("l", $timer), 0, pack("q4", 0, 200000000, 0, 200000000), 0);
           unlink("$d/file")"#,
    )
    .woken(),
    // clone(2) with SIGCONT as what the parent gets when the child ends.
    removal(
        "end_of_a_child",
        r#"my $me = $$; my $pid = syscall(56, 18, 0, 0, 0, 0); if (!$pid) { stopped($me); exit } unlink("$d/file")"#,
    )
    .woken(),
    // F_SETOWN, F_SETSIG, F_SETFL with O_ASYNC.
    removal(
        "readable_pipe",
        r#"pipe(my $out, my $in); fcntl($out, 8, $$); fcntl($out, 10, 18); fcntl($out, 4, 020000);
           beside(sub { syswrite($in, "x") }); unlink("$d/file")"#,
    )
    .woken(),
    // PR_SET_PDEATHSIG. The signal counts as the parent's, and is refused like any other of its agent.
    removal(
        "end_of_its_parent",
        r#"orphaned(sub { stopped($_[0]) }); call(PRCTL, 1, 18, 0, 0, 0); unlink("$d/file")"#,
    ),
    // The kernel wakes a stopped process group that nobody is left to wake.
    removal(
        "orphaned_group",
        r#"$SIG{HUP} = "IGNORE"; orphaned(sub { stopped($_[0]) }); setpgrp(0, 0); unlink("$d/file")"#,
    )
    .woken(),
    // TIOCSPTLCK and TIOCGPTN: a terminal of its own, and its end.
    removal(
        "terminal_that_hangs_up",
        r#"$SIG{HUP} = "IGNORE"; my $terminal = fd("/dev/ptmx", 0402); my $number = pack("L", 0);
           call(IOCTL, $terminal, 0x40045431, $number) && syscall(IOCTL, $terminal, 0x80045430, $number) == 0 or return 0;
           orphaned(sub { stopped($_[0]) }); syscall(3, $terminal); syscall(112);
           fd("/dev/pts/" . unpack("L", $number), 2) or return 0; unlink("$d/file")"#,
    )
    .woken(),
    removal(
        "fg_and_bg",
        r#"my $typed = "rm $d/file\nbg\nfg\nuntil [ -z \"\$(jobs -s)\" ]; do sleep 0.2; done\ntest ! -e $d/file\nexit \$?\n";
           run("printf '$typed' | script -qec 'bash -i' /dev/null")"#,
    ),
    // PTRACE_TRACEME, and PTRACE_CONT without the signal at every stop. Perl's own wait keeps nothing of a stop: wait4(2).
    removal(
        "tracer_from_before",
        r#"my ($pid, $status) = (fork, pack("L", 0));
           if (!$pid) { call(PTRACE, 0, 0, 0, 0); kill(19, $$); exit(unlink("$d/file") ? 0 : 200 + $!) }
           while (syscall(61, $pid, $status, 0, 0) == $pid && (unpack("L", $status) & 0xff) == 0x7f) {
               select(undef, undef, undef, 0.1); call(PTRACE, 7, $pid, 0, 0);
           }
           $! = (unpack("L", $status) >> 8) - 200; unpack("L", $status) == 0"#,
    )
    .woken(),
    // SECCOMP_SET_MODE_FILTER with a listener, on unlink(2): another process hears of the call and does it itself.
    removal(
        "supervisor",
        r#"my $filter = pack("S C2 L" x 4, 0x20, 0, 0, 0, 0x15, 0, 1, 87, 0x06, 0, 0, 0x7fc00000, 0x06, 0, 0, 0x7fff0000);
           my $program = pack("S x6 P", 4, $filter);
           my $listener = syscall(SECCOMP, 1, 8, $program); $listener > 0 or return 0;
           my $pid = fork;
           if (!$pid) { exit(unlink("$d/file") ? 0 : 200 + $!) }
           my $asked = "\0" x 80; syscall(IOCTL, $listener, 0xc0502100, $asked) == 0 or return 0;
           my $error = call(UNLINKAT, CWD, "$d/file", 0) ? 0 : -$!;
           my $answer = pack("Q q l L", unpack("Q", $asked), 0, $error, 0);
           syscall(IOCTL, $listener, 0xc0182101, $answer) == 0 or return 0;
           waitpid($pid, 0); $! = ($? >> 8) - 200; $? == 0"#,
    ),
];

fn woken(guard: &mut Guard) -> Result<()> {
    disguise::compile()?;
    each_is_held(guard, WAYS)
}
