"""Where a tensor goes, by its name."""

from __future__ import annotations

import pytest

from whatfits.sizing.architectures.roles import is_loaded, role_of


@pytest.mark.parametrize(
    ("name", "architecture", "role"),
    [
        ("token_embd.weight", "llama", ("input", None)),
        ("per_layer_token_embd.weight", "gemma3n", ("input", None)),
        ("position_embd.weight", "bert", ("input", None)),
        ("token_types.weight", "bert", ("input", None)),
        ("token_embd_norm.weight", "bert", ("layer", 0)),
        ("token_embd_norm.bias", "rwkv7", ("layer", 0)),
        ("token_embd_norm.weight", "lfm2", ("output", None)),
        ("token_embd_norm.weight", "lfm2moe", ("output", None)),
        ("per_layer_model_proj.weight", "gemma4", ("layer", 0)),
        ("per_layer_proj_norm.weight", "gemma4", ("layer", 0)),
        ("altup_proj.weight", "gemma3n", ("output", None)),
        ("blk.7.attn_q.weight", "llama", ("layer", 7)),
        ("blk.7.ssm_a", "mamba", ("layer", 7)),
        ("dec.blk.3.attn_q.weight", "t5", ("layer", 3)),
        ("enc.output_norm.weight", "t5", ("output", None)),
        ("output.weight", "llama", ("output", None)),
        ("output_norm.weight", "llama", ("output", None)),
        ("cls.output.weight", "bert", ("output", None)),
        ("rope_freqs.weight", "llama", ("shared", None)),
        ("rope_factors_long.weight", "phi3", ("shared", None)),
    ],
)
def test_a_tensor_follows_input_layer_or_output_by_its_name(
    name: str, architecture: str, role: tuple[str, int | None]
) -> None:
    assert role_of(name, architecture=architecture, n_layers=12) == role


def test_blocks_that_predict_further_tokens_are_not_loaded() -> None:
    assert is_loaded("blk.45.ffn_up.weight", architecture="glm4moe", n_layers=46)
    assert not is_loaded("blk.46.nextn.eh_proj.weight", architecture="glm4moe", n_layers=46)


def test_parts_of_them_are_loaded_where_llama_cpp_makes_them_without_the_flag() -> None:
    assert is_loaded("blk.45.ffn_up.weight", architecture="step35", n_layers=45)
    assert not is_loaded("blk.45.ffn_norm.weight", architecture="step35", n_layers=45)
    assert is_loaded("blk.61.exp_probs_b.bias", architecture="deepseek32", n_layers=61)


def test_a_decoder_deeper_than_its_encoder_is_loaded_whole() -> None:
    assert is_loaded("dec.blk.30.attn_q.weight", architecture="t5", n_layers=24)


@pytest.mark.parametrize("name", ["", ".", "blk.", "blk.x.weight", "blk.9999999999.w", "blk.-1.w"])
def test_an_odd_name_still_gets_a_place(name: str) -> None:
    role, layer = role_of(name, architecture="llama", n_layers=4)
    assert role in ("input", "layer", "output", "shared")
    assert layer is None or 0 <= layer < 4
