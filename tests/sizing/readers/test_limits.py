"""Each limit of the readers: just met, and passed by one; and the widths of safetensors' types."""

from __future__ import annotations

import json
import re
import struct

import pytest
import safetensors_builder as b

from whatfits.sizing.errors import MalformedFileError
from whatfits.sizing.readers.checkpoint_shape import counts_of
from whatfits.sizing.readers.gguf import read_gguf_header
from whatfits.sizing.readers.safetensors import (
    DTYPE_BITS,
    MAX_HEADER_BYTES,
    MAX_TENSORS,
    StoredTensor,
    read_safetensors_header,
)
from whatfits.sizing.readers.safetensors_index import read_safetensors_index
from whatfits.sizing.readers.strict_json import parse_json


@pytest.mark.parametrize("name", DTYPE_BITS)
def test_a_type_is_as_wide_as_its_name_says(name: str) -> None:
    """F8_E4M3 has 8 bits, C64 is two numbers of 32; a BOOL is stored as a byte."""
    digits = re.search(r"\d+", name)
    assert DTYPE_BITS[name] == (int(digits[0]) if digits else 8)


def test_a_header_has_room_for_every_tensor_it_may_name() -> None:
    assert MAX_TENSORS == 128 * 1024
    assert MAX_HEADER_BYTES == 16 * 1024 * 1024 == MAX_TENSORS * 128


def shaped(dimensions: int, *, usual: bool) -> bytes:
    """A header with one number in so many dimensions, as most writers write it or not."""
    shape = [1] * dimensions
    fields = {"dtype": "U8", "shape": shape, "data_offsets": [0, 1]}
    if not usual:
        fields = dict(reversed(fields.items()))
    return b.with_header(json.dumps({"a": fields}), b"\0")


@pytest.mark.parametrize("usual", [True, False])
def test_a_tensor_has_up_to_sixteen_dimensions(*, usual: bool) -> None:
    (tensor,) = read_safetensors_header(shaped(16, usual=usual)).tensors
    assert tensor.shape == (1,) * 16
    with pytest.raises(MalformedFileError, match=r"has 17 numbers.*up to 16"):
        read_safetensors_header(shaped(17, usual=usual))


@pytest.mark.parametrize("wrong", [-1, 2**64, 1.0, True, "1"])
def test_a_dimension_is_a_whole_number_of_64_bits(wrong: object) -> None:
    fields = {"data_offsets": [0, 1], "shape": [wrong], "dtype": "U8"}
    with pytest.raises(MalformedFileError, match="shape of 'a'"):
        read_safetensors_header(b.with_header(json.dumps({"a": fields}), b"\0"))


def test_a_field_of_a_tensor_that_nobody_knows_is_a_finding() -> None:
    fields = {"dtype": "U8", "shape": [1], "data_offsets": [0, 1], "colour": 7}
    header = read_safetensors_header(b.with_header(json.dumps({"a": fields}), b"\0"))
    assert header.findings == ("field that the format does not have: 'colour'",)


@pytest.mark.parametrize(("layers", "counted"), [(4_096, True), (4_097, False)])
def test_layers_are_counted_up_to_a_number_no_model_has(layers: int, *, counted: bool) -> None:
    tensors = [
        StoredTensor(f"model.layers.{layer}.x.weight", "BF16", (1,), 0, 2)
        for layer in range(layers)
    ]
    assert counts_of(tensors) == ({"num_hidden_layers": layers} if counted else {})


@pytest.mark.parametrize(
    ("total", "read"),
    [(0, 0), (5.0, 5), (2**64 - 1, 2**64 - 1), (2**64, None), (-1, None), (True, None)],
)
def test_an_index_claims_a_size_of_64_bits_or_none(total: object, read: int | None) -> None:
    index = {"metadata": {"total_size": total}, "weight_map": {"a": "m.safetensors"}}
    assert read_safetensors_index(json.dumps(index).encode()).total_bytes == read


def list_of(elements: int) -> bytes:
    """A list: a bracket and its commas are as many parts as it has elements."""
    return b"[" + b",".join([b"1"] * elements) + b"]"


def test_a_text_has_up_to_a_hundred_thousand_parts() -> None:
    assert parse_json(list_of(100_000), "test") == [1] * 100_000
    with pytest.raises(MalformedFileError, match="has 100,001 parts"):
        parse_json(list_of(100_001), "test")


def test_a_text_has_up_to_four_quotation_marks_a_part() -> None:
    escaped = b'"' + b'\\"' * 399_998 + b'"'
    assert parse_json(escaped, "test") == '"' * 399_998
    with pytest.raises(MalformedFileError, match="has 400,001 quotation marks"):
        parse_json(b'"' + b'\\"' * 399_999 + b'"', "test")


@pytest.mark.parametrize(
    ("version", "says"),
    [
        (struct.pack(">I", 3), "is 3 with its bytes swapped"),
        (struct.pack(">I", 1), "is 1 with its bytes swapped"),
        (struct.pack("<I", 1), "is 1: GGUF v1"),
        (struct.pack("<I", 4), "is 4"),
    ],
)
def test_another_version_of_gguf_is_named(version: bytes, says: str) -> None:
    with pytest.raises(MalformedFileError, match=says):
        read_gguf_header(b"GGUF" + version + bytes(64))
