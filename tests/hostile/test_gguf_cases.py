"""What must hold for hostile GGUF headers beside the answer of each: test_every_file.py."""

from __future__ import annotations

import pytest
from gguf_case import REFUSED
from gguf_cases import CLASSES, all_cases
from gguf_invariants import assert_sound

from whatfits.sizing.errors import MalformedFileError
from whatfits.sizing.readers.gguf import read_gguf_header


@pytest.mark.parametrize("label", CLASSES)
def test_what_is_accepted_has_sizes_that_hold(label: str) -> None:
    for case in CLASSES[label]():
        if case.answer != REFUSED:
            assert_sound(read_gguf_header(case.data), len(case.data))


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
