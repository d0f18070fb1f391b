"""Intel GPUs from sysfs: graphics inside the processor, and Arc cards with memory of their own.

Integrated graphics sit at bus 0, device 2; everything else is a card. A card's size comes from the
xe driver's tiles, or from i915 where it publishes one; else it is unknown, not guessed.
"""

from __future__ import annotations

from whatfits.probes.drafts import (
    Draft,
    catalog_rates,
    has_node,
    read_text_or_none,
    size,
    whole_number,
)
from whatfits.probes.pci import (
    INTEL,
    GpuFunction,
    hexadecimal,
    read_gpu_functions,
)
from whatfits.probes.pci_links import read_link_bytes_per_s
from whatfits.sizing.machine import Device, Pool
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final

    from whatfits.probes.report import Partial
    from whatfits.probes.system import System

__all__ = ["IntelGpu", "intel_name", "is_discrete_intel", "parse_gpus", "probe", "read_gpus"]

_DRIVERS: Final = ("xe", "i915")
_MAX_TILES: Final = 4
# xe publishes the physical size, of which the driver keeps some: 64 MiB of 8 GiB on an Arc A750
# (MangoHud issue 1936, `vram_mm` beside the size). The lower end allows for twice that share.
_KEPT_SHARE: Final = 64

# Cards, by PCI device. Source: Mesa include/pci_ids/iris_pci_ids.h; B-series: pci.ids.
_CARDS: Final = {
    0x4905: "Intel Iris Xe MAX Graphics",
    0x5690: "Intel(R) Arc(TM) A770M Graphics",
    0x5691: "Intel(R) Arc(TM) A730M Graphics",
    0x5692: "Intel(R) Arc(TM) A550M Graphics",
    0x5693: "Intel(R) Arc(TM) A370M Graphics",
    0x5694: "Intel(R) Arc(TM) A350M Graphics",
    0x5696: "Intel(R) Arc(TM) A570M Graphics",
    0x5697: "Intel(R) Arc(TM) A530M Graphics",
    0x56A0: "Intel(R) Arc(TM) A770 Graphics",
    0x56A1: "Intel(R) Arc(TM) A750 Graphics",
    0x56A2: "Intel(R) Arc(TM) A580 Graphics",
    0x56A5: "Intel(R) Arc(TM) A380 Graphics",
    0x56A6: "Intel(R) Arc(TM) A310 Graphics",
    0x56B1: "Intel(R) Arc(TM) Pro A40/A50 Graphics",
    0x56B3: "Intel(R) Arc(TM) Pro A60 Graphics",
    0x56C0: "Intel(R) Data Center GPU Flex 170",
    0x56C1: "Intel(R) Data Center GPU Flex 140",
    0xE20B: "Intel(R) Arc(TM) B580 Graphics",
    0xE20C: "Intel(R) Arc(TM) B570 Graphics",
    0xE211: "Intel(R) Arc(TM) Pro B60 Graphics",
    0xE212: "Intel(R) Arc(TM) Pro B50 Graphics",
}
_INTEGRATED: Final = {
    0x3E9B: "Intel(R) UHD Graphics 630",
    0x46A6: "Intel(R) Iris(R) Xe Graphics",
    0x46A8: "Intel(R) Iris(R) Xe Graphics",
    0x4680: "Intel(R) UHD Graphics 770",
    0x5917: "Intel(R) UHD Graphics 620",
    0x64A0: "Intel(R) Arc(TM) Graphics (Lunar Lake)",
    0x7D55: "Intel(R) Arc(TM) Graphics (Meteor Lake)",
    0x9A49: "Intel(R) Iris(R) Xe Graphics",
    0xA780: "Intel(R) UHD Graphics 770",
    0xA7A0: "Intel(R) Iris(R) Xe Graphics",
}
_DISCRETE_RANGES: Final = (range(0x4905, 0x490A), range(0x5690, 0x56C3), range(0xE202, 0xE300))


def intel_name(device_id: int) -> str:
    """Return what a chip is sold as, or its number."""
    name = _CARDS.get(device_id) or _INTEGRATED.get(device_id)
    what = "unknown Intel GPU" if is_discrete_intel(device_id) else "Intel(R) Graphics"
    return name or f"{what} (0x{device_id:04x})"


def is_discrete_intel(device_id: int) -> bool:
    """Return whether a device number belongs to a card (DG1, Arc A and B, Flex)."""
    return any(device_id in numbers for numbers in _DISCRETE_RANGES)


@dataclass(frozen=True, slots=True)
class IntelGpu:
    """One Intel GPU as the kernel describes it.

    Attributes:
        function: its place on the bus.
        name: what it is sold as, or its number.
        memory_bytes: memory of the card; None when no file tells.
        memory_source: the files it was read from.
        link_bytes_per_s: one-way rate to the host.
        is_reachable: whether a device node is there to reach it by (a container may have none).
    """

    function: GpuFunction
    name: str
    memory_bytes: int | None = None
    memory_source: str = ""
    link_bytes_per_s: int | None = None
    is_reachable: bool = True

    @property
    def is_integrated(self) -> bool:
        """Whether it sits in the processor: bus 0, device 2 (a virtual machine may move it)."""
        device = self.function.device_id
        if is_discrete_intel(device):
            return False
        return self.function.address.endswith(":00:02.0") or device in _INTEGRATED


