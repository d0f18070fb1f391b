"""A model's tensors, looked up once for all the graphs that are made of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from whatfits.sizing.model import ModelSpec, TensorSpec

__all__ = ["TensorIndex"]


class TensorIndex:
    """Tensors by name and by layer, and a number for each distinct set of a layer's tensors.

    Attributes:
        by_name: every tensor.
        by_layer: the tensors of each loaded layer.
        shapes: per layer, a number that layers with the same names and shapes share.
        types: per layer, a number that layers with the same storage types share.
    """

    def __init__(self, model: ModelSpec) -> None:
        """Go through the tensors once."""
        self.by_name = {tensor.name: tensor for tensor in model.tensors}
        self.by_layer: list[list[TensorSpec]] = [[] for _ in model.layers]
        for tensor in model.tensors:
            at = tensor.layer
            if tensor.role == "layer" and at is not None and at < len(self.by_layer):
                self.by_layer[at].append(tensor)
        self.shapes = _numbered(
            [tuple((short_name(t), t.shape) for t in row) for row in self.by_layer]
        )
        self.types = _numbered([tuple(t.type for t in row) for row in self.by_layer])


def short_name(tensor: TensorSpec) -> str:
    """Return a tensor's name without the part that names its layer."""
    return tensor.name.partition(".")[2].partition(".")[2]


def _numbered(values: Sequence[Hashable]) -> list[int]:
    known: dict[Hashable, int] = {}
    return [known.setdefault(value, len(known)) for value in values]
