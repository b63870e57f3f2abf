"""The least that a waking Python takes: it sleeps as a handler does, and says when its first line ran after that."""
import os
import select
import struct
import time

waiter = select.epoll()
waiter.register(0, select.EPOLLIN)
while True:
    waiter.poll(None)
    now = time.monotonic_ns()
    if not os.read(0, 8):
        break
    os.write(1, struct.pack("=q", now))