def probe(system: System, functions: tuple[GpuFunction, ...] | None = None) -> Partial:
    """Return the Intel GPUs of this machine; empty where there is none."""
    return parse_gpus(read_gpus(system, functions))


def read_gpus(
    system: System, functions: tuple[GpuFunction, ...] | None = None
) -> tuple[IntelGpu, ...]:
    """Return what sysfs says of every Intel GPU."""
    seen = read_gpu_functions(system) if functions is None else functions
    return tuple(
        _read_gpu(system, function)
        for function in seen or ()
        if function.vendor_id == INTEL and function.is_gpu
    )


def _read_gpu(system: System, function: GpuFunction) -> IntelGpu:
    is_reachable = has_node(system, "dri")
    gpu = IntelGpu(function, intel_name(function.device_id), is_reachable=is_reachable)
    if gpu.is_integrated:
        return gpu
    memory, source = _read_memory(system, function)
    link = read_link_bytes_per_s(system, function)
    return IntelGpu(function, gpu.name, memory, source, link, is_reachable)


def _read_memory(system: System, function: GpuFunction) -> tuple[int | None, str]:
    """Return the size of a card's memory and where it was read, by driver layout."""
    tiles: list[int] = []
    for tile in range(_MAX_TILES):
        folder = f"{function.path}/tile{tile}"
        names = ("physical_vram_size_bytes", "memory/physical_vram_size_bytes")
        found = (_bytes(system, f"{folder}/{name}") for name in names)
        tiles += [next((value for value in found if value), 0)]
    if any(tiles):
        return sum(tiles), f"{function.path}/tile*/physical_vram_size_bytes"
    cards = [node for node in function.nodes if node.startswith("card")]
    for path in (
        f"{function.path}/lmem_total_bytes",
        *(f"{function.path}/drm/{card}/lmem_total_bytes" for card in cards),
    ):
        value = _bytes(system, path)
        if value:
            return value, path
    return None, "no file of the driver tells"


def _bytes(system: System, path: str) -> int | None:
    """Return a size that i915 writes in decimal and xe in hexadecimal."""
    value = read_text_or_none(system, path)
    number = whole_number(value)
    return size(hexadecimal(value) if number is None else number)


def parse_gpus(gpus: Sequence[IntelGpu]) -> Partial:
    """Return pools, devices, links and advice for these GPUs."""
    draft = Draft()
    for gpu in gpus:
        if gpu.is_integrated:
            _add_integrated(draft, gpu)
        else:
            _add_card(draft, gpu)
    return draft.partial()


def _add_integrated(draft: Draft, gpu: IntelGpu) -> None:
    _add_device(draft, gpu, "ram", extra=("integrated",))
    draft.say(
        "integrated_gpu",
        f"{gpu.name} is an integrated GPU: it adds no memory, it uses the system's RAM.",
    )


def _add_card(draft: Draft, gpu: IntelGpu) -> None:
    pool = draft.next_pool()
    memory = gpu.memory_bytes
    physical = memory is not None and "physical" in gpu.memory_source
    draft.pools.append(
        Pool(
            pool,
            "vram",
            memory,
            used_bytes=None,
            limit_low_bytes=memory - memory // _KEPT_SHARE if physical and memory else None,
            limit_bytes=memory if physical else None,
            limit_source="physical size; the driver keeps a little of it" if physical else None,
        )
    )
    draft.know(f"pools.{pool}.total_bytes", memory, unit="bytes", source=gpu.memory_source)
    draft.know(
        f"pools.{pool}.used_bytes", None, unit="bytes", source="not readable without privileges"
    )
    is_usable = gpu.function.may_be_bound_to(*_DRIVERS) and gpu.is_reachable
    _add_device(draft, gpu, pool, extra=() if is_usable else ("unusable",))
    _say_trouble(draft, gpu)


def _say_trouble(draft: Draft, gpu: IntelGpu) -> None:
    has_driver = gpu.function.may_be_bound_to(*_DRIVERS)
    if has_driver and not gpu.is_reachable:
        draft.say(
            "intel_nodes_absent",
            f"{gpu.name} is visible but not accessible: /dev/dri is not here.",
            next_step="start the container with --device /dev/dri --group-add render",
            warn=True,
        )
    elif not has_driver:
        draft.say(
            "intel_no_driver",
            f"{gpu.name} at {gpu.function.address} is bound to "
            f"{gpu.function.driver or 'no driver'}: it cannot run models like that.",
            next_step="load the kernel's xe driver (i915 for older cards)",
            warn=True,
        )
    elif gpu.memory_bytes is None:
        draft.say(
            "intel_memory_unknown",
            f"{gpu.name}: the driver '{gpu.function.driver or 'unknown'}' does not say how much "
            "memory it has.",
            next_step="use the xe driver, which does; or state it with --machine",
            warn=True,
        )


def _add_device(draft: Draft, gpu: IntelGpu, pool: str, *, extra: tuple[str, ...]) -> None:
    rates = catalog_rates(gpu.name, vendor="Intel", memory_bytes=gpu.memory_bytes)
    device = Device(
        draft.next_device("vulkan"),
        "vulkan",
        gpu.name,
        pool,
        bandwidth_bytes_per_s=rates.bandwidth_bytes_per_s,
        fp16_flops_per_s=rates.fp16_flops_per_s,
        features=(f"pci:{gpu.function.address}", *extra),
    )
    draft.devices.append(device)
    draft.know_rates(device, gpu.link_bytes_per_s)
