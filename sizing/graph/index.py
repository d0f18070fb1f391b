"""A model's tensors, looked up once for all the graphs that are made of it."""

from __future__ import annotations

from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from whatfits.sizing.graph.budget import GraphSize
    from whatfits.sizing.graph.reduce import Stretch
    from whatfits.sizing.graph.steps import Steps
    from whatfits.sizing.model import ModelSpec, TensorSpec
    from whatfits.sizing.runtimes.model_shares import ModelShares

__all__ = ["Replays", "TensorIndex"]


class Replays:
    """What is known of one model's graphs, whatever types its weights are stored in.

    Attributes:
        numbers: the number of each distinct description of a layer.
        steps: the allocator's steps for each graph, and its size, by all that they depend on.
        peaks: bytes of each accelerator's buffer, the host's last, by the same and by the stretches
            of layers; or these with more layers kept, where too few were.
        periods: what one more period of a stretch adds to a graph, by both.
        landed: which operations run beside their layers, by all that this depends on.
        kept: the stretches that told all buffers, by the back ends and those begun with.
        shares: what the model takes, by the identity of what it is under one file type.
    """

    def __init__(self) -> None:
        """Nothing is known yet."""
        self.numbers: dict[Hashable, int] = {}
        self.steps: dict[Hashable, tuple[Steps, GraphSize]] = {}
        self.peaks: dict[Hashable, tuple[int, ...] | None] = {}
        self.periods: dict[Hashable, GraphSize] = {}
        self.landed: dict[Hashable, bool] = {}
        self.kept: dict[Hashable, tuple[Stretch, ...]] = {}
        self.shares: dict[int, ModelShares] = {}

    def numbered(self, values: Sequence[Hashable]) -> list[int]:
        """Return the number of each value, the same for equal ones."""
        known = self.numbers
        return [known.setdefault(value, len(known)) for value in values]


class TensorIndex:
    """Tensors by name and by layer, and a number for each distinct set of a layer's tensors.

    Attributes:
        by_name: every tensor.
        by_layer: the tensors of each loaded layer.
        outer: the tensors that belong to no layer.
        shapes: per layer, a number that layers with the same description, names and shapes share.
        types: per layer, a number that layers with the same storage types share.
        replays: what is known of the model's graphs.
    """

    def __init__(self, model: ModelSpec, *, replays: Replays | None = None) -> None:
        """Go through the tensors once; `replays` are those of the model under any file type."""
        self.by_name = {tensor.name: tensor for tensor in model.tensors}
        self.by_layer: list[list[TensorSpec]] = [[] for _ in model.layers]
        for tensor in model.tensors:
            at = tensor.layer
            if tensor.role == "layer" and at is not None and at < len(self.by_layer):
                self.by_layer[at].append(tensor)
        self.outer = tuple(tensor for tensor in model.tensors if tensor.role != "layer")
        self.replays = replays or Replays()
        self.shapes = self.replays.numbered(
            [
                (layer, tuple((short_name(t), t.shape) for t in row))
                for layer, row in zip(model.layers, self.by_layer, strict=True)
            ]
        )
        self.types = self.replays.numbered([tuple(t.type for t in row) for row in self.by_layer])


def short_name(tensor: TensorSpec) -> str:
    """Return a tensor's name without the part that names its layer."""
    return tensor.name.partition(".")[2].partition(".")[2]
