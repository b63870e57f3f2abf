#!/usr/bin/perl
# A handler in Perl, core modules only, written from docs/abi.md: a test of that page. Perl has neither mmap nor atomics,
# so both are system calls here. What it does with an event is what tell.c and tell.py do.
use strict;
use warnings;
use Compress::Zlib ();
use Fcntl qw(F_SETFD FD_CLOEXEC);
use IO::Handle;
use POSIX ();

# System calls of x86-64 and arm64 (asm/unistd.h); epoll_wait is epoll_pwait there.
my ($MMAP, $MUNMAP, $MADVISE, $EPOLL_PWAIT, $RECVMSG, $FUTEX, $GETTID) =
    (POSIX::uname)[4] eq 'aarch64' ? (222, 215, 233, 22, 212, 98, 178) : (9, 11, 28, 281, 47, 202, 186);

my ($CHANNEL, $PAGE, $WAITER, $ANSWERS) = (3, 4, 5, 6);                                   # section 1
my ($HEAD, $TAKEN, $ANSWERED, $HANDLER_SLEEPS, $SUPERVISOR_SLEEPS) = (64, 128, 132, 192, 256); # section 2
my ($HELLO, $NONCE, $DESCRIPTOR, $ERROR, $STOP, $REPLY, $GROW) = (1 .. 7);                # section 3
my ($BORN, $ANSWER, $ENDED, $UNBORN, $ALLOC, $PLACE) = (8 .. 13);                         # sections 9 and 10
my $zygote = ($ENV{AEM_LIFE} // '') eq 'zygote';
my $shared = ($ENV{AEM_COPY} // '') eq 'shared';
my ($DONE, $RETRY, $FAIL) = (1, 2, 3);
my ($SET, $ADD) = (0, 1); # FUTEX_OP_SET, FUTEX_OP_ADD: man 2 futex

if (($ENV{AEM_ABI} // '') ne '1') {
    print STDERR "not started by aem-exec\n";
    exit 2;
}
delete $ENV{AEM_ABI};

sub sys {
    my ($name, $number, @args) = @_;
    my $got = syscall $number, @args;
    die "$name: $!\n" if $got == -1;
    return $got;
}

# peek reads memory.
sub peek { my ($address, $size) = @_; $size ? unpack("P$size", pack 'Q', $address) : '' }

# open_fd makes a Perl handle of an inherited descriptor.
sub open_fd {
    my ($mode, $fd) = @_;
    open my $handle, "$mode&=$fd" or die "descriptor $fd: $!\n";
    binmode $handle;
    fcntl $handle, F_SETFD, FD_CLOEXEC;
    return $handle;
}

my ($channel, $file, $waiter, $answers) = map { open_fd('+<', $_) } $CHANNEL, $PAGE, $WAITER, $ANSWERS;

# The page: PROT_READ|PROT_WRITE, MAP_SHARED.
my $page = sys('mmap', $MMAP, 0, 4096, 3, 1, $PAGE, 0);
my ($magic, $version, undef, $page_size) = unpack 'LSSL', peek($page, 12);
sys('madvise', $MADVISE, $page, 4096, 10) if $zygote; # MADV_DONTFORK
die "the control page is not of ABI 1\n" if $magic != 0x314d4541 || $version != 1 || $page_size != 4096;

# atomic sets a word of the page to a number, or adds that to it, and is a barrier: FUTEX_WAKE_OP is the kernel's way of
# an atomic operation on a word of ours (include/uapi/linux/futex.h, FUTEX_OP). The futex part wakes nobody.
sub atomic {
    my ($op, $word, $by) = @_;
    sys('futex', $FUTEX, $page + $word, 5 | 128, 0, 0, $page + $word, $op << 28 | $by << 12);
}

# word reads a word of the page; what is read after it is not older.
sub word {
    my $value = unpack 'L', peek($page + $_[0], 4);
    atomic($ADD, $TAKEN, 0);
    return $value;
}

# put writes bytes to the page that its other side does not read yet. The page is a file, too.
sub put {
    my ($offset, $bytes) = @_;
    sysseek $file, $offset, 0 or die "page: $!\n";
    syswrite($file, $bytes) == length $bytes or die "page: $!\n";
}

# SIGTERM is let in while we sleep only, and looked for before each event.
my $term = POSIX::SigSet->new(POSIX::SIGTERM());
POSIX::sigprocmask(POSIX::SIG_BLOCK(), $term);
$SIG{TERM} = sub { exit 0 };
$SIG{PIPE} = 'IGNORE';

sub stopped {
    my $pending = POSIX::SigSet->new;
    POSIX::sigpending($pending);
    return $pending->ismember(POSIX::SIGTERM());
}

sub tell_supervisor {
    my ($kind, $number, $body) = @_;
    defined send $channel, pack('LSSLL', 0x314d4541, 1, $kind, length $body, $number) . $body, 0 or exit 0;
}

my ($passed, $ending, $number, $body) = (undef, 0);
my ($streams, %children); # what the next child writes to; pids by the numbers of their events

# bury waits for a child that has ended, and tells how it did.
sub bury {
    my ($number) = @_;
    waitpid(delete $children{$number} // die("no child has event $number\n"), 0) > 0 or die "waitpid: $!\n";
    tell_supervisor($ENDED, $number, pack 'LL', $?, 0);
}

# receive waits for one message: struct msghdr of 56 bytes, one iovec, room for three descriptors (man 2 recvmsg).
sub receive {
    my ($message, $control) = (pack('x1040'), pack('x32'));
    my $iovec = pack 'PQ', $message, 1040;
    my $header = pack 'QQPQPQQ', 0, 0, $iovec, 1, $control, 32, 0;
    my $got = syscall $RECVMSG, $CHANNEL, $header, 0x40000000; # MSG_CMSG_CLOEXEC
    return 0 if $got == -1 && $!{EINTR};
    exit 0 if $got <= 0;
    my ($magic, $version, $kind, $size);
    ($magic, $version, $kind, $size, $number) = unpack 'LSSLL', $message;
    die "a message that is not of ABI 1\n" if $got != 16 + $size || $magic != 0x314d4541 || $version != 1;
    $body = substr $message, 16, $size;
    my $length = unpack 'Q', $control; # of what came with it
    my @fds = $length ? unpack 'x16 l' . ($length - 16) / 4, $control : ();
    $streams = [splice @fds, 0, 2] if $zygote && $kind == $DESCRIPTOR;
    $passed = $fds[0] if @fds;
    bury($number) if $zygote && $kind == $ENDED;
    $ending = 1 if $kind == $STOP;
    return $kind;
}

# hello makes an arena, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS or MAP_SHARED of what was passed, and
# MADV_POPULATE_WRITE, and proves it: section 4.
my ($arena, $arena_size);
my $app = ($ENV{AEM_ALLOC} // '') eq 'app' ? 1 : 0;

sub hello {
    sys('munmap', $MUNMAP, $arena, $arena_size) if $arena;
    $arena_size = 0 + $_[0]; # a string would be a pointer to syscall
    $arena = sys('mmap', $MMAP, 0, $arena_size, 3, defined $passed ? (1, $passed) : (0x22, -1), 0);
    POSIX::close($passed) if defined $passed;
    $passed = undef;
    sys('madvise', $MADVISE, $arena, $arena_size, 23);
    sys('madvise', $MADVISE, $arena, $arena_size, 10) if $zygote && $shared;
    tell_supervisor($HELLO, 0, pack 'QQLLLL', $arena, $arena_size, $$, syscall($GETTID), $zygote ? 64 : $ARGV[0] // 1,
        ($zygote ? 1 : 0) | $app << 1 | 8);
    while ((my $kind = receive()) != $NONCE) { exit 0 if $kind == $STOP }
    tell_supervisor($NONCE, 0, peek($arena, 16));
}

$passed = 7 if $shared;
hello($ENV{AEM_ARENA_SIZE} // 1 << 20);

# place is section 9. Each block lies where the one before ended, its data at a page; all is free again when every event
# was answered, which is when it is asked again.
sub place {
    my ($at, $end, @places) = ($arena, $arena + $arena_size);
    for (my @needs = unpack 'Q*', $body; my ($size, $data_at) = splice @needs, 0, 2;) {
        $at = ($at + $data_at + 4095 & ~4095) - $data_at;
        push @places, $at < $end && $at + $size <= $end ? $at : 0;
        $at = $places[-1] ? $at + $size : $end;
    }
    tell_supervisor($PLACE, $number, pack 'Q*', @places);
}

# Section 7.
sub event {
    my ($at) = @_;
    my %e;
    (my $magic, my $head, @e{qw(size number id job time deadline attempt count priority flags)}, my $facts, my $facts_size,
        my $data_at, my $data_size) = unpack 'LLQQQQqqLLLLLLQQ', peek($at, 96);
    die "a block that is not of ABI 1\n" if $magic != 0x454d4541;
    my $rest = peek($at + $head, $facts_size);
    for (1 .. $facts) {
        my ($n, $v) = unpack 'SS', $rest;
        $e{facts}{substr $rest, 4, $n} = substr $rest, 4 + $n + 1, $v;
        $rest = substr $rest, (4 + $n + 1 + $v + 1 + 7) & ~7;
    }
    $e{data} = peek($at + $data_at, $data_size);
    return \%e;
}

# conn says a byte on the event's connection and wants one back.
sub conn {
    my ($e) = @_;
    my $conn = open_fd('+<', $e->{fd});
    syswrite $conn, '!';
    sysread $conn, my $byte, 1;
    return $DONE;
}

my %commands = (
    done  => sub { $DONE },
    retry => sub { ($RETRY, 0, 'not yet') },
    after => sub { ($RETRY, 300, 'busy') },
    fail  => sub { ($FAIL, 0, 'gave up') },
    long  => sub { ($FAIL, 0, 'x' x 4096) },
    third => sub { $_[0]{attempt} < 3 ? ($RETRY, 0, "attempt $_[0]{attempt}") : $DONE },
    second => sub { $_[0]{attempt} < 2 ? ($RETRY, 300, 'later') : $DONE },
    reply => sub { ($DONE, 0, '', 'pong') },
    die   => sub { POSIX::_exit(3) },
    conn  => \&conn,
    facts => sub {
        my %f = (topic => '-', none => '-', %{ $_[0]{facts} });
        ($FAIL, 0, join ' ', @{ $_[0] }{qw(id job attempt count priority time deadline)}, @f{qw(app event handler type topic none)});
    },
);

# destruct is section 12. What it has to do is to say so.
sub destruct {
    my ($e) = @_;
    print STDERR "destruct $e->{data} $e->{attempt} $e->{facts}{interrupted}\n";
    return $DONE;
}

# run runs an event, sends what is said of it, and returns the answer.
sub run {
    my ($e) = @_;
    my $command = $commands{ $e->{data} }
        || ($e->{data} =~ /^=/ ? sub { ($DONE, 0, '', $e->{data}) } : undef)
        || sub { ($FAIL, 0, sprintf '%d %08x', length $e->{data}, Compress::Zlib::crc32($e->{data})) };
    my ($outcome, $delay, $text, $reply) = $e->{flags} & 1 ? destruct($e) : $command->($e);
    $_ //= '' for $text, $reply;
    tell_supervisor($ERROR, $e->{number} % 2**32, $text) if length $text;
    tell_supervisor($REPLY, $e->{number} % 2**32, $_) for unpack '(a4096)*', $reply;
    return pack 'QLLLLQQ', $e->{number}, $outcome, $delay // 0, length $text, 0, length $reply, 0;
}

# copy has a copy of the process run an event: section 10. The event's data is Perl's own by now, whatever the arena is.
sub copy {
    my ($e) = @_;
    my $number = $e->{number} % 2**32;
    my @fds = @$streams;
    $streams = undef;
    $_->flush for *STDOUT{IO}, *STDERR{IO};
    my $pid = fork;
    if (defined $pid && $pid == 0) {
        $SIG{TERM} = 'DEFAULT';
        POSIX::sigprocmask(POSIX::SIG_UNBLOCK(), $term);
        POSIX::setsid();
        tell_supervisor($BORN, $number, '');
        POSIX::dup2($fds[$_], $_ + 1), POSIX::close($fds[$_]) for 0, 1;
        my $answer = run($e);
        $_->flush for *STDOUT{IO}, *STDERR{IO};
        tell_supervisor($ANSWER, $number, $answer);
        POSIX::_exit(0);
    }
    defined $pid ? $children{$number} = $pid : tell_supervisor($UNBORN, $number, pack 'LL', $! + 0, 0);
    POSIX::close($_) for @fds, $e->{fd} // ();
}

# Sections 5 and 6.
my ($taken, $answered) = (0, 0);
until (stopped()) {
    if (word($HEAD) != $taken % 2**32) {
        my ($offset, $size, $flags) = unpack 'QLL', peek($page + 512 + $taken % 64 * 16, 16);
        receive() while $zygote ? !$streams : $flags & 1 && !defined $passed;
        my $e = event($app ? $offset : $arena + $offset);
        ($e->{fd}, $passed) = ($passed, undef);
        $taken++;
        atomic($ADD, $TAKEN, 1);
        if ($zygote) {
            copy($e);
            next;
        }
        put(1536 + $answered % 64 * 40, run($e));
        $answered++;
        atomic($ADD, $ANSWERED, 1);
        if (word($SUPERVISOR_SLEEPS)) {
            atomic($SET, $SUPERVISOR_SLEEPS, 0);
            syswrite $answers, pack 'Q', 1;
        }
        next;
    }
    last if $ending;
    atomic($SET, $HANDLER_SLEEPS, 1);
    if (word($HEAD) == $taken % 2**32) {
        my ($ready, $no_signals) = (pack('x32'), pack('x8')); # syscall takes no constants for strings
        my $n = syscall $EPOLL_PWAIT, $WAITER, $ready, 2, -1, $no_signals, 8; # struct epoll_event: 12 bytes on x86-64, 16 on arm64
        my $size = $EPOLL_PWAIT == 22 ? 16 : 12;
        for my $i (0 .. $n - 1) {
            my $what = unpack 'Q', substr $ready, $i * $size + $size - 8, 8;
            my $kind = $what == 2 ? receive() : 0;
            hello($number) if $kind == $GROW; # section 8
            place() if $kind == $ALLOC;
        }
    }
    atomic($SET, $HANDLER_SLEEPS, 0);
}
