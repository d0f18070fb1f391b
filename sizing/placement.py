"""Which layer, expert and buffer lies on which device, as llama.cpp decides it.

Source: llama.cpp (0c1e57098) src/llama-model.cpp:load_tensors: layers are split by index, not by
bytes, with 32-bit floats; the output layer counts as one more layer; input tensors stay on the
host.
"""

from __future__ import annotations

import re
import struct
from bisect import bisect_right
from functools import cached_property

from whatfits.sizing.buffers import has_pinned_host_memory, supports_mmap
from whatfits.sizing.device_limits import without_kernel
from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.override_patterns import compiled_pattern
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import dataclass, replace

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final

    from whatfits.sizing.machine import Device, Machine
    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.workload import PlacementRequest

__all__ = [
    "Placement",
    "expert_layer",
    "layer_devices",
    "place_layers",
    "resolve_placement",
    "usable_accelerators",
]

_EXPERT: Final = re.compile(r"^blk\.(\d+)\.ffn_(?:up|down|gate|gate_up)_(?:ch)?exps")
_HOST_NAMES: Final = frozenset({"cpu", "host"})
_LARGEST_SHARE: Final = 1e18  # far from the end of a 32-bit float, sums included


@dataclass(frozen=True)
class Placement:
    """A decided placement.

    Devices are given by their index in `accelerators`; None is the host.

    Attributes:
        accelerators: the devices that take part, in the runtime's order.
        host: the CPU.
        layer_device: device of each layer, next-token-prediction layers included.
        output_device: device of the output layer.
        gpu_layers: layers on accelerators, the output layer counted.
        cpu_moe_layers: experts of that many first layers are on the host.
        overrides: (compiled pattern, device) pairs, first match wins.
        kv_offload: the cache follows its layer; else it stays on the host.
        op_offload: host weights are copied to an accelerator for large batches.
        mmap: the file stays mapped.
        repack: host weights may be rearranged.
        tensor_split: normalised shares of the accelerators, None with fewer than two.
        host_types: storage types that an accelerator cannot multiply with: they stay on the host.
    """

    accelerators: tuple[Device, ...]
    host: Device
    layer_device: tuple[int | None, ...]
    output_device: int | None
    gpu_layers: int
    cpu_moe_layers: int
    overrides: tuple[tuple[re.Pattern[str], int | None], ...]
    kv_offload: bool
    op_offload: bool
    mmap: bool
    repack: bool
    tensor_split: tuple[float, ...] | None
    host_types: frozenset[str] = frozenset()

    def device_of(self, name: str, default: int | None, *, type_name: str = "") -> int | None:
        """Return where a tensor goes: the first override that matches, else `default`.

        What no accelerator can multiply with, by the type it is stored in, stays on the host.
        """
        for pattern, device in self.overrides:
            if pattern.search(name):
                return device
        if self.cpu_moe_layers:
            layer = expert_layer(name)
            if layer is not None and layer < self.cpu_moe_layers:
                return None
        return None if type_name in self.host_types else default

    @cached_property
    def has_overrides(self) -> bool:
        """Whether any tensor is placed by name."""
        return bool(self.overrides) or self.cpu_moe_layers > 0

    @property
    def parts_layers(self) -> bool:
        """Whether tensors of one layer may lie on different devices."""
        return self.has_overrides or bool(self.host_types)

    @cached_property
    def extra_buffers(self) -> bool:
        """Whether host weights may be repacked: not when an accelerator offers pinned memory."""
        return self.repack and not any(has_pinned_host_memory(d.kind) for d in self.accelerators)

    @cached_property
    def layers_in_use(self) -> frozenset[int | None]:
        """The devices that have at least one layer."""
        return frozenset(self.layer_device)


def expert_layer(name: str) -> int | None:
    """Return the layer whose routed experts a tensor belongs to, biases included; None: another."""
    found = _EXPERT.match(name)
    return int(found[1]) if found else None


