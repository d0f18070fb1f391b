"""Prints, for each file named, what llama.cpp's own header reader makes of it: a line of JSON.

`null` is a refusal; else version, alignment, start of the data, values, lengths of arrays and
tensors. Run as a child process: native code that reads hostile files may end the process.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
from pathlib import Path
from typing import Any

import llama_cpp

STRING, ARRAY, BOOL = 8, 9, 7
NUMBERS: dict[int, tuple[str, Any]] = {
    0: ("u8", ctypes.c_uint8),
    1: ("i8", ctypes.c_int8),
    2: ("u16", ctypes.c_uint16),
    3: ("i16", ctypes.c_int16),
    4: ("u32", ctypes.c_uint32),
    5: ("i32", ctypes.c_int32),
    6: ("f32", ctypes.c_float),
    BOOL: ("bool", ctypes.c_bool),
    10: ("u64", ctypes.c_uint64),
    11: ("i64", ctypes.c_int64),
    12: ("f64", ctypes.c_double),
}


class InitParams(ctypes.Structure):
    """`gguf_init_params`: no allocation, and where to put the tensors' context."""

    _fields_ = (("no_alloc", ctypes.c_bool), ("context", ctypes.POINTER(ctypes.c_void_p)))


class Library:
    """ggml's functions by name; each is told what it returns where it is called."""

    def __init__(self) -> None:
        (path,) = (Path(llama_cpp.__file__).parent / "lib").glob("libggml-base.so")
        self.functions = ctypes.CDLL(str(path))

    def call(self, name: str, result: Any, *arguments: Any) -> Any:  # noqa: ANN401 - C types
        function = getattr(self.functions, name)
        function.restype = result
        return function(*arguments)

    def header(self, path: str) -> dict[str, Any] | None:
        """Return what the library says about a file; None when it refuses it."""
        context = ctypes.c_void_p()
        params = InitParams(no_alloc=True, context=ctypes.pointer(context))
        found = self.call(
            "gguf_init_from_file", ctypes.c_void_p, ctypes.c_char_p(path.encode()), params
        )
        if not found:
            return None
        gguf = ctypes.c_void_p(found)
        said = {
            "version": self.call("gguf_get_version", ctypes.c_uint32, gguf),
            "alignment": self.call("gguf_get_alignment", ctypes.c_size_t, gguf),
            "data_offset": self.call("gguf_get_data_offset", ctypes.c_size_t, gguf),
            **self.values(gguf),
            "tensors": self.tensors(gguf),
        }
        self.call("ggml_free", None, context)
        self.call("gguf_free", None, gguf)
        return said

    def values(self, gguf: Any) -> dict[str, dict[str, Any]]:  # noqa: ANN401 - C types
        """Return scalars and short arrays of numbers as text, and the length of every array."""
        values: dict[str, Any] = {}
        lengths: dict[str, int] = {}
        for index in range(self.call("gguf_get_n_kv", ctypes.c_int64, gguf)):
            place = ctypes.c_int64(index)
            key = self.call("gguf_get_key", ctypes.c_char_p, gguf, place).decode(errors="replace")
            kind = self.call("gguf_get_kv_type", ctypes.c_int, gguf, place)
            if kind == ARRAY:
                lengths[key] = self.call("gguf_get_arr_n", ctypes.c_size_t, gguf, place)
                inner = self.call("gguf_get_arr_type", ctypes.c_int, gguf, place)
                if inner in NUMBERS and lengths[key]:
                    form = NUMBERS[inner][1] * min(lengths[key], 100)
                    data = self.call("gguf_get_arr_data", ctypes.POINTER(form), gguf, place)
                    values[key] = repr(tuple(data.contents))
            elif kind == STRING:
                text = self.call("gguf_get_val_str", ctypes.c_char_p, gguf, place)
                values[key] = repr(text.decode(errors="replace"))
            else:
                name, form = NUMBERS[kind]
                values[key] = repr(self.call(f"gguf_get_val_{name}", form, gguf, place))
        return {"values": values, "lengths": lengths}

    def tensors(self, gguf: Any) -> list[tuple[str, int, int, int]]:  # noqa: ANN401 - C types
        """Return name, type, offset and bytes of every tensor."""
        rows = []
        for index in range(self.call("gguf_get_n_tensors", ctypes.c_int64, gguf)):
            place = ctypes.c_int64(index)
            name = self.call("gguf_get_tensor_name", ctypes.c_char_p, gguf, place)
            kind = self.call("gguf_get_tensor_type", ctypes.c_int, gguf, place)
            offset = self.call("gguf_get_tensor_offset", ctypes.c_size_t, gguf, place)
            size = self.call("gguf_get_tensor_size", ctypes.c_size_t, gguf, place)
            rows.append((name.decode(errors="replace"), kind, offset, size))
        return rows


def main() -> None:
    """Read names from standard input, answer on standard output; its own log goes nowhere."""
    library = Library()
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    for line in sys.stdin:
        print(json.dumps(library.header(line.strip())), flush=True)


if __name__ == "__main__":
    main()
