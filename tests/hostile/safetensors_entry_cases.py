"""Headers whose JSON is sound and whose entries are not: types, shapes, offsets, cover."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import safetensors_builder as b
from gguf_case import ACCEPTED, NOTED, Case
from safetensors_builder import GOOD, one

from whatfits.sizing.readers.safetensors import DTYPE_BITS

if TYPE_CHECKING:
    from collections.abc import Iterator


BIG = (2**31, 2**32, 2**53, 2**60, 2**63 - 1, 2**63, 2**64 - 1)
BEYOND = (2**64, 2**65, 10**25)
NO_NUMBERS = (
    "-1",
    "1.5",
    "1.0",
    "1e0",
    "1e999",
    "NaN",
    "Infinity",
    '"2"',
    "null",
    "true",
    "[2]",
    "{}",
)


def entries() -> Iterator[Case]:
    for value in ("null", "1", '"a"', "[]", "{}", "true", "[[]]"):
        yield one(f"entry {value}", b.raw("a", value))
    whole = json.loads(GOOD)
    for field in whole:
        rest = {key: value for key, value in whole.items() if key != field}
        yield one(f"no {field}", b.raw("a", json.dumps(rest)), says=field)
        for value in ("null", "1", "{}", '"a"', "true", "[[]]", '["a"]'):
            if (field, value) == ("dtype", '"a"'):
                continue
            text = GOOD.replace(json.dumps(whole[field], separators=(",", ":")), value, 1)
            yield one(f"{field} {value}", b.raw("a", text), says=field)
    yield one("another order", b.raw("a", json.dumps(dict(reversed(whole.items())))), ACCEPTED)
    yield one("blanks", b.raw("a", json.dumps(whole, indent=3)), ACCEPTED)
    yield one("one more field", b.raw("a", json.dumps({**whole, "x": [1]})), NOTED, "does not have")


def types() -> Iterator[Case]:
    for dtype in ("F33", "f32", "BFLOAT16", "Q4_K", "", "I4", "F8", "X" * 100, "a\\u001b[31m"):
        value = GOOD.replace("F32", dtype)
        yield one(f"type {dtype[:9]}", b.raw("a", value), NOTED, "not known")
    for dtype, bits in DTYPE_BITS.items():
        n_bytes = bits  # eight elements
        value = f'{{"dtype":"{dtype}","shape":[8],"data_offsets":[0,{n_bytes}]}}'
        yield one(f"eight {dtype}", b.raw("a", value), ACCEPTED, data=n_bytes)
        wrong = value.replace(f",{n_bytes}]", f",{n_bytes + 1}]")
        yield one(
            f"eight {dtype}, a byte more", b.raw("a", wrong), says="data_offsets", data=n_bytes + 1
        )
    for dtype in ("F4", "F6_E2M3", "F6_E3M2"):
        value = f'{{"dtype":"{dtype}","shape":[3],"data_offsets":[0,2]}}'
        yield one(f"three {dtype}", b.raw("a", value), says="whole bytes", data=2)


def shapes() -> Iterator[Case]:
    for big in BIG:
        for shape in ([big], [big, 2], [2, big], [big, big], [big] * 16):
            value = json.dumps({"dtype": "F32", "shape": shape, "data_offsets": [0, 8]})
            yield one(f"shape {shape}", b.raw("a", value))
    for shape in ([2**32, 2**32], [2**62], [2**63, 2]):  # these wrap to nothing in 64 bits
        value = json.dumps({"dtype": "F32", "shape": shape, "data_offsets": [0, 0]})
        yield one(f"shape {shape} in no bytes", b.raw("a", value), says="2^64 bits", data=0)
    for beyond in BEYOND:
        value = json.dumps({"dtype": "F32", "shape": [beyond, 0], "data_offsets": [0, 0]})
        yield one(f"shape with {beyond}", b.raw("a", value), says="2^64", data=0)
    for text in NO_NUMBERS:
        value = f'{{"dtype":"F32","shape":[{text}],"data_offsets":[0,8]}}'
        yield one(f"shape [{text}]", b.raw("a", value))
    ones = json.dumps({"dtype": "F32", "shape": [1] * 17, "data_offsets": [0, 4]})
    yield one("17 dimensions", b.raw("a", ones), says="17 numbers", data=4)
    for most in ([1] * 15 + [2], [2] + [1] * 15):
        loose = json.dumps({"shape": most, "dtype": "F32", "data_offsets": [0, 8]}, indent=1)
        yield one(f"16 dimensions from {most[0]}, loose", b.raw("a", loose), ACCEPTED)
    greatest = json.dumps({"dtype": "F32", "shape": [2**64 - 1, 0], "data_offsets": [0, 0]})
    yield one("nothing of 2^64 - 1", b.raw("a", greatest), ACCEPTED, data=0)
    zero = json.dumps({"dtype": "F32", "shape": [2**40, 0, 2**40], "data_offsets": [0, 0]})
    yield one("nothing of 2^80", b.raw("a", zero), ACCEPTED, data=0)


def offsets() -> Iterator[Case]:
    for start, end in (
        (8, 0),
        (1, 9),
        (0, 7),
        (0, 9),
        (4, 12),
        (9, 1),
        (0, 0),
        (8, 8),
        (2**63, 2**63 + 8),
    ):
        value = json.dumps(b.entry(start=start, end=end))
        yield one(f"offsets {start}, {end}", b.raw("a", value), data=16)
    for big in BIG:
        value = json.dumps(b.entry(start=big, end=big + 8))
        yield one(f"offsets from {big}", b.raw("a", value))
        yield one(f"offsets to {big}", b.raw("a", json.dumps(b.entry(end=big))))
    for start, end in ((8, 0), (2**62, 1)):
        value = f'{{"dtype":"X9","shape":[2],"data_offsets":[{start},{end}]}}'
        says = "before they begin"
        yield one(f"offsets {start}, {end} of an unknown type", b.raw("a", value), says=says)
        yield one(f"offsets {start}, {end} after a whole one", f'{{"b":{GOOD},"a":{value}}}')
    for text in NO_NUMBERS:
        for pair in (f"[{text},8]", f"[0,{text}]"):
            yield one(f"offsets {pair}", b.raw("a", GOOD.replace("[0,8]", pair)))
    for pair in ("[]", "[0]", "[0,8,8]"):
        yield one(f"offsets {pair}", b.raw("a", GOOD.replace("[0,8]", pair)), says="numbers")


def covers() -> Iterator[Case]:
    def two(name: str, first: tuple[int, int], second: tuple[int, int], says: str) -> Case:
        rows = {
            "a": {"dtype": "U8", "shape": [first[1] - first[0]], "data_offsets": first},
            "b": {"dtype": "U8", "shape": [second[1] - second[0]], "data_offsets": second},
        }
        return one(name, json.dumps(rows), says=says, data=32)

    yield two("same place", (0, 8), (0, 8), "overlaps")
    yield two("one in the other", (0, 16), (4, 8), "overlaps")
    yield two("one byte shared", (0, 8), (7, 16), "overlaps")
    yield two("hole of a byte", (0, 8), (9, 16), "hole")
    yield two("hole at the start", (1, 8), (8, 16), "hole")
    yield two("hole of 2^60", (0, 8), (2**60, 2**60 + 8), "hole")
    yield two("other order, hole", (9, 16), (0, 8), "hole")
    rows = {"b": b.entry(start=8, end=16), "a": b.entry(), "z": b.entry(shape=(0,), start=8, end=8)}
    yield one("other order, whole", json.dumps(rows), ACCEPTED, data=16)


def data_lengths() -> Iterator[Case]:
    for missing in range(1, 9):
        yield one(
            f"{missing} bytes missing",
            b.raw("a", GOOD),
            says=f"{missing} bytes early",
            data=8 - missing,
        )
    for more in (1, 7, 8, 4_096):
        yield one(
            f"{more} bytes more", b.raw("a", GOOD), NOTED, "after the last tensor", data=8 + more
        )
    yield one("bytes and no tensor", "{}", NOTED, "after the last tensor", data=5)
    value = json.dumps({"dtype": "U8", "shape": [2**50], "data_offsets": [0, 2**50]})
    yield one("a petabyte of a byte", b.raw("a", value), says="bytes early", data=1)
