"""What the kernel says of each AMD GPU: sysfs of the amdgpu driver, and its compute nodes."""

from __future__ import annotations

from whatfits.probes.amd_kfd import KfdNode, gfx_target, nodes_of, read_kfd_nodes
from whatfits.probes.amd_names import amd_name, is_apu, parse_amdgpu_ids
from whatfits.probes.drafts import has_node, read_text_or_none, size, whole_number
from whatfits.probes.pci import AMD, GpuFunction, read_gpu_functions
from whatfits.probes.pci_links import read_link_bytes_per_s
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import dataclass, replace

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final

    from whatfits.probes.system import System

__all__ = ["AmdGpu", "read_gpus"]

_IDS_FILES: Final = ("/usr/share/libdrm/amdgpu.ids", "/opt/amdgpu/share/libdrm/amdgpu.ids")


@dataclass(frozen=True, slots=True)
class AmdGpu:
    """One AMD GPU as the kernel describes it; None where a file is missing.

    Attributes:
        function: its place on the bus.
        name: what it is sold as, or its number.
        is_apu: whether it sits in a processor and shares the RAM.
        target: LLVM target, as `gfx1100`; None when neither KFD nor IP discovery tells.
        nodes: its compute nodes in KFD: one, or one a partition; none without ROCm's driver.
        vram_bytes: memory of the card, or the carve-out of an APU.
        vram_used_bytes: of that, in use.
        visible_vram_bytes: of that, what the CPU can address.
        gtt_bytes: system memory the GPU may map.
        gtt_used_bytes: of that, in use.
        partition: compute partition mode, as `SPX`, `CPX`.
        unique_id: serial number of the chip, in hexadecimal.
        link_bytes_per_s: one-way rate to the host.
        is_reachable: whether a device node is there to reach it by (a container may have none).
        are_nodes_counted: whether every compute node could be read: else it may have more.
    """

    function: GpuFunction
    name: str
    is_apu: bool
    target: str | None = None
    nodes: tuple[KfdNode, ...] = ()
    vram_bytes: int | None = None
    vram_used_bytes: int | None = None
    visible_vram_bytes: int | None = None
    gtt_bytes: int | None = None
    gtt_used_bytes: int | None = None
    partition: str | None = None
    unique_id: str | None = None
    link_bytes_per_s: int | None = None
    is_reachable: bool = True
    are_nodes_counted: bool = True

    @property
    def kind(self) -> str:
        """`rocm` when KFD lists it, else `vulkan`."""
        return "rocm" if self.nodes else "vulkan"


def read_gpus(
    system: System, functions: tuple[GpuFunction, ...] | None = None
) -> tuple[AmdGpu, ...]:
    """Return what sysfs says of every AMD GPU."""
    seen = read_gpu_functions(system) if functions is None else functions
    ours = [f for f in seen or () if f.vendor_id == AMD and f.is_gpu]
    if not ours:
        return ()
    # sysfs shows the host's GPUs in every container; the nodes show what was passed in.
    kfd, is_whole = read_kfd_nodes(system) if has_node(system, "kfd") else ((), True)
    is_reachable = bool(kfd) or has_node(system, "dri")
    gpus = (_read_gpu(system, function, kfd) for function in ours)
    return tuple(
        replace(gpu, is_reachable=is_reachable, are_nodes_counted=is_whole) for gpu in gpus
    )


def _read_gpu(system: System, function: GpuFunction, kfd: Sequence[KfdNode]) -> AmdGpu:
    nodes = nodes_of(kfd, function.address)
    target = gfx_target(nodes[0].target_version) if nodes else _target_from_ip(system, function)
    unique = read_text_or_none(system, f"{function.path}/unique_id")
    apu = is_apu(function.device_id)
    return AmdGpu(
        function=function,
        name=_name(system, function),
        is_apu=apu,
        target=target,
        nodes=nodes,
        vram_bytes=_bytes(system, function, "mem_info_vram_total"),
        vram_used_bytes=_bytes(system, function, "mem_info_vram_used"),
        visible_vram_bytes=_bytes(system, function, "mem_info_vis_vram_total"),
        gtt_bytes=_bytes(system, function, "mem_info_gtt_total"),
        gtt_used_bytes=_bytes(system, function, "mem_info_gtt_used"),
        partition=read_text_or_none(system, f"{function.path}/current_compute_partition"),
        unique_id=unique or None,
        link_bytes_per_s=None if apu else read_link_bytes_per_s(system, function),
    )


def _bytes(system: System, function: GpuFunction, name: str) -> int | None:
    return size(whole_number(read_text_or_none(system, f"{function.path}/{name}")))


def _target_from_ip(system: System, function: GpuFunction) -> str | None:
    """Return the target from the graphics core's version: `11.5.1` is gfx1151."""
    folder = f"{function.path}/ip_discovery/die/0/GC/0"
    parts = [read_text_or_none(system, f"{folder}/{p}") for p in ("major", "minor", "revision")]
    major, minor, revision = (whole_number(part) for part in parts)
    if major is None or minor is None or revision is None:
        return None
    return f"gfx{major}{minor:x}{revision:x}"


def _name(system: System, function: GpuFunction) -> str:
    name = read_text_or_none(system, f"{function.path}/product_name")
    if name:
        return name if name.startswith("AMD") else f"AMD {name}"
    known = amd_name(function.device_id, function.revision)
    if known:
        return known
    for path in _IDS_FILES:
        ids = read_text_or_none(system, path)
        found = (
            parse_amdgpu_ids(ids, device_id=function.device_id, revision=function.revision)
            if ids
            else None
        )
        if found:
            return found
    return f"unknown AMD GPU (0x{function.device_id:04x})"
