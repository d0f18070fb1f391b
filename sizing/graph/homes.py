"""What a layer is like, and which back end holds what: all that a graph's memory depends on."""

from __future__ import annotations

from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable
    from typing import Final

    from whatfits.sizing.graph.index import TensorIndex
    from whatfits.sizing.model import ModelSpec, TensorSpec
    from whatfits.sizing.placement import Placement

__all__ = ["Homes", "kinds_of", "outer_kinds"]

# it is looked up row by row where it lies, unless it is the output too
_TABLE: Final = "token_embd.weight"


class Homes:
    """Which back end holds what; the host is the last one."""

    def __init__(self, placement: Placement, *, copies_back: bool = False) -> None:
        """Look at a placement; `copies_back`: weights on devices may be copied to the host."""
        self._placement = placement
        self._host = len(placement.accelerators)
        self._copies_back = copies_back

    @property
    def by_name(self) -> bool:
        """Whether tensors of one layer may lie on different devices."""
        return self._placement.parts_layers

    def _index(self, device: int | None) -> int:
        return self._host if device is None else device

    def copies_from(self, home: int) -> bool:
        """Whether weights that lie there may be copied elsewhere, so that their size counts."""
        return home == self._host > 0 or (self._copies_back and home < self._host)

    @property
    def output(self) -> int:
        """Back end of the output layer."""
        return self._index(self._placement.output_device)

    def layer(self, layer: int) -> int:
        """Return a layer's back end; one behind the last layer is the output."""
        return self._index(self._device_of_layer(layer))

    def _device_of_layer(self, layer: int) -> int | None:
        places = self._placement.layer_device
        return places[layer] if layer < len(places) else self._placement.output_device

    def cache(self, layer: int) -> int:
        """Return the back end of a layer's cache."""
        return self.layer(layer) if self._placement.kv_offload else self._host

    def as_output(self, spec: TensorSpec) -> int:
        """Return the back end of a weight that serves as the output matrix."""
        output = self._placement.output_device
        return self._index(self._placement.device_of(spec.name, output, type_name=spec.type))

    def weight(self, spec: TensorSpec, layer: int | None) -> int:
        """Return the back end of a weight; `layer` says whose copy of a shared one is meant."""
        placement = self._placement
        match spec.role:
            case "input":
                default: int | None = None
            case "output":
                default = placement.output_device
            case "shared":
                default = self._device_of_layer(layer or 0)
            case _:
                default = placement.layer_device[spec.layer or 0]
        return self._index(placement.device_of(spec.name, default, type_name=spec.type))


def kinds_of(
    model: ModelSpec,
    index: TensorIndex,
    homes: Homes,
    mark: Callable[[ModelSpec, int], Hashable] | None,
) -> list[Hashable]:
    """Return what each layer is like: widths, weights, devices, and types where they are copied."""
    kinds: list[Hashable] = []
    for at in range(model.n_layers):
        home = homes.layer(at)
        if homes.by_name:
            row = index.by_layer[at]
            weight_homes = [homes.weight(tensor, None) for tensor in row]
            types: Hashable = tuple(
                tensor.type if homes.copies_from(where) else None
                for tensor, where in zip(row, weight_homes, strict=True)
            )
            weights: Hashable = (tuple(weight_homes), types)
        else:
            weights = index.types[at] if homes.copies_from(home) else None
        cache = homes.cache(_owner_of_cache(model, at))
        kinds.append((index.shapes[at], home, cache, weights, mark and mark(model, at)))
    return kinds


def _owner_of_cache(model: ModelSpec, layer: int) -> int:
    """Return the layer whose cache a layer reads."""
    owner = model.layers[layer].cache_layer
    return layer if owner is None else owner


def outer_kinds(index: TensorIndex, homes: Homes) -> Hashable:
    """Return the same of what belongs to no layer: where it lies, and types where it is copied."""
    kinds = []
    for tensor in index.outer:
        home = homes.weight(tensor, None)
        counts = homes.copies_from(homes.as_output(tensor) if tensor.name == _TABLE else home)
        kinds.append((home, tensor.type if counts else None))
    return homes.output, homes.layer(0), tuple(kinds)
