"""Handlers of aem-exec in Python: one file, to lie beside the script. Python 3.9, Linux on x86-64 or arm64.

    import aem

    def order(e):
        print("order", e.id, e.json()["sku"])

    aem.run(order)

The event is complete in the program's memory before the function is called. How the function ends is the event's fate:
a return is done, an exception is tried again, Fail is not, After is tried again later. What it returns, bytes or the
like or a str, is the reply: it goes to whoever can take it, a publisher that waits or the sender of a datagram.

docs/abi.md says all that passes between a handler and the supervisor; section numbers below are that page's.
"""

import contextlib
import ctypes
import gc
import mmap
import os
import select
import signal
import socket
import struct
import sys
import threading

__all__ = ["After", "Event", "Fail", "Memory", "run"]


class Fail(Exception):
    """The event failed, and another attempt would too."""


class After(Exception):
    """The attempt failed; the next one comes after so many seconds."""

    def __init__(self, delay, *args):
        super().__init__(*args)
        self.delay = delay


class Event:
    """One event, valid until the function that got it returns. Facts are attributes: e.topic, e.peer, e.path.

    id        the same at every attempt
    job       id of the job
    time      when it was detected, as time.time()
    deadline  when it must be answered, as time.time(), or None
    attempt   1 is the first
    count     arrivals in it
    priority  0 to 31, larger is more urgent
    data      memoryview of the data; bytes(e.data) keeps it

    interrupted  for a destructor: None when the function came to its end, else how the process ended that had the event,
                 in the word that the log has for it, as "signal", "exit", "timeout" or "oom"
    """

    def __init__(self, block, fd):
        (magic, head, _, self._number, self.id, self.job, detected, deadline, self.attempt, self.count, self.priority,
         flags, facts, facts_size, start, size) = _BLOCK.unpack_from(block)
        if magic != _BLOCK_MAGIC or head + facts_size > start or start + size > len(block):
            raise _Broken("take event: no block of ABI 1 where it should be")
        self.time = detected / 1e9
        self.deadline = deadline / 1e9 if deadline else None
        self.data = block[start:start + size].toreadonly()
        self._packed = bytes(block[head:head + facts_size]), facts  # for who asks: what runs first takes long after a sleep
        self.interrupted = self.fact("interrupted", "unknown") if flags & _INTERRUPTED else None
        self._fd = fd
        self._conn = None

    def fact(self, name, default=None):
        """The value of a fact. All events have app, event, handler and type."""
        return self._facts.get(name, default)

    def __getattr__(self, name):
        if name == "_facts":
            self._facts = dict(_read_facts(*self.__dict__["_packed"]))
            return self._facts
        try:
            return self._facts[name]
        except KeyError:
            raise AttributeError(f"the event has no fact {name!r}") from None

    def json(self):
        """The data, decoded."""
        import json
        return json.loads(bytes(self.data))

    @property
    def conn(self):
        """The connection that came with the event, as a socket. run closes it; detach or dup it to keep it."""
        if self._conn is None:
            if self._fd is None:
                raise OSError("the event has no connection")
            self._conn, self._fd = socket.socket(fileno=self._fd), None
        return self._conn

    def _end(self):
        if self._conn is not None:
            self._conn.close()
        if self._fd is not None:
            os.close(self._fd)
        with contextlib.suppress(BufferError):  # the function kept a view of it, which will show other events
            self.data.release()


class Memory:
    """An application's own scheme of allocation: it says where each event lands. For arena.alloc = "app".

    alloc  alloc(size, data_at) finds room for an event's block of size bytes, which has the event's data at data_at. It
           returns an offset in arena, a multiple of 64, or None if there is no room now
    free   free(offset, size) takes a block back when its event was answered. Without it what landed stays where it is
           until alloc gives the place out again
    arena  where events may land, a mmap.mmap of at least 4096 bytes. Without it one of arena.size bytes is made, as it is
           with arena.copy = "shared", and set before the first alloc
    """

    def __init__(self, alloc, free=None, arena=None):
        self.alloc, self.free, self.arena = alloc, free, arena


