"""How many nodes and leaves llama.cpp has room for, as its source counts them."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

import pytest

from whatfits.sizing.catalog.machines import machine_expression
from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.graph.budget import GraphSize, check_budget, most_made, table_size
from whatfits.sizing.graph.buffers import graph_buffers
from whatfits.sizing.graph.index import TensorIndex
from whatfits.sizing.placement import resolve_placement
from whatfits.sizing.settings import resolve_settings
from whatfits.sizing.sources.catalog_model import load_catalog_model
from whatfits.sizing.workload import PlacementRequest, Workload

if TYPE_CHECKING:
    from whatfits.sizing.model import ModelSpec

# src/llama-context.cpp, graph_max_nodes: (nodes a token, nodes a tensor)
LARGE = (
    *("bailingmoe3", "deepseek4", "kimi-linear", "minimax-01", "minimax-m3"),
    *("qwen35", "qwen35moe", "qwen3next"),
)
LARGEST = ("glm5-next", "kimi-k3")


def of_tensors(count: int, architecture: str = "llama") -> ModelSpec:
    model = load_catalog_model("qwen3-0.6b", file_type="Q8_0")
    tensors = (model.tensors * count)[:count]
    return replace(model, architecture=architecture, tensors=tensors)


def is_prime(number: int) -> bool:
    return all(number % factor for factor in range(2, int(number**0.5) + 1))


@cache
def first_prime_above(number: int) -> int:
    return next(n for n in range(number + 1, 2 * number) if is_prime(n))


def test_a_table_is_the_first_prime_above_a_power_of_two() -> None:
    # ggml.c, ggml_hash_size
    for power in range(10, 32):
        size = first_prime_above(2**power)
        assert table_size(of_tensors(1, "kimi-k3"), n_tokens=size // 160) == size


@pytest.mark.parametrize("size", [1031, 2053, 4099, 8209])
def test_a_table_that_is_just_full_is_large_enough(size: int) -> None:
    fitting = size // 8
    assert table_size(of_tensors(fitting), n_tokens=1) == size
    assert table_size(of_tensors(fitting + 1), n_tokens=1) == first_prime_above(
        1 << size.bit_length()
    )


@pytest.mark.parametrize("n_tensors", [0, 1, 128, 129])
def test_a_small_graph_has_room_for_1024_nodes(n_tensors: int) -> None:
    assert table_size(of_tensors(n_tensors), n_tokens=2**20) == (1031 if n_tensors < 129 else 2053)


@pytest.mark.parametrize(
    ("architecture", "a_token", "a_tensor"),
    [*((name, 40, 32) for name in LARGE), *((name, 160, 64) for name in LARGEST)],
)
def test_graphs_of_many_steps_have_room_by_tokens_or_by_tensors(
    architecture: str, a_token: int, a_tensor: int
) -> None:
    room, larger = 32_771, 65_537
    for nodes, wanted in ((room // a_tensor, room), (room // a_tensor + 1, larger)):
        assert table_size(of_tensors(nodes, architecture), n_tokens=1) == wanted
    for nodes, wanted in ((room // a_token, room), (room // a_token + 1, larger)):
        assert table_size(of_tensors(1, architecture), n_tokens=nodes) == wanted


def test_a_graph_takes_all_the_room_there_is_and_no_more() -> None:
    model = of_tensors(200)
    entries, made = table_size(model, n_tokens=1), most_made(model, n_tokens=1)
    assert (entries, made) == (2053, 1600)
    check_budget(model, n_tokens=1, size=GraphSize(entries, made))
    with pytest.raises(InvalidRequestError, match="2,054 steps"):
        check_budget(model, n_tokens=1, size=GraphSize(entries + 1, made))
    with pytest.raises(InvalidRequestError, match="1,601 steps"):
        check_budget(model, n_tokens=1, size=GraphSize(entries, made + 1))


def test_a_small_graph_may_make_1024_tensors() -> None:
    assert most_made(of_tensors(10), n_tokens=512) == 1024


# What llama.cpp's dry run of MiniMax M3 (Q4_K_M, commit 0c1e57098) ends itself at: the most
# sequences with which it does not, by the micro-batch.
@pytest.mark.parametrize(
    ("micro_batch", "most"), [(512, 11), (1000, 12), (1024, 13), (1100, 14), (1300, 17), (1800, 24)]
)
def test_minimax_m3_serves_as_many_sequences_as_its_graph_has_room_for(
    micro_batch: int, most: int
) -> None:
    model = load_catalog_model("minimax-m3", file_type="Q4_K_M")
    placement = resolve_placement(model, PlacementRequest(), machine_expression("512gb"))
    index = TensorIndex(model)  # what is known of a graph changes nothing

    def served(sequences: int) -> object:
        asked = Workload(context_tokens=32_768, parallel=sequences, micro_batch=micro_batch)
        return graph_buffers(model, resolve_settings(model, asked), placement, index=index)

    assert served(most) == served(most) is not None
    for _ in range(2):
        with pytest.raises(InvalidRequestError, match=r"llama\.cpp ends itself"):
            served(most + 1)
