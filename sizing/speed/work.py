"""What one token, or one prompt, makes each device do: bytes to read and sums to multiply.

Every count follows from the tensors and the placement; no rate and no constant is in here.
"""

from __future__ import annotations

from whatfits.sizing.named_tuples import NamedTuple
from whatfits.sizing.placement import expert_layer
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.weight_groups import EXPERTS, groups_of, sharing_layers
from whatfits.sizing.weights import EMBEDDING_IS_OUTPUT, tensor_targets

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final

    from whatfits.sizing.model import LayerSpec, ModelSpec
    from whatfits.sizing.placement import Placement
    from whatfits.sizing.weight_groups import WeightGroup

__all__ = ["DeviceWork", "StepWork", "step_work", "touched_share"]

_EMBEDDING: Final = "token_embd.weight"
_OUTPUT: Final = "output.weight"
_WEIGHT: Final = ".weight"  # biases and factors are taken along by the kernel of a weight
_BLOCKS_PER_LAYER: Final = 2
_REMEMBERED: Final = 8
# Source: llama.cpp src/models (build_delta_net).
_DELTA_RULE: Final = frozenset({"kimi-linear", "qwen3next", "qwen35", "qwen35moe"})


_Tables = tuple[dict[str, int], dict[str, int], dict[str, int]]
"""Bytes, elements and rows by storage type."""


class GroupWork(NamedTuple):
    """A group of tensors that always lie together.

    Attributes:
        role: which device they follow.
        layer: their layer.
        name: a tensor of it, by which overrides find them.
        is_expert: routed experts, of which a token reads a share.
        n_bytes: bytes by storage type.
        elements: elements of matrices by storage type.
        rows: rows of matrices by storage type.
        operations: weights of a layer by storage type: each is one at least.
    """

    role: str
    layer: int | None
    name: str
    is_expert: bool
    n_bytes: Mapping[str, int]
    elements: Mapping[str, int]
    rows: Mapping[str, int]
    operations: Mapping[str, int]


class DeviceWork(NamedTuple):
    """What lies on one device, by storage type.

    Attributes:
        dense_bytes: weights that every token reads.
        expert_bytes: routed experts, all of them.
        dense_elements: elements of the matrices every token is multiplied with, output left out.
        expert_elements: the same of all routed experts.
        dense_rows: rows of the matrices every token is multiplied with, the output's among them.
        expert_rows: the same of all routed experts.
        layers: layers that compute here; one with attention, or feed-forward, alone counts half.
        operations: weights of layers here: each is multiplied with, or scales.
        expert_layers: those with routed experts here.
        state_layers: those with a recurrent state.
        delta_layers: those whose state follows a delta rule, which has kernels of its own.
    """

    dense_bytes: dict[str, int]
    expert_bytes: dict[str, int]
    dense_elements: dict[str, int]
    expert_elements: dict[str, int]
    dense_rows: dict[str, int]
    expert_rows: dict[str, int]
    layers: float
    operations: int
    expert_layers: int
    state_layers: int
    delta_layers: int

    @property
    def is_used(self) -> bool:
        """Whether anything lies here."""
        return bool(self.dense_bytes or self.expert_bytes)


class StepWork(NamedTuple):
    """The work of all devices: accelerators in their order, the host last.

    `hops` is how often a token's activations change device.
    """

    devices: tuple[DeviceWork, ...]
    hops: int

    @property
    def layers(self) -> float:
        """Layers that compute, wherever."""
        return sum(work.layers for work in self.devices)


def touched_share(n_expert: int, n_expert_used: int, tokens: float) -> float:
    """Return which share of the experts some of `tokens` go through, routed evenly."""
    if not n_expert:
        return 1.0
    return 1.0 - float((1.0 - min(1.0, n_expert_used / n_expert)) ** tokens)


def step_work(model: ModelSpec, placement: Placement) -> StepWork:
    """Return the work under a placement; tables that are looked up are no work."""
    groups = _groups(model)
    sharing = sharing_layers(model)
    count = len(placement.accelerators)
    found = [_Sum() for _ in range(count + 1)]
    host_experts: set[int] = set()
    by_delta = model.architecture in _DELTA_RULE
    for whole in groups:
        for group in _parted(whole, placement.host_types):
            targets = _targets(group, placement, sharing)
            for target in targets:
                found[count if target is None else target].add(group)
            if group.is_expert and None in targets and group.layer is not None:
                host_experts.add(group.layer)
    hops, before = 0, placement.output_device
    for index, (layer, target) in enumerate(
        zip(model.layers, placement.layer_device, strict=False)
    ):
        here = found[count if target is None else target]
        here.layers += _blocks(layer) / _BLOCKS_PER_LAYER
        if layer.recurrent is not None:
            here.delta_layers += by_delta
            here.state_layers += not by_delta
        hops += target != before
        before = target
        hops += 2 * (target is not None and index in host_experts)
    return StepWork(tuple(sum_.work() for sum_ in found), hops)


def _blocks(layer: LayerSpec) -> int:
    """Return how many blocks a layer has: one that mixes tokens, one that feeds forward."""
    mixes = layer.n_head > 0 or layer.recurrent is not None
    feeds_forward = layer.n_ff > 0 or layer.n_expert > 0
    return mixes + feeds_forward


