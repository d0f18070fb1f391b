"""Every hostile safetensors header gets its answer, in one line, in little time and memory."""

from __future__ import annotations

import time
import tracemalloc

import pytest
from gguf_case import ACCEPTED, NOTED, REFUSED, Case
from safetensors_cases import CLASSES, all_cases
from safetensors_invariants import assert_sound

from whatfits.sizing.errors import MalformedFileError
from whatfits.sizing.readers.safetensors import SafetensorsHeader, read_safetensors_header

SECONDS_ALLOWED = 0.25  # of processor time, in which another busy process does not count
BYTES_ALLOWED = 32_000_000  # beyond the file itself, which lies in memory already


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
            read_safetensors_header(case.data)
        error = caught.value
        assert case.says in str(error), where
        assert str(error).isprintable(), where
        assert error.file_format == "safetensors", where
        assert error.field, where
        assert error.offset_bytes is not None, where
        assert 0 <= error.offset_bytes <= len(case.data), where
        return
    header = read_safetensors_header(case.data)
    assert_sound(header, len(case.data))
    if case.answer == NOTED:
        assert any(case.says in line for line in header.findings), (where, header.findings)
        assert all(line.isprintable() for line in header.findings), where
    else:
        assert case.answer == ACCEPTED
        assert header.findings == (), where


def test_there_are_hundreds_of_cases_and_none_is_there_twice() -> None:
    names = [(label, case.name) for label, case in all_cases()]
    assert len(names) >= 440
    assert len(set(names)) == len(names)


def test_no_case_takes_more_memory_than_it_may() -> None:
    for label, case in all_cases():
        if len(case.data) < 1_000_000:
            continue
        tracemalloc.start()
        try:
            read_safetensors_header(case.data)
        except MalformedFileError:
            assert case.answer == REFUSED
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < BYTES_ALLOWED, (label, case.name, peak)


def test_allowing_missing_data_forgives_nothing_but_missing_data() -> None:
    for label, case in all_cases():
        if case.answer != REFUSED or len(case.data) > 1_000_000:
            continue
        if "bytes early" in case.says and label != "S1 length":
            got = read_safetensors_header(case.data, allow_missing_data=True)
            assert isinstance(got, SafetensorsHeader)
            assert "bytes missing" in got.findings[0]
            continue
        with pytest.raises(MalformedFileError, match="safetensors"):
            read_safetensors_header(case.data, allow_missing_data=True)
