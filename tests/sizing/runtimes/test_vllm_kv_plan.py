"""The cache planner of vLLM, on cases worked out by hand from its rules."""

from __future__ import annotations

import pytest

from whatfits.sizing.errors import UnsupportedArchitectureError
from whatfits.sizing.runtimes.vllm_kv_plan import plan_cache, plan_stages
from whatfits.sizing.runtimes.vllm_kv_specs import CacheSpec, blocks_a_request

FULL = CacheSpec("full", 16, 65_536)
WINDOW = CacheSpec("window", 16, 65_536, 1024)
STATE = CacheSpec("state", 16, 1_000_000)


def test_equal_layers_are_one_group_whose_block_has_a_page_of_each() -> None:
    plan = plan_cache([FULL] * 32, in_flight_tokens=4096)
    assert [len(group.layers) for group in plan.groups] == [32]
    assert plan.block_bytes == 32 * 65_536


def test_layers_of_one_kind_with_unequal_pages_lie_side_by_side() -> None:
    # 61 rows of 656 bytes and 61 index rows of 132 bytes, 64 tokens a block
    layers = [CacheSpec("latent", 64, 64 * 656), CacheSpec("latent", 64, 64 * 132)] * 61
    plan = plan_cache(layers, in_flight_tokens=4096)
    assert len(plan.groups) == 1
    assert plan.block_bytes == 61 * 64 * (656 + 132)
    assert plan.group_blocks(1000) == (16,)


def test_a_page_that_divides_the_largest_gets_a_longer_block() -> None:
    small = CacheSpec("full", 16, 16_384)
    plan = plan_cache([WINDOW, small], in_flight_tokens=100)
    assert [group.spec for group in plan.groups] == [WINDOW, CacheSpec("full", 64, 65_536)]
    assert plan.block_bytes == 65_536


def test_a_page_that_does_not_divide_the_largest_is_padded_to_it() -> None:
    odd = CacheSpec("full", 16, 40_000)
    plan = plan_cache([WINDOW, odd], in_flight_tokens=100)
    assert plan.groups[1].spec == CacheSpec("full", 16, 65_536)
    # a request of 160 tokens: min(1023 + 100, 160) / 16 + 1 blocks of the window, 10 of the other
    assert plan.group_blocks(160) == (11, 10)


def test_a_page_of_latent_rows_cannot_be_padded() -> None:
    latent = CacheSpec("latent", 16, 18_432)
    with pytest.raises(UnsupportedArchitectureError, match="cannot pad"):
        plan_cache([WINDOW, latent], in_flight_tokens=100)


def test_missing_layers_of_the_last_groups_cost_their_pages() -> None:
    # 48 states and 17 full layers: groups of 17, so 48 are three groups of 16
    plan = plan_cache([STATE] * 48 + [CacheSpec("full", 16, 1_000_000)] * 17, in_flight_tokens=0)
    assert [len(group.layers) for group in plan.groups] == [16, 16, 16, 17]
    assert plan.block_bytes == 17 * 1_000_000


def test_counts_within_half_of_each_other_make_groups_of_the_larger() -> None:
    plan = plan_cache([WINDOW] * 14 + [FULL] * 10, in_flight_tokens=0)
    assert [len(group.layers) for group in plan.groups] == [14, 10]
    apart = plan_cache([WINDOW] * 15 + [FULL] * 10, in_flight_tokens=0)
    assert [len(group.layers) for group in apart.groups] == [8, 7, 10]
    assert (plan.block_bytes, apart.block_bytes) == (14 * 65_536, 10 * 65_536)


def test_layers_are_dealt_out_in_turn() -> None:
    plan = plan_cache([WINDOW] * 5 + [FULL], in_flight_tokens=0)
    assert [len(group.layers) for group in plan.groups] == [1] * 6


