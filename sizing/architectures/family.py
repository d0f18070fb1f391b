"""What a family file exports, and what its tensor function is given."""

from __future__ import annotations

from whatfits.sizing.architectures.blocks import Widths
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from whatfits.sizing.architectures.config import Config
    from whatfits.sizing.architectures.geometry import Geometry
    from whatfits.sizing.architectures.metadata import Metadata
    from whatfits.sizing.model import TensorShape

__all__ = ["Architecture", "Blueprint"]


@dataclass(frozen=True, slots=True)
class Blueprint:
    """Everything a tensor table is drawn from.

    Attributes:
        config: the HF configuration: what the metadata does not say (ties, biases).
        metadata: the GGUF metadata made from it.
        geometry: shapes of the model, read from that metadata.
        n_vocab: rows of the embedding.
    """

    config: Config
    metadata: Metadata
    geometry: Geometry
    n_vocab: int

    @property
    def n_embd(self) -> int:
        """Width of the residual stream."""
        return self.geometry.n_embd

    @property
    def n_expert(self) -> int:
        """Routed experts, of which there must be some.

        Raises:
            MalformedFileError: the configuration gives none.
        """
        if self.geometry.n_expert == 0:
            raise self.metadata.error("expert_count", "missing", allowed="a whole number")
        return self.geometry.n_expert

    @property
    def layers(self) -> range:
        """Indices of the blocks in the file, those that predict further tokens last."""
        return range(self.geometry.n_layers_all)

    def predicts(self, layer: int) -> bool:
        """Return whether a block is one that predicts further tokens."""
        return layer >= self.geometry.n_layers

    def widths(self, layer: int) -> Widths:
        """Return the widths of a layer's attention."""
        geometry = self.geometry
        heads, shared = geometry.heads[layer], geometry.heads_kv[layer]
        keys, values = geometry.key_lengths[layer], geometry.value_lengths[layer]
        return Widths(geometry.n_embd, heads * keys, shared * keys, shared * values, heads * values)

    def n_ff(self, layer: int) -> int:
        """Return the dense feed-forward width of a layer.

        Raises:
            MalformedFileError: the configuration gives none.
        """
        width = self.geometry.feed_forward[layer]
        if width == 0:
            raise self.metadata.error("feed_forward_length", "missing", allowed="a whole number")
        return width


@dataclass(frozen=True, slots=True)
class Architecture:
    """One GGUF architecture and how a configuration becomes it.

    Attributes:
        name: GGUF architecture.
        metadata: configuration → metadata, keys without the architecture's prefix.
        tensors: blueprint → shapes of all tensors; None while there is no table for it.
    """

    name: str
    metadata: Callable[[Config], dict[str, object]]
    tensors: Callable[[Blueprint], Iterator[TensorShape]] | None
