#!/usr/bin/env python3
"""Tell does what its event's data says; for other data it fails with the data's size and checksum."""
import mmap
import os
import sys
import zlib

import aem


class Pages:
    """A scheme of allocation: each block lies where the one before ended, its data at a page, and all is free again when as
    many were given back as were given out."""

    def __init__(self, arena=None):
        self.live, self.top, self.data = 0, 0, []
        self.memory = aem.Memory(self.push, self.pop, arena)

    def push(self, size, data_at):
        at = self.top if self.live else 0
        at += -(at + data_at) % 4096
        if at + size > len(self.memory.arena):
            return None
        self.live, self.top = self.live + 1, at + size
        self.data.append(at + data_at)
        return at

    def pop(self, offset, size):
        self.live -= 1

    def tell(self, e):
        at = self.data.pop(0)
        if self.memory.arena[at:at + len(e.data)] != e.data:
            raise aem.Fail("the data is elsewhere")
        return tell(e)


def tell(e):
    command = bytes(e.data[:16])
    if command == b"done":
        return
    if command == b"reply":
        return "pong"
    if command == b"too long":
        return bytes((1 << 20) + 1)
    if command == b"no reply":
        return 7
    if command.startswith(b"="):
        return e.data
    if command == b"retry":
        raise ValueError("not yet")
    if command == b"after":
        raise aem.After(0.3, "busy")
    if command == b"fail":
        raise aem.Fail("gave up")
    if command == b"long":
        raise aem.Fail("x" * 5000)
    if command == b"third":
        if e.attempt < 3:
            raise ValueError(f"attempt {e.attempt}")
        return
    if command == b"second":
        if e.attempt < 2:
            raise aem.After(0.3, "later")
        return
    if command == b"die":
        os._exit(3)
    if command == b"conn":
        e.conn.sendall(b"!")
        e.conn.recv(1)
        return
    if command == b"facts":
        nanoseconds = (round(t * 1e9) for t in (e.time, e.deadline or 0))
        raise aem.Fail(" ".join(map(str, (e.id, e.job, e.attempt, e.count, e.priority, *nanoseconds, e.app, e.event,
                                          e.handler, e.type, e.topic, e.fact("none", "-")))))
    if command.startswith(b"{"):
        raise aem.Fail(e.json()["why"])
    if command == b"attribute":
        return e.none
    raise aem.Fail(f"{len(e.data)} {zlib.crc32(e.data):08x}")


ahead = int(sys.argv[1]) if len(sys.argv) > 1 else 1
if len(sys.argv) > 2:
    pages = Pages(mmap.mmap(-1, 2 << 20) if sys.argv[2] == "own" else None)
    aem.run(pages.tell, ahead, pages.memory)
else:
    aem.run(tell, ahead)