@pytest.mark.parametrize(
    ("spec", "request_tokens", "in_flight_tokens", "blocks"),
    [
        (FULL, 1, 0, 1),
        (FULL, 16, 0, 1),
        (FULL, 17, 0, 2),
        # a window of 1,024 with two batches of 8,192 on the way reserves 17,407 tokens
        (WINDOW, 131_072, 16_384, 1089),
        (WINDOW, 131_072, 0, 65),
        (WINDOW, 100, 16_384, 8),
        (CacheSpec("chunk", 16, 65_536, 8192), 131_072, 4096, 768),
        (CacheSpec("chunk", 16, 65_536, 8192), 100, 4096, 7),
        (STATE, 131_072, 4096, 1),
    ],
)
def test_blocks_of_a_request(
    spec: CacheSpec, request_tokens: int, in_flight_tokens: int, blocks: int
) -> None:
    found = blocks_a_request(spec, request_tokens=request_tokens, in_flight_tokens=in_flight_tokens)
    assert found == blocks


def test_one_block_is_never_given_away() -> None:
    plan = plan_cache([FULL], in_flight_tokens=0)
    assert not plan.admits(10, request_tokens=160)
    assert plan.admits(11, request_tokens=160)
    assert plan.request_bytes(160) == 11 * 65_536


@pytest.mark.parametrize("n_blocks", [2, 3, 50, 1000])
def test_the_longest_request_fits_and_one_token_more_does_not(n_blocks: int) -> None:
    plan = plan_cache([WINDOW] * 5 + [FULL], in_flight_tokens=512)
    longest = plan.longest_request(n_blocks, most_tokens=10**6)
    if longest is None:
        assert not plan.admits(n_blocks, request_tokens=1)
        return
    assert plan.admits(n_blocks, request_tokens=longest)
    assert not plan.admits(n_blocks, request_tokens=longest + 1)


def test_the_longest_request_is_at_most_what_is_allowed() -> None:
    plan = plan_cache([FULL], in_flight_tokens=0)
    assert plan.longest_request(1000, most_tokens=77) == 77


def test_the_cache_tokens_of_mixed_layers_depend_on_the_longest_request() -> None:
    plan = plan_cache([WINDOW] * 5 + [FULL], in_flight_tokens=4096)
    # 10,000 blocks of one page; at 131,072 tokens 5 x 321 + 8,192, at 4,096 5 x 257 + 256
    long, short = (plan.cache_tokens(10_000, request_tokens=n) for n in (131_072, 4096))
    assert long == int(10_000 / 9797 * 131_072)
    assert short == int(10_000 / 1541 * 4096)


def test_stages_have_the_groups_of_all_layers_each_with_its_own() -> None:
    """kv_cache_planning.py: get_global_kv_cache_groups, _project_kv_cache_groups_to_worker."""
    first = [WINDOW, WINDOW, WINDOW, WINDOW, WINDOW, FULL, WINDOW, WINDOW]
    second = [WINDOW, WINDOW, WINDOW, FULL]
    whole = plan_cache([*first, *second], in_flight_tokens=4096)
    stages = plan_stages([first, second], in_flight_tokens=4096)
    assert [len(group.layers) for group in whole.groups] == [2, 2, 2, 2, 2, 2]
    held = [[len(group.layers) for group in plan.groups] for plan in stages]
    assert held == [[2, 2, 1, 1, 1, 1], [0, 0, 1, 1, 1, 1]]
    # every group counts towards a request wherever it lies, and the fullest towards a block
    assert {plan.group_blocks(8192) for plan in stages} == {whole.group_blocks(8192)}
    assert [plan.block_bytes for plan in stages] == [2 * 65_536, 65_536]


def test_a_stage_of_one_kind_has_the_groups_of_the_others_too() -> None:
    stages = plan_stages([[WINDOW, WINDOW], [FULL, FULL]], in_flight_tokens=4096)
    assert [len(plan.groups) for plan in stages] == [2, 2]
    alone = plan_cache([FULL, FULL], in_flight_tokens=4096)
    assert sum(stages[1].group_blocks(8192)) > sum(alone.group_blocks(8192))
