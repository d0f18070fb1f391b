"""Gemma: a plain decoder with scaled embeddings and queries.

Source: llama.cpp src/models/gemma.cpp.
"""

from __future__ import annotations

from functools import partial

from whatfits.sizing.graph.decoder import Decoder, build_decoder
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

    from whatfits.sizing.graph.context import GraphContext

__all__ = ["GRAPHS"]

GRAPHS: Final[dict[str, Callable[[GraphContext], None]]] = {
    "gemma": partial(build_decoder, style=Decoder(embedding_scale=True, scale_q=True)),
}
