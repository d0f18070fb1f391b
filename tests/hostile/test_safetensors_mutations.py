"""Sound safetensors files cut, flipped and scrambled: refused, or accepted with sizes that hold."""

from __future__ import annotations

import json
import random
import re
import struct
from typing import Any

import pytest
import safetensors_builder as b
from safetensors_invariants import assert_sound

from whatfits.sizing.errors import MalformedFileError
from whatfits.sizing.readers.safetensors import SafetensorsHeader, read_safetensors_header

SEEDS = {**b.seeds(), **b.large_seeds()}
FUZZ_INPUTS = 25_000


def answer(
    data: bytes, *, allow_missing_data: bool = False
) -> SafetensorsHeader | MalformedFileError:
    """Return the header or the refusal; anything else that is raised fails the test."""
    try:
        header = read_safetensors_header(data, allow_missing_data=allow_missing_data)
    except MalformedFileError as error:
        refusal = error
    else:
        return _sound(header, data, complete=not allow_missing_data)
    assert str(refusal).isprintable()
    assert refusal.offset_bytes is not None
    assert 0 <= refusal.offset_bytes <= len(data)
    return refusal


def _sound(header: SafetensorsHeader, data: bytes, *, complete: bool) -> SafetensorsHeader:
    assert_sound(header, len(data), complete=complete)
    return header


@pytest.mark.parametrize("name", SEEDS)
def test_a_file_cut_anywhere_is_refused(name: str) -> None:
    data = SEEDS[name]
    whole = read_safetensors_header(data)
    assert whole.findings == ()
    for cut in range(len(data)):
        got = answer(data[:cut])
        assert isinstance(got, MalformedFileError), cut
        assert got.field
        assert got.offset_bytes == cut
        if cut >= whole.data_offset_bytes:
            assert got.reason == f"the file ends {len(data) - cut:,} bytes early"


@pytest.mark.parametrize("name", SEEDS)
def test_an_unfinished_download_is_understood_as_soon_as_the_header_is_there(name: str) -> None:
    data = SEEDS[name]
    whole = read_safetensors_header(data)
    for cut in range(len(data)):
        got = answer(data[:cut], allow_missing_data=True)
        if cut < whole.data_offset_bytes:
            assert isinstance(got, MalformedFileError), cut
            continue
        assert isinstance(got, SafetensorsHeader), cut
        assert got.tensors == whole.tensors
        missing = f"{len(data) - cut:,} bytes missing at the end of the file"
        assert got.findings == (f"tensor data incomplete: {missing}",)


@pytest.mark.parametrize("name", ["model", "escapes", "quantised"])
def test_a_changed_byte_is_refused_or_leaves_sizes_that_hold(name: str) -> None:
    data = SEEDS[name]
    accepted = 0
    for place in range(len(data)):
        for change in (1, 2, 4, 8, 16, 32, 64, 128):
            flipped = bytearray(data)
            flipped[place] ^= change
            accepted += isinstance(answer(bytes(flipped)), SafetensorsHeader)
    assert 0.1 < accepted / (8 * len(data)) < 0.9  # both answers must occur for this to mean much


INTERESTING = (0, 1, 2, 7, 8, 255, 2**31 - 1, 2**31, 2**32, 2**53 + 1, 2**63, 2**64 - 1, 2**64, -1)
TOKENS = (
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    '"',
    "\\",
    "\\u0061",
    "1e999",
    "NaN",
    "null",
    "-",
    " ",
    "é",
    "\0",
)


def number(rng: random.Random, usual: int) -> Any:  # noqa: ANN401 - JSON
    """The usual number, or now and then one that a guard must catch."""
    chance = rng.random()
    if chance < 0.96:
        return usual
    return rng.choice(INTERESTING) if chance < 0.99 else rng.choice(("1", None, 1.5, [usual], True))


def some_header(rng: random.Random) -> tuple[dict[str, Any], int]:
    header: dict[str, Any] = {}
    end = 0
    if rng.random() < 0.3:
        header["__metadata__"] = {"format": "pt" if rng.random() < 0.9 else number(rng, 1)}
    for index in range(rng.randrange(5)):
        dtype = rng.choice(tuple(b.BITS))
        shape = [number(rng, rng.randrange(5)) for _ in range(rng.randrange(4))]
        n_bytes = b.BITS[dtype] // 8
        for dimension in shape:
            n_bytes *= dimension if type(dimension) is int else 1
        start = end
        end += n_bytes
        row: dict[str, Any] = {
            "dtype": dtype,
            "shape": shape,
            "data_offsets": [number(rng, start), number(rng, end)],
        }
        if rng.random() < 0.05:
            row[rng.choice(("x", "dtype", "shape"))] = number(rng, 3)
        header[f"t{index}"] = row
    return header, end


def damaged(rng: random.Random, text: str) -> str:
    """Put in, take out or replace a piece, a few times or not at all."""
    for _ in range(rng.choice((0, 0, 0, 1, 1, 2))):
        place = rng.randrange(len(text) + 1)
        match rng.randrange(3):
            case 0:
                text = text[:place] + rng.choice(TOKENS) + text[place:]
            case 1:
                text = text[:place] + text[place + rng.randrange(1, 4) :]
            case _:
                text = text[:place] + text[rng.randrange(len(text) + 1) :][:30] + text[place:]
    return text


def scrambled(rng: random.Random) -> bytes:
    """A file put together from sound and unsound parts, then perhaps damaged."""
    header, end = some_header(rng)
    text = json.dumps(header, separators=rng.choice(((",", ":"), (", ", ": "))))
    raw = damaged(rng, text).encode()
    length = number(rng, len(raw))
    length = length if type(length) is int and 0 <= length < 2**64 else 0
    data_bytes = number(rng, end)
    data_bytes = data_bytes % 20_000 if type(data_bytes) is int else 0
    return struct.pack("<Q", length) + raw + bytes(data_bytes)


def test_scrambled_files_are_refused_or_leave_sizes_that_hold() -> None:
    rng = random.Random(20_261_125)  # noqa: S311 - a fixed series of test inputs
    accepted = 0
    reasons: set[str] = set()
    for turn in range(FUZZ_INPUTS):
        got = answer(scrambled(rng), allow_missing_data=bool(turn % 2))
        if isinstance(got, SafetensorsHeader):
            accepted += 1
        else:
            reasons.add(re.sub(r"[\d,]+|'.*?'", "", f"{got.field}: {got.reason}"))
    # A fuzzer that always hits the same wall proves nothing.
    assert 0.15 < accepted / FUZZ_INPUTS < 0.85
    assert len(reasons) > 25
