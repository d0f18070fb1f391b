"""Sound files cut, flipped and scrambled: refused, or accepted with sizes that hold."""

from __future__ import annotations

import re

import gguf_builder as b
import pytest
from fuzz_gguf import scrambled
from gguf_invariants import assert_sound
from gguf_reference import read_reference
from mutations import assert_both_answers_occur, assert_fuzzing_meets_many_walls

from whatfits.sizing.errors import MalformedFileError
from whatfits.sizing.readers.gguf import GgufHeader, read_gguf_header

SEEDS = {**b.seeds(), **b.large_seeds()}
FUZZ_INPUTS = 20_000


def answer(data: bytes, *, allow_missing_data: bool = False) -> GgufHeader | MalformedFileError:
    """Return the header or the refusal; anything else that is raised fails the test."""
    try:
        header = read_gguf_header(data, allow_missing_data=allow_missing_data)
    except MalformedFileError as error:
        return error
    assert_sound(header, len(data), complete=not allow_missing_data)
    return header


def needed_bytes(header: GgufHeader, table_end: int) -> int:
    """Return where the last byte lies that a file cannot do without."""
    if not header.tensors:
        return table_end
    return header.data_offset_bytes + max(t.offset_bytes + t.n_bytes for t in header.tensors)


def assert_names_the_cut(error: MalformedFileError, cut: int) -> None:
    """The error says which field the file ends in, or which count it has no room for, and where."""
    assert error.field
    place = error.offset_bytes
    assert place is not None
    assert 0 <= place <= cut
    inside = re.fullmatch(
        r"the file ends inside it: ([\d,]+) bytes needed, ([\d,]+) remain", error.reason
    )
    if inside is None:
        counted = "but the file ends" in error.reason and error.field.startswith(
            ("number of", "array length")
        )
        assert counted or error.field == "tensor data"
        return
    needed, remaining = (int(figure.replace(",", "")) for figure in inside.groups())
    assert place + remaining == cut
    assert needed > remaining


@pytest.mark.parametrize("name", SEEDS)
def test_a_file_cut_anywhere_is_refused_with_the_place_where_it_ends(name: str) -> None:
    data = SEEDS[name]
    whole = read_gguf_header(data)
    assert whole.findings == ()
    table_end = read_reference(data)[2]
    needed = needed_bytes(whole, table_end)
    for cut in range(len(data)):
        got = answer(data[:cut])
        if cut >= needed:
            assert isinstance(got, GgufHeader)
            continue
        assert isinstance(got, MalformedFileError), cut
        assert_names_the_cut(got, cut)
        if cut >= table_end:
            assert got.reason == f"the file ends {needed - cut:,} bytes early"


@pytest.mark.parametrize("name", SEEDS)
def test_an_unfinished_download_is_understood_as_soon_as_the_table_is_there(name: str) -> None:
    data = SEEDS[name]
    whole = read_gguf_header(data)
    table_end = read_reference(data)[2]
    needed = needed_bytes(whole, table_end)
    for cut in range(len(data)):
        got = answer(data[:cut], allow_missing_data=True)
        if cut < table_end:
            assert isinstance(got, MalformedFileError), cut
            continue
        assert isinstance(got, GgufHeader), cut
        assert (got.tensors, got.metadata) == (whole.tensors, whole.metadata)
        if cut < needed:
            assert got.findings == (
                f"tensor data incomplete: {needed - cut:,} bytes missing at the end of the file",
            )


@pytest.mark.parametrize("name", ["small model", "four dimensions", "one file of a set"])
def test_a_changed_byte_is_refused_or_leaves_sizes_that_hold(name: str) -> None:
    assert_both_answers_occur(answer, SEEDS[name])


def test_scrambled_files_are_refused_or_leave_sizes_that_hold() -> None:
    assert_fuzzing_meets_many_walls(answer, scrambled, seed=20_261_122, inputs=FUZZ_INPUTS)
