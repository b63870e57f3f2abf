"""What `tell` of programs_test.go does, in Python."""

import hashlib
import signal
import socket
import sys

import aem_attach


def tick(e):
    print("tick", e.type, "true" if e.count > 0 else "false", "true" if e.scheduled else "false", flush=True)


def news(e):
    return hashlib.sha256(e.data).hexdigest()


def echo(e):
    while True:
        data = e.conn.recv(4096)
        if not data:
            return
        e.conn.sendall(data)


path, copy = sys.argv[1:]
around = []
with aem_attach.Agent("a", ahead=8, settings={"arena": {"copy": copy}, "ready_timeout": "5m"}, constructor=lambda e: around.append("construct " + e.event),
                      destructor=lambda e: around.append("destruct " + e.event)) as agent:
    jobs = [agent.register("tick", {"type": "timer", "every": "10ms"}, tick),
            agent.register("news", {"type": "topic"}, news),
            agent.register("in", {"type": "socket.accept", "listen": "unix://" + path}, echo)]
    try:
        agent.register("bad", {"type": "timer", "evry": "1s"}, tick)
    except aem_attach.Refused as e:
        print("refused", e.errno, e.strerror, flush=True)
    mine, other = socket.socketpair()
    seen = []
    ready = agent.register("mine", {"type": "socket.ready", "start": True}, lambda e: seen.append((e.conditions, mine.recv(9))), sock=mine)
    other.send(b"hello")
    while not seen:
        agent.dispatch()
    print("own", *seen, *around, flush=True)
    agent.remove(ready)
    many = agent.register("many", {"type": "timer", "after": "1h"}, tick, count=500)
    agent.start(*jobs, *many)
    agent.remove(*many)
    print("ids", *(f"{job & 0xFFFFFFFF}:{job >> 32}" for job in jobs), flush=True)
    names = {signal.SIGUSR1: "user defined signal 1", signal.SIGTERM: "terminated"}
    for _ in names:
        print("signal", names[agent.keepalive()], flush=True)
