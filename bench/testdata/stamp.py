"""The Python handler of the benchmarks: it appends to the file it is given when its event was detected, when its first
line ran, and who it is.

    stamp.py AHEAD FILE
"""
import os
import struct
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "sdk", "python"))
import aem


def stamp(e):
    now = time.time_ns()
    with open(sys.argv[2], "ab", buffering=0) as f:
        f.write(struct.pack("=3q", round(e.time * 1e9), now, os.getpid()))


aem.run(stamp, ahead=int(sys.argv[1]))
