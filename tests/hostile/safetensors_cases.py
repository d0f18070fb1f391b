"""Hostile safetensors headers, by class: each a generator of files with the answer it calls for."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import safetensors_builder as b
from gguf_case import ACCEPTED, REFUSED, Case
from safetensors_builder import GOOD, one
from safetensors_entry_cases import BIG, covers, data_lengths, entries, offsets, shapes, types
from safetensors_json_cases import (
    bloat,
    depths,
    duplicates,
    marks,
    metadata,
    numbers,
    odd_fields,
    texts,
    top_levels,
)

from whatfits.sizing.readers.safetensors import MAX_HEADER_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def lengths() -> Iterator[Case]:
    for n in range(8):
        says = f"the file ends after {n} of 8 bytes"
        yield Case(f"file of {n} bytes", b"\2" + bytes(n - 1) if n else b"", REFUSED, says)
    for length in (0, 1, MAX_HEADER_BYTES + 1, *BIG):
        data = b.with_header("{}", length=length)
        yield Case(f"length {length}", data, REFUSED, "header length")
    longest = b"{" + b" " * (MAX_HEADER_BYTES - 2) + b"}"
    yield Case("the longest header", b.with_header(longest), ACCEPTED)
    longer = b.with_header(longest + b" ")
    yield Case("a byte more than the longest", longer, REFUSED, "header length")
    for more in (1, 2, 100):
        data = b.with_header("{}", length=2 + more)
        yield Case(f"length {more} too long", data, REFUSED, f"{more} bytes early")
    yield Case("length one too short", b.with_header('{"a":1}', length=6), REFUSED)


def starts() -> Iterator[Case]:
    for name, start in {
        "byte order mark": b"\xef\xbb\xbf",
        "blank": b" ",
        "newline": b"\n",
        "zero": b"\0",
        "UTF-16": b"\xff\xfe",
        "comment": b"/**/",
        "list": b"[",
    }.items():
        yield one(name, start + b.raw("a", GOOD).encode(), says="starts with")


def ends() -> Iterator[Case]:
    header = b.raw("a", GOOD).encode()
    for name, end in {
        "zero": b"\0",
        "zeros": bytes(7),
        "brace": b"}",
        "word": b"x",
        "more": b"{}",
    }.items():
        yield one(f"{name} after the object", header + end, says="goes on")
    for blank in (b" ", b"\n", b"\t\r\n    "):
        yield one(f"blank {blank!r} after the object", header + blank, ACCEPTED)
    for cut in range(1, len(header)):
        yield one(f"object cut after {cut}", header[:cut])


def polyglots() -> Iterator[Case]:
    yield Case("GGUF", b"GGUF\3\0\0\0" + bytes(40), REFUSED, "header length")
    yield Case("zip", b"PK\3\4" + bytes(60), REFUSED, "header length")
    yield Case("pickle", b"\x80\4\x95" + bytes(60), REFUSED)
    yield Case("JSON alone", b'{"a": 1}', REFUSED, "header length")
    yield Case("ones", b"\xff" * 64, REFUSED, "header length")
    yield Case("zeros", bytes(64), REFUSED, "header length")
    yield Case("big-endian length", struct.pack(">Q", 2) + b"{}", REFUSED, "header length")


CLASSES: dict[str, Callable[[], Iterator[Case]]] = {
    "S1 length": lengths,
    "S1 start": starts,
    "S1 end": ends,
    "S1 other formats": polyglots,
    "S2 top level": top_levels,
    "S2 marks": marks,
    "S2 depth": depths,
    "S2 odd fields": odd_fields,
    "S2 bloat": bloat,
    "S2 numbers": numbers,
    "S2 duplicates": duplicates,
    "S2 texts": texts,
    "S2 metadata": metadata,
    "S3 entries": entries,
    "S3 types": types,
    "S3 shapes": shapes,
    "S3 offsets": offsets,
    "S3 cover": covers,
    "S3 data": data_lengths,
}


def all_cases() -> Iterator[tuple[str, Case]]:
    """Every case with its class."""
    for label, cases in CLASSES.items():
        for case in cases():
            yield label, case
