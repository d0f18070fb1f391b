"""A model without a tensor table: what is told of it beside weights and cache, and its limits."""

from __future__ import annotations

import pytest
from unlisted_models import made

from whatfits.sizing.approximate import (
    ParameterRange,
    bits_of,
    named_parameters,
)
from whatfits.sizing.errors import UnsupportedArchitectureError
from whatfits.sizing.model import FullAttention, RecurrentState, SlidingWindow

MOST_LAYERS, WIDEST = 4096, 2**24


def test_what_is_read_is_told_as_it_stands() -> None:
    model = made(active_parameters=500_000, max_position_embeddings=2048)
    assert (model.architecture, model.file_type, model.origin) == ("unheard-of", "Q4_0", "test")
    assert (model.parameters, model.active_parameters) == (1_000_000, 500_000)
    assert model.weights is not None
    assert model.file_bytes == model.weights.mid_bytes
    assert model.cache_interval == 0.25
    assert model.tensors == ()
    hparams = model.hparams
    assert (hparams.n_embd, hparams.n_vocab, hparams.context_train_tokens) == (64, 1000, 2048)
    assert (hparams.n_expert, hparams.n_expert_used, hparams.n_ff_exp) == (0, 0, 0)
    assert model.file_header is not None
    for layer in model.layers:
        assert (layer.n_head, layer.n_head_kv, layer.n_expert) == (8, 2, 0)
        assert (layer.key_length, layer.value_length) == (8, 8)
    nameless = made(model_type=None, max_position_embeddings=None)
    assert (nameless.architecture, nameless.hparams.context_train_tokens) == ("unknown", None)
    assert made(vocab_size=None).hparams.n_vocab == 262_400
    assert not any("vocabulary" in note for note in model.notes)


def test_a_mixture_is_weighed_by_the_bits_of_mixtures() -> None:
    model = made(num_experts=1, num_experts_per_tok=2, moe_intermediate_size=32)
    hparams = model.hparams
    assert (hparams.n_expert, hparams.n_expert_used, hparams.n_ff_exp) == (1, 2, 32)
    assert {layer.n_expert for layer in model.layers} == {1}
    assert bits_of("Q4_0", is_moe=True) != bits_of("Q4_0", is_moe=False)
    for spec, is_moe in ((model, True), (made(), False)):
        _, mid, _ = bits_of("Q4_0", is_moe=is_moe)
        assert spec.weights is not None
        assert spec.weights.mid_bytes == round(1_000_000 * mid / 8)


