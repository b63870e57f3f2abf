#!/usr/bin/env python3
"""What around.c does, in Python."""
import os
import signal
import sys

import aem


def step(e, what):
    plan = bytes(e.data).decode() or (sys.argv + [""])[2]
    line = f"{what} {e.attempt}" + (f" {e.interrupted}" if e.interrupted else "")
    with open(sys.argv[1], "a") as log:
        print(line, file=log)
    for action in plan.split(","):
        if action == line + "=k":
            os.kill(os.getpid(), signal.SIGKILL)
        if action == line + "=h":
            while True:
                signal.pause()
        if action == line + "=r":
            raise ValueError(what + " said so")
        if action == line + "=f":
            raise aem.Fail(what + " said so")


aem.run(lambda e: step(e, "run"), constructor=lambda e: step(e, "construct"), destructor=lambda e: step(e, "destruct"))
