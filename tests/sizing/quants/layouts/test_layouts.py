"""Stored tensors of one matrix under every layout, and their laws."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.quants.layouts.awq import awq_parts
from whatfits.sizing.quants.layouts.bitsandbytes import four_bit_parts, llm_int8_parts
from whatfits.sizing.quants.layouts.compressed_tensors import (
    int8_parts,
    mxfp4_parts,
    pack_quantized_parts,
)
from whatfits.sizing.quants.layouts.fp8 import fp8_parts
from whatfits.sizing.quants.layouts.gptq import gptq_parts
from whatfits.sizing.quants.layouts.mlx import mlx_parts
from whatfits.sizing.quants.layouts.nvfp4 import nvfp4_parts

if TYPE_CHECKING:
    from whatfits.sizing.quants.layouts.parts import Parts

ROWS, COLUMNS = 4096, 14336


def bits_a_weight(parts: Parts) -> float:
    return 8 * sum(parts.values()) / (ROWS * COLUMNS)


# Bits a weight as every format's own arithmetic gives them.
@pytest.mark.parametrize(
    ("parts", "bits"),
    [
        (mlx_parts(ROWS, COLUMNS, bits=2), 2 + 32 / 64),
        (mlx_parts(ROWS, COLUMNS, bits=3), 3 + 32 / 64),
        (mlx_parts(ROWS, COLUMNS, bits=4), 4 + 32 / 64),
        (mlx_parts(ROWS, COLUMNS, bits=5), 5 + 32 / 64),
        (mlx_parts(ROWS, COLUMNS, bits=6), 6 + 32 / 64),
        (mlx_parts(ROWS, COLUMNS, bits=8), 8 + 32 / 64),
        (mlx_parts(ROWS, COLUMNS, bits=4, group=32), 4 + 32 / 32),
        (mlx_parts(ROWS, COLUMNS, bits=4, group=128), 4 + 32 / 128),
        (mlx_parts(ROWS, COLUMNS, mode="mxfp4"), 4 + 8 / 32),
        (mlx_parts(ROWS, COLUMNS, mode="mxfp8"), 8 + 8 / 32),
        (mlx_parts(ROWS, COLUMNS, mode="nvfp4"), 4 + 8 / 16),
        (awq_parts(ROWS, COLUMNS), 4 + (16 + 4) / 128),
        (gptq_parts(ROWS, COLUMNS), 4 + (16 + 4) / 128 + 32 / ROWS),
        (gptq_parts(ROWS, COLUMNS, group=32), 4 + (16 + 4) / 32 + 32 / ROWS),
        (gptq_parts(ROWS, COLUMNS, bits=8), 8 + (16 + 8) / 128 + 32 / ROWS),
        (gptq_parts(ROWS, COLUMNS, bits=3), 3 + (16 + 3) / 128 + 32 / ROWS),
        (gptq_parts(ROWS, COLUMNS, group=-1), 4 + (16 + 4) / COLUMNS + 32 / ROWS),
        (fp8_parts(ROWS, COLUMNS), 8 + 32 / (128 * 128)),
        (fp8_parts(ROWS, COLUMNS, scaling="tensor"), 8 + 32 / (ROWS * COLUMNS)),
        (fp8_parts(ROWS, COLUMNS, scaling="row", scale_bytes=2), 8 + 16 / COLUMNS),
        (nvfp4_parts(ROWS, COLUMNS), 4 + 8 / 16 + 64 / (ROWS * COLUMNS)),
        (nvfp4_parts(ROWS, COLUMNS, quantised_inputs=False), 4 + 8 / 16 + 32 / (ROWS * COLUMNS)),
        (pack_quantized_parts(ROWS, COLUMNS), 4 + 16 / 128 + 128 / (ROWS * COLUMNS)),
        (
            pack_quantized_parts(ROWS, COLUMNS, symmetric=False),
            4 + (16 + 4) / 128 + 128 / (ROWS * COLUMNS),
        ),
        (
            pack_quantized_parts(ROWS, COLUMNS, reordered=True),
            4 + 16 / 128 + 32 / ROWS + 128 / (ROWS * COLUMNS),
        ),
        (int8_parts(ROWS, COLUMNS), 8 + 16 / COLUMNS),
        (mxfp4_parts(ROWS, COLUMNS), 4 + 8 / 32),
        (
            four_bit_parts(ROWS, COLUMNS, double_quantised=False),
            4 + 32 / 64 + 512 / (ROWS * COLUMNS),
        ),
        (
            four_bit_parts(ROWS, COLUMNS),
            4 + 8 / 64 + 32 / (64 * 256) + (512 + 8192) / (ROWS * COLUMNS),
        ),
        (llm_int8_parts(ROWS, COLUMNS), 8 + 32 / COLUMNS + 8 / (ROWS * COLUMNS)),
    ],
)
def test_a_matrix_takes_the_bits_of_its_formats_arithmetic(parts: Parts, bits: float) -> None:
    assert bits_a_weight(parts) == pytest.approx(bits, rel=1e-12)


def test_the_parts_of_a_gptq_matrix_are_those_of_a_published_checkpoint() -> None:
    # Qwen2.5-0.5B, mlp.down_proj: 4864 inputs, 896 outputs, 4 bits, groups of 128.
    assert gptq_parts(896, 4864) == {
        "qweight": 608 * 896 * 4,
        "qzeros": 38 * 112 * 4,
        "scales": 38 * 896 * 2,
        "g_idx": 4864 * 4,
    }


def test_blocks_at_the_edge_of_an_fp8_matrix_may_be_partly_filled() -> None:
    # DeepSeek-V3, kv_a_proj_with_mqa: 576 x 7168 → 5 x 56 blocks.
    assert fp8_parts(576, 7168)["weight_scale_inv"] == 5 * 56 * 4
    assert fp8_parts(256, 300, block=(128, 64))["weight_scale_inv"] == 2 * 5 * 4
    assert fp8_parts(576, 7168, static_input=True)["input_scale"] == 4


@pytest.mark.parametrize(
    "make",
    [
        lambda: mlx_parts(64, 96),
        lambda: mlx_parts(64, 128, bits=7),
        lambda: mlx_parts(64, 128, group=48),
        lambda: awq_parts(64, 100),
        lambda: awq_parts(12, 128, group=128),
        lambda: gptq_parts(64, 128, group=0),
        lambda: gptq_parts(64, 129, group=-1),
        lambda: nvfp4_parts(64, 24),
        lambda: mxfp4_parts(64, 48),
        lambda: pack_quantized_parts(64, 100),
    ],
)
def test_a_matrix_that_a_layout_cannot_hold_is_refused_in_one_line(make: object) -> None:
    assert callable(make)
    with pytest.raises(InvalidRequestError) as caught:
        make()
    assert "\n" not in str(caught.value)


@given(
    rows=st.integers(1, 64).map(lambda n: 32 * n),
    columns=st.integers(1, 64).map(lambda n: 128 * n),
    group=st.sampled_from([32, 64, 128]),
)
def test_more_bits_and_shorter_groups_never_take_fewer_bytes(
    rows: int, columns: int, group: int
) -> None:
    def mlx(bits: int, group: int) -> int:
        return sum(mlx_parts(rows, columns, bits=bits, group=group).values())

    sizes = [mlx(bits, group) for bits in (2, 3, 4, 5, 6, 8)]
    assert sizes == sorted(set(sizes))
    assert mlx(4, 32) > mlx(4, 64) > mlx(4, 128)
    assert sum(gptq_parts(rows, columns, group=group).values()) > sum(
        awq_parts(rows, columns, group=group).values()
    )
