"""Sequences of steps that Vulkan runs as one, and pairs that it lets come together.

Source: llama.cpp (0c1e57098) ggml/src/ggml-vulkan/ggml-vulkan.cpp (ggml_vk_graph_optimize) and the
lists beside it.
"""

from __future__ import annotations

from whatfits.sizing.graph.fused.patterns import NORMALISED
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Final

__all__ = ["ALL", "APART", "NEXT", "ROUTING", "SELECTION", "STREAMS", "THIRDS", "TOGETHER"]

_CHOSEN: Final = ("ARGSORT", "VIEW", "GET_ROWS")
_BIASED: Final = ("RESHAPE", "ADD", *_CHOSEN, *NORMALISED)
ROUTING: Final[tuple[tuple[str, ...], ...]] = (
    ("SOFT_MAX", "RESHAPE", *_CHOSEN, *NORMALISED),
    ("UNARY", *_BIASED),
    ("UNARY", "SQRT", *_BIASED),
    ("SOFT_MAX", "RESHAPE", *_CHOSEN),
    (*_CHOSEN, "RESHAPE", "SOFT_MAX", "RESHAPE"),
)
SELECTION: Final = ("GET_ROWS", "PERMUTE", "CONT", "CPY", "RESHAPE", "ADD", "TOP_K")
TOGETHER: Final[tuple[tuple[str, ...], ...]] = (
    ("MUL", "SIN", "SQR", "MUL", "ADD"),
    SELECTION,
    ("RMS_NORM", "MUL", "ADD", "MUL"),
    ("RMS_NORM", "MUL", "ADD"),
    ("RMS_NORM", "MUL", "ROPE", "VIEW", "SET_ROWS"),
    ("RMS_NORM", "VIEW", "SET_ROWS"),
    ("ROPE", "VIEW", "SET_ROWS"),
)
STREAMS: Final = ("SCALE", "UNARY", "SCALE", "DSV4_HC_POST")
ALL: Final = (*ROUTING, *TOGETHER, STREAMS)
# A step and the one behind it that it may bring along; the first two not only from next to it.
APART: Final = frozenset({("RMS_NORM", "MUL"), ("UNARY", "MUL")})
NEXT: Final = frozenset(
    {
        ("MUL_MAT", "ADD"),
        ("MUL_MAT_ID", "ADD_ID"),
        ("MUL_MAT_ID", "MUL"),
        ("ADD", "ADD"),
        ("SSM_CONV", "ADD"),
        ("SSM_CONV", "UNARY"),
    }
)
# Two steps in a row, and the further one that is brought along.
THIRDS: Final = {
    ("MUL_MAT_ID", "ADD_ID"): "MUL",
    ("MUL_MAT", "ADD"): "ADD",
    ("SSM_CONV", "ADD"): "UNARY",
}
