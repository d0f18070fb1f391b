"""Sound safetensors files cut, flipped and scrambled: refused, or accepted with sizes that hold."""

from __future__ import annotations

import random
import re

import pytest
import safetensors_builder as b
from fuzz_json import scrambled
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
