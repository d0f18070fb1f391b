"""A model whose tensors nobody listed: what each plain field of its configuration becomes."""

from __future__ import annotations

import pytest
from unlisted_models import made

from whatfits.sizing.approximate import ParameterRange, bits_of
from whatfits.sizing.errors import InvalidRequestError, UnsupportedArchitectureError
from whatfits.sizing.model import (
    FullAttention,
    LatentAttention,
    ModelSpec,
    RecurrentState,
    SlidingWindow,
)


def caches(model: ModelSpec) -> list[object]:
    return [layer.attention for layer in model.layers]


def states(model: ModelSpec) -> list[object]:
    return [layer.recurrent for layer in model.layers]


def test_heads_and_widths_are_read_and_the_head_is_the_width_over_the_heads() -> None:
    model = made()
    assert caches(model) == [FullAttention(16, 16)] * 4
    assert states(model) == [None] * 4
    assert {layer.n_ff for layer in model.layers} == {256}
    assert caches(made(head_dim=32, v_head_dim=8)) == [FullAttention(64, 16)] * 4
    assert caches(made(num_key_value_heads=None)) == [FullAttention(64, 64)] * 4


def test_a_model_without_heads_has_no_cache() -> None:
    assert caches(made(num_attention_heads=None, num_key_value_heads=None)) == [None] * 4


@pytest.mark.parametrize(
    ("changes", "missing"),
    [
        ({"parameters": None}, "parameters"),
        ({"num_hidden_layers": None}, "num_hidden_layers"),
        ({"num_hidden_layers": 10**6}, "num_hidden_layers"),
        ({"hidden_size": True}, "hidden_size"),
        ({"hidden_size": 0}, "hidden_size"),
    ],
)
def test_what_cannot_do_without_is_named(changes: dict[str, object], missing: str) -> None:
    with pytest.raises(UnsupportedArchitectureError, match=missing):
        made(**changes)  # type: ignore[arg-type]


def test_windows_are_as_long_as_they_say_and_full_where_they_do_not() -> None:
    kinds = ["sliding_attention", "full_attention", "sliding", "local"]
    assert caches(made(layer_types=kinds, sliding_window=128)) == [
        SlidingWindow(16, 16, 128),
        FullAttention(16, 16),
        SlidingWindow(16, 16, 128),
        SlidingWindow(16, 16, 128),
    ]
    assert caches(made(layer_types=kinds)) == [FullAttention(16, 16)] * 4


def test_a_list_of_another_length_says_nothing() -> None:
    assert caches(made(layer_types=["sliding"], sliding_window=128)) == [FullAttention(16, 16)] * 4


def test_latent_attention_keeps_one_row_of_rank_and_rotated_part() -> None:
    assert caches(made(kv_lora_rank=32, qk_rope_head_dim=8)) == [LatentAttention(40)] * 4
    assert caches(made(kv_lora_rank=32)) == [LatentAttention(32)] * 4


def test_an_interval_says_which_layers_attend_and_the_others_have_a_state() -> None:
    model = made(
        full_attention_interval=4,
        linear_num_key_heads=2,
        linear_num_value_heads=4,
        linear_key_head_dim=16,
        linear_value_head_dim=32,
        linear_conv_kernel_dim=4,
    )
    assert caches(model) == [None, None, None, FullAttention(16, 16)]
    inner = 4 * 32
    state = RecurrentState(3 * (inner + 2 * 2 * 16), inner * 16)
    assert states(model) == [state, state, state, None]


def test_a_state_that_says_nothing_is_twice_as_wide_with_sixteen_columns() -> None:
    model = made(layer_types=["mamba", "moe", "mlp", "attention"])
    assert states(model) == [RecurrentState(3 * 128, 128 * 16), None, None, None]
    assert caches(model) == [None, None, None, FullAttention(16, 16)]


def test_side_by_side_every_layer_has_both() -> None:
    model = made(model_type="falcon_h1", mamba_n_heads=4, mamba_d_head=16, mamba_d_state=8)
    assert caches(model) == [FullAttention(16, 16)] * 4
    assert states(model) == [RecurrentState(3 * 64, 64 * 8)] * 4


def test_kimis_nested_list_counts_layers_from_one() -> None:
    nested = {"full_attn_layers": [2, 4], "num_heads": 4, "head_dim": 16}
    model = made(linear_attn_config={**nested, "short_conv_kernel_size": 3})
    assert caches(model) == [None, FullAttention(16, 16), None, FullAttention(16, 16)]
    assert states(model)[0] == RecurrentState(2 * (64 + 2 * 4 * 16), 64 * 16)
    assert states(made(linear_attn_config={"num_heads": 4})) == [None] * 4  # lists no layers


def test_a_feed_forward_width_may_be_a_list_or_missing() -> None:
    assert {layer.n_ff for layer in made(intermediate_size=[128, 512, 0, -1]).layers} == {512}
    assert {layer.n_ff for layer in made(intermediate_size=[None]).layers} == {
        1_000_000 // (4 * 64 * 3)
    }
    assert {layer.n_ff for layer in made(intermediate_size=None).layers} == {
        1_000_000 // (4 * 64 * 3)  # the most it can be
    }
    assert {layer.n_ff for layer in made(intermediate_size=None, num_experts=8).layers} == {0}
    assert {layer.n_ff for layer in made(intermediate_size="wide").layers} == {0}


def test_weights_are_parameters_times_the_bits_that_were_seen() -> None:
    low, mid, high = bits_of("Q4_0", is_moe=False)
    weights = made().weights
    assert weights is not None
    assert weights.mid_bytes == round(1_000_000 * mid / 8)
    assert weights.low_bytes == round(1_000_000 * low * 0.97 / 8)
    assert weights.high_bytes == round(1_000_000 * high * 1.03 / 8)
    assert "the parameters are those of" not in weights.reason
    ranged = made(ParameterRange(900_000, 1_000_000, 1_100_000)).weights
    assert ranged is not None
    assert "the parameters are those of its name" in ranged.reason


def test_notes_say_what_was_not_read_and_what_cannot_be_loaded() -> None:
    assert len(made().notes) == 1
    assert any("262,400" in note for note in made(vocab_size=None).notes)
    assert any("cannot load" in note for note in made(model_type="mllama").notes)


@pytest.mark.parametrize(
    ("classes", "is_said"),
    [
        (["OPTForCausalLM"], True),
        (["UnheardOfModel", "T5ForConditionalGeneration"], False),
        (["ModernBertModel"], False),  # converted, though its tensors are not listed here
        ([], False),
        ("OPTForCausalLM", False),
        ([7, None], False),
    ],
)
def test_a_class_that_the_converter_does_not_know_is_named(classes: object, is_said: bool) -> None:
    said = [note for note in made(architectures=classes).notes if "converter knows no" in note]
    assert bool(said) is is_said
    assert all("OPTForCausalLM" in note for note in said)


def test_a_file_type_of_which_no_bits_are_known_is_refused() -> None:
    with pytest.raises(InvalidRequestError, match="types llama-quantize makes"):
        bits_of("Q9_K", is_moe=False)
