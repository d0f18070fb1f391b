"""What a load on this machine may use: the accelerators of llama.cpp's build, and free memory."""

from __future__ import annotations

from pathlib import Path

from whatfits.sizing.cli.options import placement_of
from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.units import format_bytes
from whatfits.sizing.values import replace

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable

    from whatfits.bench.loads import LoadLimits
    from whatfits.bench.prepared import Prepared
    from whatfits.sizing.machine import Machine
    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.workload import PlacementRequest

__all__ = ["gguf_of", "load_limits", "request_here"]


def gguf_of(spec: ModelSpec, named: str) -> Path:
    """Return the file that llama.cpp loads for a model that was read of this disk.

    Raises:
        InvalidRequestError: it is a checkpoint, of which a file has to be made first.
    """
    if spec.planned:
        raise InvalidRequestError(
            what="model",
            got=named,
            allowed="a .gguf file on this machine",
            next_step="llama.cpp loads no safetensors: give the file that its converter makes",
        )
    return Path(spec.file or named)


def request_here(options: argparse.Namespace, accelerators: Iterable[str]) -> PlacementRequest:
    """Return the placement that was asked for; unset, on what llama.cpp's build here knows."""
    request = placement_of(options)
    return request if request.devices is not None else replace(request, devices=tuple(accelerators))


def load_limits(
    prepared: Prepared,
    machine: Machine,
    *,
    model: str,
    seconds: float,
    force: bool,
    drivers: bool,
    instead: str,
) -> LoadLimits:
    """Return what a load may take; `drivers` reserve more addresses than there is memory.

    Raises:
        InvalidRequestError: it may not fit, and nobody said to load it all the same; `instead` is
            what to do then.
    """
    from whatfits.bench.loads import LoadLimits

    host = prepared.memory.devices[-1]
    needed = host.high_bytes + prepared.memory.mapped_bytes
    pool = machine.pool(host.pool).whole
    free = pool.free_low_bytes
    if not force and (free is None or host.high_bytes > free):
        known = "an unknown amount" if free is None else format_bytes(free)
        raise InvalidRequestError(
            what="model",
            got=model,
            allowed=f"what fits into {known} free in {pool.id}; this load needs up to "
            f"{format_bytes(host.high_bytes)}",
            next_step=instead,
        )
    unlimited = force or drivers
    return LoadLimits(seconds=seconds, memory_bytes=None if unlimited else needed)
