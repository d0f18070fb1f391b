"""Weights of vLLM over ranks and stages, worked out by hand from shapes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.runtimes.vllm_blocks import beyond_tensors_bytes
from whatfits.sizing.runtimes.vllm_parallel import Cut, cut_over, stage_layers, why_not_ranks
from whatfits.sizing.runtimes.vllm_weights import stage_weights
from whatfits.sizing.sources.published_checkpoint import load_published
from whatfits.sizing.units import MIB

if TYPE_CHECKING:
    from whatfits.sizing.model import ModelSpec


def bytes_of(model: ModelSpec, *parts: str) -> int:
    return sum(t.n_bytes for t in model.tensors if any(part in t.name for part in parts))


def low_of(model: ModelSpec, cut: Cut) -> list[int]:
    return [weights.low_bytes for weights in stage_weights(model, cut)]


def test_one_device_has_the_bytes_of_the_checkpoint() -> None:
    model = load_published("llama-3.1-8b")
    assert low_of(model, Cut(1, 1)) == [model.tensor_bytes] == [2 * 8_030_261_248]


def test_the_table_of_rotary_factors_comes_on_top() -> None:
    model = load_published("llama-3.1-8b")
    (weights,) = stage_weights(model, Cut(1, 1))
    assert weights.mid_bytes - weights.low_bytes == 131_072 * 128 * 2


def test_ranks_share_matrices_and_copy_norms() -> None:
    model = load_published("llama-3.1-8b")
    norms = bytes_of(model, "norm")
    assert norms == 2 * 65 * 4096
    assert low_of(model, Cut(8, 1)) == [(model.tensor_bytes - norms) // 8 + norms]


def test_key_value_heads_beyond_one_a_rank_are_copied() -> None:
    model = load_published("llama-3.3-70b")
    norms, shared = bytes_of(model, "norm"), bytes_of(model, "attn_k.", "attn_v.")
    cut = model.tensor_bytes - norms - shared
    # sixteen ranks, eight heads: every rank has an eighth of keys and values
    assert low_of(model, Cut(16, 1)) == [cut // 16 + shared // 8 + norms]


def test_the_vocabulary_is_padded_to_64_rows() -> None:
    model = load_published("phi-2")
    assert model.hparams.n_vocab % 64 == 0
    odd = replace(
        model,
        tensors=tuple(
            replace(t, shape=(*t.shape[:-1], 51_201), n_bytes=t.n_bytes // 51_200 * 51_201)
            if t.name in ("token_embd.weight", "output.weight")
            else t
            for t in model.tensors
        ),
    )
    added = 2 * 63 * model.hparams.n_embd * 2  # two matrices of 51,264 rows instead of 51,201
    assert low_of(odd, Cut(1, 1)) == [odd.tensor_bytes + added]


def test_routers_and_latent_down_projections_are_on_every_rank() -> None:
    model = load_published("deepseek-v3")
    copied = ("norm", "ffn_gate_inp", "attn_q_a.", "attn_kv_a_mqa", "exp_probs_b")
    rest = bytes_of(model, *copied) + bytes_of(model, "exp_probs_b")  # kept in 32 bits
    (low,) = low_of(model, Cut(8, 1))
    assert low == pytest.approx((model.tensor_bytes - rest) / 8 + rest, abs=8 * len(model.tensors))


def test_up_projections_of_latent_attention_are_copied_for_a_quantised_checkpoint() -> None:
    model = load_published("deepseek-v3")
    (weights,) = stage_weights(model, Cut(1, 1))
    copies = 61 * 128 * (128 + 128) * 512 * 2
    blocks = beyond_tensors_bytes((tensor, tensor.n_bytes) for tensor in model.tensors)
    assert weights.mid_bytes - weights.low_bytes == copies + 163_840 * 64 * 2 + blocks


def test_mxfp4_experts_are_padded_to_the_kernels_blocks() -> None:
    model = load_published("gpt-oss-20b")
    other = model.tensor_bytes - bytes_of(model, "_exps.weight")

    def experts(hidden: int, inner: int) -> int:
        return int(24 * 32 * 3 * hidden * inner * 4.25 / 8)

    (weights,) = stage_weights(model, Cut(1, 1))
    rotary = 2 * 131_072 * 64 * 2
    # In each layer 1.875 MiB are left behind queries, keys and values and 1.5 behind the output.
    blocks = beyond_tensors_bytes((t, t.n_bytes) for t in model.tensors if t.type != "MXFP4")
    assert 24 * 3.375 * MIB < blocks < 24 * 3.375 * MIB + 4 * MIB
    assert weights.low_bytes == other + experts(2944, 2944)
    assert weights.mid_bytes == other + experts(3072, 2944) + rotary + blocks
    assert experts(3072, 2944) / experts(2880, 2880) == pytest.approx(1.09, abs=0.005)


def test_hopper_cards_keep_zero_points_of_awq_in_16_bits() -> None:
    model = load_published("qwen2.5-7b", file_type="awq")
    (elsewhere,), (on_hopper,) = (
        stage_weights(model, Cut(1, 1), capability=capability) for capability in (8.9, 9.0)
    )
    groups = 28 * (3584 * (4608 + 3584 + 37_888) + 18_944 * 3584) // 128
    assert on_hopper.mid_bytes - elsewhere.mid_bytes == groups * 3 // 2
    assert on_hopper.low_bytes == elsewhere.low_bytes


def test_ranks_pad_each_part_of_an_expert() -> None:
    model = load_published("gpt-oss-20b")
    (whole,), (quarter,) = (stage_weights(model, Cut(ranks, 1)) for ranks in (1, 4))
    # a quarter of 2,880 is 720, padded to 768
    assert quarter.mid_bytes > whole.mid_bytes / 4 * 1.03


@pytest.mark.parametrize(
    ("n_layers", "stages", "counts"),
    [
        (80, 1, [80]),
        (80, 4, [20, 20, 20, 20]),
        (61, 8, [7, 7, 8, 8, 8, 8, 8, 7]),
        (32, 3, [11, 11, 10]),
        (5, 3, [2, 2, 1]),
    ],
)
def test_layers_that_remain_go_to_the_stages_before_the_last(
    n_layers: int, stages: int, counts: list[int]
) -> None:
    found = stage_layers(n_layers, stages)
    assert [len(layers) for layers in found] == counts
    assert [index for layers in found for index in layers] == list(range(n_layers))


def test_the_first_stage_has_the_embedding_and_the_last_the_output() -> None:
    model = load_published("llama-3.1-8b")
    first, second = low_of(model, Cut(1, 2))
    named = {tensor.name: tensor.n_bytes for tensor in model.tensors}
    assert named["token_embd.weight"] == named["output.weight"]
    assert second - first == bytes_of(model, "output_norm")
    assert first + second == model.tensor_bytes


def test_a_tied_embedding_is_copied_to_the_last_stage() -> None:
    model = load_published("qwen3-4b")
    assert "output.weight" not in {tensor.name for tensor in model.tensors}
    assert sum(low_of(model, Cut(1, 2))) == model.tensor_bytes + bytes_of(model, "token_embd")


def test_what_does_not_divide_is_said() -> None:
    assert why_not_ranks(load_published("llama-3.3-70b"), 8) is None
    assert why_not_ranks(load_published("llama-3.3-70b"), 3) == "the 64 attention heads"
    # 768 columns of an expert are six blocks of 128: no four ranks have whole ones
    blocks = load_published("qwen3-30b-a3b", file_type="awq")
    assert why_not_ranks(blocks, 2) is None
    reason = why_not_ranks(blocks, 4)
    assert reason is not None
    assert reason == "the 768 columns of an expert into whole groups of 128"


def test_what_does_not_divide_is_cut_in_stages() -> None:
    cut = cut_over(load_published("llama-3.3-70b"), 3)
    assert (cut.ranks, cut.stages) == (1, 3)
    assert cut.reason is not None
    assert "3 does not divide the 64 attention heads" in cut.reason
    cut = cut_over(load_published("llama-3.3-70b"), 4)
    assert (cut.ranks, cut.stages) == (4, 1)


def test_stages_can_be_asked_for_and_ranks_that_do_not_divide_are_refused() -> None:
    model = load_published("llama-3.3-70b")
    assert cut_over(model, 4, split_mode="layer").stages == 4
    with pytest.raises(InvalidRequestError, match="attention heads"):
        cut_over(model, 3, split_mode="row")
    with pytest.raises(InvalidRequestError, match="at most 80"):
        cut_over(model, 81, split_mode="layer")


def test_the_headers_of_a_checkpoint_count_more_than_its_shape() -> None:
    model = load_published("llama-3.1-8b")
    assert model.checkpoint is not None
    near = round(model.tensor_bytes * 1.01)
    facts = replace(model.checkpoint, stored_bytes=near)
    (weights,) = stage_weights(replace(model, checkpoint=facts), Cut(1, 1))
    assert weights.mid_bytes == near + 131_072 * 128 * 2
    facts = replace(model.checkpoint, stored_bytes=model.tensor_bytes * 2)
    (weights,) = stage_weights(replace(model, checkpoint=facts), Cut(1, 1))
    assert weights.low_bytes == model.tensor_bytes
    assert weights.high_bytes > 2 * model.tensor_bytes
    assert "2.00 times" in weights.reason
