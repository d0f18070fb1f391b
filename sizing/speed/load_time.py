"""How long a model takes to come from disk, where the disk's speed is known."""

from __future__ import annotations

from whatfits.sizing.estimate import Basis
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.units import GB

if TYPE_CHECKING:
    from whatfits.sizing.estimate import Memory
    from whatfits.sizing.machine import Machine
    from whatfits.sizing.model import ModelSpec

__all__ = ["load_basis", "load_from_disk_s"]


def load_from_disk_s(model: ModelSpec, memory: Memory, machine: Machine) -> float | None:
    """Return the least seconds a load takes when nothing of the file is cached; None: unknown.

    Every byte of the file is read once, mapped or not, and so are the weights of what is loaded
    beside it. What follows the reading (copies to a card, a first run) comes on top.
    """
    read = _read_bytes(model, memory)
    rate = machine.disk_bandwidth_bytes_per_s
    return None if not rate or read is None else float(f"{read / rate:.3g}")


def _read_bytes(model: ModelSpec, memory: Memory) -> int | None:
    own = model.file_bytes or model.tensor_bytes
    return own + sum(part.weights_bytes for part in memory.parts) if own else None


def load_basis(model: ModelSpec, memory: Memory, machine: Machine) -> Basis:
    """Return the reason behind the seconds of a load."""
    read, rate = _read_bytes(model, memory), machine.disk_bandwidth_bytes_per_s
    return Basis(
        key="load_from_disk_s",
        formula="bytes of the file and of what is loaded beside it / read bandwidth of the disk",
        inputs={
            "read_bytes": read,
            "disk_bandwidth_bytes_per_s": rate,
        },
        source="the disk's bandwidth as given",
        error="a lower end: copies to a card and the first run come on top; a file that is cached "
        "loads faster",
        substituted=f"{read / GB:.3g} GB / {rate / GB:.3g} GB/s = {read / rate:.3g} s"
        if read and rate
        else None,
    )
