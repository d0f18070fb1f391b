"""Prints what mtmd would allocate for a projector file, in bytes: ask_mtmd.py FILE.

A process of its own, because mtmd ends the process over a file it does not like. The function is
exported under its C++ name and returns a `std::map` through a hidden pointer, as the breakdown of
llama.cpp does.
"""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path

import llama_cpp
from llama_cpp import mtmd_cpp

_SYMBOL = "_Z21mtmd_get_memory_usagePKc19mtmd_context_params"


def planned_bytes(path: str) -> int:
    """Return weights and working memory together, as mtmd plans them without loading."""
    llama_cpp.llama_backend_init()
    library = ctypes.CDLL(str(Path(llama_cpp.__file__).parent / "lib" / "libmtmd.so"))
    function = library[_SYMBOL]
    function.restype = ctypes.c_void_p
    function.argtypes = [ctypes.c_void_p, ctypes.c_char_p, mtmd_cpp.mtmd_context_params]
    header = (ctypes.c_uint64 * 6)()  # compare and colour, parent, left, right, count
    function(ctypes.addressof(header), path.encode(), mtmd_cpp.mtmd_context_params_default())
    return _sum(header[2])


def _sum(address: int) -> int:
    if not address:
        return 0
    node = (ctypes.c_uint64 * 6).from_address(address)  # colour, parent, left, right, key, bytes
    return _sum(node[2]) + int(node[5]) + _sum(node[3])


if __name__ == "__main__":
    print(planned_bytes(sys.argv[1]))
