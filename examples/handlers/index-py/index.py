#!/usr/bin/env python3
"""Index tells which modules of Python's own library use a word. It reads them all before it waits for events; with
life = "zygote" each question is answered by a copy of the process, which has the whole index and may do with it what it
likes."""
import collections
import os
import pathlib
import re

import aem

modules = collections.defaultdict(set)
for file in pathlib.Path(os.__file__).parent.glob("*.py"):
    for word in re.findall(r"[a-z_]+", file.read_text(errors="replace").lower()):
        modules[word].add(file.stem)


def index(e):
    found = modules.pop(bytes(e.data).decode().strip().lower(), ())  # the next copy has it all the same
    return " ".join(sorted(found)) or "none"


aem.run(index)