def usable_accelerators(machine: Machine) -> tuple[Device, ...]:
    """Return the accelerators a runtime would use.

    An integrated GPU on the system's RAM adds no memory and is left out; one that owns a pool, or
    shares a unified one, takes part. A device whose memory is unknown cannot be planned for.
    """
    kinds = {pool.id: pool.kind for pool in machine.pools}
    totals = {pool.id: pool.total_bytes for pool in machine.pools}
    return tuple(
        device
        for device in machine.accelerators
        if kinds.get(device.pool) in ("vram", "unified")
        and totals[device.pool] is not None
        and device.is_usable
    )


def resolve_placement(
    model: ModelSpec, request: PlacementRequest, machine: Machine, *, gpu_layers: int | None = None
) -> Placement:
    """Return the placement llama.cpp would make of a request on a machine.

    `gpu_layers` stands in for the request's when that is unset; both unset means all layers.

    Raises:
        InvalidRequestError: a value is out of range, or names a device that is not there.
    """
    n_layers = model.n_layers + model.hparams.n_layer_nextn
    placement = place_layers(n_layers, request, machine, gpu_layers=gpu_layers)
    host_types = _host_types(model, placement.accelerators)
    return replace(placement, host_types=host_types) if host_types else placement


def _host_types(model: ModelSpec, accelerators: Sequence[Device]) -> frozenset[str]:
    """Return the model's storage types that an accelerator cannot multiply with."""
    lacking: frozenset[str] = frozenset()
    for device in accelerators:
        lacking |= without_kernel(device.kind)
    # such a type gives a file its name: the tensors of others need not be looked at
    if not lacking or (model.file_type is not None and model.file_type not in lacking):
        return frozenset()
    return lacking & {tensor.type for tensor in model.tensors}


def place_layers(
    n_layers: int, request: PlacementRequest, machine: Machine, *, gpu_layers: int | None = None
) -> Placement:
    """Return the placement of so many layers, next-token-prediction layers included.

    Raises:
        InvalidRequestError: see `resolve_placement`.
    """
    accelerators = _chosen(usable_accelerators(machine), request.devices)
    host = machine.host
    if host is None:
        raise InvalidRequestError(
            what="machine", got=machine.name, allowed="a machine with a device of kind 'cpu'"
        )
    wanted = request.gpu_layers if request.gpu_layers is not None else gpu_layers
    on_gpu = _gpu_layers(wanted, n_layers, accelerators)
    if request.split_mode == "none":
        accelerators = accelerators[:1]
    _check_split_mode(request, accelerators)
    split = request.tensor_split
    if split is not None and request.split_mode == "none":
        split = split[: len(accelerators)]  # shares of the devices left out are not looked at
    shares = _shares(split, accelerators, machine)
    layer_device = layer_devices(n_layers, on_gpu, shares)
    mmap = request.mmap
    if mmap is None:
        mmap = all(supports_mmap(device.kind, device.features) for device in accelerators)
    return Placement(
        accelerators=accelerators,
        host=host,
        layer_device=layer_device[:-1],
        output_device=layer_device[-1],
        gpu_layers=on_gpu,
        cpu_moe_layers=min(_at_least_zero("cpu_moe_layers", request.cpu_moe_layers), n_layers),
        overrides=_overrides(request.overrides, accelerators),
        kv_offload=request.kv_offload is not False,
        op_offload=request.op_offload is not False,
        mmap=mmap,
        repack=request.repack != "off",
        tensor_split=tuple(shares) if len(accelerators) > 1 else None,
    )


def layer_devices(n_layers: int, on_gpu: int, shares: Sequence[float]) -> tuple[int | None, ...]:
    """Return the device of each layer and, last, of the output layer; None is the host.

    `shares` are the accelerators' proportions; `on_gpu` counts the output layer.
    """
    if not shares:
        return (None,) * (n_layers + 1)
    running, ends = 0.0, []
    for share in shares:
        running = _f32(running + share)
        ends.append(running)
    ends = [_f32(end / running) for end in ends]
    start = max(n_layers + 1 - on_gpu, 0)
    devices: list[int | None] = [None] * start
    devices += [
        bisect_right(ends, _f32(float(index) / on_gpu)) for index in range(n_layers + 1 - start)
    ]
    return tuple(devices)


