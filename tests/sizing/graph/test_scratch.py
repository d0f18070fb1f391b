"""Scratch space behind results, as the back ends' get_alloc_size functions add it up: by hand."""

from __future__ import annotations

import pytest

from whatfits.sizing.catalog.machines import machine_expression
from whatfits.sizing.graph.buffers import graph_buffers
from whatfits.sizing.graph.scratch import scratch_bytes
from whatfits.sizing.graph.tensor import Tensor
from whatfits.sizing.placement import resolve_placement
from whatfits.sizing.settings import resolve_settings
from whatfits.sizing.sources.catalog_model import load_catalog_model
from whatfits.sizing.workload import PlacementRequest, Workload

HEAD, CELLS, HEADS, HEADS_KV, STREAMS = 128, 1024, 8, 2, 3


def attention(
    tokens: int, keys: str = "F16", values: str = "F16", *, mask: int = 0, latent: bool = False
) -> Tensor:
    """Return fused attention of a batch over a cache; `mask`: its rows of cells."""
    q = Tensor("NONE", "F32", (HEAD, tokens, HEADS, STREAMS))
    k = Tensor("NONE", keys, (HEAD, CELLS, HEADS_KV, STREAMS))
    v = Tensor("NONE", values, (64, CELLS, HEADS_KV, STREAMS))
    if latent:
        v = Tensor("VIEW", keys, (64, CELLS, HEADS_KV, STREAMS), nb=k.nb, view_of=k)
    srcs = (q, k, v)
    if mask:
        srcs = (*srcs, Tensor("NONE", "F16", (CELLS, mask, 1, STREAMS)))
    return Tensor("FLASH_ATTN_EXT", "F32", (64, HEADS, tokens, STREAMS), srcs=srcs)


def padded(size: int, to: int) -> int:
    return (size + to - 1) // to * to


KEYS = HEAD * CELLS * HEADS_KV * STREAMS
VALUES = 64 * CELLS * HEADS_KV * STREAMS


@pytest.mark.parametrize("kind", ["cuda", "rocm"])
def test_cuda_turns_a_cache_into_16_bits_behind_the_result(kind: str) -> None:
    assert scratch_bytes(attention(3), kind) == 0
    # the result's 3 tokens end on a boundary of 128 bytes
    assert scratch_bytes(attention(3, "Q8_0", "Q8_0"), kind) == 2 * KEYS + 2 * VALUES
    assert scratch_bytes(attention(3, "Q8_0"), kind) == 2 * KEYS
    assert scratch_bytes(attention(3, values="Q8_0"), kind) == 2 * VALUES
    # latent rows: the values are the front of the keys, turned with them
    assert scratch_bytes(attention(3, "Q8_0", latent=True), kind) == 2 * KEYS
    for few in (1, 2):  # read as they are by a kernel for few tokens
        assert scratch_bytes(attention(few, "Q8_0", "Q8_0"), kind) == 0


def test_each_copy_starts_on_a_boundary_of_128_bytes() -> None:
    q = Tensor("NONE", "F32", (32, 3, 1, 1))
    k = Tensor("NONE", "Q8_0", (32, 3, 1, 1))  # 192 bytes in 16 bits
    v = Tensor("NONE", "Q8_0", (32, 3, 1, 1))
    made = Tensor("FLASH_ATTN_EXT", "F32", (5, 3, 1, 1), srcs=(q, k, v))
    assert made.n_bytes == 60
    # 60 to 128, keys to 320, which ends on 384, values to 576
    assert scratch_bytes(made, "cuda") == 384 + 192 - 60


@pytest.mark.parametrize("kind", ["vulkan", "cpu", "sycl"])
@pytest.mark.parametrize("op", ["FLASH_ATTN_EXT", "MUL_MAT_ID", "ARGSORT", "CUMSUM"])
def test_other_back_ends_add_nothing(kind: str, op: str) -> None:
    made = attention(64, "Q8_0", "Q8_0", mask=64)
    made.op = op
    assert scratch_bytes(made, kind) == 0
    if op != "FLASH_ATTN_EXT":
        assert scratch_bytes(made, "cuda") == 0


def test_metal_keeps_lists_of_rows_for_experts_and_doubles_what_is_sorted() -> None:
    stack = Tensor("NONE", "F16", (64, 32, 16, 1))
    rows = Tensor("NONE", "F32", (64, 1, 100, 1))
    chosen = Tensor("NONE", "I32", (4, 100, 1, 1))
    product = Tensor("MUL_MAT_ID", "F32", (32, 4, 100, 1), srcs=(stack, rows, chosen))
    # a count for each of 16 experts, a list of 100 tokens for each, and 8 + 256 x 4 bytes of parts
    assert scratch_bytes(product, "metal") == 4 * 16 + 4 * 16 * 100 + 1032
    for op in ("ARGSORT", "CUMSUM"):
        assert scratch_bytes(Tensor(op, "I32", (10, 20, 1, 1)), "metal") == 800
    assert scratch_bytes(Tensor("ADD", "F32", (10, 20, 1, 1)), "metal") == 0


