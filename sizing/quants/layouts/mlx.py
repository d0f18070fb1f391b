"""MLX: packed words, and a scale (and in affine mode a bias) per group of a row.

Source: ml-explore/mlx (2026-08-22) mlx/ops.cpp:quantize, python/mlx/nn/layers/quantized.py;
ml-explore/mlx-lm 0.32.2 mlx_lm/utils.py:quantize_model. Error: none against 30 loads (active memory
equals the sum); published repositories as in tests/sizing/quants/layouts.
"""

from __future__ import annotations

from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.named_tuples import NamedTuple
from whatfits.sizing.quants.layouts.parts import HALF, INT32, Parts, groups_of, packed_words
from whatfits.sizing.typed import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from typing import Final, TypeGuard

__all__ = ["MlxMode", "MlxModule", "is_mlx_mode", "mlx_group", "mlx_parts"]

MlxMode = Literal["affine", "mxfp4", "mxfp8", "nvfp4"]

_AFFINE_BITS: Final = (2, 3, 4, 5, 6, 8)
_AFFINE_GROUPS: Final = (32, 64, 128)
_FLOATS: Final = {"mxfp4": (4, 32), "mxfp8": (8, 32), "nvfp4": (4, 16)}  # bits, group
_FLOAT_SCALE_BYTES: Final = 1  # E8M0 or E4M3


class MlxModule(NamedTuple):
    """How one module of an MLX checkpoint differs from the rest; `bits` None is 16 bits."""

    bits: int | None
    group: int
    mode: MlxMode


def is_mlx_mode(named: object) -> TypeGuard[MlxMode]:
    """Return whether MLX has a mode of that name."""
    return named == "affine" or (isinstance(named, str) and named in _FLOATS)


def mlx_parts(
    rows: int, columns: int, *, bits: int = 4, group: int = 64, mode: MlxMode = "affine"
) -> Parts:
    """Return the stored tensors of one matrix: `weight`, `scales`, and in affine mode `biases`.

    The floating-point modes fix bits and group themselves.

    Raises:
        InvalidRequestError: MLX has no such bits or group, or the row is no multiple of the group.
    """
    if mode != "affine":
        bits, group = _FLOATS[mode]
    elif bits not in _AFFINE_BITS or group not in _AFFINE_GROUPS:
        raise InvalidRequestError(
            what="MLX quantisation",
            got=f"{bits} bits, groups of {group}",
            allowed=f"bits {_AFFINE_BITS}, groups {_AFFINE_GROUPS}",
        )
    groups = rows * groups_of(columns, group)
    parts = {"weight": rows * packed_words(columns, bits) * INT32}
    if mode != "affine":
        return {**parts, "scales": groups * _FLOAT_SCALE_BYTES}
    return {**parts, "scales": groups * HALF, "biases": groups * HALF}


def mlx_group(group: int, mode: MlxMode) -> int:
    """Return how many weights share a scale: as asked in affine mode, else as the mode has it."""
    return group if mode == "affine" else _FLOATS[mode][1]
