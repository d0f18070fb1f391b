"""AMD GPUs: cards with memory of their own, and APUs that share the system's.

No ROCm is needed. An APU has two kinds of memory: a carve-out taken from the RAM at boot ("VRAM")
and the part of the remaining RAM that the GPU may map (GTT). The kernel gives compute programs
the larger of the two; Vulkan uses both. Source: Linux drivers/gpu/drm/amd/amdgpu
(`apu_prefer_gtt`: an APU whose VRAM is smaller than its GTT allocates from GTT).
"""

from __future__ import annotations

from whatfits.probes.amd_sysfs import AmdGpu, read_gpus
from whatfits.probes.drafts import Draft, Rates, catalog_rates
from whatfits.probes.unified import held_of, read_host_ram
from whatfits.probes.visibility import parse_visibility
from whatfits.sizing.machine import Device, Pool
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.units import GIB, format_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Final

    from whatfits.probes.meminfo import HostRam
    from whatfits.probes.pci import GpuFunction
    from whatfits.probes.report import Partial
    from whatfits.probes.system import System

__all__ = ["AmdGpu", "parse_gpus", "probe", "read_gpus"]

_UNIFIED_TARGETS: Final = ("gfx1151",)  # Strix Halo: wide memory, made to be used as one
_PAGE_BYTES: Final = 4096
_SUM: Final = "MemTotal + carve-out (firmware keeps the rest)"


def probe(system: System, functions: tuple[GpuFunction, ...] | None = None) -> Partial:
    """Return the AMD GPUs of this machine; empty where there is none."""
    gpus = read_gpus(system, functions)
    host = read_host_ram(system) if gpus else None
    return parse_gpus(gpus, host=host, environment=system.environment)


def parse_gpus(
    gpus: Sequence[AmdGpu],
    *,
    host: HostRam | None,
    environment: Mapping[str, str] | None = None,
) -> Partial:
    """Return pools, devices, links and advice for these GPUs.

    Args:
        gpus: as `read_gpus` gives them.
        host: the system's memory, which APUs share.
        environment: for `HIP_VISIBLE_DEVICES` and its like.
    """
    draft = Draft()
    uuids: dict[str, str] = {}
    for gpu in gpus:
        before = len(draft.devices)
        if not gpu.function.may_be_bound_to("amdgpu") or not gpu.is_reachable:
            _add_unusable(draft, gpu)
        elif gpu.is_apu:
            _add_apu(draft, gpu, host, is_alone=len(gpus) == 1)
        else:
            _add_card(draft, gpu)
        if gpu.unique_id:
            uuids |= {device.id: f"GPU-{gpu.unique_id}" for device in draft.devices[before:]}
    draft.add(parse_visibility(environment or {}, draft.devices, uuids=uuids))
    return draft.partial()


def _add_unusable(draft: Draft, gpu: AmdGpu) -> None:
    pool = draft.next_pool()
    draft.pools.append(Pool(pool, "vram", None, used_bytes=None))
    _add_device(draft, gpu, pool, extra=("unusable",))
    if gpu.function.may_be_bound_to("amdgpu"):
        draft.say(
            "amd_nodes_absent",
            f"{gpu.name} is visible but not accessible: /dev/kfd and /dev/dri are not here.",
            next_step="start the container with --device /dev/kfd --device /dev/dri "
            "--group-add video --group-add render",
            warn=True,
        )
        return
    draft.say(
        "amd_no_driver",
        f"{gpu.name} at {gpu.function.address} is bound to {gpu.function.driver or 'no driver'}: "
        "it cannot run models like that.",
        next_step="load the kernel's amdgpu driver",
        warn=True,
    )


