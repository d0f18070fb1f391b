"""Sound safetensors files cut, flipped and scrambled: refused, or accepted with sizes that hold."""

from __future__ import annotations

import pytest
import safetensors_builder as b
from fuzz_json import scrambled
from mutations import assert_both_answers_occur, assert_fuzzing_meets_many_walls
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
    assert_both_answers_occur(answer, SEEDS[name])


def test_scrambled_files_are_refused_or_leave_sizes_that_hold() -> None:
    assert_fuzzing_meets_many_walls(answer, scrambled, seed=20_261_125, inputs=FUZZ_INPUTS)
