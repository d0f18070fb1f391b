"""Hostile GGUF headers, by class. A class is a generator; a new member is one more `yield`.

The classes are those of the reader's threat list: G1 magic and version, G2 counts, G3 keys,
G4 strings, G5 arrays, G6 value types, G7 repeated and fixed keys, G9 dimensions, G10 storage
types, G11 offsets and extents, G12 alignment, G13 tensor names. (G8, figures that make no model,
is answered where a header becomes a model; G14 and G16, files, by the tests of the sources;
G15, truncation, by cutting every seed everywhere.)
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import gguf_builder as b
import gguf_tensor_cases as tables
from gguf_case import ACCEPTED, LENGTHS, NOTED, ODD_TEXTS, ONE, REFUSED, Case

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def g1_magic_and_version() -> Iterator[Case]:
    sound = b.small_model()
    for length in range(24):
        yield Case(f"first {length} bytes", sound[:length], REFUSED, "the file ends inside it")
    for magic in (b"GGML", b"FUGG", b"gguf", b"\0\0\0\0", b"GGUG", b"PK\3\4"):
        yield Case(f"magic {magic!r}", b.gguf(magic=magic), REFUSED, "b'GGUF'")
    for version in (0, 4, 5, 128, 2**16, 2**31, 2**32 - 1):
        yield Case(f"version {version}", b.gguf(version=version), REFUSED, f"is {version:,}")
    for version in (1, 2, 3):
        swapped = int.from_bytes(version.to_bytes(4, "big"), "little")
        yield Case(
            f"big-endian version {version}",
            b.gguf(version=swapped),
            REFUSED,
            f"is {version} with its bytes swapped: big-endian GGUF",
        )
    # Version 1 counted in 32 bits.
    old = b"GGUF" + struct.pack("<III", 1, 0, 0)
    yield Case("version 1", old + bytes(16), REFUSED, "GGUF v1")
    yield Case("version 2 is read", b.gguf([b.ARCHITECTURE], version=2), ACCEPTED)
    yield Case("nothing but counts of zero", b.gguf(), ACCEPTED)


def g2_counts() -> Iterator[Case]:
    for count in (*LENGTHS, 65_537, 10**6):
        pairs = b.gguf([b.ARCHITECTURE], ONE, data_bytes=128, n_pairs=count)
        yield Case(
            f"{count} keys", pairs, REFUSED, f"number of keys at byte 16: declares {count:,}"
        )
        rows = b.gguf([b.ARCHITECTURE], ONE, data_bytes=128, n_tensors=count)
        yield Case(
            f"{count} tensors", rows, REFUSED, f"number of tensors at byte 8: declares {count:,}"
        )
    five = [b.scalar(f"k{i}", b.UINT32, i) for i in range(5)]
    for change in (-2, -1, 1, 2):
        lie = b.gguf(five, b.two_tensors(), data_bytes=162, n_pairs=5 + change)
        yield Case(f"{change:+} keys", lie, REFUSED)
    for change in (1, 2):
        lie = b.gguf(five, b.two_tensors(), data_bytes=162, n_tensors=2 + change)
        yield Case(f"{change:+} tensors", lie, REFUSED)
    # One row of the table is left over: it looks like padding, its data like a tail.
    for name_length in range(1, 33):
        rows = b.two_tensors("n" * name_length)
        lie = b.gguf(five, rows, data_bytes=162, n_tensors=1)
        start = len(b.gguf(five)) + len(rows[0])
        if start % 32:
            yield Case(f"-1 tensors, name of {name_length}", lie, REFUSED, "number of tensors")
        else:
            yield Case(f"-1 tensors, name of {name_length}", lie, NOTED, "after the last tensor")
    many = [b.scalar(f"k{i}", b.UINT8, 1) for i in range(65_537)]
    yield Case("65,537 keys that exist", b.gguf(many), REFUSED, "at most 65,536")
    yield Case("65,536 keys", b.gguf(many[:-1]), ACCEPTED)
    rows = [b.tensor(f"t{i}", (32,), b.I8, 32 * i) for i in range(65_537)]
    yield Case(
        "65,537 tensors that exist",
        b.gguf([], rows, data_bytes=32 * 65_537),
        REFUSED,
        "at most 65,536",
    )
    rows = [b.tensor(f"{i:x}", (1,), b.I8, 32 * i) for i in range(14_000)]
    yield Case("a megabyte of smallest tensors", b.gguf([], rows, data_bytes=448_000), ACCEPTED)
    # As many as the bytes allow, and one more: the smallest pair takes 14, the smallest row 33.
    pair = b.scalar("k", b.UINT8, 1)
    assert len(pair) == 14
    fits = b.gguf([pair, b.scalar("m", b.UINT8, 1)])
    yield Case("two smallest keys", fits, ACCEPTED)
    yield Case(
        "two keys in 27 bytes", fits[:-1], REFUSED, "ends 27 bytes further on; allowed: at most 1"
    )
    row = b.tensor("a", (1,), b.I8)
    assert len(row) == 33
    short = b.gguf(n_tensors=2) + row + row[:-1]
    yield Case(
        "two rows in 65 bytes", short, REFUSED, "ends 65 bytes further on; allowed: at most 1"
    )
    rows = b.gguf([], [row, b.tensor("b", (1,), b.I8, 32)], data_bytes=33)
    yield Case("two smallest tensors", rows, ACCEPTED)
    # The keys eat what the tensors were counted against.
    eaten = b.gguf([b.scalar("k", b.STRING, "x" * 100)], ONE, n_tensors=4)
    yield Case("fewer bytes for tensors than at first", eaten[:-30], REFUSED, "number of tensors")


def g3_keys() -> Iterator[Case]:
    value = struct.pack("<II", b.UINT32, 1)
    yield Case("empty key", b.gguf([b.string("") + value]), REFUSED, "is empty")
    for length in (65_536, *LENGTHS):
        data = b.gguf([b.string("k", length=length) + value, bytes(40)], n_pairs=1)
        yield Case(f"key of {length}", data, REFUSED, f"declares {length:,} bytes")
    data = b.gguf([b.string("k", length=500) + value])
    yield Case("key past the end", data, REFUSED, "the file ends inside it")
    yield Case("key of 65,535", b.gguf([b.scalar("k" * 65_535, b.UINT32, 1)]), ACCEPTED)
    long = b.gguf([b.scalar("k" * 65_536, b.UINT32, 1)])
    yield Case("key of 65,536 that exists", long, REFUSED, "1 to 65,535 bytes")
    for name, text in ODD_TEXTS.items():
        odd = b.gguf([b.scalar(text, b.UINT32, 1)])
        yield Case(f"{name} in key", odd, NOTED, "key with characters other than printable ASCII")
    for data in (b"\xff", b"a\xc3", b"\xed\xa0\x80", b"\xc0\xae", b"\xf8\x88\x80\x80\x80"):
        yield Case(f"key {data!r}", b.gguf([b.scalar(data, b.UINT32, 1)]), REFUSED, "is not UTF-8")


def g4_strings() -> Iterator[Case]:
    for length in (17 * 2**20, 2**30, *LENGTHS):
        lie = b.string("x" * 100, length=length)
        says = f"declares {length:,} bytes; allowed: at most 16,777,216"
        yield Case(f"value of {length}", b.gguf([b.pair("k", b.STRING, lie)]), REFUSED, says)
        for where, strings in {"first": lie, "last": b.string("t") * 20 + lie}.items():
            count = 20 if where == "last" else 0
            tokens = b.pair("t", b.ARRAY, struct.pack("<IQ", b.STRING, count + 1) + strings)
            yield Case(f"{where} token of {length}", b.gguf([tokens]), REFUSED, says)
    for length in (101, 1000, 2**20):
        lie = b.string("x" * 100, length=length)
        says = "the file ends inside it"
        yield Case(f"value past end {length}", b.gguf([b.pair("k", b.STRING, lie)]), REFUSED, says)
        tokens = struct.pack("<IQ", b.STRING, 21) + b.string("t") * 20 + lie
        yield Case(
            f"token past end {length}", b.gguf([b.pair("t", b.ARRAY, tokens)]), REFUSED, says
        )
    bad = b"ab\xff\xfe"
    text = "text that is not UTF-8"
    yield Case("value not UTF-8", b.gguf([b.scalar("k", b.STRING, bad)]), NOTED, text)
    yield Case("short list not UTF-8", b.gguf([b.array("k", b.STRING, [bad])]), NOTED, text)
    yield Case("token not UTF-8", b.gguf([b.array("k", b.STRING, [bad] * 50)]), ACCEPTED)
    odd = [b.scalar(f"k{i}", b.STRING, text) for i, text in enumerate(ODD_TEXTS.values())]
    yield Case("odd characters in values", b.gguf(odd), ACCEPTED)
    large = b.gguf([b.scalar("k", b.STRING, "x" * (2**22 + 1))])
    yield Case("value of 4 MiB and 1", large, NOTED, "value too large to keep")
    kept = b.gguf([b.scalar("k", b.STRING, "x" * 2**22)])
    yield Case("value of 4 MiB", kept, ACCEPTED)
    longest = b.gguf([b.scalar("k", b.STRING, "x" * 2**24)])
    yield Case("value of 16 MiB", longest, NOTED, "value too large to keep")
    longer = b.gguf([b.scalar("k", b.STRING, "x" * (2**24 + 1))])
    yield Case("value of 16 MiB and 1", longer, REFUSED, "at most 16,777,216")
    for extra, answer in ((0, ACCEPTED), (1, REFUSED)):
        tokens = b.array("k", b.STRING, ["t"] * 20 + ["x" * (2**24 + extra)] + ["t"] * 20)
        yield Case(
            f"token of 16 MiB and {extra}",
            b.gguf([tokens]),
            answer,
            "at most 16,777,216"[: 99 * extra],
        )


def g5_arrays() -> Iterator[Case]:
    for kind in (*b.FORMATS, b.STRING):
        for length in (2**60, 2**61, 2**63, 2**64 - 1, 2**64 // 8 + 1):
            data = b.gguf(
                [b.array("k", kind, [1] * 4 if kind != b.STRING else "abcd", length=length)]
            )
            says = f"array length of key 'k' at byte 41: declares {length:,}"
            yield Case(f"array of {length} of type {kind}", data, REFUSED, says)
        size = 8 if kind == b.STRING else struct.calcsize(b.FORMATS[kind])
        short = b.gguf([b.array("k", kind, length=65) + bytes(65 * size - 1)])
        yield Case(f"array one byte short, type {kind}", short, REFUSED, "array length of key 'k'")
    for kind in (13, 14, 99, 2**31, 2**32 - 1):
        for length in (0, 1):
            value = struct.pack("<IQ", kind, length) + bytes(64)
            data = b.gguf([b.pair("k", b.ARRAY, value)])
            yield Case(f"{length} elements of type {kind}", data, REFUSED, f"is {kind:,}")
    for depth in (1, 3, 5_000):
        nested = struct.pack("<IQ", b.ARRAY, 1) * depth + struct.pack("<IQ", b.UINT8, 0)
        data = b.gguf([b.pair("k", b.ARRAY, nested)])
        yield Case(f"arrays nested {depth} deep", data, REFUSED, "arrays of arrays")
    empty = struct.pack("<IQ", b.ARRAY, 2**40)
    data = b.gguf([b.pair("k", b.ARRAY, empty + bytes(4096))])
    yield Case("2^40 empty inner arrays", data, REFUSED, "arrays of arrays")
    many = b.gguf([b.pair("k", b.ARRAY, struct.pack("<IQ", b.STRING, 10**6) + bytes(8 * 10**6))])
    yield Case("a million empty strings", many, ACCEPTED)
    yield Case("a million, the last cut", many[:-1], REFUSED, "array length")
    for byte in (2, 127, 128, 255):
        single = b.gguf([b.pair("k", b.BOOL, bytes([byte]))])
        yield Case(f"truth value {byte}", single, REFUSED, f"is {byte}; allowed: 0 or 1")
        several = struct.pack("<IQ", b.BOOL, 3) + bytes([0, byte, 1])
        data = b.gguf([b.pair("k", b.ARRAY, several)])
        yield Case(f"truth value {byte} in array", data, REFUSED, f"is {byte}; allowed: 0 or 1")
    yield Case("empty arrays", b.gguf([b.array(f"k{k}", k) for k in b.FORMATS]), ACCEPTED)
    numbers = [b.array(f"k{i}", b.UINT8, [1] * 8_192) for i in range(60)]
    texts = [b.array(f"k{i}", b.STRING, ["x" * 1_024] * 16) for i in range(300)]
    yield Case("many lists of 16 texts", b.gguf(texts), NOTED, "value too large to keep")
    yield Case("many arrays of 8,192", b.gguf(numbers), NOTED, "value too large to keep")


def g6_value_types() -> Iterator[Case]:
    for kind in (13, 14, 255, 2**31, 2**32 - 1):
        data = b.gguf([b.pair("k", kind, bytes(16))])
        yield Case(f"value type {kind}", data, REFUSED, f"is {kind:,}")
    fixed = {"general.alignment": b.UINT32, "general.architecture": b.STRING}
    for key, right in fixed.items():
        for kind in (*b.FORMATS, b.STRING):
            if kind != right:
                data = b.gguf([b.scalar(key, kind, "32" if kind == b.STRING else 1)])
                yield Case(f"{key} of type {kind}", data, REFUSED, f"value type of key '{key}'")
        data = b.gguf([b.array(key, right, ["a"] if right == b.STRING else [32])])
        yield Case(f"{key} as an array", data, REFUSED, f"value type of key '{key}'")
    extremes = {
        b.FLOAT32: (float("nan"), float("inf"), float("-inf"), 1e-45),
        b.FLOAT64: (float("nan"), 5e-324, 1.7e308),
        b.UINT64: (2**64 - 1,),
        b.INT64: (-(2**63),),
        b.INT32: (-1,),
    }
    for kind, values in extremes.items():
        for value in values:
            yield Case(f"type {kind}: {value}", b.gguf([b.scalar("k", kind, value)]), ACCEPTED)


def g7_keys_twice() -> Iterator[Case]:
    first = b.scalar("llama.block_count", b.UINT32, 2)
    others = {
        "the same": first,
        "another value": b.scalar("llama.block_count", b.UINT32, 3),
        "another type": b.scalar("llama.block_count", b.STRING, "2"),
        "an array": b.array("llama.block_count", b.INT32, [2]),
    }
    for name, other in others.items():
        yield Case(f"key twice, {name}", b.gguf([first, other]), REFUSED, "appears twice")
    long = b.array("k", b.UINT8, [0] * 9_000)
    yield Case("key twice, not kept", b.gguf([long, long]), REFUSED, "appears twice")
    twice = [b.scalar("general.alignment", b.UINT32, 32)] * 2
    yield Case("alignment twice", b.gguf(twice), REFUSED, "appears twice")
    for name in ("", "x" * 2**20, "../../etc/passwd", "no-such"):
        data = b.gguf([b.scalar("general.architecture", b.STRING, name)])
        yield Case(f"architecture {name[:20]!r}", data, ACCEPTED)  # a name is not for the reader


CLASSES: dict[str, Callable[[], Iterator[Case]]] = {
    "G1": g1_magic_and_version,
    "G2": g2_counts,
    "G3": g3_keys,
    "G4": g4_strings,
    "G5": g5_arrays,
    "G6": g6_value_types,
    "G7": g7_keys_twice,
    "G9": tables.g9_dimensions,
    "G10": tables.g10_storage_types,
    "G11": tables.g11_extents,
    "G12": tables.g12_alignment,
    "G13": tables.g13_tensor_names,
}


def all_cases() -> Iterator[tuple[str, Case]]:
    """Every case with its class."""
    for label, generate in CLASSES.items():
        for case in generate():
            yield label, case