def _add_card(draft: Draft, gpu: AmdGpu) -> None:
    pool = draft.next_pool()
    draft.pools.append(Pool(pool, "vram", gpu.vram_bytes or None, used_bytes=gpu.vram_used_bytes))
    _know_memory(draft, gpu, pool)
    if not gpu.vram_bytes:
        draft.say(
            "amd_memory_unknown",
            f"{gpu.name}: the driver does not say how much memory it has.",
            warn=True,
        )
    elif gpu.visible_vram_bytes and gpu.visible_vram_bytes < gpu.vram_bytes:
        draft.say(
            "amd_small_bar",
            f"{gpu.name}: the CPU addresses only {format_bytes(gpu.visible_vram_bytes)} of "
            f"{format_bytes(gpu.vram_bytes)}; loading is slower.",
            next_step="enable Resizable BAR (and Above 4G Decoding) in the firmware",
        )
    _add_device(draft, gpu, pool)


def _add_apu(draft: Draft, gpu: AmdGpu, host: HostRam | None, *, is_alone: bool) -> None:
    """An APU: a carve-out larger than GTT is a pool of its own, else the RAM is shared."""
    vram, gtt = gpu.vram_bytes or 0, gpu.gtt_bytes or 0
    is_told = gpu.vram_bytes is not None and gpu.gtt_bytes is not None
    ram = None if host is None else host.total_bytes
    total = None if ram is None or gpu.vram_bytes is None else ram + vram
    if not is_told:
        _add_device(draft, gpu, "ram", extra=("integrated",))
        draft.say(
            "amd_split_unknown",
            f"{gpu.name}: the driver does not say how the memory is split between it and the "
            "system; only the system's RAM is counted.",
            warn=True,
        )
    elif vram > gtt:
        _add_carve_out(draft, gpu, vram=vram, gtt=gtt, physical=total)
    elif gpu.target in _UNIFIED_TARGETS and gtt:
        _add_unified(draft, gpu, vram=vram, gtt=gtt, host=host)
    else:
        _add_device(draft, gpu, "ram", extra=("integrated",))
        draft.say(
            "integrated_gpu",
            f"{gpu.name} is an integrated GPU: it adds no memory. It uses the system's RAM, "
            f"{_usable(gpu, vram, gtt)}.",
        )
    device = draft.devices[-1].id
    for runtime, usable in (("hip", max(vram, gtt)), ("vulkan", vram + gtt)):
        draft.know(
            f"devices.{device}.usable_{runtime}_bytes",
            usable if usable and is_told else None,
            unit="bytes",
            source="larger of carve-out and GTT" if runtime == "hip" else "carve-out + GTT",
            kind="derived",
        )
    _know_memory(draft, gpu, draft.devices[-1].pool)
    draft.know("amd.physical_memory_bytes", total, unit="bytes", source=_SUM, kind="derived")
    if ram is not None and is_told and is_alone and vram <= gtt:
        _say_how_to_raise(draft, gpu, gtt=gtt, ram=ram, vram=vram)


def _usable(gpu: AmdGpu, vram: int, gtt: int) -> str:
    if not gtt:
        return "how much of it is not known"
    hip = f"up to {format_bytes(max(vram, gtt))} with ROCm, " if gpu.nodes else ""
    return f"{hip}{format_bytes(vram + gtt)} with Vulkan"


def _add_carve_out(draft: Draft, gpu: AmdGpu, *, vram: int, gtt: int, physical: int | None) -> None:
    pool = draft.next_pool()
    draft.pools.append(
        Pool(
            pool,
            "vram",
            vram,
            used_bytes=gpu.vram_used_bytes,
            limit_source="carved out of the RAM by the firmware",
        )
    )
    _add_device(draft, gpu, pool, extra=("carve-out",))
    whole = f" of {format_bytes(physical)} in all" if physical else ""
    draft.say(
        "amd_carve_out",
        f"{gpu.name}: the firmware sets {format_bytes(vram)}{whole} aside as VRAM; programs on the "
        f"CPU cannot use it. The GPU may map {format_bytes(gtt)} more of the RAM (Vulkan).",
        next_step="a small carve-out (UMA frame buffer 512 MB in the firmware) and a large GTT "
        "let both sides use all of it",
    )


