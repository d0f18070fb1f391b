"""What a runtime holds outside its own table: driver contexts, pools, the process itself.

None of it can be predicted to the byte; each figure is an interval from public logs, until real
loads on the machine itself have measured it. The logs are few: four rows of which one is of high
trust, so no interval was judged on rows it was not set from.
"""

from __future__ import annotations

from whatfits.sizing.named_tuples import NamedTuple
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.units import MIB

if TYPE_CHECKING:
    from typing import Final

    from whatfits.sizing.machine import Device, Machine

__all__ = ["Overhead", "device_overhead", "overhead_of", "process_overhead"]


class Overhead(NamedTuple):
    """An interval of bytes and where it comes from."""

    low_bytes: int
    mid_bytes: int
    high_bytes: int
    source: str


_DEVICE: Final = {
    "cuda": Overhead(
        200 * MIB,
        460 * MIB,
        768 * MIB,
        "CUDA context, modules and pools: 451 and 456 MiB unaccounted on headless cards "
        "(ggml-org/llama.cpp pull 15860); 0.2-0.5 GiB a context plus temporary pools",
    ),
    "rocm": Overhead(
        200 * MIB,
        500 * MIB,
        1024 * MIB,
        "HIP context and pools: no log read; the CUDA interval widened upwards",
    ),
    "vulkan": Overhead(
        100 * MIB,
        460 * MIB,
        1126 * MIB,
        "Vulkan staging and dequantisation buffers: 1,103 MiB unaccounted beside a desktop "
        "(public llama.cpp breakdown, RTX 5070 Ti)",
    ),
    "metal": Overhead(
        0,
        0,
        512 * MIB,
        "Metal adds next to nothing; 495 MiB unaccounted in one public breakdown (Apple M5)",
    ),
}
_UNKNOWN_DEVICE: Final = Overhead(
    min(known.low_bytes for known in _DEVICE.values()),
    500 * MIB,
    max(known.high_bytes for known in _DEVICE.values()),
    "back end without a log: the widest interval of the known ones",
)
_PROCESS: Final = Overhead(
    0,
    10 * MIB,
    64 * MIB,
    "resident growth of 230 real loads: about 10 MB beside the buffers (llama.cpp 0c1e57098)",
)


def device_overhead(device_kind: str) -> Overhead:
    """Return what one accelerator loses to the driver and the back end, per process."""
    return _DEVICE.get(device_kind, _UNKNOWN_DEVICE)


def process_overhead(*, is_server: bool) -> Overhead:
    """Return what the host loses to the program itself; nothing for a library."""
    return _PROCESS if is_server else Overhead(0, 0, 0, "the library adds nothing of its own")


def overhead_of(machine: Machine, device: Device, *, is_server: bool) -> Overhead:
    """Return a device's overhead: as measured on this machine, else from public logs."""
    if device.kind == "cpu" and not is_server:
        return process_overhead(is_server=False)
    for known in machine.overheads:
        if known.device == device.id:
            return Overhead(known.low_bytes, known.mid_bytes, known.high_bytes, known.source)
    if device.kind == "cpu":
        return process_overhead(is_server=True)
    return device_overhead(device.kind)
