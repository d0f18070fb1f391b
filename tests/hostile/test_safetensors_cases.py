"""What must hold for hostile safetensors headers beside the answer of each: test_every_file.py."""

from __future__ import annotations

import pytest
from gguf_case import REFUSED
from safetensors_cases import CLASSES, all_cases
from safetensors_invariants import assert_sound

from whatfits.sizing.errors import MalformedFileError
from whatfits.sizing.readers.safetensors import SafetensorsHeader, read_safetensors_header


@pytest.mark.parametrize("label", CLASSES)
def test_what_is_accepted_has_sizes_that_hold(label: str) -> None:
    for case in CLASSES[label]():
        if case.answer != REFUSED:
            assert_sound(read_safetensors_header(case.data), len(case.data))


def test_the_place_of_the_error_lies_in_the_file_or_at_its_end() -> None:
    for label, case in all_cases():
        if case.answer == REFUSED:
            with pytest.raises(MalformedFileError) as caught:
                read_safetensors_header(case.data)
            assert caught.value.file_format == "safetensors"
            assert caught.value.offset_bytes is not None, (label, case.name)
            assert 0 <= caught.value.offset_bytes <= len(case.data), (label, case.name)


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