def test_a_range_of_parameters_is_a_range_of_weights_and_of_widths() -> None:
    ranged = ParameterRange(1_000_000, 2_000_000, 3_000_000)
    low, mid, high = bits_of("Q4_0", is_moe=False)
    model = made(ranged, parameters_from="its page", intermediate_size=None)
    weights = model.weights
    assert weights is not None
    assert weights.low_bytes == round(1_000_000 * low * 0.97 / 8)
    assert weights.mid_bytes == round(2_000_000 * mid / 8)
    assert weights.high_bytes == round(3_000_000 * high * 1.03 / 8)
    assert "parameters are those of its page" in weights.reason
    assert "3% more allowed" in weights.reason
    assert model.parameters == 2_000_000
    assert {layer.n_ff for layer in model.layers} == {3_000_000 // (4 * 64 * 3)}


def test_a_named_size_stands_for_less_and_for_more() -> None:
    found, ten = named_parameters(10**9), named_parameters(10**10)
    assert found.low < 10**9 < found.high
    for one, other in zip(found, ten, strict=True):
        assert abs(other - 10 * one) <= 10


@pytest.mark.parametrize("name", ["num_hidden_layers", "n_layers", "num_layers", "n_layer"])
def test_layers_are_counted_up_to_a_number_that_no_model_has(name: str) -> None:
    sized = {"num_hidden_layers": None, name: MOST_LAYERS}
    assert len(made(**sized).layers) == MOST_LAYERS
    with pytest.raises(UnsupportedArchitectureError, match="num_hidden_layers"):
        made(**{**sized, name: MOST_LAYERS + 1})


def test_a_width_counts_up_to_one_that_no_model_has() -> None:
    assert made(vocab_size=WIDEST).hparams.n_vocab == WIDEST
    assert made(vocab_size=1).hparams.n_vocab == 1
    for wrong in (WIDEST + 1, 0, -1, 1000.0, "1000", True):
        assert made(vocab_size=wrong).hparams.n_vocab == 262_400
    assert {layer.n_ff for layer in made(intermediate_size=[3, WIDEST]).layers} == {WIDEST}
    assert {layer.n_ff for layer in made(intermediate_size=(3, WIDEST + 1)).layers} == {3}


def test_a_width_of_nothing_beside_experts_is_left_at_nothing() -> None:
    assert {layer.n_ff for layer in made(intermediate_size=0, num_experts=8).layers} == {0}
    assert {layer.n_ff for layer in made(intermediate_size=96, num_experts=8).layers} == {96}


def test_the_second_spelling_of_kinds_counts_where_the_first_does_not() -> None:
    kinds = ["attention", "mamba", "full", "global"]
    model = made(layer_types=["attention"], layers_block_type=tuple(kinds))
    assert [layer.attention for layer in model.layers] == [
        None if kind == "mamba" else FullAttention(16, 16) for kind in kinds
    ]
    assert [layer.recurrent is not None for layer in model.layers] == [
        kind == "mamba" for kind in kinds
    ]


def test_a_chunk_is_a_window_and_a_window_of_latent_rows_stays_one() -> None:
    kinds = ["chunked_attention", "sliding", "local", "dense"]
    model = made(layer_types=kinds, attention_chunk_size=512, kv_lora_rank=32)
    window = SlidingWindow(16, 16, 512)
    assert [layer.attention for layer in model.layers] == [window, window, window, None]
    assert [layer.recurrent for layer in model.layers] == [None] * 4


def test_a_state_takes_what_is_said_and_the_usual_for_the_rest() -> None:
    def state(**said: object) -> RecurrentState | None:
        return made(layer_types=["linear"] * 4, **said).layers[0].recurrent

    # width 64: twice as wide, 16 columns, a kernel of four
    assert state() == RecurrentState(3 * 128, 128 * 16)
    assert state(expand=3) == RecurrentState(3 * 192, 192 * 16)
    assert state(conv_kernel=2, ssm_state_size=8) == RecurrentState(128, 128 * 8)
    assert state(mamba_num_heads=4, mamba_head_dim=10) == RecurrentState(3 * 40, 40 * 16)
    assert state(mamba_num_heads=4) == RecurrentState(3 * 128, 128 * 16)
    # keys are mixed as queries are: twice, and only where their length is known
    assert state(linear_num_key_heads=2) == RecurrentState(3 * 128, 128 * 16)
    keyed = {"linear_num_key_heads": 2, "linear_key_head_dim": 8}
    assert state(**keyed) == RecurrentState(3 * (128 + 2 * 2 * 8), 128 * 8)


def test_kimis_list_may_hold_other_things_and_lists_nothing_without_layers() -> None:
    def full(listed: object) -> list[bool]:
        model = made(linear_attn_config={"full_attn_layers": listed, "num_heads": 4, "head_dim": 8})
        return [layer.attention is not None for layer in model.layers]

    assert full((1, "2", None)) == [True, False, False, False]
    assert full("1") == [True] * 4
    assert full([]) == [False] * 4
    with pytest.raises(UnsupportedArchitectureError, match="num_hidden_layers"):
        made(num_hidden_layers=None, linear_attn_config={"full_attn_layers": [1]})
    own = made(linear_attn_config={"full_attn_layers": [1]}, layer_types=["attention"] * 4)
    assert [layer.attention is not None for layer in own.layers] == [True] * 4
