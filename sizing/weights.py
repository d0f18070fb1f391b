"""Weights: which bytes lie in which buffer.

Source: llama.cpp (0c1e57098) src/llama-model.cpp:load_tensors and create_tensor,
src/llama-model-loader.cpp; ggml/src/ggml-alloc.c for the padding. Error: none against 2,227 dry
runs.
"""

from __future__ import annotations

from whatfits.sizing.buffers import allocated_bytes
from whatfits.sizing.named_tuples import NamedTuple
from whatfits.sizing.placement import expert_layer
from whatfits.sizing.quants.repack import repack_buffer, repacked_bytes
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import dataclass, field, replace
from whatfits.sizing.weight_groups import (
    EXPERTS,
    groups_of,
    sharing_layers,
    spans_of,
    union_bytes,
)

if TYPE_CHECKING:
    from collections.abc import Hashable
    from typing import Final

    from whatfits.sizing.model import ModelSpec, TensorSpec
    from whatfits.sizing.placement import Placement
    from whatfits.sizing.weight_groups import WeightGroup

__all__ = [
    "EMBEDDING_IS_OUTPUT",
    "NOTHING_BY_NAME",
    "PLAIN_HOST_BUFFER",
    "HostByName",
    "HostWeights",
    "WeightTable",
    "Weights",
    "tensor_targets",
]

# These compute logits with the embedding where it lies, without a copy of it beside the output
# layer. Source: src/models/bitnet.cpp.
EMBEDDING_IS_OUTPUT: Final = frozenset({"bitnet"})

PLAIN_HOST_BUFFER: Final = "CPU"
_OUTPUT_NAME: Final = "output.weight"
_EMBEDDING_NAME: Final = "token_embd.weight"
_LAYER: Final = "blk."
# Models that are not causal and have an output matrix all the same, tied when the file has none.
# Source: src/models/{dream,gemma-embedding,llada,rnd1}.cpp (load_arch_tensors).
_HEADED: Final = frozenset({"dream", "gemma-embedding", "llada", "llama-embed", "rnd1"})
# These make the tied output before the embedding, so that without mapping both are read into the
# host's memory. Source: measured (gemma-3n-E4B Q4_K_M: 440 MB more without mmap).
_TIED_TWICE: Final = frozenset({"gemma3n", "gemma4"})


class _OnHost(NamedTuple):
    """Tensors on the host.

    Attributes:
        buffers: bytes by buffer.
        spans: first and last byte in each file of what lies in the plain buffer.
    """

    buffers: dict[str, int]
    spans: dict[int, tuple[int, int]]


class HostByName(NamedTuple):
    """What a name has put on the host although its layer is on an accelerator.

    Attributes:
        expert_layers: layers whose routed experts, all or some, are there.
        others: whether anything else is there.
    """

    expert_layers: int
    others: bool


NOTHING_BY_NAME: Final = HostByName(0, others=False)


@dataclass(slots=True)
class HostWeights:
    """Weights on the host by buffer, and the part of the file that stays mapped."""

    buffers: dict[str, int] = field(default_factory=dict)
    spans: dict[tuple[str, int], tuple[int, int]] = field(default_factory=dict)

    @property
    def total_bytes(self) -> int:
        """Bytes over all host buffers, as without mmap."""
        return sum(self.buffers.values())


@dataclass(slots=True)
class Weights:
    """Bytes of weights by place.

    Attributes:
        devices: bytes on each accelerator.
        host: bytes on the host.
        mapped_bytes: file pages that are mapped (reclaimable), 0 without mmap.
        read_devices: bytes each accelerator reads for one token (routed experts by their share,
            looked-up tables not at all).
        read_host: bytes the host reads for one token.
        streamed_bytes: the most host weights that one step copies to an accelerator when
            operations are offloaded: one matrix, or the expert stacks of one layer.
    """

    devices: list[int]
    host: HostWeights
    mapped_bytes: int
    streamed_bytes: int
    read_devices: list[int]
    read_host: int


