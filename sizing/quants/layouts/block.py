"""What a quantisation block says, and how its fields are read."""

from __future__ import annotations

from collections.abc import Mapping

from whatfits.sizing.architectures import language_parts
from whatfits.sizing.quants.layouts.name_patterns import NamePatterns
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import dataclass, field

if TYPE_CHECKING:
    from typing import Final

    from whatfits.sizing.quants.layouts.checkpoint import Layout
    from whatfits.sizing.quants.layouts.mlx import MlxMode, MlxModule

__all__ = [
    "CheckpointQuantisation",
    "bits_said",
    "grouped",
    "listed",
    "number",
    "quantisation_block",
]

_NOTHING: Final = NamePatterns(())
_LARGEST: Final = 2**16
_MOST_BITS: Final = 32
_BLOCKS: Final = ("quantization", "quantization_config", "compression_config")
_BITS: Final = ("bits", "num_bits", "nbits", "w_bit", "wbits", "weight_bits")


@dataclass(frozen=True, slots=True)
class CheckpointQuantisation:
    """How a checkpoint is quantised.

    Attributes:
        method: as `awq`, `fp8`, `mlx`, or what the block calls itself when nobody knows it.
        label: the same for people, with bits and groups.
        bits: of one weight, scales apart; None when the block does not say.
        layout: matrix → bytes of each stored tensor; None when it is not known.
        excluded: modules that stay in 16 bits.
        only: the modules that are quantised; nothing named is all of them.
        only_experts: nothing but the experts is quantised.
        converts: llama.cpp's converter reads this method.
        native: the quantisation that GGUF keeps as it is, as `mxfp4`; None for any other.
        overrides: MLX's modules of their own.
        group: of MLX, weights that share a scale.
        mode: of MLX.
    """

    method: str
    label: str
    bits: int | None
    layout: Layout | None
    excluded: NamePatterns = _NOTHING
    only: NamePatterns = _NOTHING
    only_experts: bool = False
    converts: bool = False
    native: str | None = None
    overrides: Mapping[str, MlxModule] = field(default_factory=dict)
    group: int = 64
    mode: MlxMode = "affine"


def quantisation_block(config: Mapping[str, object]) -> Mapping[str, object] | None:
    """Return the block that says how a checkpoint is quantised, None when there is none.

    MLX writes one of its own (`quantization`) beside that of the other libraries.
    """
    for part in language_parts(config):
        for name in _BLOCKS:
            block = part.get(name)
            if isinstance(block, Mapping) and block:
                return block
    return None


def number(block: Mapping[str, object], *names: str, default: int | None) -> int | None:
    """Return the first of `names` that holds a usable whole number; -1 is one group a row."""
    for name in names:
        value = block.get(name)
        if type(value) is int and (0 < value <= _LARGEST or value == -1):
            return value
    return default


def listed(block: Mapping[str, object], *keys: str) -> NamePatterns:
    """Return the modules that the first of `keys` with a list names."""
    for key in keys:
        value = block.get(key)
        if isinstance(value, list):
            return NamePatterns(one for one in value if isinstance(one, str))
    return _NOTHING


def grouped(label: str, bits: int, group: int) -> str:
    """Return a label with bits and groups."""
    return f"{label}, {bits} bits, {'one group a row' if group == -1 else f'groups of {group}'}"


def bits_said(block: Mapping[str, object]) -> int | None:
    """Return the bits of a weight that a block of any kind names, one part deep or two."""
    parts = [block]
    for _ in ("part", "part of a part"):
        parts += [v for part in parts for v in part.values() if isinstance(v, Mapping)]
    for part in parts:
        found = number(part, *_BITS, default=None)
        if found is not None and 0 < found <= _MOST_BITS:
            return found
    return _bits_in_a_name(block.get("weights")) or _bits_in_a_name(block.get("quant_type"))


def _bits_in_a_name(name: object) -> int | None:
    """Return the bits in a name as `int4_weight_only` or `float8`."""
    if not isinstance(name, str):
        return None
    text = name.lower()
    widths = {bits for bits in (1, 2, 3, 4, 6, 8) if f"int{bits}" in text or f"float{bits}" in text}
    return min(widths) if widths else None
