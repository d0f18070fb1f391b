"""Sound and hostile headers are shown to llama.cpp's reader too; each disagreement has a reason."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import gguf_builder as b
import pytest
from gguf_case import ACCEPTED, REFUSED
from gguf_cases import all_cases
from other_readers import answers_of
from valid_gguf import valid_files

from whatfits.sizing.quants.ggml_types import GGML_TYPES
from whatfits.sizing.readers.gguf import GgufHeader, read_gguf_header

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [
    pytest.mark.oracle,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the library's name"),
]

MAX_BYTES = 17_000_000
VALID = 250

# Where this reader refuses and llama.cpp's does not (its model loader refuses some of them later).
STRICTER = {
    "number of tensors": "a row of the table was left over; its tensor would go missing",
    "at most 65,536": "a bound on memory and time, far above every published model",
    "1 to 65,535 bytes": "the same; the format allows no longer key",
    "at most 16,777,216": "the same",
    "a power of two from 8": "the format asks for a multiple of 8",
    "is not UTF-8": "names are text; two of them must not look alike",
    "0 or 1": "the format knows two truth values",
    "general.architecture": "not a name: nothing can be said about such a model",
    "no zero": "a tensor without elements, or beyond a pebibyte, is no weight",
    "bytes of F32": "the same",
    "tensor data at": "the same, for all tensors together",
    "bytes early": "llama.cpp looks at the length of the file only when it loads the data",
    "is empty": "nothing can be found by an empty name",
}
# Where llama.cpp refuses and this reader finds sizes all the same: what its finding says.
MORE_TOLERANT = {
    "tensor name above the 63 bytes": "the name is long, the bytes of the tensor are exact",
    "not in the order of the table": "every tensor lies somewhere and none over another",
    "unused bytes between tensors": "the same, with holes",
}


def assert_same(header: GgufHeader, theirs: dict[str, Any], *, where: str) -> None:
    """Both readers found the same values, lengths and tensors."""
    assert (header.version, header.alignment) == (theirs["version"], theirs["alignment"]), where
    if header.tensors:  # else there is no data that could begin anywhere
        assert header.data_offset_bytes == theirs["data_offset"], where
    assert dict(header.array_lengths) == theirs["lengths"], where
    rows = [[t.name, GGML_TYPES[t.type].id, t.offset_bytes, t.n_bytes] for t in header.tensors]
    assert rows == theirs["tensors"], where
    for key, value in header.metadata.items():
        if isinstance(value, tuple):
            numbers = value and not isinstance(value[0], str)
            if numbers:
                assert repr(value[:100]) == theirs["values"][key], (where, key)
        else:
            # Text ends at its first zero byte there.
            mine = value.partition("\0")[0] if isinstance(value, str) else value
            assert repr(mine) == theirs["values"][key], (where, key)
    lost = set(theirs["values"]) - set(header.metadata) - set(header.array_lengths)
    assert not lost or any("too large to keep" in line for line in header.findings), where


def test_sound_files_hold_the_same_for_both(tmp_path: Path) -> None:
    files = [*b.seeds().values(), *b.large_seeds().values(), *valid_files(VALID, seed=11)]
    for index, (data, theirs) in enumerate(
        zip(files, answers_of("ask_llama_cpp.py", files, tmp_path), strict=True)
    ):
        header = read_gguf_header(data)
        assert header.findings == ()
        assert theirs is not None, index
        assert_same(header, theirs, where=f"file {index}")
    assert sum(len(read_gguf_header(data).tensors) for data in files) > 500


def test_odd_files_are_taken_alike_and_each_other_answer_has_a_reason(tmp_path: Path) -> None:
    cases = [case for _, case in all_cases() if len(case.data) <= MAX_BYTES]
    answers = answers_of("ask_llama_cpp.py", [case.data for case in cases], tmp_path)
    used: set[str] = set()
    both = 0
    for case, theirs in zip(cases, answers, strict=True):
        if case.answer == REFUSED:
            if theirs is not None:
                (reason,) = (key for key in STRICTER if key in case.says)
                used.add(reason)
            continue
        header = read_gguf_header(case.data)
        if theirs is None:
            reasons = {key for key in MORE_TOLERANT for line in header.findings if key in line}
            assert reasons, case.name
            used |= reasons
            continue
        both += 1
        if not case.name.startswith("zero byte in"):  # it ends the name there
            assert_same(header, theirs, where=case.name)
    assert used == {*STRICTER, *MORE_TOLERANT}
    assert len(cases) > 400
    assert answers.count(None) > 250
    assert both > 50
    assert sum(case.answer == ACCEPTED for case in cases) > 20
