"""Where the scheduler puts what nothing says a place for.

llama.cpp ggml/src/ggml-backend.cpp, ggml_backend_sched_split_graph, passes 2 and 3.
"""

from __future__ import annotations

import pytest

from whatfits.sizing.graph.builder import GraphBuilder
from whatfits.sizing.graph.scheduler import Backends, Scheduler
from whatfits.sizing.graph.tensor import F32_SOURCE, NONE, Tensor

FIRST, SECOND, HOST = range(3)


def leaf(home: int | None = None, *, is_weight: bool = False) -> Tensor:
    return Tensor(NONE, "F32", (8, 8, 1, 1), home=home, is_weight=is_weight)


def attention_over(queries: Tensor, *, width: int = 64) -> Tensor:
    cache = Tensor(NONE, "F16", (width, 256, 8, 1))
    return Tensor("FLASH_ATTN_EXT", "F32", (width, 8, 1, 1), srcs=(queries, cache, cache))


def queries(home: int | None = None, *, width: int = 64) -> Tensor:
    return Tensor(NONE, "F32", (width, 1, 8, 1), home=home)


def placed(graph: GraphBuilder, **backends: object) -> None:
    asked = Backends(3, **{"kinds": ("cuda", "cuda"), **backends})  # type: ignore[arg-type]
    Scheduler(graph.nodes, graph.leafs, asked).place(pinned=False)


def test_what_reads_nothing_that_lies_anywhere_goes_to_the_first_device() -> None:
    graph = GraphBuilder()
    total = graph.like("SCALE", leaf())
    graph.expand(total)
    placed(graph)
    assert total.place == FIRST


@pytest.mark.parametrize(
    ("unable", "place"), [((), FIRST), ((FIRST,), SECOND), ((FIRST, SECOND), HOST)]
)
def test_fused_attention_goes_to_the_first_that_has_it(unable: tuple[int, ...], place: int) -> None:
    graph = GraphBuilder()
    attention = attention_over(queries())
    graph.expand(attention)
    placed(graph, no_flash=frozenset(unable))
    assert attention.place == place


def test_attention_over_heads_without_a_kernel_goes_to_the_host() -> None:
    graph = GraphBuilder()
    attention = attention_over(queries(width=32), width=32)
    graph.expand(attention)
    placed(graph)
    assert attention.place == HOST


@pytest.mark.parametrize(
    ("kind", "flags", "host_types", "place"),
    [
        ("cuda", 0, (), FIRST),
        ("cuda", F32_SOURCE, (), HOST),
        ("metal", F32_SOURCE, (), FIRST),
        ("cuda", 0, ("F32",), HOST),
        ("cuda", 0, ("TQ2_0",), FIRST),
    ],
)
def test_a_product_without_a_kernel_goes_to_the_host(
    kind: str, flags: int, host_types: tuple[str, ...], place: int
) -> None:
    graph = GraphBuilder()
    product = graph.mul_mat(leaf(FIRST, is_weight=True), graph.input("F32", 8, 4))
    product.flags |= flags
    graph.expand(product)
    placed(graph, kinds=(kind, kind), host_types=frozenset(host_types))
    assert product.place == place


@pytest.mark.parametrize("homes", [(FIRST, SECOND), (SECOND, FIRST), (HOST, SECOND)])
def test_a_step_without_a_place_follows_the_one_before_it(homes: tuple[int, int]) -> None:
    """Devices are followed first, by what comes behind too; then the host."""
    graph = GraphBuilder()
    product = graph.mul_mat(leaf(homes[0], is_weight=True), graph.input("F32", 8, 4))
    between = graph.like("SCALE", product)
    end = graph.mul_mat(leaf(homes[1], is_weight=True), between)
    graph.expand(end)
    placed(graph)
    assert (product.place, end.place) == homes
    assert between.place == (SECOND if homes[0] == HOST else homes[0])


def test_attention_goes_where_what_it_reads_lies() -> None:
    graph = GraphBuilder()
    attention = attention_over(queries(SECOND))
    graph.expand(attention)
    placed(graph)
    assert attention.place == SECOND