class WeightTable:
    """The tensors of one model, grouped once so that many placements can be tried cheaply."""

    def __init__(self, model: ModelSpec) -> None:
        self._model = model
        self._groups = groups_of(model, singly=False)
        self._single: tuple[WeightGroup, ...] | None = None
        self._sizes: dict[tuple[int, str], int] = {}
        self._host: dict[tuple[int, frozenset[str] | None], _OnHost] = {}
        self._spans: dict[int, dict[int, tuple[int, int]]] = {}
        self._buffers: dict[Hashable, tuple[str, int]] = {}
        names = {tensor.name: tensor for tensor in model.tensors}
        embedding = names.get(_EMBEDDING_NAME)
        has_head = model.hparams.causal or model.architecture in _HEADED
        has_head = has_head and model.architecture not in EMBEDDING_IS_OUTPUT
        tied = has_head and _OUTPUT_NAME not in names
        self._tied: TensorSpec | None = embedding if tied else None
        self._sharing = sharing_layers(model)

    def place(self, placement: Placement) -> Weights:
        """Return the bytes of every buffer under a placement."""
        groups = self._groups_under(placement)
        devices = [0] * len(placement.accelerators)
        host = HostWeights()
        features = frozenset(placement.host.features) if placement.extra_buffers else None
        placed: list[tuple[WeightGroup, int | None]] = []
        for group in groups:
            placed.extend((group, at) for at in _targets(group, placement, self._sharing))
        for group, target in placed:
            if target is None:
                for buffer, size in self._on_host(group, features).buffers.items():
                    host.buffers[buffer] = host.buffers.get(buffer, 0) + size
            else:
                devices[target] += self._on_device(group, placement.accelerators[target].kind)
        self._add_tied_output(placement, devices, host, features)
        read_devices, read_host = self._read_per_token(placed, placement)
        return Weights(
            devices=devices,
            host=host,
            mapped_bytes=self._mapped(placed, placement, features) if placement.mmap else 0,
            streamed_bytes=self._streamed(placed, placement),
            read_devices=read_devices,
            read_host=read_host,
        )

    def by_layer(self, placement: Placement, kind: str) -> list[int]:
        """Return the bytes each layer has on a device of a kind, the output layer's last.

        Left out is what the placement keeps on the host by name, and what every device with layers
        has of its own.
        """
        sizes = [0] * (len(placement.layer_device) + 1)
        for group in self._groups:
            if group.role in ("input", "shared"):
                continue
            first = group.tensors[0]
            if placement.device_of(first.name, 0, type_name=first.type) is not None:
                layer = group.layer if group.role == "layer" else None
                sizes[-1 if layer is None else layer] += self._on_device(group, kind)
        tied = self._tied
        if tied is not None:
            sizes[-1] += allocated_bytes(tied.type, tied.shape[0], tied.n_bytes, device_kind=kind)
        return sizes

    def host_by_name(self, placement: Placement) -> HostByName:
        """Return what overrides, and the experts of the first layers, leave to the host.

        Where the tensors are not known, what a placement says of layers with experts.
        """
        if not placement.has_overrides:
            return NOTHING_BY_NAME
        if self._model.weights is not None:
            first = self._model.layers[: placement.cpu_moe_layers]
            places = zip(first, placement.layer_device, strict=False)
            moved = sum(layer.n_expert > 0 and at is not None for layer, at in places)
            return HostByName(moved, any(device is None for _, device in placement.overrides))
        elsewhere = replace(placement, overrides=(), cpu_moe_layers=0)
        experts, others = set[int](), False
        for group in self._groups_under(placement):
            if None not in _targets(group, placement, self._sharing):
                continue
            if None in _targets(group, elsewhere, self._sharing):
                continue
            layer = expert_layer(group.tensors[0].name)
            if layer is None:
                others = True
            else:
                experts.add(layer)
        tied = self._tied  # read as the output, wherever the embedding lies
        if tied is not None and placement.output_device is not None:
            output = placement.output_device
            others |= placement.device_of(tied.name, output, type_name=tied.type) is None
        return HostByName(len(experts), others)

    def _groups_under(self, placement: Placement) -> tuple[WeightGroup, ...]:
        """Return the tensors in groups that such a placement does not part."""
        if not placement.overrides and not placement.host_types:
            return self._groups
        if self._single is None:
            self._single = groups_of(self._model, singly=True)
        return self._single

    def _streamed(self, placed: list[tuple[WeightGroup, int | None]], placement: Placement) -> int:
        """Return the most host weights one step copies; a tied output is the embedding itself."""
        sizes = [group.streamed_bytes for group, target in placed if target is None]
        tied = self._tied
        output = placement.output_device
        if tied is not None and placement.device_of(tied.name, output, type_name=tied.type) is None:
            sizes.append(tied.n_bytes)
        return max(sizes, default=0)

    def _on_device(self, group: WeightGroup, kind: str) -> int:
        key = (id(group), kind)
        size = self._sizes.get(key)
        if size is None:
            size = sum(
                allocated_bytes(t.type, t.shape[0], t.n_bytes, device_kind=kind)
                for t in group.tensors
            )
            self._sizes[key] = size
        return size

    def _on_host(self, group: WeightGroup, features: frozenset[str] | None) -> _OnHost:
        key = (id(group), features)
        known = self._host.get(key)
        if known is None:
            sizes: dict[str, int] = {}
            plain: list[TensorSpec] = []
            for tensor in group.tensors:
                buffer, size = self._host_buffer(tensor, features, is_input=group.role == "input")
                sizes[buffer] = sizes.get(buffer, 0) + size
                if buffer == PLAIN_HOST_BUFFER:
                    plain.append(tensor)
            known = self._host[key] = _OnHost(sizes, spans_of(plain))
        return known

    def _host_buffer(
        self, tensor: TensorSpec, features: frozenset[str] | None, *, is_input: bool
    ) -> tuple[str, int]:
        """Return (buffer, bytes in it) of a tensor on the host; the same in every equal layer."""
        name = tensor.name
        short = name[name.find(".", len(_LAYER)) :] if name.startswith(_LAYER) else name
        key = (short, tensor.type, tensor.shape, tensor.n_bytes, features, is_input)
        known = self._buffers.get(key)
        if known is None:
            known = self._buffers[key] = _host_buffer(tensor, features, is_input=is_input)
        return known

    def _read_per_token(
        self, placed: list[tuple[WeightGroup, int | None]], placement: Placement
    ) -> tuple[list[int], int]:
        hparams = self._model.hparams
        devices, host = [0] * len(placement.accelerators), 0

        def add(n_bytes: int, target: int | None) -> None:
            nonlocal host
            if target is None:
                host += n_bytes
            else:
                devices[target] += n_bytes

        for group, target in placed:
            if group.role in ("input", "shared"):
                continue
            size = group.n_bytes
            if EXPERTS in group.tensors[0].name and hparams.n_expert:
                size = size * hparams.n_expert_used // hparams.n_expert
            add(size, target)
        if self._tied is not None:
            add(self._tied.n_bytes, placement.output_device)
        return devices, host

    def _add_tied_output(
        self,
        placement: Placement,
        devices: list[int],
        host: HostWeights,
        features: frozenset[str] | None,
    ) -> None:
        """A tied model reads its embedding as output: a copy more where that is another buffer."""
        tied = self._tied
        if tied is None:
            return
        target = placement.device_of(tied.name, placement.output_device, type_name=tied.type)
        if target is not None:
            kind = placement.accelerators[target].kind
            devices[target] += allocated_bytes(
                tied.type, tied.shape[0], tied.n_bytes, device_kind=kind
            )
            return
        buffer, size = _host_buffer(tied, features, is_input=False)
        if buffer != PLAIN_HOST_BUFFER or self._model.architecture in _TIED_TWICE:
            host.buffers[buffer] = host.buffers.get(buffer, 0) + size

    def _mapped(
        self,
        placed: list[tuple[WeightGroup, int | None]],
        placement: Placement,
        features: frozenset[str] | None,
    ) -> int:
        """Return the union of the mapped spans: first to last tensor of each mapping buffer.

        Buffers that wrap host memory: the plain host buffer and Metal.
        """
        spans: dict[tuple[str, int], tuple[int, int]] = {}
        for group, target in placed:
            if target is not None and placement.accelerators[target].kind != "metal":
                continue
            if target is None:
                place, found = PLAIN_HOST_BUFFER, self._on_host(group, features).spans
            else:
                place, found = "metal", self._spans_on_metal(group)
            for file_index, (start, end) in found.items():
                first, last = spans.get((place, file_index), (start, end))
                spans[place, file_index] = (min(first, start), max(last, end))
        return union_bytes(spans)

    def _spans_on_metal(self, group: WeightGroup) -> dict[int, tuple[int, int]]:
        known = self._spans.get(id(group))
        if known is None:
            known = self._spans[id(group)] = spans_of(group.tensors)
        return known