def metal(
    tokens: int, tail_rows: tuple[int, int], *, copies: int, blocks: int = 0, mask: int = 0
) -> int:
    """Return Metal's bytes: copies of the cache, 64 cells more of each row, and partial results."""
    row_k, row_v = tail_rows
    tail = 64 * ((row_k + row_v) * HEADS_KV * STREAMS + 2 * mask * STREAMS)
    # 32 work groups a row, each with a result of 64 values, a sum and a largest one
    partial = 4 * min(tokens, 32) * HEADS * STREAMS * 32 * (64 + 2)
    return copies + tail + partial + blocks


@pytest.mark.parametrize("tokens", [1, 31, 32, 33, 512])
@pytest.mark.parametrize("kind", ["F16", "F32", "BF16", "Q8_0"])
def test_metal_reserves_a_copy_and_a_rest_of_cells(tokens: int, kind: str) -> None:
    block, elements = {"F16": (2, 1), "F32": (4, 1), "BF16": (2, 1), "Q8_0": (34, 32)}[kind]
    rows = (HEAD // elements * block, 64 // elements * block)
    if kind == "Q8_0" and tokens >= 32:  # read from the copy
        rows = (2 * HEAD, 2 * 64)
    expected = metal(tokens, rows, copies=2 * KEYS + 2 * VALUES)
    assert scratch_bytes(attention(tokens, kind, kind), "metal") == expected


@pytest.mark.parametrize(("tokens", "rows"), [(31, (136, 136)), (32, (256, 256))])
def test_metal_copies_latent_rows_once(tokens: int, rows: tuple[int, int]) -> None:
    expected = metal(tokens, rows, copies=2 * KEYS)
    assert scratch_bytes(attention(tokens, "Q8_0", latent=True), "metal") == expected


def test_metal_pads_each_copy_to_16_bytes() -> None:
    q = Tensor("NONE", "F32", (1, 1, 1, 1))
    k = Tensor("NONE", "F16", (1, 3, 1, 1))
    v = Tensor("NONE", "F16", (1, 9, 1, 1))
    made = Tensor("FLASH_ATTN_EXT", "F32", (1, 1, 1, 1), srcs=(q, k, v))
    assert scratch_bytes(made, "metal") == 16 + 32 + 64 * (2 + 2) + 4 * 32 * 3


@pytest.mark.parametrize(
    ("tokens", "rows_a_group", "cells_a_group"), [(1, 1, 32), (19, 1, 32), (20, 8, 64), (65, 8, 64)]
)
def test_metal_maps_blocks_of_the_mask(tokens: int, rows_a_group: int, cells_a_group: int) -> None:
    blocks = -(-tokens // rows_a_group) * (CELLS // cells_a_group) * STREAMS
    expected = metal(
        tokens,
        (256, 128),
        copies=2 * KEYS + 2 * VALUES,
        mask=tokens,
        blocks=padded(blocks, 32),
    )
    assert scratch_bytes(attention(tokens, mask=tokens), "metal") == expected


def test_metal_takes_the_kernel_of_groups_where_a_head_is_no_multiple_of_32() -> None:
    def blocks(head: int, cells: int) -> int:
        q = Tensor("NONE", "F32", (head, 4, 1, 1))
        k = Tensor("NONE", "F16", (head, cells, 1, 1))
        v = Tensor("NONE", "F16", (head, cells, 1, 1))
        mask = Tensor("NONE", "F16", (cells, 4, 1, 5))
        bare, masked = (
            scratch_bytes(Tensor("FLASH_ATTN_EXT", "F32", (head, 1, 4, 1), srcs=srcs), "metal")
            for srcs in ((q, k, v), (q, k, v, mask))
        )
        return masked - bare - 64 * 2 * 4 * 5

    assert blocks(64, 65) == padded(4 * 3 * 5, 32)  # 3 blocks of 32 cells for each of 4 rows
    assert blocks(40, 65) == padded(1 * 2 * 5, 32)  # one group of 8 rows, 2 blocks of 64 cells


@pytest.mark.parametrize(("cache", "has_scratch"), [("f16", False), ("q8_0", True)])
def test_what_is_planned_holds_scratch_space_and_what_is_bare_does_not(
    cache: str, *, has_scratch: bool
) -> None:
    model = load_catalog_model("llama-3.2-1b", file_type="Q8_0")
    asked = Workload(context_tokens=8192, kv_type_k=cache, kv_type_v=cache, flash_attention="on")
    placement = resolve_placement(model, PlacementRequest(), machine_expression("rtx-3090 + 64gb"))
    settings = resolve_settings(model, asked, flash_supported=True)
    found = graph_buffers(model, settings, placement)
    assert found is not None
    assert (found.planned[0] > found.bare[0]) is has_scratch
    assert found.planned[1] == found.bare[1]  # none on the host
