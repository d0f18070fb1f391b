"""Rules of the readers that a well-formed file never meets."""

from __future__ import annotations

import re
import struct
import sys

import pytest

from whatfits.sizing.errors import MalformedFileError, UnsupportedArchitectureError
from whatfits.sizing.readers.byte_source import FrugalSource
from whatfits.sizing.readers.checkpoint_shape import counts_of, parameters_of
from whatfits.sizing.readers.hf_config import _NO_MODELS, read_hf_config
from whatfits.sizing.readers.safetensors import StoredTensor, read_safetensors_header
from whatfits.sizing.readers.safetensors_index import read_safetensors_index
from whatfits.sizing.readers.strict_json import parse_json


def stored(name: str, *shape: int, dtype: str = "BF16") -> StoredTensor:
    return StoredTensor(name, dtype, shape, 0, 0)


def test_an_embedding_that_is_packed_tells_the_vocabulary_and_not_the_width() -> None:
    assert counts_of([stored("model.embed_tokens.weight", 512, 64)]) == {
        "vocab_size": 512,
        "hidden_size": 64,
    }
    assert counts_of([stored("model.embed_tokens.weight", 512, 8, dtype="U32")]) == {
        "vocab_size": 512
    }


def test_widths_are_told_by_whole_numbers_of_floats_alone() -> None:
    tensors = [
        stored("layers.0.self_attn.q_proj.weight", 256, 128),
        stored("layers.0.self_attn.k_proj.weight", 128, 128),
        stored("layers.0.mlp.up_proj.weight", 32, 128, dtype="U32"),  # rows of words, no width
        stored("layers.0.mlp.gate_proj.weight"),  # a single number
    ]
    assert counts_of(tensors) == {
        "num_hidden_layers": 1,
        "head_dim": 128,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
    }


def test_packed_weights_are_counted_by_their_bits_or_not_at_all() -> None:
    packed = [stored("layers.0.mlp.up_proj.weight", 4, 8, dtype="I32")]
    assert parameters_of(packed, bits=4) == 4 * 8 * 32 // 4
    assert parameters_of(packed, bits=None) is None
    assert parameters_of([], bits=4) is None


@pytest.mark.parametrize("value", ["@", "'text'", ",", ":"])
def test_what_stands_for_a_tensor_has_to_be_a_value(value: str) -> None:
    text = f'{{"a":{value}}}'.encode()
    with pytest.raises(MalformedFileError, match="is no value"):
        read_safetensors_header(struct.pack("<Q", len(text)) + text + bytes(4))


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="C code has a limit of its own there")
def test_json_is_refused_in_words_where_the_stack_is_nearly_used_up() -> None:
    text = b"[" * 60 + b"]" * 60

    def outcome(frames: int) -> str:
        if frames:
            return outcome(frames - 1)
        try:
            parse_json(text, "test")
        except MalformedFileError as error:
            return error.reason
        except RecursionError:
            return "no frame left for the reader itself"
        return "read"

    depth = sys.getrecursionlimit()
    frame = sys._getframe()
    while frame is not None:
        depth, frame = depth - 1, frame.f_back
    found = [outcome(depth - left) for left in (200, *range(80, 20, -1))]
    assert found[0] == "read"
    assert "is nested too deep" in found


@pytest.mark.parametrize(
    ("metadata", "total", "is_odd"),
    [
        ("{}", None, False),
        ('"none"', None, False),
        ('{"total_size":0}', 0, False),
        ('{"total_size":12345}', 12_345, False),
        ('{"total_size":12345.0}', 12_345, False),
        ('{"total_size":18446744073709551615}', 2**64 - 1, False),
        ('{"total_size":18446744073709551616}', None, True),
        ('{"total_size":12345.5}', None, True),
        ('{"total_size":-1}', None, True),
        ('{"total_size":true}', None, True),
        ('{"total_size":"12345"}', None, True),
    ],
)
def test_the_size_an_index_claims_is_whole_bytes_or_not_used(
    metadata: str, total: int | None, *, is_odd: bool
) -> None:
    text = f'{{"metadata":{metadata},"weight_map":{{"a":"model.safetensors"}}}}'
    index = read_safetensors_index(text.encode())
    assert (index.total_bytes, bool(index.findings)) == (total, is_odd)
    assert index.files == ("model.safetensors",)


@pytest.mark.parametrize("key", sorted(_NO_MODELS))
def test_a_configuration_of_something_else_says_of_what(key: str) -> None:
    with pytest.raises(UnsupportedArchitectureError, match=re.escape(_NO_MODELS[key])):
        read_hf_config(f'{{"{key}":1}}'.encode())


def test_a_source_that_is_to_be_asked_sparingly_has_to_say_what_it_has() -> None:
    with pytest.raises(NotImplementedError):
        FrugalSource().at_hand_bytes(0)