def tensor_targets(
    role: str,
    layer: int | None,
    name: str,
    placement: Placement,
    *,
    type_name: str = "",
    sharing: tuple[int, ...] | None = None,
) -> tuple[int | None, ...]:
    """Return the devices that hold a tensor: one, or each with a layer that shares it."""
    match role:
        case "input":
            default: int | None = None
        case "output":
            default = placement.output_device
        case "shared":
            places = placement.layers_in_use
            if sharing is not None:
                places = frozenset(placement.layer_device[layer] for layer in sharing)
            found = {placement.device_of(name, at, type_name=type_name) for at in places}
            return tuple(sorted(found, key=lambda d: -1 if d is None else d))
        case _:
            default = placement.layer_device[layer or 0]
    return (placement.device_of(name, default, type_name=type_name),)


def _targets(
    group: WeightGroup, placement: Placement, sharing: tuple[int, ...] | None
) -> tuple[int | None, ...]:
    first = group.tensors[0]
    return tensor_targets(
        group.role, group.layer, first.name, placement, type_name=first.type, sharing=sharing
    )


def _host_buffer(
    tensor: TensorSpec, features: frozenset[str] | None, *, is_input: bool
) -> tuple[str, int]:
    """Return (buffer, bytes in it) of a tensor on the host."""
    if features is not None and not is_input:
        buffer = repack_buffer(tensor, features=features)
        if buffer is not None:
            return buffer, repacked_bytes(tensor, buffer=buffer)
    return PLAIN_HOST_BUFFER, allocated_bytes(
        tensor.type, tensor.shape[0], tensor.n_bytes, device_kind="cpu"
    )
