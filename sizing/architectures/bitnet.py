"""BitNet b1.58: a plain decoder with a norm inside attention and one inside the feed-forward part.

The scales some files carry beside each matrix are four bytes each and left out.
Source: llama.cpp (0c1e57098) src/models/bitnet.cpp; conversion/bitnet.py.
"""

from __future__ import annotations

from whatfits.sizing.architectures import blocks
from whatfits.sizing.architectures.convert import base_metadata
from whatfits.sizing.architectures.family import Architecture
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from whatfits.sizing.architectures.config import Config
    from whatfits.sizing.architectures.family import Blueprint
    from whatfits.sizing.model import TensorShape

__all__ = ["ARCHITECTURES"]


def _metadata(config: Config) -> dict[str, object]:
    metadata = base_metadata(config)
    return {**metadata, "rope.scaling.type": "linear", "rope.scaling.factor": 1.0}


def _tensors(blueprint: Blueprint) -> Iterator[TensorShape]:
    n_embd = blueprint.n_embd
    yield from blocks.ends(n_embd, blueprint.n_vocab, tied=True)
    for layer in blueprint.layers:
        prefix, n_ff = f"blk.{layer}.", blueprint.n_ff(layer)
        yield blocks.f32(f"{prefix}attn_norm", n_embd)
        yield blocks.f32(f"{prefix}attn_sub_norm", n_embd)
        yield from blocks.attention(prefix, blueprint.widths(layer))
        yield blocks.f32(f"{prefix}ffn_norm", n_embd)
        yield blocks.f32(f"{prefix}ffn_sub_norm", n_ff)
        yield from blocks.dense(prefix, n_embd=n_embd, n_ff=n_ff)


ARCHITECTURES: Final = (Architecture("bitnet", _metadata, _tensors),)