def run(function, ahead=1, memory=None, constructor=None, destructor=None):
    """Calls function(event) with one event after the other, until SIGTERM, the supervisor's word or its end.

    It is to be called on the main thread, and takes SIGTERM for itself: the current event is finished. ahead lets the
    supervisor write up to so many events, 1 to 64, ahead of the one that the function has. memory says where they land.
    Where the program was not started by aem-exec it exits with status 2, where the supervisor cannot be understood with
    status 1.

    constructor(event) is called right before the function, for each attempt at an event, and destructor(event) right
    after it, whatever became of the other two: an exception in the constructor keeps the function from being called, and
    none does the destructor. The first is the event's fate, as if the function had raised it. When the process ends in the middle
    of an attempt, another process of the same handler calls the destructor for it, with event.interrupted set and without a
    connection, before the event has its fate or is tried again. That is tried once.

    With life = "zygote" each call is made in a copy of the process, by os.fork: the function finds all as the program
    left it when it called run, and what it changes ends with it. Only the thread that called run is in the copy; a lock
    that another holds at that moment is never let go there. What atexit registered is not called in the copy.
    """
    if os.environ.pop("AEM_ABI", None) != "1":
        print("not started by aem-exec: AEM_ABI is not 1 (name this program in a handler's exec, "
              'with handover = "direct")', file=sys.stderr)
        sys.exit(2)
    if (os.environ.get("AEM_ALLOC") == "app") != (memory is not None):
        print('arena.alloc is "app": the program has to say where events land (memory)' if memory is None else
              'the program says itself where events land (memory): its handler needs arena.alloc = "app"', file=sys.stderr)
        sys.exit(1)
    sys.stdout.reconfigure(line_buffering=True)  # it is the log, and a resident handler may never end
    try:
        inbox = _Inbox(int(os.environ.get("AEM_ARENA_SIZE", 1 << 20)), ahead, memory)
        function = _around(constructor, function, destructor)
        inbox.flags |= _HELLO_DESTRUCT if destructor else 0
        inbox.stop_on_term()
        inbox.confine()
        inbox.greet()
        if inbox.zygote:
            _warn_of_threads()
            gc.collect()
            gc.freeze()  # what is there by now: the collector would write to it in each copy, and so copy it
        while True:
            event = inbox.take()
            if inbox.zygote:
                inbox.fork(function, event)
            else:
                inbox.answer(event._number, *_call(function, event))
    except (_End, BrokenPipeError, ConnectionResetError):
        pass
    except _Broken as e:
        print("aem:", e, file=sys.stderr)
        sys.exit(1)


def _around(constructor, function, destructor):
    """The function with what is around it. What ends the process, as SystemExit, leaves the destructor to another one."""
    if not constructor and not destructor:
        return function
    construct, destruct = constructor or _nothing, destructor or _nothing

    def whole(event):
        reply = None
        try:
            if not event.interrupted:
                construct(event)
                reply = function(event)
        except Exception as failure:
            try:
                destruct(event)
            except Exception:
                raise failure  # the first is the fate
            raise
        destruct(event)
        return reply

    return whole


def _nothing(event):
    pass


def _call(function, event):
    outcome = _judge(function, event)
    event._end()
    return outcome


def _warn_of_threads():
    threads = len(os.listdir("/proc/self/task"))
    if threads > 1:
        print(f"aem: this zygote has {threads} threads and its copies will have one: a lock that another holds at a fork "
              "is never let go in the copy", file=sys.stderr)


def _judge(function, event):
    """Runs function: outcome, delay in ms, text, reply. What is no Exception, as SystemExit, ends the process instead."""
    try:
        return _DONE, 0, b"", _reply(function(event))
    except Fail as e:
        return _FAIL, 0, _text(str(e)), b""
    except After as e:
        return _RETRY, min(max(0, round(e.delay * 1000)), 0xFFFFFFFF), _text(str(e)), b""
    except Exception:
        import traceback
        return _RETRY, 0, _text(traceback.format_exc()), b""


def _text(s):
    return s.encode(errors="replace")[-_MAX_BODY:]  # the end of a traceback tells most


