"""Answers dry runs over standard input, one JSON object a line, in a process with pretend GPUs.

usage: worker.py GPUS FLASH ASYNC; a line holds `path` and `settings` (fields of RunSettings).
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

from pretend_gpu import register

from whatfits.bench.llama_cpp import reserve
from whatfits.bench.run_settings import RunSettings
from whatfits.sizing.errors import ProbeError


def answer(line: str) -> dict[str, object]:
    """Return the buffers of one request, or why llama.cpp refused it."""
    request = json.loads(line)
    settings = {k: tuple(v) if isinstance(v, list) else v for k, v in request["settings"].items()}
    try:
        got = reserve(Path(request["path"]), RunSettings(**settings))
    except ProbeError as error:
        return {"error": str(error)}
    buffers = {name: asdict(row) for name, row in got.buffers.items()}
    return {"buffers": buffers, "n_ctx": got.n_ctx, "log": got.log}


def main() -> None:
    """Answer until the input ends."""
    count, flash, asynchronous = (int(text) for text in sys.argv[1:4])
    if count:
        register(count, flash=bool(flash), asynchronous=bool(asynchronous))
    for line in sys.stdin:
        sys.stdout.write(json.dumps(answer(line)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
