"""Registers pretend GPUs with llama.cpp, so that its planner places models on them.

Source of the devices: pretend_gpu.c beside this file, compiled once.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

SOURCE = Path(__file__).with_name("pretend_gpu.c")


def compiled(source: Path = SOURCE) -> Path:
    """Return the shared library of this very source, compiling it when it is missing."""
    version = hashlib.sha256(source.read_bytes()).hexdigest()[:12]
    name = source.stem.replace("_", "-")
    target = Path(tempfile.gettempdir()) / f"whatfits-{name}-{os.getuid()}-{version}.so"
    if not target.exists():
        compiler = shutil.which("cc")
        assert compiler is not None, "a C compiler (cc) is needed"
        made = target.with_suffix(f".{os.getpid()}")
        subprocess.run(
            [compiler, "-O1", "-shared", "-fPIC", "-o", str(made), str(source)], check=True
        )
        made.replace(target)
    return target


def register(
    count: int,
    *,
    flash: bool = True,
    asynchronous: bool = True,
    memory: str = "",
    changes: str = "",
    kind: str = "cuda",
) -> None:
    """Give llama.cpp `count` pretend GPUs, for the rest of this process.

    `memory` holds the bytes of each, separated by commas; 24 GiB where it says nothing. `changes`
    names a library and its function that changes graphs (see back_end_changes.py). Of a `kind`
    other than CUDA there is a kernel for everything.
    """
    from whatfits.bench.llama_library import library

    os.environ["PRETEND_GPUS"] = str(count)
    os.environ["PRETEND_BYTES"] = memory
    os.environ["PRETEND_NO_FLASH"] = str(int(not flash))
    os.environ["PRETEND_ASYNC"] = str(int(asynchronous))
    os.environ["PRETEND_CHANGES"] = changes
    os.environ["PRETEND_KIND"] = kind
    library("ggml-base")
    library("ggml-cpu")
    registry = library("ggml").ggml_backend_register
    registry.argtypes = [ctypes.c_void_p]
    entry = ctypes.CDLL(str(compiled())).pretend_gpu_reg
    entry.restype = ctypes.c_void_p
    registry(entry())
