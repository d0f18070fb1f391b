"""MLX's file types: how `mlx_lm.convert` stores a matrix, and the names people give it.

Source: ml-explore/mlx-lm 0.32.2 mlx_lm/convert.py (modes, recipes, dtypes), mlx_lm/utils.py
(defaults of each mode). The names are those of published repositories: `4bit`, `8bit-gs32`, `bf16`.
"""

from __future__ import annotations

import re

from whatfits.sizing.errors import UnknownFileTypeError
from whatfits.sizing.named_tuples import NamedTuple
from whatfits.sizing.quants.file_types import find_file_type
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Final

    from whatfits.sizing.quants.layouts.mlx import MlxMode

__all__ = ["AS_PUBLISHED", "DEFAULT_TYPE", "USUAL_TYPES", "MlxType", "find_mlx_type"]

DEFAULT_TYPE: Final = "4bit"
AS_PUBLISHED: Final = "as published"
_SIXTEEN: Final = {
    "bf16": "bfloat16",
    "bfloat16": "bfloat16",
    "f16": "float16",
    "fp16": "float16",
    "float16": "float16",
}
_SHORT: Final = {"bfloat16": "bf16", "float16": "f16"}
_FLOATS: Final[dict[str, tuple[int, int, MlxMode]]] = {
    "mxfp4": (4, 32, "mxfp4"),
    "mxfp8": (8, 32, "mxfp8"),
    "nvfp4": (4, 16, "nvfp4"),
}
_MIXED: Final = {
    "mixed_2_6": (2, 6),
    "mixed_3_4": (3, 4),
    "mixed_3_6": (3, 6),
    "mixed_4_6": (4, 6),
}
_AFFINE: Final = re.compile(r"([234568])-?bits?(?:-?gs?(32|64|128))?")
_GROUP: Final = 64
_WIDTHS: Final = (2, 3, 4, 5, 6, 8)
# without those whose groups are others than the usual ones
USUAL_TYPES: Final = ("bf16", *(f"{bits}bit" for bits in _WIDTHS[::-1]), *_FLOATS, *_MIXED)
_ALLOWED: Final = (
    "2bit to 6bit and 8bit (-g32, -g128 for other groups than 64), mxfp4, mxfp8, nvfp4, bf16, f16, "
    + ", ".join(_MIXED)
)


class MlxType(NamedTuple):
    """One file type.

    Attributes:
        name: as it is shown.
        bits: of a weight; None for 16 bits.
        group: weights that share a scale.
        mode: how scales are made.
        high_bits: of a mixed recipe's better matrices; None for the others.
        dtype: of what is not quantised, as `--dtype` takes it; None for the publisher's own.
    """

    name: str
    bits: int | None
    group: int = _GROUP
    mode: MlxMode = "affine"
    high_bits: int | None = None
    dtype: str | None = None

    @property
    def bits_per_weight(self) -> float:
        """Bits of one weight of a plain matrix, scales included."""
        if self.bits is None:
            return 16.0
        return self.bits + (32 if self.mode == "affine" else 8) / self.group

    def convert_flags(self) -> tuple[str, ...]:
        """Return what `mlx_lm.convert` has to be told."""
        if self.bits is None:
            return ("--dtype", self.dtype or "bfloat16")
        if self.high_bits is not None:
            return ("-q", "--quant-predicate", self.name)
        if self.mode != "affine":
            return ("-q", "--q-mode", self.mode)
        return ("-q", "--q-bits", str(self.bits), "--q-group-size", str(self.group))


def find_mlx_type(text: str) -> MlxType:
    """Return the file type of that name; upper and lower case, `_` and `-` are the same.

    Raises:
        UnknownFileTypeError: MLX has none; for a type of GGUF's the nearest one is named.
    """
    name = text.strip().lower().replace("_", "-").removeprefix("mlx-")
    if name in _SIXTEEN:
        dtype = _SIXTEEN[name]
        return MlxType(_SHORT[dtype], None, dtype=dtype)
    if name in _FLOATS:
        return MlxType(name, *_FLOATS[name])
    mixed = name.replace("-", "_")
    if mixed in _MIXED:
        low, high = _MIXED[mixed]
        return MlxType(mixed, low, high_bits=high)
    found = _AFFINE.fullmatch(name)
    if found is not None:
        bits, group = int(found[1]), int(found[2] or _GROUP)
        return MlxType(f"{bits}bit" if group == _GROUP else f"{bits}bit-g{group}", bits, group)
    raise UnknownFileTypeError(
        what="file type of MLX", got=text, allowed=_ALLOWED, next_step=_nearest(text)
    )


def _nearest(text: str) -> str:
    """Return what to take instead of a GGUF file type; nothing for any other name."""
    try:
        bits = find_file_type(text).nominal_bits_per_weight
    except UnknownFileTypeError:
        return ""
    if bits >= 16:  # noqa: PLR2004 - no quantised type has as many
        return "that is a type of GGUF's; MLX's nearest is 'bf16'"
    nearest = min(_WIDTHS, key=lambda width: abs(MlxType("", width).bits_per_weight - bits))
    return f"that is a type of GGUF's; MLX's nearest is '{nearest}bit'"