def _reply(returned):
    """The bytes of what a function returned. What is no reply is final: the function has done its work."""
    if returned is None:
        return b""
    try:
        reply = returned.encode() if isinstance(returned, str) else bytes(memoryview(returned))
    except TypeError:
        raise Fail(f"the reply is {type(returned).__name__}, want bytes or the like, str or None") from None
    if len(reply) > _MAX_REPLY:
        raise Fail(f"the reply has {len(reply)} bytes, at most {_MAX_REPLY} are allowed")
    return reply


class _End(Exception):
    """There are no more events to come."""


class _Broken(Exception):
    """The supervisor cannot be understood."""


_CHANNEL, _PAGE, _WAITER, _ANSWERS, _ARENA, _FILTER = 3, 4, 5, 6, 7, 8
_HELLO, _NONCE, _DESCRIPTOR, _ERROR, _STOP, _REPLY, _GROW = 1, 2, 3, 4, 5, 6, 7
_BORN, _ANSWER, _ENDED, _UNBORN, _ALLOC, _PLACE = 8, 9, 10, 11, 12, 13
_HELLO_ZYGOTE, _HELLO_ALLOC, _HELLO_FILTERED, _HELLO_DESTRUCT = 1, 2, 4, 8  # flags
_INTERRUPTED = 1  # flag of a block
_DONE, _RETRY, _FAIL = 1, 2, 3
_MAGIC, _BLOCK_MAGIC = 0x314D4541, 0x454D4541
_WAIT_CHANNEL = 2
_SLOTS = 64
_MAX_BODY = 4096
_MAX_REPLY = 1 << 20

# The words of the control page, as indices of 4 bytes; its rings, as offsets.
_HEAD, _TAKEN, _ANSWERED, _HANDLER_SLEEPS, _SUPERVISOR_SLEEPS = 64 // 4, 128 // 4, 132 // 4, 192 // 4, 256 // 4
_ENTRIES, _ANSWER_RING = 512, 1536

_MESSAGE = struct.Struct("<IHHII")
_GREETING = struct.Struct("<QQIIII")
_PAGE_HEADER = struct.Struct("<IHHIIIII")
_ENTRY = struct.Struct("<QII")
_BLOCK = struct.Struct("<IIQQQQqqIIIIIIQQ")
_NEED = struct.Struct("<QQ")
_FATE = struct.Struct("<QQQQQ")
_WORD = struct.Struct("<Q")

_HUGE_PAGE = 2 << 20
_MADV_POPULATE_WRITE = 23  # linux/mman.h, Linux 5.14

# Memory order. Storing to or loading from a memoryview cast to "I" or "Q" is one machine instruction, a memcpy of
# constant size (CPython, Objects/memoryobject.c), but orders nothing. What orders is this system call, a full barrier for
# the thread that makes it on every machine (man 2 membarrier; kernel/sched/membarrier.c). There is one between what a
# word publishes and the word, between a word and what it publishes, and between a store and a load that must not pass
# it, so that the other side, whose accesses are sequentially consistent, sees what sections 5 and 6 want it to see.
# x86-64 keeps loads in their order, and stores in theirs (Intel SDM 3A, Memory Ordering): there only the last kind wants a
# fence, whose first call after a sleep takes 30 us. PyDLL, because giving up the interpreter's lock would take longer than the call.
_MEMBARRIER, _SECCOMP = {"x86_64": (324, 317), "aarch64": (283, 277)}.get(os.uname().machine, (-1, -1))
_ORDERED = os.uname().machine == "x86_64"
_GLOBAL_EXPEDITED = 2  # the command that needs no registration and does not wait
_system_call = ctypes.PyDLL(None).syscall
_SET_FILTER, _TSYNC = 1, 1  # SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC: man 2 seccomp


def _fence():
    if _system_call(_MEMBARRIER, _GLOBAL_EXPEDITED, 0, 0) != 0:
        raise _Broken("membarrier was refused: the policy must allow it, and the kernel have it")


def _order():
    """A fence between two loads, or two stores."""
    if not _ORDERED:
        _fence()


def _warm_up():
    """Imports what this file imports late, and what that imports late: a filter may deny to open files."""
    import json  # noqa: F401
    import traceback
    try:
        raise Fail
    except Fail:
        traceback.format_exc()


