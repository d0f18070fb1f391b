"""A second reader, as plain as can be: no limits, no windows, everything decoded.

It is what the real one is compared with, for values on sound files and for time.
"""

from __future__ import annotations

import struct

from gguf_builder import ARRAY, BOOL, FORMATS, STRING


def read_reference(data: bytes) -> tuple[dict[str, object], list[tuple[object, ...]], int]:
    """Return all key-values, (name, shape, type id, offset) of all tensors, and the table's end."""
    place = 4

    def number(code: str) -> int:
        nonlocal place
        value = struct.unpack_from("<" + code, data, place)[0]
        place += struct.calcsize("<" + code)
        return value

    def text() -> str:
        nonlocal place
        length = number("Q")
        place += length
        return data[place - length : place].decode(errors="replace")

    def value(kind: int) -> object:
        if kind == STRING:
            return text()
        if kind == ARRAY:
            inner = number("I")
            return tuple(value(inner) for _ in range(number("Q")))
        return bool(number("B")) if kind == BOOL else number(FORMATS[kind])

    number("I")
    n_tensors, n_pairs = number("Q"), number("Q")
    pairs = {}
    for _ in range(n_pairs):
        key = text()
        pairs[key] = value(number("I"))
    tensors = []
    for _ in range(n_tensors):
        name = text()
        shape = tuple(number("Q") for _ in range(number("I")))
        tensors.append((name, shape, number("i"), number("Q")))
    return pairs, tensors, place


def skip_strings_reference(data: bytes, place: int, count: int) -> int:
    """Return where `count` strings end: the naive loop that fast paths are compared with."""
    for _ in range(count):
        place += 8 + int.from_bytes(data[place : place + 8], "little")
    return place
