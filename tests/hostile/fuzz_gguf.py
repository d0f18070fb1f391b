"""Inputs for the GGUF fuzzer, made from the parts a header has, and what must hold for each.

Two ways: a sound file with a few of its fields changed, and a file put together from sound and
unsound parts. Both know where counts, lengths and offsets lie, so that most inputs get past the
first checks.
"""

from __future__ import annotations

import struct
from functools import cache
from typing import TYPE_CHECKING

import gguf_builder as b
from gguf_invariants import assert_sound
from gguf_writer import rewritten

from whatfits.sizing.errors import MalformedFileError
from whatfits.sizing.readers.gguf import read_gguf_header

if TYPE_CHECKING:
    import random

INTERESTING = (0, 1, 2, 7, 31, 32, 33, 255, 2**15, 2**31 - 1, 2**31, 2**32 - 1, 2**63, 2**64 - 1)
_WIDTHS = {4: struct.Struct("<I"), 8: struct.Struct("<Q")}
NO_FIGURES = str.maketrans("", "", "0123456789,-")
_FROM_PARTS = 0.25  # of all inputs
_DATA_BYTES = 20_000


@cache
def seeds() -> tuple[tuple[bytes, ...], ...]:
    """Every small sound file as its fields: lengths, counts, types, texts, values, offsets."""
    return tuple(tuple(_fields(data)) for data in b.seeds().values())


def _fields(data: bytes) -> list[bytes]:
    fields: list[bytes] = []
    place = 0

    def take(n: int) -> bytes:
        nonlocal place
        fields.append(data[place : place + n])
        place += n
        return fields[-1]

    def number(n: int) -> int:
        return int.from_bytes(take(n), "little")

    def value(kind: int) -> None:
        if kind == b.STRING:
            take(number(8))
        elif kind == b.ARRAY:
            inner, count = number(4), number(8)
            for _ in range(count):
                value(inner)
        else:
            take(struct.calcsize("<" + b.FORMATS[kind]))

    take(4), number(4)
    n_tensors, n_pairs = number(8), number(8)
    for _ in range(n_pairs):
        take(number(8))
        value(number(4))
    for _ in range(n_tensors):
        take(number(8))
        for _ in range(number(4)):
            take(8)
        take(4), take(8)
    fields.append(data[place:])
    return fields


def changed(rng: random.Random) -> bytes:
    """A sound file with one to three of its fields changed, moved, doubled or left out."""
    choose = rng.random
    fields = list(seeds()[int(choose() * len(seeds()))])
    for _ in range(1 + int(choose() ** 2 * 3)):
        place = int(choose() * len(fields))
        field = fields[place]
        way = choose()
        form = _WIDTHS.get(len(field))
        if form is not None and way < 0.6:
            (now,) = form.unpack(field)
            new = INTERESTING[int(choose() * len(INTERESTING))] if way < 0.3 else now + 1
            if 0.3 <= way < 0.45:
                new = now - 1
            fields[place] = form.pack(new % 2 ** (8 * len(field)))
        elif way < 0.7:
            other = int(choose() * len(fields))
            fields[place : place + 1] = fields[other : other + 1 + int(choose() * 4)]
        elif way < 0.8:
            del fields[place : place + 1 + int(choose() * 3)]
        elif way < 0.9 and field:
            cut = int(choose() * len(field))
            fields[place] = field[:cut] + bytes([int(choose() * 256)]) + field[cut + 1 :]
        else:
            fields[place:] = [field[: int(choose() * len(field))]] if way < 0.95 else [field] * 2
        if not fields:
            break
    return b"".join(fields)


def number(rng: random.Random, usual: int) -> int:
    """The usual number, or now and then one that a guard must catch."""
    return usual if rng.random() < 0.93 else rng.choice(INTERESTING)


def some_pairs(rng: random.Random) -> list[bytes]:
    pairs = []
    for index in range(rng.randrange(6)):
        kind = rng.choice((*b.FORMATS, b.STRING))
        key = f"k{index if rng.random() < 0.97 else 0}"
        values = [rng.randrange(2) if kind != b.STRING else "ab"] * rng.randrange(20)
        choice = rng.random()
        if choice < 0.4:
            length = number(rng, len(values))
            pairs.append(b.array(key, kind, values, length=length))
        elif choice < 0.5:
            value_type = number(rng, b.UINT32) % 2**32
            pairs.append(b.pair(key, value_type, rng.randbytes(rng.randrange(16))))
        else:
            pairs.append(b.scalar(key, kind, "text" if kind == b.STRING else rng.randrange(2)))
    return pairs


def some_tensors(rng: random.Random) -> tuple[list[bytes], int]:
    rows, end = [], 0
    for index in range(rng.randrange(4)):
        row = number(rng, rng.choice((32, 64, 256)))
        shape = [row] + [number(rng, 2)] * rng.randrange(4)
        kind = rng.choice((b.F32, b.F16, b.Q4_0, b.Q8_0, b.Q4_K, number(rng, b.I8) % 2**31))
        rows.append(b.tensor(f"t{index}", shape, kind, number(rng, end)))
        end += 32 * rng.randrange(1, 300)
    return rows, end


def damaged(rng: random.Random, data: bytearray) -> bytes:
    """Change bytes, cut, overwrite a number, or splice, a few times or not at all."""
    for _ in range(rng.choice((0, 0, 0, 1, 1, 2, 4))):
        if len(data) <= 4:
            break
        place = rng.randrange(4, len(data))
        match rng.randrange(4):
            case 0:
                data[place] = rng.randrange(256)
            case 1:
                del data[place:]
            case 2:
                data[place : place + 8] = struct.pack("<Q", rng.choice(INTERESTING))
            case _:
                data[place:place] = data[rng.randrange(len(data)) :][:40]
    return bytes(data)


def scrambled(rng: random.Random) -> bytes:
    """A file put together from sound and unsound parts, then perhaps damaged."""
    pairs = some_pairs(rng)
    rows, end = some_tensors(rng)
    data = b.gguf(
        pairs, rows, data_bytes=number(rng, end) % _DATA_BYTES, n_pairs=number(rng, len(pairs))
    )
    return damaged(rng, bytearray(data))


def make(rng: random.Random) -> bytes:
    """One input."""
    return scrambled(rng) if rng.random() < _FROM_PARTS else changed(rng)


def check(data: bytes, *, allow_missing_data: bool) -> str | None:
    """Return what a refusal says without its figures, None for a file that is accepted.

    Raises:
        AssertionError: the answer breaks a promise; so does any other exception.
    """
    try:
        header = read_gguf_header(data, allow_missing_data=allow_missing_data)
    except MalformedFileError as error:
        refusal = error
    else:
        assert_sound(header, len(data), complete=not allow_missing_data)
        again = read_gguf_header(rewritten(header), allow_missing_data=True)
        assert repr(dict(again.metadata)) == repr(dict(header.metadata))  # NaN equals nothing
        assert again.array_lengths == header.array_lengths
        assert again.tensors == header.tensors
        assert (again.version, again.alignment) == (header.version, header.alignment)
        return None
    assert refusal.field
    assert refusal.offset_bytes is not None
    assert refusal.offset_bytes >= 0
    return (refusal.field.split(" of ")[0] + ": " + refusal.reason[:24]).translate(NO_FIGURES)
