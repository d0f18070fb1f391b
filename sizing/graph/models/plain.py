"""Plain decoders: one graph with switches."""

from __future__ import annotations

from functools import partial

from whatfits.sizing.graph.decoder import Decoder, build_decoder
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

    from whatfits.sizing.graph.context import GraphContext

__all__ = ["GRAPHS"]

_PLAIN: Final = Decoder()
_STYLES: Final = {
    "llama": _PLAIN,
    "qwen2": _PLAIN,
    "qwen3": _PLAIN,
    "qwen3moe": _PLAIN,
    "gemma2": Decoder(
        embedding_scale=True,
        scale_q=True,
        post_norms=True,
        last_norm_pinned=False,
        attention_softcap=True,
        logit_softcap=True,
    ),
    "gemma3": Decoder(embedding_scale=True, scale_q=True, post_norms=True, last_norm_pinned=False),
}

GRAPHS: Final[dict[str, Callable[[GraphContext], None]]] = {
    name: partial(build_decoder, style=style) for name, style in _STYLES.items()
}
