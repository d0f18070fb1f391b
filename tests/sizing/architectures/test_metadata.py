"""Metadata is typed and bounded: a hostile value becomes one typed error, never a wrong size."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whatfits.sizing.architectures.layers import hparams_and_layers
from whatfits.sizing.architectures.metadata import Metadata, architecture_of
from whatfits.sizing.errors import MalformedFileError, UnsupportedArchitectureError

if TYPE_CHECKING:
    from collections.abc import Callable

    from whatfits.sizing.architectures.layers import Layout

    SmallMetadata = Callable[[str], dict[str, object]]

LLAMA = {
    "llama.block_count": 4,
    "llama.context_length": 4096,
    "llama.embedding_length": 512,
    "llama.feed_forward_length": 1536,
    "llama.attention.head_count": 8,
    "llama.attention.head_count_kv": 2,
    "llama.attention.layer_norm_rms_epsilon": 1e-5,
}
WRONG_KINDS = [
    "8",
    8.0,
    True,
    None.__class__,
    -1,
    2**31,
    2**64 - 1,
    math.nan,
    (),
    ("a",),
    (1,) * 99,
]
SIZING_KEYS = [
    "block_count",
    "embedding_length",
    "feed_forward_length",
    "attention.head_count",
    "attention.head_count_kv",
    "attention.key_length",
    "attention.value_length",
    "context_length",
    "expert_count",
]


def layout(**changes: object) -> Layout:
    values = {**LLAMA, **{f"llama.{k.replace('__', '.')}": v for k, v in changes.items()}}
    values = {key: value for key, value in values.items() if value is not None}
    return hparams_and_layers(Metadata(values, architecture="llama"), n_vocab=1000)


@pytest.mark.parametrize("key", SIZING_KEYS)
@pytest.mark.parametrize("value", WRONG_KINDS, ids=repr)
def test_a_key_of_the_wrong_kind_or_size_is_named_in_the_error(key: str, value: object) -> None:
    if key in ("context_length", "expert_count") and value == -1:
        value = -2
    with pytest.raises(MalformedFileError) as caught:
        layout(**{key.replace(".", "__"): value})
    assert caught.value.field in (f"llama.{key}", "llama.expert_used_count")
    assert caught.value.file_format == "gguf"
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("key", ["block_count", "embedding_length", "attention.head_count"])
def test_a_key_that_must_be_there_is_missed_by_name(key: str) -> None:
    with pytest.raises(MalformedFileError, match="missing") as caught:
        layout(**{key.replace(".", "__"): None})
    assert caught.value.field == f"llama.{key}"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"block_count": 0}, "block_count"),
        ({"block_count": 4097}, "block_count"),
        ({"embedding_length": 0}, "embedding_length"),
        ({"attention__head_count": 0}, "attention.head_count"),
        ({"attention__head_count": (0, 0, 0, 0)}, "attention.head_count"),
        ({"attention__head_count_kv": 9}, "attention.head_count_kv"),
        ({"attention__head_count_kv": (2, 2, 9, 2)}, "attention.head_count_kv"),
        ({"attention__head_count_kv": (2, 2, 2)}, "attention.head_count_kv"),
        ({"attention__head_count_kv": (2,) * 5}, "attention.head_count_kv"),
        ({"attention__head_count": 1024, "attention__head_count_kv": 1}, "attention.key_length"),
        ({"attention__key_length": 0}, "attention.key_length"),
        ({"nextn_predict_layers": 5}, "nextn_predict_layers"),
        ({"expert_count": 8}, "expert_used_count"),
        ({"expert_count": 8, "expert_used_count": 9}, "expert_used_count"),
        ({"expert_used_count": 2}, "expert_used_count"),
    ],
    ids=str,
)
def test_values_that_contradict_each_other_are_refused(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(MalformedFileError) as caught:
        layout(**changes)
    assert caught.value.field == f"llama.{field}"


def test_a_list_that_the_reader_only_counted_is_refused_where_one_value_a_layer_is_needed() -> None:
    values = {k: v for k, v in LLAMA.items() if k != "llama.attention.head_count_kv"}
    metadata = Metadata(
        values, architecture="llama", array_lengths={"llama.attention.head_count_kv": 10**9}
    )
    with pytest.raises(MalformedFileError, match="1,000,000,000"):
        hparams_and_layers(metadata, n_vocab=1000)


def test_a_missing_count_of_key_heads_means_as_many_as_query_heads() -> None:
    assert {layer.n_head_kv for layer in layout(attention__head_count_kv=None).layers} == {8}


def test_an_uneven_division_of_the_width_is_rounded_down_as_llama_cpp_does() -> None:
    assert layout(embedding_length=515).layers[0].key_length == 64


@pytest.mark.parametrize("name", [None, 7, "", "a" * 65, "../etc", "llama\n", ("llama",)], ids=repr)
def test_an_architecture_must_be_a_short_plain_name(name: object) -> None:
    values = {} if name is None else {"general.architecture": name}
    with pytest.raises(MalformedFileError) as caught:
        architecture_of(values)
    assert caught.value.field == "general.architecture"


def test_an_unknown_architecture_is_guessed_at_with_an_interval() -> None:
    values = {key.replace("llama", "novel"): value for key, value in LLAMA.items()}
    got = hparams_and_layers(Metadata(values, architecture="novel"), n_vocab=1000)
    assert got.cache_interval > 0
    assert "'novel' is unknown" in got.notes[0]
    assert got.layers == layout().layers


@pytest.mark.parametrize(
    ("architecture", "extra", "said"),
    [
        ("novel", {"novel.ssm.state_size": 16}, "novel.ssm.state_size"),
        ("novel", {"novel.attention.kv_lora_rank": 512}, "novel.attention.kv_lora_rank"),
        ("clip", {}, "projector"),
    ],
)
def test_an_unknown_architecture_with_another_kind_of_memory_is_refused(
    architecture: str, extra: dict[str, object], said: str
) -> None:
    values = {key.replace("llama", architecture): value for key, value in LLAMA.items()}
    with pytest.raises(UnsupportedArchitectureError, match=said):
        hparams_and_layers(Metadata({**values, **extra}, architecture=architecture), n_vocab=1)


SCALARS = st.one_of(
    st.integers(-(2**63), 2**64 - 1),
    st.integers(0, 64),
    st.floats(),
    st.booleans(),
    st.text(max_size=5),
)
VALUES = st.one_of(SCALARS, st.lists(SCALARS, max_size=12).map(tuple))


@given(data=st.data())
def test_no_metadata_leads_to_anything_but_an_answer_or_a_typed_error(
    data: st.DataObject,
    small_models: dict[str, Any],
    small_metadata: SmallMetadata,
) -> None:
    name = data.draw(st.sampled_from(sorted(small_models["architectures"])))
    values = small_metadata(name)
    keys = st.sampled_from(sorted(key for key in values if key.startswith(f"{name}.")))
    for key in data.draw(st.lists(keys, min_size=1, max_size=4)):
        if data.draw(st.booleans()):
            values[key] = data.draw(VALUES)
        else:
            values.pop(key, None)
    try:
        got = hparams_and_layers(Metadata(values, architecture=name), n_vocab=1)
    except (MalformedFileError, UnsupportedArchitectureError):
        return
    for layer in got.layers:
        for part in (layer.attention, layer.recurrent):
            sizes = [] if part is None else [getattr(part, field) for field in part.__slots__]
            assert all(size >= 0 for size in sizes)
