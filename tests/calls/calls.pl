# Calls of the kernel that no ordinary program makes, one a word: `perl calls.pl WORD ARGUMENT…`. Says the error and ends
# with 1 where the call fails. Runs inside the agent and knows nothing of guard. The numbers are those of x86-64.
use strict;
use Socket qw(:all);

$| = 1;

# Perl passes no constants to the kernel, which might write to them: so copies of all.
sub call {
    my ($number, @words) = @_;
    return syscall($number, @words);
}

sub opened {
    my ($mode, $file) = @_;
    open(my $handle, $mode, $file) or return;
    return $handle;
}

# The descriptor of a process.
sub pidfd { return call(434, $_[0], 0) }

sub control {
    my ($file, $command, $data) = @_;
    my $handle = opened("+<", $file) or return -1;
    return ioctl($handle, $command, $data) // -1;
}

# Waits until `go` is in the workspace: what cannot be held is refused at once, and may succeed later.
sub twice {
    my ($call) = @_;
    $call->();
    select(undef, undef, undef, 0.05) until -e "go";
    return $call->();
}

sub address {
    my ($host, $port) = @_;
    return $host =~ /:/ ? pack_sockaddr_in6($port, inet_pton(AF_INET6, $host)) : pack_sockaddr_in($port, inet_pton(AF_INET, $host));
}

sub connected {
    my ($kind, $protocol, $host, $port, $prepare) = @_;
    socket(my $socket, $host =~ /:/ ? AF_INET6 : AF_INET, $kind, $protocol) or return -1;
    $prepare->($socket) if $prepare;
    connect($socket, address($host, $port)) or $!{EINPROGRESS} or return -1;
    # Some connect with the first byte only, or later.
    select(undef, my $ready = pack("b*", "0" x fileno($socket) . "1"), undef, 20);
    return defined(send($socket, "x", 0)) ? 0 : -1;
}

