"""Which kernel fuses attention, by the rules of llama.cpp's fattn.cu (commit 0c1e57098)."""

from __future__ import annotations

import pytest

from whatfits.sizing.graph.device_attention import fuses_attention, reads_cache_as_it_is
from whatfits.sizing.graph.tensor import NONE, Tensor


def attention(
    *,
    width: int = 128,
    values: int | None = None,
    tokens: int = 1,
    cells: int = 4096,
    group: int = 1,
    streams: int = 1,
    types: tuple[str, str] = ("F16", "F16"),
    masks: int | None = 1,
) -> Tensor:
    heads = 2
    q = Tensor(NONE, "F32", (width, tokens, heads * group, streams))
    k = Tensor(NONE, types[0], (width, cells, heads, streams))
    v = Tensor(NONE, types[1], (values or width, cells, heads, streams))
    mask = () if masks is None else (Tensor(NONE, "F16", (cells, tokens, masks, streams)),)
    return Tensor("FLASH_ATTN_EXT", "F32", (width, heads, tokens, streams), srcs=(q, k, v, *mask))


@pytest.mark.parametrize(
    ("asked", "fuses"),
    [
        ({}, True),
        ({"masks": None}, True),
        ({"masks": 2}, False),
        ({"width": 32}, False),
        ({"width": 96, "values": 64}, False),
        ({"width": 192, "values": 128, "group": 8}, True),
        ({"width": 192, "values": 128, "group": 4}, False),
        ({"width": 512}, False),
        ({"width": 512, "group": 2}, True),
        ({"types": ("IQ4_NL", "F16")}, False),
        ({"types": ("F16", "IQ4_NL")}, False),
        ({"types": ("Q5_1", "Q4_1")}, True),
    ],
)
@pytest.mark.parametrize("kind", ["cuda", "rocm"])
def test_cuda_fuses_some_heads_caches_and_masks(
    kind: str, asked: dict[str, int], *, fuses: bool
) -> None:
    assert fuses_attention(attention(**asked), kind) is fuses  # type: ignore[arg-type]


@pytest.mark.parametrize("asked", [{"masks": 2}, {"types": ("IQ4_NL", "IQ4_NL")}])
def test_those_are_limits_of_cuda_alone(asked: dict[str, int]) -> None:
    assert fuses_attention(attention(**asked), "metal")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("asked", "as_it_is"),
    [
        # in its own types only what a kernel is compiled for
        ({"types": ("Q8_0", "Q8_0")}, True),
        ({"types": ("Q8_0", "Q8_0"), "tokens": 2}, True),
        ({"types": ("Q8_0", "Q8_0"), "tokens": 3}, False),
        ({"types": ("Q4_0", "Q4_0"), "group": 8}, True),
        ({"types": ("Q8_0", "Q4_0")}, False),
        ({"types": ("Q5_1", "Q5_1")}, False),
        ({"types": ("F32", "F32")}, False),
        # vectors of up to 256 in multiples of 64, and whole blocks of cells
        ({"types": ("Q8_0", "Q8_0"), "width": 512, "group": 2}, False),
        ({"types": ("Q8_0", "Q8_0"), "width": 256}, True),
        ({"types": ("Q8_0", "Q8_0"), "width": 80}, False),
        ({"types": ("Q8_0", "Q8_0"), "width": 192, "values": 128, "group": 8}, False),
        ({"types": ("Q8_0", "Q8_0"), "cells": 4000}, False),
        # 16 bits: one token, and few heads or a short cache
        ({"types": ("BF16", "BF16")}, True),
        ({"types": ("BF16", "BF16"), "tokens": 2}, False),
        ({"types": ("BF16", "BF16"), "group": 4}, True),
        ({"types": ("BF16", "BF16"), "group": 4, "streams": 2}, False),
        ({"types": ("BF16", "BF16"), "streams": 2}, True),
        ({"types": ("BF16", "BF16"), "group": 5}, True),
        ({"types": ("BF16", "BF16"), "group": 5, "cells": 8192}, False),
        ({"types": ("BF16", "BF16"), "group": 5, "width": 256}, False),
        ({"types": ("BF16", "BF16"), "group": 4, "width": 256, "cells": 8192}, True),
    ],
)
def test_a_token_or_two_read_a_cache_in_its_own_types(
    asked: dict[str, int], *, as_it_is: bool
) -> None:
    assert reads_cache_as_it_is(attention(**asked), "cuda") is as_it_is  # type: ignore[arg-type]


@pytest.mark.parametrize(("group", "as_it_is"), [(1, True), (2, False)])
def test_rocm_shares_a_key_among_several_heads_by_its_other_kernels(
    group: int, *, as_it_is: bool
) -> None:
    asked = attention(types=("BF16", "BF16"), group=group)
    assert reads_cache_as_it_is(asked, "rocm") is as_it_is
