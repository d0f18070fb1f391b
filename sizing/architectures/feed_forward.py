"""Widths of the feed-forward part: dense, routed and shared experts, gated or not.

Source: llama.cpp (0c1e57098) src/models/*.cpp load_arch_hparams and load_arch_tensors.
"""

from __future__ import annotations

from whatfits.sizing.architectures.metadata import MAX_EXPERTS, MAX_LAYERS
from whatfits.sizing.named_tuples import NamedTuple
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection
    from typing import Final

    from whatfits.sizing.architectures.geometry import Geometry
    from whatfits.sizing.architectures.metadata import Metadata

__all__ = ["FeedForward", "read_feed_forward"]

_UNGATED: Final = frozenset(
    {
        "apertus",
        "arcee",
        "bert",
        "bloom",
        "codeshell",
        "falcon",
        "gpt2",
        "gptneox",
        "jais2",
        "jina-bert-v3",
        "mpt",
        "nemotron",
        "nemotron_h",
        "nemotron_h_moe",
        "nomic-bert-moe",
        "phi2",
        "plm",
        "pockettts",
        "starcoder",
        "starcoder2",
    }
)
_EXPERT_WIDTH_IS_A_SHARE: Final = frozenset({"qwen2moe", "qwen3moe", "qwen3vlmoe"})


class FeedForward(NamedTuple):
    """Feed-forward widths of a model.

    Attributes:
        n_ff_exp: width of one routed expert.
        n_ff_shexp: width of the shared experts together.
        gated: there is a gate matrix, its own or fused with the other one.
        dense: width of the dense part, one a layer (0 without).
        experts: routed experts, one a layer (0 in a dense layer).
    """

    n_ff_exp: int
    n_ff_shexp: int
    gated: bool
    dense: tuple[int, ...]
    experts: tuple[int, ...]


def read_feed_forward(
    metadata: Metadata, geometry: Geometry, *, tensor_names: Collection[str] | None
) -> FeedForward:
    """Return the feed-forward widths; with tensor names, as the file really has them.

    Raises:
        MalformedFileError: a width or a count is of the wrong kind or out of range.
    """
    n_ff = max(geometry.feed_forward)
    gated = metadata.architecture not in _UNGATED
    if geometry.n_expert == 0:
        dense = geometry.feed_forward[: geometry.n_layers]
        return FeedForward(0, 0, gated, dense, (0,) * geometry.n_layers)
    listed = metadata.per_layer("expert_feed_forward_length", geometry.n_layers_all)
    width = max(listed) if listed else 0
    if width == 0:
        share = metadata.architecture in _EXPERT_WIDTH_IS_A_SHARE
        width = n_ff // geometry.n_expert_used if share else n_ff
    dense, experts = _by_layer(metadata, geometry, tensor_names)
    return FeedForward(width, _shared_width(metadata, width, n_ff), gated, dense, experts)


def _shared_width(metadata: Metadata, n_ff_exp: int, n_ff: int) -> int:
    given = metadata.optional("expert_shared_feed_forward_length")
    if given:
        return given
    if metadata.architecture == "qwen2moe":
        return n_ff
    if metadata.architecture == "llama4":
        return n_ff_exp
    return n_ff_exp * (metadata.optional("expert_shared_count", high=MAX_EXPERTS) or 0)


def _by_layer(
    metadata: Metadata, geometry: Geometry, names: Collection[str] | None
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return (dense widths, routed experts), one each a loaded layer."""
    n, widths, n_expert = geometry.n_layers, geometry.feed_forward, geometry.n_expert
    if names is not None:
        dense = tuple(widths[il] if f"blk.{il}.ffn_down.weight" in names else 0 for il in range(n))
        routed = tuple(
            n_expert if f"blk.{il}.ffn_down_exps.weight" in names else 0 for il in range(n)
        )
        return dense, routed
    leading = metadata.optional("leading_dense_block_count", high=MAX_LAYERS) or 0
    return (
        tuple(widths[il] if il < leading else 0 for il in range(n)),
        tuple(n_expert if il >= leading else 0 for il in range(n)),
    )
