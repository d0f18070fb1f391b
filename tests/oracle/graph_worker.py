"""Answers dry runs with the graph that llama.cpp reserved memory for, node by node.

usage: graph_worker.py GPUS FLASH ASYNC MEMORY, as worker.py; an answer holds `graph`, or `error`.
"""

from __future__ import annotations

import ctypes
import json
import sys
from pathlib import Path

from pretend_gpu import compiled, register

from whatfits.bench.llama_cpp import reserve
from whatfits.bench.llama_library import library
from whatfits.bench.run_settings import settings_of
from whatfits.sizing.errors import ProbeError

SOURCE = Path(__file__).with_name("graph_spy.c")


def _answer(spy: ctypes.CDLL, line: str) -> dict[str, str]:
    request = json.loads(line)
    try:
        reserve(Path(request["path"]), settings_of(request["settings"]))
    except ProbeError as error:
        return {"error": str(error)}
    return {"graph": spy.spy_text().decode()}


def main(gpus: int, flash: int, asynchronous: int, memory: str) -> None:
    """Answer until the input ends."""
    # before llama.cpp: its calls are bound to the first library that has a function of that name
    spy = ctypes.CDLL(str(compiled(SOURCE)), mode=ctypes.RTLD_GLOBAL)
    spy.spy_text.restype = ctypes.c_char_p
    spy.spy_on.argtypes = [ctypes.c_void_p]
    spy.spy_on(library("ggml-base")._handle)
    if gpus:
        register(gpus, flash=bool(flash), asynchronous=bool(asynchronous), memory=memory)
    for line in sys.stdin:
        sys.stdout.write(json.dumps(_answer(spy, line)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
