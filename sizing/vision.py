"""What a catalog model's vision tower would add, from its shape: a projector is a file of its own.

Published projectors are F16: two bytes a parameter. Where the parameters were not counted, the
tower's blocks are: four square matrices and two or three feed-forward ones.
Source: the model's `vision_config`; llama.cpp (0c1e57098) tools/mtmd/clip.cpp for the rest.
"""

from __future__ import annotations

from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.units import format_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final

__all__ = ["tower_parameters", "vision_note"]

_BYTES_A_PARAMETER: Final = 2
_WIDTH: Final = ("hidden_size", "vt_hidden_size")
_INNER: Final = ("intermediate_size", "vt_intermediate_size")
# GLM-4V's `intermediate_size` is that of its merger. Source: transformers 5.23.0, Glm4VisionMlp.
_INNER_OF: Final[Mapping[str, tuple[str, ...]]] = {"glm4v": ("out_hidden_size",)}
_DEPTH: Final = ("num_hidden_layers", "depth", "vt_num_hidden_layers")
_SQUARE_MATRICES: Final = 4
_LEAST_INNER, _MOST_INNER = 2, 3


def tower_parameters(vision: Mapping[str, object]) -> tuple[int, int] | None:
    """Return the least and the most parameters of a tower's blocks; None without a shape."""
    names = _INNER_OF.get(str(vision.get("model_type")), _INNER)
    width, inner, depth = (_first(vision, part) for part in (_WIDTH, names, _DEPTH))
    if not width or not inner or not depth:
        return None
    square = _SQUARE_MATRICES * width**2
    least, most = (depth * (square + n * width * inner) for n in (_LEAST_INNER, _MOST_INNER))
    return least, most


def vision_note(vision: Mapping[str, object], *, parameters: int | None) -> str:
    """Return one sentence: images need a projector, and what it would add."""
    start = "Images need the model's projector, a file of its own (--mmproj)"
    if parameters:
        return f"{start}, about {format_bytes(_BYTES_A_PARAMETER * parameters)} in F16."
    bounds = tower_parameters(vision)
    if bounds is None:
        return f"{start}; its size is not known."
    least, most = (format_bytes(_BYTES_A_PARAMETER * count) for count in bounds)
    return f"{start}, about {least} to {most} in F16 by the shape of its blocks."


def _first(vision: Mapping[str, object], names: tuple[str, ...]) -> int:
    found = (vision.get(name) for name in names)
    return next((value for value in found if type(value) is int), 0)
