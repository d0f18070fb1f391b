"""Devices that vLLM runs on, and what it takes by default on them.

Source: vllm-project/vllm 0.33.0 vllm/engine/arg_utils.py (get_batch_defaults); its documentation,
getting_started/installation/gpu (compute capability 7.5 or higher).
"""

from __future__ import annotations

import re

from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.placement import usable_accelerators
from whatfits.sizing.runtimes.mlx_machine import system_runs_mlx
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.units import GIB

if TYPE_CHECKING:
    from typing import Final

    from whatfits.sizing.machine import Device, Machine
    from whatfits.sizing.workload import PlacementRequest

__all__ = ["capability", "default_batches", "vllm_devices"]

_BACKENDS: Final = ("cuda", "rocm")
_LARGE_BYTES, _BIG_BYTES = 160 * GIB, 70 * GIB
_SMALL_BATCHES: Final = ("A100", "GB10")  # whatever their memory
_CAPABILITY: Final = re.compile(r"cc([0-9]{1,3}(?:\.[0-9]{1,3})?)")
_FIRST_CAPABILITY: Final = 7.5  # CUDA 13, which its packages are built by, has no older


def capability(device: Device) -> float | None:
    """Return a CUDA device's compute capability; None when it has none or nobody told."""
    found = (_CAPABILITY.fullmatch(feature) for feature in device.features)
    return next((float(match[1]) for match in found if match), None)


def vllm_devices(
    machine: Machine, request: PlacementRequest, *, or_mlx: bool = True
) -> tuple[Device, ...]:
    """Return the accelerators of one back end that take part; the host when there is none.

    Without `or_mlx` a refusal on a Mac does not name MLX: it cannot do what was asked either.

    Raises:
        InvalidRequestError: a device is not there, or vLLM does not run on what was chosen.
    """
    chosen = _chosen(machine, request.devices)
    if request.split_mode == "none":
        chosen = chosen[:1]
    if not chosen:
        return _host(machine)
    if len(chosen) > 1 and any(device.is_slice for device in chosen):
        raise InvalidRequestError(
            what="devices for vllm",
            got=", ".join(device.id for device in chosen),
            allowed="one slice of a card (MIG) alone",
            next_step="name one of them",
        )
    kinds = {device.kind for device in chosen}
    if len(kinds) > 1 or not kinds <= set(_BACKENDS):
        strange = [device for device in chosen if device.kind not in _BACKENDS]
        raise _refused((strange or list(chosen))[0], or_mlx=or_mlx and system_runs_mlx(machine))
    for device in chosen:
        known = capability(device)
        if known is not None and known < _FIRST_CAPABILITY:
            raise InvalidRequestError(
                what="device for vllm",
                got=f"{device.name}, compute capability {known:g}",
                allowed=f"{_FIRST_CAPABILITY:g} or more",
                next_step="take --runtime llama.cpp",
            )
    return chosen


def _chosen(machine: Machine, wanted: tuple[str, ...] | None) -> tuple[Device, ...]:
    """Return the accelerators that were named; else those of the first back end vLLM runs on.

    Raises:
        InvalidRequestError: there is none of that name.
    """
    usable = usable_accelerators(machine)
    if wanted is None:
        chosen = usable
        runs_on = next((d.kind for d in usable if d.kind in _BACKENDS), None)
        if runs_on is not None:
            chosen = tuple(d for d in usable if d.kind == runs_on)
        if any(device.is_slice for device in chosen):
            chosen = (max(chosen, key=lambda d: machine.pool(d.pool).free_low_bytes or 0),)
    else:
        by_id = {device.id.lower(): device for device in usable}
        missing = [name for name in wanted if name.lower() not in by_id]
        if missing:
            allowed = ", ".join(by_id) or "none: there is no accelerator"
            raise InvalidRequestError(what="device", got=missing[0], allowed=allowed)
        chosen = tuple(dict.fromkeys(by_id[name.lower()] for name in wanted))
    return chosen


def _refused(device: Device, *, or_mlx: bool) -> InvalidRequestError:
    next_step = "take --runtime llama.cpp, or --device none for the CPU"
    if device.kind == "metal":
        alone = ", or mlx for one user" if or_mlx else ""
        next_step = f"take --runtime llama.cpp on a Mac{alone}"
    return InvalidRequestError(
        what="device for vllm",
        got=f"{device.name} ({device.kind})",
        allowed="devices of one kind, CUDA or ROCm, or the CPU",
        next_step=next_step,
    )


def _host(machine: Machine) -> tuple[Device, ...]:
    host = machine.host
    if host is None:
        raise InvalidRequestError(
            what="machine", got=machine.name, allowed="a machine with a device of kind 'cpu'"
        )
    return (host,)


def default_batches(
    devices: tuple[Device, ...], machine: Machine, *, offline: bool
) -> tuple[int, int]:
    """Return vLLM's tokens of a batch and requests at once on these devices."""
    if devices[0].kind == "cpu":
        return (4096, 256) if offline else (2048, 128)
    total = min(machine.pool(device.pool).total_bytes or 0 for device in devices)
    if total >= _LARGE_BYTES:
        return 16384, 1024
    small = any(mark in device.name for device in devices for mark in _SMALL_BATCHES)
    if total >= _BIG_BYTES and not small:
        return (16384 if offline else 8192), 1024
    return (8192 if offline else 2048), 256
