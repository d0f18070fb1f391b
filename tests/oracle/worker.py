"""Answers dry runs as `whatfits.bench.plan_child` does, in a process with pretend GPUs.

usage: worker.py GPUS FLASH ASYNC MEMORY CHANGES KIND
MEMORY: bytes of each GPU, separated by commas. CHANGES: what changes graphs, or nothing.
"""

from __future__ import annotations

import sys

from pretend_gpu import register

from whatfits.bench.plan_child import serve

if __name__ == "__main__":
    count, flash, asynchronous = (int(text) for text in sys.argv[1:4])
    if count:
        memory, changes, kind = sys.argv[4:]
        register(
            count,
            flash=bool(flash),
            asynchronous=bool(asynchronous),
            memory=memory,
            changes=changes,
            kind=kind,
        )
    serve()
