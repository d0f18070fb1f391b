"""Where MLX runs: the GPU of an Apple chip, or a CPU; what it says of a machine's limit.

Source: ml-explore/mlx (2026-08-22) docs/src/install.rst: Apple chips with macOS 14 or newer, and on
Linux a CPU or CUDA; mlx-lm 0.32.2 mlx_lm/generate.py (wired_limit).
"""

from __future__ import annotations

from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.placement import resolve_placement, usable_accelerators
from whatfits.sizing.runtimes.mlx_weights import SIXTEEN_BITS
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.units import MIB
from whatfits.sizing.workload import PlacementRequest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from whatfits.sizing.machine import Machine
    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.placement import Placement

__all__ = ["check_mixture", "limit_notes", "mlx_placement", "system_runs_mlx"]

_METAL: Final = "metal"
_CPU_ONLY: Final = "--device none for a CPU (pip install 'mlx[cpu]')"
_INTEL: Final = "Intel"
_OLDEST_MACOS: Final = 14
_WARNED_SHARE: Final = 0.9


def mlx_placement(model: ModelSpec, machine: Machine, request: PlacementRequest) -> Placement:
    """Return everything on the one device that MLX computes with.

    Raises:
        InvalidRequestError: MLX does not run there, or not as far as anybody has checked.
    """
    system = _unsupported_system(machine)
    if system is not None:
        raise _elsewhere(system)
    devices = request.devices
    if devices is None:
        usable = usable_accelerators(machine)
        kinds = {pool.id: pool.kind for pool in machine.pools}
        apple = [d for d in usable if d.kind == _METAL and kinds[d.pool] == "unified"]
        if usable and not apple:
            raise _elsewhere(usable[0].name)
        devices = tuple(device.id for device in apple[:1])
    placement = resolve_placement(model, PlacementRequest(devices=devices), machine)
    for device in placement.accelerators:
        if device.kind != _METAL:
            raise _elsewhere(device.name)
    if len(placement.accelerators) > 1:
        raise InvalidRequestError(
            what="devices", got=", ".join(devices), allowed="one: MLX keeps a model in one memory"
        )
    return placement


def system_runs_mlx(machine: Machine) -> bool:
    """Whether there is a package of MLX for a machine's system."""
    return _unsupported_system(machine) is None


def check_mixture(model: ModelSpec, placement: Placement) -> None:
    """Refuse experts in 16 bits on a CPU: MLX multiplies them in 32 bits only there.

    Raises:
        InvalidRequestError: the model has such experts.
    """
    plain = any(t.type == SIXTEEN_BITS and "_exps.weight" in t.name for t in model.tensors)
    if placement.accelerators or not plain:
        return
    raise InvalidRequestError(
        what="file type",
        got=model.file_type,
        allowed="a quantised one: on a CPU MLX cannot run experts in 16 bits",
        next_step="take 4bit or 8bit",
    )


def limit_notes(machine: Machine, placement: Placement, weights_bytes: int) -> Iterator[str]:
    """Yield what mlx-lm itself says when the weights come close to the GPU's limit."""
    for device in placement.accelerators:
        limit = machine.pool(device.pool).allowance_low_bytes
        if limit is not None and weights_bytes > _WARNED_SHARE * limit:
            yield (
                f"The weights are more than nine tenths of the recommended working set of "
                f"{limit // MIB:,} MiB: mlx-lm warns that this can be slow."
            )


def _unsupported_system(machine: Machine) -> str | None:
    """Return the name of a system that no package of MLX is for; None where there is one."""
    host = machine.host
    if machine.os == "windows":
        return "Windows"
    if machine.os != "macos":
        return None
    if host is not None and _INTEL in host.name:
        return host.name
    major = (machine.os_version or "").partition(".")[0]
    if major.isdecimal() and int(major) < _OLDEST_MACOS:
        return f"macOS {machine.os_version}"
    return None


def _elsewhere(name: str) -> InvalidRequestError:
    return InvalidRequestError(
        what="device for MLX",
        got=name,
        allowed=f"the GPU of an Apple chip under macOS {_OLDEST_MACOS} or newer, or on Linux "
        + _CPU_ONLY,
        next_step="MLX's CUDA back end is not sized here; use --runtime llama.cpp",
    )
