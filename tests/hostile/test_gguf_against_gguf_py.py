"""Sound and hostile headers are shown to gguf-py too; each disagreement has a reason."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import gguf_builder as b
import pytest
from gguf_case import REFUSED, Case
from gguf_cases import all_cases
from other_readers import answers_of
from valid_gguf import valid_files

from whatfits.sizing.errors import MalformedFileError
from whatfits.sizing.quants.ggml_types import GGML_TYPES
from whatfits.sizing.readers.gguf import GgufHeader, read_gguf_header

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [
    pytest.mark.skipif(find_spec("gguf") is None, reason="gguf-py is not installed"),
    pytest.mark.skipif(sys.platform == "win32", reason="its time cannot be limited there"),
]

MAX_BYTES = 1_000_000
VALID = 250
TOO_LONG = "too long"
LARGE_BYTES = 200_000

# Types that it cannot size: what ggml has of them (ggml/src/ggml-common.h) is not what it has.
OTHER_TYPES = {
    "Q2_0": "newer than gguf-py 0.19",
    "Q8_1": "36 bytes a block in ggml, 40 there: scale and sum are halves now",
}
# Where this reader refuses and gguf-py finds something, or goes on until it is stopped.
STRICTER = {
    "its bytes swapped": "big-endian files are refused; it turns the bytes round",
    "number of tensors": "a row of the table was left over; its tensor would go missing",
    "is empty": "nothing can be found by an empty name",
    "1 to 65,535 bytes": "the format allows no longer name",
    "at most 16,777,216": "it takes what is there of a text that ends after the file",
    "the file ends inside it": "the same",
    "0 or 1": "the format knows two truth values",
    "general.architecture": "not a name: nothing can be said about such a model",
    "of key 'k'": "it has no bound on an array's length, and takes any type of no elements",
    "arrays of arrays": "no model has them",
    "allowed: 1 to 4": "ggml has no more dimensions",
    "no zero": "a tensor without elements is no weight",
    "up to the end of the file": "places wrap round there",
    "a multiple of": "data lies where the alignment says",
    "overlaps that of": "no two tensors share bytes",
    "a power of two from 8": "the format asks for a multiple of 8",
}
# Where it refuses, or is stopped, and this reader finds sizes all the same.
MORE_TOLERANT = {
    "not UTF-8": "a text that nobody needs may be any bytes",
}


def differences(header: GgufHeader, theirs: dict[str, Any]) -> set[str]:
    """Return the parts of a header that the two readers found differently."""
    found = set()
    if dict(header.array_lengths) != theirs["lengths"]:
        found.add("lengths")
    mine = [
        [t.name, GGML_TYPES[t.type].id, list(t.shape), t.offset_bytes, t.n_bytes]
        for t in header.tensors
    ]
    if mine != theirs["tensors"]:
        found.add("tensors")
    for key, value in header.metadata.items():
        texts = isinstance(value, tuple) and bool(value) and isinstance(value[0], str)
        if texts or value == ():
            continue  # it keeps texts as places in the file
        shown = repr(value[:100]) if isinstance(value, tuple) else repr(value)
        if theirs["values"].get(key) != shown:
            found.add("values")
    return found


def test_sound_files_hold_the_same_for_both(tmp_path: Path) -> None:
    files = [*b.seeds().values(), *valid_files(VALID, seed=29)]
    compared, used = 0, set()
    for index, (data, theirs) in enumerate(
        zip(files, answers_of("ask_gguf_py.py", files, tmp_path), strict=True)
    ):
        header = read_gguf_header(data)
        others = {tensor.type for tensor in header.tensors} & set(OTHER_TYPES)
        if theirs is None:
            assert others, index
        elif not others:
            assert not differences(header, theirs), index
            compared += 1
        used |= others
    assert used == set(OTHER_TYPES)
    assert compared >= 200


def test_odd_files_are_taken_alike_and_each_other_answer_has_a_reason(tmp_path: Path) -> None:
    cases = [case for _, case in all_cases() if len(case.data) <= MAX_BYTES]
    answers = answers_of("ask_gguf_py.py", [case.data for case in cases], tmp_path)
    used: set[str] = set()
    both = 0
    for case, theirs in zip(cases, answers, strict=True):
        if case.answer == REFUSED:
            if theirs is not None:
                reasons = {key for key in STRICTER if key in case.says or key in _refusal(case)}
                assert reasons, (case.name, case.says)
                used |= reasons
            continue
        header = read_gguf_header(case.data)
        if theirs == TOO_LONG and len(case.data) > LARGE_BYTES:
            continue  # it makes several objects of every field
        if theirs in (None, TOO_LONG):
            reasons = {key for key in MORE_TOLERANT for line in header.findings if key in line}
            assert reasons, case.name
            used |= reasons
            continue
        both += 1
        assert not differences(header, theirs), case.name
    assert used == {*STRICTER, *MORE_TOLERANT}
    assert len(cases) >= 400
    assert answers.count(None) >= 200  # refused by both
    assert both >= 50


def _refusal(case: Case) -> str:
    with pytest.raises(MalformedFileError) as caught:
        read_gguf_header(case.data)
    return str(caught.value)
