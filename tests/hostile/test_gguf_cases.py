"""Every hostile header gets the answer its class calls for, quickly and in one line."""

from __future__ import annotations

import time

import pytest
from gguf_case import ACCEPTED, NOTED, REFUSED, Case
from gguf_cases import CLASSES, all_cases
from gguf_invariants import assert_sound

from whatfits.sizing.errors import MalformedFileError
from whatfits.sizing.readers.gguf import read_gguf_header

SECONDS_ALLOWED = 2.0  # 250 ms a megabyte is the aim; this only has to catch what hangs


@pytest.mark.parametrize("label", CLASSES)
def test_each_case_of_a_class_is_answered_as_it_must_be(label: str) -> None:
    for case in CLASSES[label]():
        started = time.process_time()
        _answer(label, case)
        assert time.process_time() - started < SECONDS_ALLOWED, case.name


def _answer(label: str, case: Case) -> None:
    where = f"{label}: {case.name}"
    if case.answer == REFUSED:
        with pytest.raises(MalformedFileError) as caught:
            read_gguf_header(case.data)
        error = caught.value
        assert case.says in str(error), where
        assert "\n" not in str(error), where
        assert str(error).isprintable(), where
        assert error.file_format == "gguf", where
        assert error.field, where
        assert error.offset_bytes is not None, where
        return
    header = read_gguf_header(case.data)
    assert_sound(header, len(case.data))
    if case.answer == NOTED:
        assert any(case.says in line for line in header.findings), (where, header.findings)
        assert all(line.isprintable() for line in header.findings), where
    else:
        assert case.answer == ACCEPTED
        assert header.findings == (), where


def test_there_are_hundreds_of_cases_and_none_is_there_twice() -> None:
    names = [(label, case.name) for label, case in all_cases()]
    assert len(names) >= 400
    assert len(set(names)) == len(names)


def test_the_place_of_the_error_lies_in_the_file_or_at_its_end() -> None:
    for label, case in all_cases():
        if case.answer != REFUSED or label == "G11":  # an offset may lead out of the file
            continue
        with pytest.raises(MalformedFileError) as caught:
            read_gguf_header(case.data)
        assert 0 <= caught.value.offset_bytes <= len(case.data), case.name


def test_allowing_missing_data_forgives_nothing_but_missing_data() -> None:
    for _, case in all_cases():
        if case.answer != REFUSED or "bytes early" in case.says:
            continue
        with pytest.raises(MalformedFileError, match="gguf"):
            read_gguf_header(case.data, allow_missing_data=True)
