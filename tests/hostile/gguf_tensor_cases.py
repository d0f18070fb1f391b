"""Hostile tensor tables: the classes G9 to G13 of `gguf_cases`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import gguf_builder as b
from gguf_case import ACCEPTED, LENGTHS, NOTED, ODD_TEXTS, ONE, REFUSED, Case

if TYPE_CHECKING:
    from collections.abc import Iterator


def one_tensor(pairs: list[bytes] | None = None, **changes: object) -> bytes:
    """A file with one tensor of 128 bytes, with changes to its row."""
    row = b.tensor(**{"name": "a", **changes})  # type: ignore[arg-type]
    return b.gguf(pairs or [], [row], data_bytes=128)


def g9_dimensions() -> Iterator[Case]:
    for n_dims in (0, 5, 6, 10**6, 2**31, 2**32 - 1):
        data = one_tensor(n_dims=n_dims)
        yield Case(f"{n_dims} dimensions", data, REFUSED, f"is {n_dims:,}; allowed: 1 to 4")
    for shape in ((0,), (32, 0), (0, 0, 0, 0), (32, 1, 1, 0)):
        yield Case(f"shape {shape}", one_tensor(shape=shape), REFUSED, "no zero")
    wraps = (
        (2**63,),
        (2**64 - 32,),
        (2**32, 2**32),
        (2**62, 4),
        (2**31, 2**31, 2, 1),
        (2**16,) * 4,
    )
    for shape in (*wraps, (2**40, 2**20), (2**63, 2), (2**64 - 32, 2**64 - 32)):
        yield Case(f"shape {shape}", one_tensor(shape=shape), REFUSED, "bytes of F32")
    # Elements × bits wraps round to a few bytes: 2^64 × 18 / 32, and so on.
    for kind, shape in ((b.Q4_0, (2**37, 2**27)), (b.Q8_0, (2**60, 32)), (b.F16, (2**63, 2))):
        yield Case(
            f"wrapping bytes {kind}", one_tensor(kind=kind, shape=shape), REFUSED, "bytes of"
        )
    for kind, row in ((b.Q4_0, 31), (b.Q8_0, 33), (b.Q4_K, 128), (b.Q4_K, 257), (b.Q4_0, 1)):
        data = one_tensor(kind=kind, shape=(row, 32))
        yield Case(f"row of {row}, type {kind}", data, REFUSED, f"a row has {row:,} elements")
    declared = one_tensor(shape=(2**48,))
    yield Case("1 PiB declared", declared, REFUSED, "bytes early")
    yield Case(
        "more than 1 PiB declared", one_tensor(shape=(2**48 + 1,)), REFUSED, "no zero, and at most"
    )


def g10_storage_types() -> Iterator[Case]:
    for kind in (4, 5, 31, 32, 33, 36, 37, 38):
        yield Case(f"type {kind}", one_tensor(kind=kind), REFUSED, f"has id {kind} (retired)")
    for kind in (43, 99, 1000, 2**31 - 1, -1, -(2**31)):
        yield Case(f"type {kind}", one_tensor(kind=kind), REFUSED, f"has id {kind:,} (unknown")


def g11_extents() -> Iterator[Case]:
    for offset in (2**31, 2**40, 2**63, 2**63 - 32, 2**64 - 32):
        data = one_tensor(offset=offset)
        yield Case(f"offset {offset}", data, REFUSED, "allowed: up to the end of the file")
        later = b.gguf([], [b.tensor("a"), b.tensor("b", offset=offset)], data_bytes=256)
        yield Case(f"second offset {offset}", later, REFUSED, "allowed: up to the end of the file")
    for offset in (1, 4, 16, 31, 33, 2**64 - 1):
        yield Case(f"offset {offset}", one_tensor(offset=offset), REFUSED, "a multiple of 32")

    def pair_at(first: int, second: int, size: int = 512) -> bytes:
        rows = [b.tensor("a", offset=first), b.tensor("b", offset=second)]
        return b.gguf([], rows, data_bytes=size)

    for offset in (0, 32, 64, 96):
        yield Case(f"overlap at {offset}", pair_at(0, offset), REFUSED, "overlaps that of")
    yield Case("overlap in reverse", pair_at(96, 0), REFUSED, "overlaps that of")
    yield Case("gap", pair_at(0, 160, 288), NOTED, "unused bytes between tensors")
    yield Case("gap before the first", pair_at(32, 160, 288), NOTED, "unused bytes between tensors")
    yield Case("reversed order", pair_at(128, 0, 256), NOTED, "not in the order of the table")
    yield Case("one byte left over", pair_at(0, 128, 257), NOTED, "1 bytes after the last tensor")
    yield Case("bytes left over", pair_at(0, 128, 300), NOTED, "44 bytes after the last tensor")
    yield Case("exact", pair_at(0, 128, 256), ACCEPTED)
    last = b.gguf([], b.two_tensors(), data_bytes=162)
    yield Case("last tensor without padding", last, ACCEPTED)
    yield Case("last tensor with padding", last + bytes(30), ACCEPTED)
    for missing in (1, 34, 35, 161, 162):
        says = f"the file ends {missing} bytes early"
        yield Case(f"{missing} bytes short", last[:-missing], REFUSED, says)
    junk = bytearray(b.gguf([], ONE, data_bytes=128))
    junk[24 + len(ONE[0])] = 1
    yield Case("junk in the padding", bytes(junk), NOTED, "padding before the tensor data")
    yield Case("junk and a tail", bytes(junk) + bytes(64), REFUSED, "number of tensors")
    yield Case("junk and a tail of a byte", bytes(junk) + bytes(1), REFUSED, "number of tensors")
    rows = [b.tensor(f"t{i}", (2**46,), b.I8, i * 2**46) for i in range(17)]
    yield Case("17 tensors of 64 TiB", b.gguf([], rows), REFUSED, "tensor data at")


def g12_alignment() -> Iterator[Case]:
    for value in (0, 1, 2, 3, 4, 7, 24, 33, 48, 100, 2**31, 2**32 - 1):
        pairs = [b.scalar("general.alignment", b.UINT32, value)]
        yield Case(f"alignment {value}", b.gguf(pairs), REFUSED, "a power of two from 8")
    for value in (8, 16, 32, 64, 4096):
        pairs = [b.scalar("general.alignment", b.UINT32, value)]
        data = b.gguf(pairs, ONE, data_bytes=128, alignment=value)
        yield Case(f"alignment {value}", data, ACCEPTED)
    pairs = [b.scalar("general.alignment", b.UINT32, 2**30)]
    yield Case("alignment 2^30", b.gguf(pairs, ONE), REFUSED, "bytes early")
    pairs = [b.scalar("general.alignment", b.UINT32, 64)]
    rows = [b.tensor("a", (8,)), b.tensor("b", (8,), offset=32)]
    data = b.gguf(pairs, rows, data_bytes=128, alignment=64)
    yield Case("offset aligned to less", data, REFUSED, "a multiple of 64")


def g13_tensor_names() -> Iterator[Case]:
    same = [b.tensor("a"), b.tensor("a", offset=128)]
    yield Case("name twice", b.gguf([], same, data_bytes=256), REFUSED, "appears twice")
    yield Case("empty name", one_tensor(name=""), REFUSED, "is empty")
    yield Case("name of 63", one_tensor(name="n" * 63), ACCEPTED)
    for length in (64, 65, 1000, 65_535):
        yield Case(f"name of {length}", one_tensor(name="n" * length), NOTED, "above the 63 bytes")
    yield Case("name of 32 letters, 64 bytes", one_tensor(name="é" * 32), NOTED, "above the 63")
    for length in (65_536, 100_000):
        yield Case(f"name of {length}", one_tensor(name="n" * length), REFUSED, "1 to 65,535 bytes")
    for length in LENGTHS:
        row = b.string("n", length=length) + b.tensor("a")[9:]
        data = b.gguf([], [row], data_bytes=128)
        yield Case(f"name of {length}", data, REFUSED, f"declares {length:,} bytes")
    for name, text in ODD_TEXTS.items():
        yield Case(f"{name} in name", one_tensor(name=text), NOTED, "tensor name with characters")
    for data in (b"\xff", b"a\xc3", b"\xed\xa0\x80"):
        yield Case(f"name {data!r}", one_tensor(name=data), REFUSED, "is not UTF-8")
    million = b.gguf(n_tensors=10**6) + b.tensor("t", (1,), b.I8) * 10**6
    yield Case("a million tensors of a byte", million, REFUSED, "declares 1,000,000")
