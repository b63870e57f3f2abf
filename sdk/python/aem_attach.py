"""Programs that attach themselves to aem-exec, in Python: this file and aem.py, to lie beside the script.

    import aem_attach

    def tick(e):
        print("tick", e.count)

    agent = aem_attach.Agent("shop")
    timer = agent.register("tick", {"type": "timer", "every": "1s"}, tick)
    agent.start(timer)
    print("ended by signal", agent.keepalive())

The program registers events while it runs, and handles them in its own process, on the thread that made the agent. How a
function ends is its event's fate, as in aem.py. When the program ends, or closes the agent, all that it registered ends.

docs/control.md says all that is asked of the supervisor, docs/abi.md how events come.
"""

import ctypes
import json
import os
import select
import signal
import socket
import struct

import aem

__all__ = ["Agent", "Refused"]


class Refused(OSError):
    """The supervisor says no: errno and strerror say why."""


_HEADER = struct.Struct("<4sHHBBHIII")
_REQUEST, _REPLY, _MORE = 1, 2, 1
_MOST = 64 << 10  # bytes of a frame
_OPS = {"list": 2, "lookup": 3, "start": 4, "stop": 5, "fire": 6, "remove": 7, "emit": 8, "priority": 15, "filter": 16,
        "timeout": 17, "clean": 18, "attach": 20, "register": 21}
_CAUGHT = ("SIGHUP", "SIGINT", "SIGQUIT", "SIGTERM", "SIGUSR1", "SIGUSR2", "SIGALRM")


def _runtime_dir():
    """Where `aem-exec ctl` looks for the supervisor."""
    env, uid = os.environ.get, os.geteuid()
    named = env("AEM_RUNTIME_DIR") or (env("RUNTIME_DIRECTORY") or "").split(":")[0]
    if named or uid == 0:
        return named or "/run/aem"
    return os.path.join(env("XDG_RUNTIME_DIR"), "aem") if env("XDG_RUNTIME_DIR") else f"/tmp/aem-{uid}"