class _Sum:
    """A `DeviceWork` while it is added up."""

    def __init__(self) -> None:
        self.dense: _Tables = ({}, {}, {})
        self.experts: _Tables = ({}, {}, {})
        self.layers = 0.0
        self.operations = 0
        self.state_layers = self.delta_layers = 0
        self.expert_layers: set[int | None] = set()

    def add(self, group: GroupWork) -> None:
        n_bytes, elements, rows = self.experts if group.is_expert else self.dense
        if group.is_expert:
            self.expert_layers.add(group.layer)
        _add(n_bytes, group.n_bytes)
        _add(rows, group.rows)
        self.operations += sum(group.operations.values())
        if group.role != "output":  # only the last token of a prompt needs it
            _add(elements, group.elements)

    def work(self) -> DeviceWork:
        dense_bytes, dense_elements, dense_rows = self.dense
        expert_bytes, expert_elements, expert_rows = self.experts
        return DeviceWork(
            dense_bytes=dense_bytes,
            expert_bytes=expert_bytes,
            dense_elements=dense_elements,
            expert_elements=expert_elements,
            dense_rows=dense_rows,
            expert_rows=expert_rows,
            layers=self.layers,
            operations=self.operations,
            expert_layers=len(self.expert_layers),
            state_layers=self.state_layers,
            delta_layers=self.delta_layers,
        )


def _add(total: dict[str, int], part: Mapping[str, int]) -> None:
    for type_name, amount in part.items():
        total[type_name] = total.get(type_name, 0) + amount


def _targets(
    group: GroupWork, placement: Placement, sharing: tuple[int, ...] | None
) -> tuple[int | None, ...]:
    if not placement.parts_layers and group.role == "layer":
        return (placement.layer_device[group.layer or 0],)
    first = next(iter(group.n_bytes), "")
    return tensor_targets(
        group.role, group.layer, group.name, placement, type_name=first, sharing=sharing
    )


def _parted(group: GroupWork, apart: frozenset[str]) -> tuple[GroupWork, ...]:
    """Return a group as it is, or in two: what is stored in some types is placed for itself."""
    if apart.isdisjoint(group.n_bytes):
        return (group,)
    parts = []
    for is_apart in (False, True):
        n_bytes, elements, rows, operations = (
            {name: n for name, n in table.items() if (name in apart) is is_apart}
            for table in (group.n_bytes, group.elements, group.rows, group.operations)
        )
        parts.append(
            group._replace(n_bytes=n_bytes, elements=elements, rows=rows, operations=operations)
        )
    return tuple(part for part in parts if part.n_bytes)


_KNOWN: dict[int, tuple[object, tuple[GroupWork, ...]]] = {}


def _groups(model: ModelSpec) -> tuple[GroupWork, ...]:
    """Return the groups of a model; those of the last few models are remembered."""
    known = _KNOWN.get(id(model.tensors))
    if known is not None and known[0] is model.tensors:
        return known[1]
    made = tuple(_made(model))
    if len(_KNOWN) >= _REMEMBERED:
        _KNOWN.pop(next(iter(_KNOWN)))
    _KNOWN[id(model.tensors)] = (model.tensors, made)
    return made


def _made(model: ModelSpec) -> list[GroupWork]:
    """Return the groups that are work; a tied model multiplies with its embedding at the end.

    Layers that only predict further tokens are not read.
    """
    made = [
        _work_of(group, group.role)
        for group in groups_of(model, singly=False)
        if group.role not in ("input", "shared")
        and (group.layer is None or group.layer < model.n_layers)
    ]
    names = {tensor.name: tensor for tensor in model.tensors}
    tied = model.hparams.causal and _OUTPUT not in names and _EMBEDDING in names
    if tied or model.architecture in EMBEDDING_IS_OUTPUT:
        embedding = names[_EMBEDDING]
        size = {embedding.type: embedding.n_bytes}
        elements = {embedding.type: _product(embedding.shape)}
        rows = {embedding.type: _product(embedding.shape[1:])}
        made.append(GroupWork("output", None, _OUTPUT, False, size, elements, rows, {}))
    return made


def _work_of(group: WeightGroup, role: str) -> GroupWork:
    n_bytes: dict[str, int] = {}
    elements: dict[str, int] = {}
    rows: dict[str, int] = {}
    operations: dict[str, int] = {}
    for tensor in group.tensors:
        n_bytes[tensor.type] = n_bytes.get(tensor.type, 0) + tensor.n_bytes
        if len(tensor.shape) > 1:
            count = _product(tensor.shape[1:])
            rows[tensor.type] = rows.get(tensor.type, 0) + count
            elements[tensor.type] = elements.get(tensor.type, 0) + count * tensor.shape[0]
        if role == "layer" and tensor.name.endswith(_WEIGHT):
            operations[tensor.type] = operations.get(tensor.type, 0) + 1
    name = group.tensors[0].name
    is_expert = EXPERTS in name and expert_layer(name) is not None
    return GroupWork(role, group.layer, name, is_expert, n_bytes, elements, rows, operations)


def _product(shape: tuple[int, ...]) -> int:
    product = 1
    for dimension in shape:
        product *= dimension
    return product
