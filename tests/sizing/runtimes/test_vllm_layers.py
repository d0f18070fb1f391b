"""A model's layers as pages of vLLM's cache, worked out by hand from the shapes."""

from __future__ import annotations

import pytest

from whatfits.sizing.errors import UnsupportedArchitectureError
from whatfits.sizing.runtimes.vllm_kv_plan import plan_cache
from whatfits.sizing.runtimes.vllm_kv_specs import CacheSpec
from whatfits.sizing.runtimes.vllm_layers import (
    CacheRules,
    cache_layers,
    kv_heads_on_rank,
    refuse_unknown_caches,
    state_bytes,
)
from whatfits.sizing.sources.catalog_model import load_catalog_model
from whatfits.sizing.sources.published_checkpoint import load_published


def layers_of(name: str, rules: CacheRules) -> tuple[CacheSpec, ...]:
    model = load_catalog_model(name, file_type="BF16")
    return cache_layers(model, model.layers, rules)


@pytest.mark.parametrize(("ranks", "heads"), [(1, 8), (2, 4), (8, 1), (16, 1)])
def test_heads_are_cut_over_ranks_until_each_has_one(ranks: int, heads: int) -> None:
    assert kv_heads_on_rank(8, ranks=ranks) == heads
    # 8 heads of 128 + 128 elements of 2 bytes, 16 tokens a block
    page = 16 * heads * 256 * 2
    assert layers_of("llama-3.3-70b", CacheRules(ranks, 2)) == (CacheSpec("full", 16, page),) * 80


def test_an_fp8_cache_takes_half_of_a_16_bit_one() -> None:
    (half, *_), (full, *_) = (layers_of("qwen3-8b", CacheRules(1, n)) for n in (1, 2))
    assert full.page_bytes == 2 * half.page_bytes == 16 * 8 * 256 * 2


def test_latent_rows_are_the_same_on_every_rank() -> None:
    # 512 of the latent, 64 of the rotary part
    one = CacheSpec("latent", 64, 64 * 576 * 2)
    for ranks in (1, 8):
        rules = CacheRules(ranks, 2, latent_block_tokens=64)
        assert layers_of("deepseek-v3", rules) == (one,) * 61


@pytest.mark.parametrize(
    ("element_bytes", "plain", "row_bytes"),
    [
        (2, False, 576 * 2),
        (2, True, 576 * 2),
        (1, False, 512 + 4 * 4 + 64 * 2),  # a scale for each 128, the rotary part in 16 bits
        (1, True, 576),
    ],
)
def test_sparse_latent_attention_keeps_rows_of_its_kernel_and_index_rows(
    element_bytes: int, plain: bool, row_bytes: int
) -> None:
    rules = CacheRules(8, element_bytes, latent_block_tokens=128, plain_sparse_rows=plain)
    pair = CacheSpec("latent", 64, 64 * row_bytes), CacheSpec("latent", 64, 64 * 132)
    assert layers_of("deepseek-v3.2", rules) == pair * 61


def test_layers_that_share_an_indexer_have_one_row_of_index_keys() -> None:
    rules = CacheRules(4, 1, plain_sparse_rows=True)
    sizes = [spec.page_bytes // 64 for spec in layers_of("glm-5.2", rules)]
    assert (sizes.count(576), sizes.count(132)) == (78, 21)


def test_a_layer_that_reads_another_ones_cache_has_no_pages() -> None:
    model = load_catalog_model("gemma-3n-e4b", file_type="BF16")
    rows = cache_layers(model, model.layers, CacheRules(1, 2))
    assert len(rows) == 20 < model.n_layers


def test_chunks_of_the_text_are_no_window() -> None:
    rows = layers_of("llama-4-scout", CacheRules(1, 2))
    assert {(row.kind, row.span_tokens) for row in rows} == {("chunk", 8192), ("full", 0)}


def test_pages_beside_states_grow_until_they_hold_one() -> None:
    # a state of Qwen3-Next: 3 x 8,192 + 32 x 128 x 128 elements of 2 bytes; 2,048 bytes a token
    state = 3 * 8192 * 2 + 32 * 128 * 128 * 2
    rows = layers_of("qwen3-next-80b-a3b", CacheRules(1, 2))
    tokens = 544
    assert (tokens - 16) * 2048 < state <= tokens * 2048
    page = tokens * 2048
    assert set(rows) == {CacheSpec("state", tokens, page), CacheSpec("full", tokens, page)}


def test_states_in_32_bits_take_longer_blocks() -> None:
    rows = layers_of("qwen3-next-80b-a3b", CacheRules(1, 2, states_in_f32=True))
    state = 3 * 8192 * 2 + 32 * 128 * 128 * 4
    assert {row.block_tokens for row in rows} == {1056}
    assert 1040 * 2048 < state <= 1056 * 2048


def test_states_are_cut_over_ranks() -> None:
    rows = layers_of("qwen3-next-80b-a3b", CacheRules(2, 2))
    # half the state and one of two key/value heads: the same tokens, half the page
    assert {(row.block_tokens, row.page_bytes) for row in rows} == {(544, 544 * 1024)}


def test_latent_blocks_beside_states_are_whole_kernel_blocks() -> None:
    rows = layers_of("kimi-linear-48b-a3b", CacheRules(1, 2))
    tokens = {row.block_tokens for row in rows}
    assert len(tokens) == 1
    assert tokens.pop() % 128 == 0
    assert len({row.page_bytes for row in rows}) == 1


def test_a_model_of_states_alone_takes_one_block_a_request_and_group() -> None:
    model = load_catalog_model("falcon-mamba-7b", file_type="BF16")
    plan = plan_cache(cache_layers(model, model.layers, CacheRules(1, 2)), in_flight_tokens=0)
    assert len(plan.groups) == 1
    assert plan.group_blocks(100) == plan.group_blocks(100_000) == (1,)


@pytest.mark.parametrize("name", ["deepseek-v4-flash", "rwkv7-0.4b", "bge-m3", "minimax-m1"])
def test_what_is_not_known_is_refused(name: str) -> None:
    model = load_catalog_model(name, file_type="BF16")
    with pytest.raises(UnsupportedArchitectureError, match=r"llama\.cpp"):
        refuse_unknown_caches(model)


@pytest.mark.parametrize(
    ("ranks", "shifts", "state"), [(1, 25344, 1048576), (2, 13056, 524288), (4, 6912, 262144)]
)
def test_a_lone_group_of_states_is_on_every_rank(ranks: int, shifts: int, state: int) -> None:
    """What MambaStateShapeCalculator.mamba2_state_shape of vLLM 0.26.0 returns for this model."""
    model = load_published("granite-4.0-h-small", file_type="bf16")
    layer = next(layer for layer in model.layers if layer.recurrent is not None)
    assert state_bytes(model, layer, CacheRules(ranks, 2)) == 2 * (shifts + state)
