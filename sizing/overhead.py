"""What a runtime holds outside its own table: driver contexts, pools, the process itself.

None of it can be predicted to the byte; each figure is an interval from public logs and loads,
until real loads on the machine itself have measured it. Of Hopper there are 19 loads on a H200: the
interval was set from every second one and holds the others (tests/golden/test_loads_on_cuda.py). Of
others there are four rows, of which one is of high trust: those intervals were not judged on rows
that they were not set from.
"""

from __future__ import annotations

from whatfits.sizing.flash_attention import CUDA_LIKE
from whatfits.sizing.named_tuples import NamedTuple
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.units import MIB

if TYPE_CHECKING:
    from typing import Final

    from whatfits.sizing.machine import Device, Machine
    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.placement import Placement
    from whatfits.sizing.settings import Settings

__all__ = [
    "Overhead",
    "device_overhead",
    "overhead_of",
    "overheads_of",
    "process_overhead",
    "unfused_bytes",
]

_F16_BYTES: Final = 2


class Overhead(NamedTuple):
    """An interval of bytes and where it comes from."""

    low_bytes: int
    mid_bytes: int
    high_bytes: int
    source: str

    def and_up_to(self, n_bytes: int) -> Overhead:
        """Return it with so much more, which comes as the context fills."""
        mid, high = self.mid_bytes + n_bytes, self.high_bytes + n_bytes
        return self._replace(mid_bytes=mid, high_bytes=high)


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
# Set from ten loads with fused attention: 609 to 717 MiB, and a tenth on both sides.
_HOPPER: Final = Overhead(
    550 * MIB,
    660 * MIB,
    790 * MIB,
    "CUDA context 527 MiB, code 66, cuBLAS and pools 12 to 124: loads of llama.cpp 0c1e57098 on a "
    "H200 (driver 580.159.04)",
)
_HOPPER_MARK: Final = "cc9.0"
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


def device_overhead(device_kind: str, features: tuple[str, ...] = ()) -> Overhead:
    """Return what one accelerator loses to the driver and the back end, per process.

    `features` are the device's; its compute capability may be among them.
    """
    if device_kind == "cuda" and _HOPPER_MARK in features:
        return _HOPPER
    return _DEVICE.get(device_kind, _UNKNOWN_DEVICE)


def unfused_bytes(model: ModelSpec, settings: Settings, placement: Placement, *, at: int) -> int:
    """Return what CUDA takes beside its buffers for attention that is not fused, context filled.

    The scores of a micro-batch are turned into F16 before they meet the values: two bytes for each
    head, token and cell of its sequence, out of a pool that only grows. `at` is the number of the
    accelerator; 0 where none of its layers attends like that, and of encoders, whose inputs are
    short.
    Source: llama.cpp ggml/src/ggml-cuda/ggml-cuda.cu (ggml_cuda_mul_mat_batched_cublas). Error: 5 %
    by a load on a H200 (tests/golden/test_loads_on_cuda.py).
    """
    if settings.flash_attention or model.embeds or at not in placement.layers_in_use:
        return 0
    if placement.accelerators[at].kind not in CUDA_LIKE:
        return 0
    n_heads = max((layer.n_head for layer in model.layers if layer.n_head_kv), default=0)
    cells = settings.context_tokens // settings.streams
    return _F16_BYTES * n_heads * cells * settings.graph_tokens


def overheads_of(
    model: ModelSpec,
    settings: Settings,
    placement: Placement,
    machine: Machine,
    *,
    is_server: bool,
) -> list[Overhead]:
    """Return the overhead of a run on each accelerator, the host's last."""
    devices = (*placement.accelerators, placement.host)
    found = [overhead_of(machine, device, is_server=is_server) for device in devices]
    for at in range(len(placement.accelerators)):
        unfused = unfused_bytes(model, settings, placement, at=at)
        found[at] = found[at].and_up_to(unfused) if unfused else found[at]
    return found


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
    return device_overhead(device.kind, device.features)
