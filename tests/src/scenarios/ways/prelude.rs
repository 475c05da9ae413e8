//! What every program of ways begins with: system calls by name, starting programs, and trying one way in a process of its
//! own. Perl, because it makes any call with any arguments; nothing in here knows of guard.

pub(super) const TEXT: &str = r#"
use strict;
use constant {
    READ => 0, WRITE => 1, MMAP => 9, IOCTL => 16, PWRITE => 18, SENDFILE => 40, FSYNC => 74, FTRUNCATE => 77, CREAT => 85, FCHMOD => 91, FCHOWN => 93,
    LCHOWN => 94, PTRACE => 101, SETRESUID => 117, MKNOD => 133, PRCTL => 157, MOUNT => 165, SWAPON => 167, SWAPOFF => 168,
    TIMER_CREATE => 222, TIMER_SETTIME => 223, UNLINKAT => 263, LINKAT => 265, UNSHARE => 272, SPLICE => 275,
    FALLOCATE => 285, NAME_TO_HANDLE_AT => 303, OPEN_BY_HANDLE_AT => 304, SETNS => 308, PROCESS_VM_WRITEV => 311, RENAMEAT2 => 316, SECCOMP => 317,
    MEMFD_CREATE => 319, COPY_FILE_RANGE => 326, FSOPEN => 430, FSCONFIG => 431, FSMOUNT => 432, PIDFD_OPEN => 434, OPENAT2 => 437, PIDFD_GETFD => 438,
    FCHMODAT2 => 452, CWD => -100, O_TRUNC => 01001, O_PATH => 010000000, O_TMPFILE => 020200002,
};
$| = 1;
my $name;

# Copies, because syscall() wants to be able to write to every text.
sub call { my ($number, @copy) = @_; syscall($number, @copy) != -1 }
# A descriptor that lives on when its variable does not.
sub fd { my ($path, $flags) = @_; my $fd = syscall(2, $path, $flags, 0700); $fd < 0 ? 0 : $fd }
# A line of shell.
sub run { my $said = qx{( $_[0] ) 2>&1}; return 1 if $? == 0; $said =~ s/\s+/ /g; die "a program: $said\n" }
# What a program says piecemeal would come in the middle of what another way says: its code is enough.
sub quiet { open(STDERR, '>', '/dev/null') or die $! }
# A program under the name that stands before its arguments.
sub started {
    my ($file, @argv) = @_;
    my $pid = fork // die $!;
    if (!$pid) { quiet(); exec { $file } @argv; exit 200 + $! }
    ended($pid);
}
# Whether a process that was started ended well. More than 200 is an error of the start.
sub ended {
    waitpid($_[0], 0);
    return 1 if $? == 0;
    my $code = $? >> 8;
    $code > 200 or die "a program: ended with $code\n";
    $! = $code - 200;
    0;
}
# The same of a descriptor, by execveat(2).
sub executed {
    my ($fd, $one, $two) = @_;
    my $pid = fork // die $!;
    if (!$pid) { quiet(); call(322, $fd, "", pack("PPQ", $one, $two, 0), 0, 0x1000); exit 200 + $! }
    ended($pid);
}
# Until the process is stopped.
sub stopped {
    for (1 .. 2000) {
        open(my $f, '<', "/proc/$_[0]/stat") or return 0;
        return 1 if <$f> =~ /\) [Tt] /;
        select(undef, undef, undef, 0.02);
    }
    0;
}
# Does something once this process is stopped, in another of the same agent.
sub beside {
    my ($does) = @_;
    my $me = $$;
    my $pid = fork // die $!;
    return $pid if $pid;
    stopped($me) and $does->($me);
    exit 0;
}
# Goes on in a child, and ends this process when `$when` has come back. The child says what came of it.
sub orphaned {
    my ($when) = @_;
    my $pid = fork // die $!;
    if ($pid) { $when->($pid); exit 0 }
    print "$name is $$\n";
}
# What only a program in C can do. It says how it ended in the words of the kernel.
sub entry {
    my $pid = open(my $said, '-|', '/srv/entry', @_) // die $!;
    my $last = '';
    $last = $_ while <$said>;
    chomp $last;
    close($said) or die "$last\n";
    1;
}
# Until a stranger has done his part.
sub await { print "$name waits\n"; select(undef, undef, undef, 0.05) until -e "$_[0]/go" }
# Writes its number where a stranger looks.
sub told { open(my $f, '>', $_[0]) or die $!; print $f $$ }
# A stranger's process, and a place in its memory.
sub bystander { open(my $f, '<', $_[0]) or die $!; map { $_ + 0 } split(' ', <$f>) }
# What cannot wait is refused, and done again until it was approved, or once more after it was denied.
sub again {
    my ($d, $does) = @_;
    for (;;) {
        my $is_denied = -e "$d/denied";
        return 1 if $does->();
        return 0 if $is_denied;
        select(undef, undef, undef, 0.1);
    }
}
# A loop device of this number.
sub added { call(IOCTL, fd("/dev/loop-control", 2), 0x4c80, $_[0]); fd("/dev/loop$_[0]", 0) }
sub copied {
    my ($from, $to) = @_;
    open(my $in, '<', $from) or die $!;
    while (sysread($in, my $bytes, 1 << 20)) { syswrite($to, $bytes) == length($bytes) or die $! }
}
sub try {
    ($name, my ($d, $free, $does)) = @_;
    my $pid = fork // die $!;
    return if $pid;
    print "$name is $$\n";
    my $done = eval { $does->($d, $free) };
    my $error = $@ || $!;
    chomp $error;
    print "$name: ", $done ? "done" : "failed: $error", "\n";
    exit 0;
}
"#;