my %calls = (
    kill => sub { call(62, $_[0], $_[1]) },
    tgkill => sub { call(234, $_[0], $_[0], $_[1]) },
    sigqueue => sub { call(129, $_[0], $_[1], pack("iiix4iix104", $_[1], 0, -1, $$, 0)) },
    pidfd_send_signal => sub { my $fd = pidfd($_[0]); $fd < 0 ? -1 : call(424, $fd, $_[1], 0, $_[2] // 0) },
    ptrace => sub { call(101, 0x4206, $_[0], 0, 0) },
    # These write a byte of another process.
    proc_mem => sub {
        my ($pid, $at, $byte) = @_;
        my $memory = opened("+<", "/proc/$pid/mem") or return -1;
        sysseek($memory, $at, 0);
        return syswrite($memory, $byte) // -1;
    },
    process_vm_writev => sub {
        my ($pid, $at, $byte) = @_;
        my ($here, $there) = (pack("PQ", $byte, 1), pack("QQ", $at, 1));
        return call(311, $pid, $here, 1, $there, 1, 0);
    },
    # Writes to what another has open.
    pidfd_getfd => sub {
        my $process = pidfd($_[0]);
        return -1 if $process < 0;
        my $fd = call(438, $process, $_[1], 0);
        return $fd < 0 ? -1 : call(1, $fd, "x", 1);
    },
    process_madvise => sub {
        my ($pid, $at) = @_;
        my $fd = pidfd($pid);
        $fd < 0 ? -1 : call(440, $fd, pack("QQ", $at, 4096), 1, 20, 0);
    },
    migrate_pages => sub { call(256, $_[0], 64, pack("Q", 1), pack("Q", 1)) },
    move_pages => sub { call(279, $_[0], 0, 0, 0, 0, 2) },
    bpf_map_create => sub { call(321, 0, pack("LLLLx112", 2, 4, 8, 1), 128) },
    bpf_map_update => sub { call(321, 2, pack("Lx124", 999), 128) },
    bpf_link_detach => sub { call(321, 34, pack("Lx124", 999), 128) },
    bpf_prog_load => sub {
        my ($code, $licence) = (pack("C16", 0xb7, (0) x 7, 0x95, (0) x 7), "GPL\0");
        call(321, 5, pack("LLPPx104", 1, 2, $code, $licence), 128);
    },
    bpf_obj_get => sub { my $path = "$_[0]\0"; call(321, 7, pack("Px120", $path), 128) },
    # Anything shorter than the head of a module is not even looked at.
    init_module => sub { call(175, "no module" x 100, 900, "") },
    kexec_load => sub { call(246, 0, 0, 0, 0) },
    kexec_file_load => sub { my $file = opened("<", $_[0]) or return -1; call(320, fileno($file), -1, 0, 0, 4) },
    settimeofday => sub { call(164, pack("qq", $_[0], 0), 0) },
    ioperm => sub { call(173, 0x80, 1, 1) },
    fifreeze => sub { my $place = opened("<", $_[0]) or return -1; ioctl($place, 0xc0045877, 0) // -1 },
    mount => sub { my ($from, $to, $flags) = @_; call(165, $from, $to, 0, $flags, 0) },
    # With `MNT_DETACH`: somebody is there.
    umount => sub { call(166, $_[0], 2) },
    swapon => sub { call(167, $_[0], 0) },
    swapoff => sub { call(168, $_[0]) },
    loop_set_fd => sub { my $file = opened("+<", $_[1]) or return -1; control($_[0], 0x4c00, fileno($file)) },
    blkzeroout => sub { control($_[0], 0x127f, pack("QQ", 0, 4096)) },
    blksecdiscard => sub { control($_[0], 0x127d, pack("QQ", 0, 4096)) },
    blkroset => sub { control($_[0], 0x125d, pack("i", 1)) },
    blkrrpart => sub { control($_[0], 0x125f, 0) },
    blkpg => sub {
        my $part = pack("qqi", 4096, 8192, 1) . "\0" x 132;
        control($_[0], 0x1269, pack("iiix4P", 1, 0, length $part, $part));
    },
    sg_io => sub { control($_[0], 0x2285, "\0" x 128) },
    nvme_admin => sub { control($_[0], 0xc0484e41, "\0" x 128) },
    # A child in another cgroup, which removes a file.
    clone_into_cgroup => sub {
        my ($cgroup, $file) = @_;
        my $place = opened("<", $cgroup) or return -1;
        my $child = call(435, pack("Q11", 0x200000000, 0, 0, 0, 17, 0, 0, 0, 0, 0, fileno $place), 88);
        return -1 if $child < 0;
        if ($child == 0) {
            my $mine = opened("<", "/proc/self/cgroup");
            my ($last) = $cgroup =~ m{([^/]+)$};
            print "it is not there\n" and exit 3 unless <$mine> =~ m{/\Q$last\E$};
            print "$!\n" and exit 1 unless unlink $file;
            exit 0;
        }
        waitpid($child, 0);
        exit $? >> 8;
    },
    tcp => sub { connected(SOCK_STREAM, 0, @_) },
    nonblocking => sub { connected(SOCK_STREAM | SOCK_NONBLOCK, 0, @_) },
    udp => sub { connected(SOCK_DGRAM, 0, @_) },
    # 253 is a protocol for experiments.
    raw => sub { connected(SOCK_RAW, 253, $_[0], 0) },
    fast_open => sub { connected(SOCK_STREAM, 0, @_, sub { setsockopt($_[0], 6, 30, 1) or die "no fast open: $!\n" }) },
    mptcp => sub { connected(SOCK_STREAM, 262, @_) },
    unix => sub { socket(my $socket, AF_UNIX, SOCK_STREAM, 0); connect($socket, pack_sockaddr_un($_[0])) ? 0 : -1 },
);

my ($word, @arguments) = map { /^-?\d+$/ ? 0 + $_ : $_ } @ARGV;
my $again = $word =~ s/^twice-//;
my $call = $calls{$word} or die "no such call: $word\n";
my $answer = $again ? twice(sub { $call->(@arguments) }) : $call->(@arguments);
if (!defined $answer || $answer == -1) {
    print "$!\n";
    exit 1;
}
