"""What tensors give away of a model: every count by itself, and what is no part of it."""

from __future__ import annotations

import pytest

from whatfits.sizing.readers.checkpoint_shape import (
    bytes_by_type,
    counts_of,
    has_output,
    parameters_of,
)
from whatfits.sizing.readers.safetensors import StoredTensor


def stored(name: str, *shape: int, dtype: str = "BF16", n_bytes: int = 0) -> StoredTensor:
    return StoredTensor(name, dtype, shape, 0, n_bytes)


def layers(*numbers: int, stem: str = "model.layers") -> list[StoredTensor]:
    return [stored(f"{stem}.{number}.w") for number in numbers]


# counts


@pytest.mark.parametrize(
    ("numbers", "count"),
    [((0,), 1), ((1, 0), 2), ((0, 1, 2, 2, 0), 3), ((1,), None), ((0, 2), None), ((), None)],
)
def test_layers_are_counted_from_nought_without_a_gap(
    numbers: tuple[int, ...], count: int | None
) -> None:
    assert counts_of(layers(*numbers)).get("num_hidden_layers") == count


@pytest.mark.parametrize(
    ("stem", "is_layer"),
    [
        ("layers", True),
        ("transformer.h", True),
        ("model.language_model.layers", True),
        ("gpt_neox.layers", True),
        ("backbone.blocks", True),
        ("other.layers", False),
        ("model.visual.layers", False),
        ("mtp.layers", False),
        ("model.audio_tower.layers", False),
    ],
)
def test_layers_are_those_of_the_language_model(stem: str, is_layer: bool) -> None:
    assert ("num_hidden_layers" in counts_of(layers(0, 1, stem=stem))) is is_layer


@pytest.mark.parametrize(
    "name", ["model.embed_tokens.weight", "wte.weight", "a.word_embeddings.weight"]
)
def test_the_first_embedding_tells_vocabulary_and_width(name: str) -> None:
    found = counts_of([stored(name, 100, 8), stored("b.embed_in.weight", 7, 9)])
    assert found == {"vocab_size": 100, "hidden_size": 8}
    for shape in ((), (100,), (100, 8, 1)):
        later = counts_of([stored(name, *shape), stored("b.embed_in.weight", 7, 9)])
        assert later == {"vocab_size": 7, "hidden_size": 9}
    assert counts_of([stored("visual.embed_tokens.weight", 100, 8)]) == {}
    assert counts_of([stored(name, 100, 8, dtype="U32")]) == {"vocab_size": 100}


@pytest.mark.parametrize(
    ("rows", "width"),
    [
        ({"gate_proj": 5}, 5),
        ({"up_proj": 6}, 6),
        ({"up_proj": 6, "gate_proj": 5}, 5),
        ({"up_proj": 6, "gate_proj": 0}, 6),
        ({"down_proj": 7}, None),
    ],
)
def test_the_width_within_is_that_of_the_gate_or_else_of_the_way_up(
    rows: dict[str, int], width: int | None
) -> None:
    tensors = [stored(f"layers.0.mlp.{name}.weight", n, 3) for name, n in rows.items()]
    assert counts_of(tensors).get("intermediate_size") == width


def test_the_first_layer_that_has_a_matrix_tells_its_rows() -> None:
    tensors = [
        stored("layers.0.mlp.up_proj.weight", dtype="BF16"),
        stored("layers.0.mlp.up_proj.weight", 9, 3, dtype="I32"),
        stored("layers.1.mlp.up_proj.weight", 6, 3),
        stored("layers.2.mlp.up_proj.weight", 8, 3),
    ]
    assert counts_of(tensors)["intermediate_size"] == 6


def heads(queries: int, keys: int, norm: int | None = None) -> tuple[int, int, int] | None:
    tensors = [stored("q_proj.weight", queries, 3), stored("k_proj.weight", keys, 3)]
    tensors += [] if norm is None else [stored("q_norm.weight", norm)]
    found = counts_of(tensors)
    if "head_dim" not in found:
        assert found == {}
        return None
    return found["head_dim"], found["num_attention_heads"], found["num_key_value_heads"]


def test_heads_are_as_wide_as_their_norm_or_as_divides_both_up_to_128() -> None:
    assert heads(512, 128, norm=64) == (64, 8, 2)
    assert heads(512, 256) == (128, 4, 2)
    assert heads(192, 64) == (64, 3, 1)
    assert heads(96, 32) == (32, 3, 1)
    assert heads(0, 64) is None
    assert heads(64, 0) is None
    assert counts_of([stored("q_proj.weight", 64, 3)]) == {}
    assert counts_of([stored("k_proj.weight", 64, 3)]) == {}


# parameters


@pytest.mark.parametrize(
    ("dtype", "bits", "parameters"),
    [
        ("BF16", None, 24),
        ("F8_E4M3", None, 24),
        ("I32", 4, 24 * 8),
        ("U32", 3, 24 * 32 // 3),
        ("U8", 4, 48),
        ("I8", 8, 24),
        ("I64", 8, 24 * 8),
        ("I32", None, None),
    ],
)
def test_packed_words_hold_as_many_weights_as_their_bits(
    dtype: str, bits: int | None, parameters: int | None
) -> None:
    assert parameters_of([stored("w", 2, 3, 4, dtype=dtype)], bits=bits) == parameters


@pytest.mark.parametrize(
    "name",
    ["a.scales", "a.weight_scale_inv", "a.qzeros", "a.g_idx", "a.biases", "visual.w", "a.mtp.w"],
)
def test_what_lies_beside_weights_or_in_other_parts_is_not_counted(name: str) -> None:
    weights = [stored("a.w", 5), stored("b.w", 7)]
    for dtype in ("BF16", "I32"):
        odd = stored(name, 100, dtype=dtype)
        assert parameters_of([weights[0], odd, weights[1]], bits=None) == 12
    assert parameters_of([stored(name, 100)], bits=None) is None


def test_a_single_number_is_one_weight_and_nothing_is_none() -> None:
    assert parameters_of([stored("a.w")], bits=None) == 1
    assert parameters_of([stored("a.w", 0, 9)], bits=None) is None


def test_bytes_are_added_up_by_type_the_most_first() -> None:
    tensors = [
        stored("a", dtype="F32", n_bytes=4),
        stored("b", dtype="BF16", n_bytes=3),
        stored("c", dtype="BF16", n_bytes=2),
        stored("d", dtype="U8", n_bytes=9),
    ]
    assert list(bytes_by_type(tensors).items()) == [("U8", 9), ("BF16", 5), ("F32", 4)]


# the output matrix


@pytest.mark.parametrize(
    ("names", "has_its_own"),
    [
        (("model.embed_tokens.weight", "lm_head.weight"), True),
        (("model.embed_tokens.weight", "model.norm.weight"), False),
        # without an embedding these may be some files of several
        (("model.norm.weight", "lm_head.weight"), None),
        (("model.layers.0.lm_head.weight", "model.embed_tokens.weight"), False),
        ((), None),
    ],
)
def test_logits_have_a_matrix_of_their_own_where_one_lies_there(
    names: tuple[str, ...], has_its_own: bool | None
) -> None:
    assert has_output([stored(name, 64, 8) for name in names]) is has_its_own