def _chosen(usable: tuple[Device, ...], wanted: tuple[str, ...] | None) -> tuple[Device, ...]:
    if wanted is None:
        return usable
    by_id = {device.id.lower(): device for device in usable}
    missing = [name for name in wanted if name.lower() not in by_id]
    if missing:
        allowed = ", ".join(device.id for device in usable) or "none: there is no accelerator"
        raise InvalidRequestError(what="device", got=missing[0], allowed=allowed)
    return tuple(by_id[name.lower()] for name in wanted)


def _check_split_mode(request: PlacementRequest, accelerators: Sequence[Device]) -> None:
    """Refuse what cuts single matrices over several accelerators: it has buffers of its own."""
    if request.split_mode not in (None, "layer", "none") and len(accelerators) > 1:
        raise InvalidRequestError(
            what="split_mode",
            got=request.split_mode,
            allowed="layer, none",
            next_step="splitting single matrices over accelerators is not modelled yet",
        )


def _at_least_zero(name: str, value: int | None) -> int:
    if value is None:
        return 0
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise InvalidRequestError(what=name, got=value, allowed="a whole number, 0 or more")
    return value


def _gpu_layers(wanted: int | None, n_layers: int, accelerators: Sequence[Device]) -> int:
    """Return layers on accelerators; None and negative numbers mean all, as in llama.cpp."""
    if not accelerators:
        return 0
    if wanted is None or wanted < 0:
        return n_layers + 1
    if isinstance(wanted, bool) or not isinstance(wanted, int):
        raise InvalidRequestError(what="gpu_layers", got=wanted, allowed="a whole number")
    return min(wanted, n_layers + 1)


def _f32(value: float) -> float:
    """Return `value` rounded to a 32-bit float, which is what llama.cpp splits with."""
    rounded: float = struct.unpack("f", struct.pack("f", value))[0]
    return rounded


def _shares(
    split: Sequence[float] | None, accelerators: Sequence[Device], machine: Machine
) -> list[float]:
    """Return each accelerator's proportion: as given, or its free memory."""
    if not accelerators:
        return []
    if split:
        given = _given_shares(split, count=len(accelerators))
        if any(given):
            return given
    free = [machine.pool(device.pool).free_bytes for device in accelerators]
    if any(not amount for amount in free):
        return [1.0] * len(accelerators)
    return [_f32(float(amount or 0)) for amount in free]


def _given_shares(split: Sequence[float], *, count: int) -> list[float]:
    """Return `count` shares as 32-bit floats; missing ones are 0."""
    if any(split[count:]):
        raise InvalidRequestError(
            what="tensor_split",
            got=",".join(f"{share:g}" for share in split),
            allowed=f"at most {count} numbers, one an accelerator",
        )
    if any(not 0 <= share <= _LARGEST_SHARE for share in split):
        raise InvalidRequestError(
            what="tensor_split",
            got=",".join(f"{share:g}" for share in split),
            allowed=f"numbers from 0 to {_LARGEST_SHARE:g}",
        )
    return [_f32(share) for share in (*split, *([0.0] * count))][:count]


def _overrides(
    pairs: Sequence[tuple[str, str]], accelerators: Sequence[Device]
) -> tuple[tuple[re.Pattern[str], int | None], ...]:
    """Compile (regular expression, device) pairs."""
    by_name: dict[str, int | None] = dict.fromkeys(_HOST_NAMES)
    by_name |= {device.id.lower(): index for index, device in enumerate(accelerators)}
    compiled = []
    for pattern, target in pairs:
        if target.lower() not in by_name:
            raise InvalidRequestError(
                what="override target",
                got=target,
                allowed=", ".join(["CPU", *(d.id for d in accelerators)]),
            )
        compiled.append((compiled_pattern(pattern), by_name[target.lower()]))
    return tuple(compiled)