def _add_unified(draft: Draft, gpu: AmdGpu, *, vram: int, gtt: int, host: HostRam | None) -> None:
    limit, total, used = vram + gtt, None, None
    if host is not None and host.total_bytes is not None:
        total = host.total_bytes + vram
        limit = min(limit, total)
        free_vram = max(0, vram - (gpu.vram_used_bytes or 0))
        if host.available_bytes is not None:
            used = held_of(total, available_bytes=host.available_bytes + free_vram)
    draft.pools.append(
        Pool(
            "unified",
            "unified",
            total,
            limit_bytes=limit,
            used_bytes=used,
            limit_low_bytes=min(limit, gtt),
            limit_source=f"carve-out {format_bytes(vram)} + GTT {format_bytes(gtt)} (Vulkan); "
            f"ROCm uses the larger alone",
            limit_scope="accelerators",
        )
    )
    draft.know("pools.unified.total_bytes", total, unit="bytes", source=_SUM, kind="derived")
    draft.know(
        "pools.unified.limit_bytes",
        limit,
        unit="bytes",
        source="mem_info_vram_total + mem_info_gtt_total",
        kind="derived",
    )
    _add_device(draft, gpu, "unified", extra=("integrated",))


def _say_how_to_raise(draft: Draft, gpu: AmdGpu, *, gtt: int, ram: int, vram: int) -> None:
    keep = max(4 * GIB, ram // 16)
    wanted = (ram - keep) // GIB * GIB
    if not gtt or wanted <= gtt + GIB:
        return
    pages = wanted // _PAGE_BYTES
    small = "" if vram <= GIB else "; set the UMA frame buffer to its minimum in the firmware first"
    draft.say(
        "amd_gtt_limit",
        f"{gpu.name} may map {format_bytes(gtt)} of {format_bytes(ram)} RAM.",
        next_step=f"kernel parameter ttm.pages_limit={pages} ({format_bytes(wanted)}), on older "
        f"kernels also amdgpu.gttsize={wanted // 2**20}; reboot{small}",
    )


def _add_device(draft: Draft, gpu: AmdGpu, pool: str, *, extra: tuple[str, ...] = ()) -> None:
    """Add the device, or one a compute partition: partitions share the card's memory."""
    memory = None if gpu.is_apu else gpu.vram_bytes
    parts = max(1, len(gpu.nodes))
    # a partition has its part of the card's rate: of how many parts must be known
    is_known = parts == 1 or gpu.are_nodes_counted
    rates = catalog_rates(gpu.name, vendor="AMD", memory_bytes=memory) if is_known else Rates()
    features = [f"pci:{gpu.function.address}", *extra]
    if gpu.target:
        features.insert(0, gpu.target)
    if parts > 1:
        features.append(f"partition:{gpu.partition or parts}")
        draft.say(
            "amd_partitions",
            f"{gpu.name} is split into {parts} compute partitions"
            + (f" ({gpu.partition})" if gpu.partition else "")
            + ": each has a part of the rate, all share the memory.",
        )
    for _ in range(parts):
        device = Device(
            draft.next_device(gpu.kind),
            gpu.kind,
            gpu.name,
            pool,
            bandwidth_bytes_per_s=rates.bandwidth_bytes_per_s
            and rates.bandwidth_bytes_per_s // parts,
            fp16_flops_per_s=rates.fp16_flops_per_s and rates.fp16_flops_per_s // parts,
            features=tuple(features),
        )
        draft.devices.append(device)
        draft.know_rates(device, gpu.link_bytes_per_s)


def _know_memory(draft: Draft, gpu: AmdGpu, pool: str) -> None:
    for key, value, name in (
        ("vram_total", gpu.vram_bytes, "mem_info_vram_total"),
        ("vram_used", gpu.vram_used_bytes, "mem_info_vram_used"),
        ("gtt_total", gpu.gtt_bytes, "mem_info_gtt_total"),
        ("gtt_used", gpu.gtt_used_bytes, "mem_info_gtt_used"),
    ):
        source = f"{gpu.function.path}/{name}"
        draft.know(f"pools.{pool}.{key}_bytes", value, unit="bytes", source=source)