def _read_facts(b, count):
    at = 0
    for _ in range(count):
        name, value = struct.unpack_from("<HH", b, at)
        start, middle = at + 4, at + 4 + name + 1
        yield str(b[start:start + name], "ascii"), os.fsdecode(bytes(b[middle:middle + value]))
        at += (4 + name + 1 + value + 1 + 7) & ~7


class _Inbox:
    """The handler's end: sections 1 to 6, and 10."""

    def __init__(self, arena_size, in_flight, memory, given=None):
        """The descriptors are at their numbers, or those given: then the environment says nothing."""
        self.shared = os.environ.get("AEM_COPY") == "shared" if given is None else len(given) == 5
        self.zygote = given is None and os.environ.get("AEM_LIFE") == "zygote"
        fds = given or (_CHANNEL, _PAGE, _WAITER, _ANSWERS, _ARENA)
        self.children = {}  # pids by the numbers of their events
        self.streams = None  # what the next child is to write to
        for fd in fds[:4]:
            os.set_inheritable(fd, False)
        self.channel = socket.socket(fileno=fds[0])
        self.waiter = select.epoll.fromfd(fds[2])
        self.page = mmap.mmap(fds[1], 4096)
        self.bell = fds[3]
        magic, version, _, size, entries, _, answers, _ = _PAGE_HEADER.unpack_from(self.page)
        if (magic, version, size, entries, answers) != (_MAGIC, 1, 4096, _SLOTS, _SLOTS):
            raise _Broken("map control page: not one of ABI 1")
        self.words = memoryview(self.page).cast("I")
        self.answers = memoryview(self.page)[_ANSWER_RING:].cast("Q")
        self.taken = self.answered = 0  # the page has them modulo 2^32
        # A descriptor that is not used yet: an event's, or a shared arena's.
        self.passed = fds[4] if self.shared else None
        self.ending = self.stopped = False
        self.memory = memory
        self.flags = (_HELLO_ZYGOTE if self.zygote else 0) | (_HELLO_ALLOC if memory else 0)
        self.in_flight = _SLOTS if self.zygote else in_flight
        if self.zygote:
            self.page.madvise(mmap.MADV_DONTFORK)  # a child has nothing to do there
        self.wish = arena_size  # the size of the arena that is wanted
        if memory and memory.arena and self.passed is None:
            self.use_arena(memory.arena)
        else:
            self.make_arena()

    def make_arena(self):
        """Makes the memory that events land in, or maps that which was passed, with all its pages present: section 4."""
        self.arena = None  # the one before goes first, unless a function kept a view of it
        size = max(self.wish, 4096) + -self.wish % 4096
        huge, skip = size >= _HUGE_PAGE, 0
        if self.passed is not None:
            mapping = mmap.mmap(self.passed, size)
            os.close(self.passed)
            self.passed = None
            address = ctypes.addressof(ctypes.c_char.from_buffer(mapping))
        else:
            mapping = mmap.mmap(-1, size + huge * _HUGE_PAGE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
            address = ctypes.addressof(ctypes.c_char.from_buffer(mapping))
            skip = -address % _HUGE_PAGE if huge else 0
        if huge:
            with contextlib.suppress(OSError):  # a kernel without them refuses; small pages do
                mapping.madvise(mmap.MADV_HUGEPAGE, skip, size)
        try:
            mapping.madvise(_MADV_POPULATE_WRITE, skip, size)
        except OSError as e:
            raise _Broken(f"make arena: {e}") from None
        if self.zygote and self.shared:
            mapping.madvise(mmap.MADV_DONTFORK)  # a child has a copy of its event
        self.address, self.arena = address + skip, memoryview(mapping)[skip:skip + size]
        if self.memory:
            self.memory.arena = self.arena

    def use_arena(self, arena):
        """Takes the application's own arena."""
        self.address, self.arena = ctypes.addressof(ctypes.c_char.from_buffer(arena)), memoryview(arena)

    def place(self):
        """Asks the application where the next events are to land, and tells the supervisor: section 9."""
        places = []
        for size, data_at in _NEED.iter_unpack(self.body):
            if not data_at <= size <= len(self.arena):
                raise _Broken("place events: no block of ABI 1")
            offset = self.memory.alloc(size, data_at)
            if offset is None:
                break  # and none of those behind it
            if offset % 64 or not 0 <= offset <= len(self.arena) - size:
                raise _Broken(f"place events: the allocator gave {offset} for {size} bytes, want a multiple of 64 in its memory")
            places.append(self.address + offset)
        count = len(self.body) // _NEED.size
        self.send(_PLACE, self.number, struct.pack(f"<{count}Q", *places, *[0] * (count - len(places))))

    def stop_on_term(self):
        """SIGTERM ends the reading side of the channel, which wakes a handler that is about to sleep, too."""
        owner = os.getpid()

        def stop(number, _):
            if os.getpid() != owner:  # a fork of the handler: the channel is not its own
                signal.signal(number, signal.SIG_DFL)
                signal.raise_signal(number)
            self.stopped = True
            self.channel.shutdown(socket.SHUT_RD)

        signal.signal(signal.SIGTERM, stop)

    def confine(self):
        """Installs the second filter, if there is one, on all threads: section 11."""
        flags = os.environ.get("AEM_FILTER")
        if flags is None:
            return
        _warm_up()
        code = os.pread(_FILTER, 4096 * 8, 0)  # others have the file, too, and so its offset
        os.close(_FILTER)
        text = ctypes.create_string_buffer(code, len(code))
        program = ctypes.create_string_buffer(struct.pack("@HP", len(code) // 8, ctypes.addressof(text)))
        install = ctypes.CDLL(None, use_errno=True).syscall
        got = install(_SECCOMP, _SET_FILTER, ctypes.c_ulong(int(flags) | _TSYNC), program)
        if got != 0:
            raise _Broken("install second filter: " + (os.strerror(ctypes.get_errno()) if got < 0 else "a thread has one of its own"))
        self.flags |= _HELLO_FILTERED

    def greet(self):
        """Says hello and proves the arena: section 4."""
        self.send(_HELLO, 0, _GREETING.pack(self.address, len(self.arena), os.getpid(), threading.get_native_id(),
                                            self.in_flight, self.flags))
        if self.receive() != _NONCE:
            raise _End if self.ending else _Broken("say hello: no nonce came")
        self.send(_NONCE, 0, bytes(self.arena[:16]))

    def take(self):
        """Waits for the next event: section 5."""
        while not self.stopped:
            if self.words[_HEAD] != self.taken & 0xFFFFFFFF:
                _order()
                return self.open()
            if self.ending:
                break
            self.words[_HANDLER_SLEEPS] = 1
            _fence()
            if self.words[_HEAD] == self.taken & 0xFFFFFFFF:
                self.listen(None)
            self.words[_HANDLER_SLEEPS] = 0
        raise _End

    def listen(self, timeout):
        """Waits for the doorbell or a message, does what that says, and returns how many of the two there were."""
        reported = self.waiter.poll(timeout)
        for number, _ in reported:
            if number == _WAIT_CHANNEL:
                self.obey(self.receive())
        return len(reported)

    def obey(self, kind):
        """Does what a message says."""
        if kind == _GROW:  # section 8
            self.wish = self.number
            self.make_arena()
            self.greet()
        elif kind == _ALLOC:
            self.place()

    def open(self):
        """Takes the oldest published event."""
        offset, size, flags = _ENTRY.unpack_from(self.page, _ENTRIES + self.taken % _SLOTS * _ENTRY.size)
        while self.streams is None if self.zygote else flags & 1 and self.passed is None:
            self.receive()
        self.taken += 1
        self.words[_TAKEN] = self.taken & 0xFFFFFFFF
        fd, self.passed = self.passed, None
        if self.memory:
            offset -= self.address
            self.block = offset, size
        block = self.arena[offset:offset + size]
        if self.zygote and self.shared:
            block = memoryview(bytes(block))  # that a copy of the process has a copy of
        return Event(block, fd)

    def fork(self, function, event):
        """Has a copy of the process run an event: section 10."""
        sys.stdout.flush()  # or each copy would write it again
        sys.stderr.flush()
        streams, self.streams = self.streams, None
        try:
            pid = os.fork()
        except OSError as e:
            self.send(_UNBORN, event._number & 0xFFFFFFFF, _WORD.pack(e.errno))
        else:
            if pid == 0:
                self.live(function, event, streams)
            self.children[event._number & 0xFFFFFFFF] = pid
        for fd in streams:
            os.close(fd)
        event._end()

    def live(self, function, event, streams):
        """The life of a copy. It ends here, whatever happens, and nothing of the program's own end is done in it."""
        status = 1
        try:
            me = os.getpid()
            os.setsid()  # so that what it starts can be ended with it
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            self.send(_BORN, event._number & 0xFFFFFFFF, b"")
            for to, fd in enumerate(streams, 1):
                os.dup2(fd, to)
                os.close(fd)
            outcome = _call(function, event)
            sys.stdout.flush()
            if os.getpid() == me:  # else the function forked, and the fork came back too: it has no say
                self.send(_ANSWER, event._number & 0xFFFFFFFF, self.fate(event._number, *outcome))
            status = 0
        except SystemExit as e:
            if isinstance(e.code, int) or e.code is None:
                status = e.code or 0
            else:
                print(e.code, file=sys.stderr)
        except (BrokenPipeError, ConnectionResetError):
            pass  # the supervisor is gone
        except BaseException:
            import traceback
            traceback.print_exc()
        finally:
            with contextlib.suppress(Exception):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(status & 0xFF)

    def bury(self, number):
        """Waits for a copy that has ended, and tells how it did: section 10."""
        try:
            status = os.waitpid(self.children.pop(number), 0)[1]
        except (KeyError, OSError) as e:
            raise _Broken(f"wait for the process of event {number}: {e!r}") from None
        self.send(_ENDED, number, _WORD.pack(status))

    def fate(self, number, outcome, delay, text, reply):
        """Sends what is said beside an outcome, and packs the answer that follows it: section 6."""
        if text:
            self.send(_ERROR, number & 0xFFFFFFFF, text)
        for start in range(0, len(reply), _MAX_BODY):
            self.send(_REPLY, number & 0xFFFFFFFF, reply[start:start + _MAX_BODY])
        return _FATE.pack(number, outcome | delay << 32, len(text), len(reply), 0)

    def answer(self, number, *outcome):
        """Tells the fate of an event on the page: section 6. Its memory is the supervisor's again."""
        fate = _FATE.unpack(self.fate(number, *outcome))
        at = self.answered % _SLOTS * 5
        for i, word in enumerate(fate):
            self.answers[at + i] = word
        self.answered += 1
        _order()
        self.words[_ANSWERED] = self.answered & 0xFFFFFFFF
        _fence()
        if self.words[_SUPERVISOR_SLEEPS]:
            self.words[_SUPERVISOR_SLEEPS] = 0  # no exchange: at worst it is rung once more than it had to be
            with contextlib.suppress(BlockingIOError):  # rung more than enough
                os.write(self.bell, b"\1\0\0\0\0\0\0\0")
        if self.memory and self.memory.free:
            self.memory.free(*self.block)

    def send(self, kind, number, body):
        self.channel.sendall(_MESSAGE.pack(_MAGIC, 1, kind, len(body), number) + body)

    def receive(self):
        """Waits for one message, keeps what it brings, and returns its kind."""
        message, fds, _, _ = socket.recv_fds(self.channel, _MESSAGE.size + _SLOTS * _NEED.size, 3, socket.MSG_CMSG_CLOEXEC)
        if not message:
            raise _End
        if len(message) < _MESSAGE.size:
            raise _Broken("read message: not one of ABI 1")
        magic, version, kind, size, self.number = _MESSAGE.unpack_from(message)
        self.body = message[_MESSAGE.size:]
        if (magic, version, size) != (_MAGIC, 1, len(self.body)):
            raise _Broken("read message: not one of ABI 1")
        if self.zygote and kind == _DESCRIPTOR:
            self.streams, fds = fds[:2], fds[2:]
        if fds:
            self.passed = fds[0]
        if self.zygote and kind == _ENDED:
            self.bury(self.number)
        if kind == _STOP:
            self.ending = True
        return kind
