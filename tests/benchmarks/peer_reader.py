"""Runs functions of other programs when asked on standard input, and answers the seconds taken.

It is started by the Python of the peers' environment and stands on nothing of this project.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path


def gguf(path: str) -> float:
    """Read a file with gguf-py: all that its reader makes of it."""
    from gguf import GGUFReader

    began = time.process_time()
    GGUFReader(path)
    return time.process_time() - began


def hf_mem(path: str) -> float:
    """Read a header, given whole, with hf-mem's parser."""
    from hf_mem.gguf.metadata import parse_gguf_metadata

    data = Path(path).read_bytes()
    began = time.process_time()
    parse_gguf_metadata(data)
    return time.process_time() - began


def cpuinfo(_: str) -> float:
    """Identify the processor with py-cpuinfo, which starts other processes."""
    from cpuinfo import get_cpu_info

    began = time.perf_counter()
    get_cpu_info()
    return time.perf_counter() - began


def main() -> None:
    """Answer until the asking side ends."""
    functions = {each.__name__: each for each in (gguf, hf_mem, cpuinfo)}
    for line in sys.stdin:
        what, _, argument = line.rstrip("\n").partition(" ")
        sys.stdout.write(f"{functions[what](argument)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
