#!/usr/bin/env python3
"""Egg is a zygote that tells what it is a copy of. It does what its event's data says, or what comes over its connection."""
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time

import aem

calls = 0
warm = 42  # before the events it has been warmed up: that is to be seen in each copy


def said():
    return f"{calls} {warm} {os.getppid()} {os.getpid()}\n"


def egg(e):
    global calls
    calls += 1
    if e.fact("type") == "socket.accept":
        e.conn.sendall(said().encode())
        byte = e.conn.recv(1)
        if byte == b"x":
            os.abort()
        if byte == b"s":
            raise aem.Fail(f"{len(e.data)} bytes, sum {sum(e.data)}")
        if not byte:
            raise ValueError("the client is gone")
        e.conn.sendall(byte)
        return
    command = bytes(e.data)
    if command == b"count":
        return said()
    if command == b"crash":
        os.abort()
    if command == b"exit":
        sys.exit(3)
    if command == b"sleep":
        while True:
            time.sleep(60)
    if command == b"deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        while True:
            time.sleep(60)
    if command == b"nap":
        time.sleep(0.05)
        return said()
    if command == b"leave":
        return str(subprocess.Popen(["sleep", "60"]).pid)
    if command == b"fork":
        os.fork()
        return
    if command.startswith(b"say"):  # in two pieces, so that others come in between
        half = len(command) // 2
        print(command[:half].decode(), end="", flush=True)
        time.sleep(0.001)
        print(command[half:].decode())
        print("because of", command.decode(), file=sys.stderr)
        if command.startswith(b"say no"):
            raise aem.Fail("no")
        return
    if command == b"hog":
        memory = bytearray(1 << 30)
        for i in range(0, len(memory), 4096):
            memory[i] = 1
        return
    if command == b"personality":
        ctypes.CDLL(None).personality(0)
    raise aem.Fail(command.decode())


if sys.argv[1:] == ["threads"]:
    threading.Thread(target=threading.Event().wait, daemon=True).start()
print("warmed up")  # and not flushed: to a pipe that takes more
aem.run(egg)
