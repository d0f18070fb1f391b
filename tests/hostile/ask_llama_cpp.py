"""Prints `yes` or `no` for each file named: does llama.cpp's own header reader take it?

Run as a child process: native code that reads hostile files may end the process.
"""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

import llama_cpp


class InitParams(ctypes.Structure):
    """`gguf_init_params`: no allocation, and where to put the tensors' context."""

    _fields_ = (("no_alloc", ctypes.c_bool), ("context", ctypes.POINTER(ctypes.c_void_p)))


def main() -> None:
    """Read names from standard input, answer on standard output; its own log goes nowhere."""
    (library_path,) = (Path(llama_cpp.__file__).parent / "lib").glob("libggml-base.so")
    library = ctypes.CDLL(str(library_path))
    library.gguf_init_from_file.restype = ctypes.c_void_p
    library.gguf_init_from_file.argtypes = [ctypes.c_char_p, InitParams]
    library.gguf_free.argtypes = [ctypes.c_void_p]
    library.ggml_free.argtypes = [ctypes.c_void_p]
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    for line in sys.stdin:
        context = ctypes.c_void_p()
        params = InitParams(no_alloc=True, context=ctypes.pointer(context))
        header = library.gguf_init_from_file(line.strip().encode(), params)
        print("yes" if header else "no", flush=True)
        if header:
            library.ggml_free(context)
            library.gguf_free(header)


if __name__ == "__main__":
    main()