class Agent:
    """This program as an agent of an app, until close.

    app       the app's name
    ahead     how many events, 1 to 64, the supervisor may write ahead of the one that is handled
    settings  keys of a handler in the file that hold for this program, as {"timeout": "2s", "arena": {"copy": "shared"}}
    token     that of the program which forked this one: what it registered with inherit, this one has, too (inherited)
    constructor, destructor  are called with each event right before and after its function, as aem.run does

    Ids of jobs are numbers, and an event's job is one of them.
    """

    def __init__(self, app, ahead=1, settings=None, token=None, runtime_dir=None, constructor=None, destructor=None):
        self._functions, self._sequence = {}, 0
        self._around = constructor, destructor
        self._caught, self._before = [], {}  # signals: those that came, and what was done with them before
        given = None if runtime_dir else os.environ.pop("AEM_CONTROL", None)  # a handler's own, for one agent
        self._control = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET, fileno=given and int(given))
        try:
            if not given:
                self._control.connect(os.path.join(runtime_dir or _runtime_dir(), "control.sock"))
            peer = self._control.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
            _let_trace(struct.unpack("@i", peer[:4])[0])  # it opens this memory before it answers
            wish = {"app": app, "handler": settings, "token": token}
            given = self.do("attach", **{k: v for k, v in wish.items() if v})
            _let_trace(0)
            self.token = given["token"]
            self.inherited = {_number(job["id"]): _number(job["parent"]) for job in given["inherited"]}
            self._inbox = aem._Inbox(given["arena_size"], ahead, None, self._passed)
            self._inbox.greet()
        except aem._End:
            self._control.close()
            raise Refused(0, "the supervisor ended it: its log says why") from None
        except BaseException:
            self._control.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Ends the program's part as an agent, and all that it has registered."""
        self._control.close()
        self._inbox.channel.close()
        while self._before:
            signal.signal(*self._before.popitem())

    def register(self, name, event, function, count=None, inherit=False, sock=None, conditions=None):
        """Makes a job of an event that function(event) handles, and returns its id; with a count, so many, and a list.

        event has the keys of [app.NAME.event.EVENT] in the file, but for the handler's. Without "start" jobs are born
        stopped. Programs that this one forks, and that attach with its token, have what is registered with inherit.

        With sock, a socket that the program has and goes on having, event is {"type": "socket.ready"}, and conditions are
        what it is waited for, of "in", "out" and "hup"; an event's fact conditions says what it is ready for.
        """
        one = {"name": name, "event": event, "count": count or 0, "inherit": inherit}
        if sock is not None:
            one.update(socket=0, conditions=conditions or ["in"])
        ids = self.do("register", passed=[sock.fileno()] if sock is not None else [], events=[one])["ids"][0]
        numbers = [_number(job) for job in ids]
        self.handle(function, *numbers)
        return numbers if count else numbers[0]

    def handle(self, function, *ids):
        """Has function handle the events of jobs that were inherited."""
        self._functions.update(dict.fromkeys(ids, function))

    def start(self, *ids):
        """Has jobs detect. All of them are there, or nothing is done."""
        self._each("start", ids)

    def stop(self, *ids):
        """Ends that; what waits of them stays."""
        self._each("stop", ids)

    def remove(self, *ids):
        """Ends jobs for good, and what waits of them."""
        self._each("remove", ids)
        for job in ids:
            self._functions.pop(job, None)

    def _each(self, op, ids):
        self.do(op, selectors=[_text(job) for job in ids], quiet=True)

    def do(self, op, data=b"", passed=(), **arguments):
        """Asks the supervisor for an operation, by its name in docs/control.md, and returns its result.

        passed are descriptors that go with it.
        """
        self._sequence += 1
        args = json.dumps(arguments).encode()
        while True:
            a = args[:_MOST - _HEADER.size]
            d = data[:_MOST - _HEADER.size - len(a)]
            args, data = args[len(a):], data[len(d):]
            frame = _HEADER.pack(b"AEMC", 1, _HEADER.size, _REQUEST, _MORE if args or data else 0, _OPS[op],
                                 self._sequence, len(a), len(d)) + a + d
            socket.send_fds(self._control, [frame], passed)
            passed = ()
            if not args and not data:
                return self._reply()

    def _reply(self):
        """Reads a reply, and keeps the descriptors that come with it."""
        text, self._passed = b"", []
        while True:
            frame, fds, _, _ = socket.recv_fds(self._control, _MOST, 8, socket.MSG_CMSG_CLOEXEC)
            self._passed += fds
            if len(frame) < _HEADER.size:
                raise ConnectionResetError("the supervisor closed the connection")
            _, version, size, kind, flags, _, sequence, args, _ = _HEADER.unpack_from(frame)
            text += frame[size:size + args]
            if not flags & _MORE:
                break
        reply = json.loads(text)
        if reply["errno"]:
            raise Refused(reply["errno"], reply["error"])
        if (version, kind, sequence) != (1, _REPLY, self._sequence):
            raise ConnectionResetError("the supervisor answers something else")
        return reply.get("result")

    def fileno(self):
        """What polls readable when dispatch has something to do: for a loop of the program's own."""
        return self._inbox.waiter.fileno()

    def dispatch(self):
        """Handles the events that are there, and returns how many they were. EOFError says that none will come any more."""
        for handled in range(1 << 62):
            try:
                event = self._poll()
            except (aem._End, BrokenPipeError, ConnectionResetError):
                raise EOFError("the supervisor has ended, or what it has with this program") from None
            if event is None:
                return handled
            constructor, destructor = self._around
            function = aem._around(constructor, self._functions.get(event.job, _nobody), destructor)
            self._inbox.answer(event._number, *aem._call(function, event))

    def _poll(self):
        """The next event, or None if there is none now: then the waiter polls readable when it is worth another look."""
        inbox = self._inbox
        while inbox.words[aem._HEAD] == inbox.taken & 0xFFFFFFFF:
            if inbox.ending:
                raise aem._End
            if inbox.listen(0):
                continue
            inbox.words[aem._HANDLER_SLEEPS] = 1
            aem._fence()
            if inbox.words[aem._HEAD] == inbox.taken & 0xFFFFFFFF:
                return None
        aem._fence()
        return inbox.open()

    def keepalive(self, *signals):
        """Handles events until a signal arrives, of those named or of all that programs are usually sent, and returns it.

        From the first call until close such signals do nothing else; one that arrives between two calls ends the second. It
        is to be called on the main thread, as all that has to do with signals in Python.
        """
        for s in signals or [getattr(signal, name) for name in _CAUGHT]:
            if s not in self._before:
                self._before[s] = signal.signal(s, lambda number, _: self._caught.append(signal.Signals(number)))
        woken, wakes = socket.socketpair()
        wakes.setblocking(False)
        poll = select.epoll()
        poll.register(self.fileno(), select.EPOLLIN)
        poll.register(woken, select.EPOLLIN)
        bell = signal.set_wakeup_fd(wakes.fileno(), warn_on_full_buffer=False)
        try:
            while True:
                self.dispatch()
                if self._caught:
                    return self._caught.pop(0)
                poll.poll()
        finally:
            signal.set_wakeup_fd(bell)
            for end in (poll, woken, wakes):
                end.close()


def _let_trace(pid):
    """Lets one process open this one's memory where Yama leaves that to parents; 0 lets nobody."""
    ctypes.CDLL(None).prctl(0x59616D61, ctypes.c_ulong(pid), 0, 0, 0)  # PR_SET_PTRACER: without Yama it is refused


def _nobody(event):
    raise aem.Fail(f"job {_text(event.job)} has no function in this program")


def _number(text):
    slot, generation = text.split(":")
    return int(generation) << 32 | int(slot)


def _text(number):
    return f"{number & 0xFFFFFFFF}:{number >> 32}"
