"""Apple silicon: one memory for CPU and GPU, and the part of it that macOS lets the GPU wire.

sysctl first (milliseconds): memory never depends on system_profiler, which takes seconds and is
asked last, for the GPU's cores. `iogpu.wired_limit_mb` sets the limit exactly; 0 means the rule of
the macOS version, which the catalog knows as an interval.
"""

from __future__ import annotations

from whatfits.probes.drafts import (
    Draft,
    catalog_rates,
    items,
    mapping,
    text,
    whole_number,
)
from whatfits.probes.meminfo import parse_vm_stat
from whatfits.probes.sysctl import Sysctl, read_sysctl
from whatfits.probes.system import SourceHungError
from whatfits.probes.unified import held_of
from whatfits.sizing.errors import ProbeError
from whatfits.sizing.machine import Device, Pool
from whatfits.sizing.reserve import raise_limit_command, raised_limit_bytes
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.units import GIB, MIB, format_bytes
from whatfits.sizing.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final

    from whatfits.probes.report import Partial
    from whatfits.probes.system import System

__all__ = [
    "AppleFacts",
    "MacGpu",
    "parse_apple",
    "parse_displays",
    "probe",
    "read_facts",
]

_PROFILER: Final = ("/usr/sbin/system_profiler", "-json", "SPDisplaysDataType")
_VM_STAT: Final = ("/usr/bin/vm_stat",)


@dataclass(frozen=True, slots=True)
class MacGpu:
    """One GPU that system_profiler lists.

    Attributes:
        name: what macOS calls it.
        cores: GPU cores; None when not told.
        vendor: as macOS writes it, `sppci_vendor_Apple`, `sppci_vendor_amd`, ….
        metal: the Metal support it reports; None when it reports none.
    """

    name: str
    cores: int | None
    vendor: str
    metal: str | None


@dataclass(frozen=True, slots=True)
class AppleFacts:
    """What macOS says of this machine; None where it says nothing.

    Attributes:
        chip: brand of the processor, as `Apple M3 Max`, `Intel(R) Core(TM) i9-9980HK …`.
        memory_bytes: all of the RAM.
        available_bytes: what is not wired, compressed or held by programs.
        wired_limit_mb: `iogpu.wired_limit_mb`; 0 is the default rule.
        os_version: `15.5`.
        is_arm: whether the processor is Apple silicon, whatever this interpreter is.
        is_translated: whether this interpreter runs under Rosetta.
        is_virtual: whether macOS runs in a virtual machine.
        gpus: what system_profiler lists; None when it was not heard.
        profiler_trouble: why it was not heard.
    """

    chip: str | None
    memory_bytes: int | None
    available_bytes: int | None
    wired_limit_mb: int | None
    os_version: str | None
    is_arm: bool
    is_translated: bool
    is_virtual: bool
    gpus: tuple[MacGpu, ...] | None
    profiler_trouble: str | None = None


def probe(system: System) -> Partial:
    """Return the GPU and the unified memory of a Mac; empty on other systems."""
    if system.platform != "darwin":
        return Draft().partial()
    return parse_apple(read_facts(system))


def read_facts(system: System) -> AppleFacts:
    """Return what sysctl, vm_stat and system_profiler say, in that order."""
    try:
        known = read_sysctl(system)
    except ProbeError:
        known = Sysctl({})
    memory = known.size("hw.memsize")
    chip = known.text("machdep.cpu.brand_string") if known.is_native else None
    gpus, trouble = _read_gpus(system)
    return AppleFacts(
        chip=chip,
        memory_bytes=memory,
        available_bytes=_read_available(system, memory),
        wired_limit_mb=known.count("iogpu.wired_limit_mb"),
        os_version=known.text("kern.osproductversion"),
        is_arm=known.count("hw.optional.arm64") == 1
        or known.is_translated
        or system.architecture == "arm64"
        or (chip or "").startswith("Apple")
        or (chip is None and any(gpu.name.startswith("Apple M") for gpu in gpus or ())),
        is_translated=known.is_translated,
        is_virtual=known.count("kern.hv_vmm_present") == 1,
        gpus=gpus,
        profiler_trouble=trouble,
    )


def _read_available(system: System, memory_bytes: int | None) -> int | None:
    if memory_bytes is None:
        return None
    try:
        return parse_vm_stat(system.run(_VM_STAT), total_bytes=memory_bytes)
    except ProbeError:
        return None


def _read_gpus(system: System) -> tuple[tuple[MacGpu, ...] | None, str | None]:
    try:
        return parse_displays(system.run(_PROFILER)), None
    except SourceHungError:
        return None, "did not answer in time"
    except ProbeError as error:
        return None, str(error)


def parse_displays(output: str) -> tuple[MacGpu, ...] | None:
    """Return the GPUs of `system_profiler -json SPDisplaysDataType`; None when it is no JSON."""
    import json  # noqa: PLC0415 - only on a Mac

    try:
        document = json.loads(output)
    except (ValueError, RecursionError):
        return None
    return tuple(
        MacGpu(
            name=text(gpu.get("sppci_model")) or text(gpu.get("_name")) or "unknown GPU",
            cores=whole_number(text(gpu.get("sppci_cores"))),
            vendor=text(gpu.get("spdisplays_vendor")) or "",
            metal=text(gpu.get("spdisplays_mtlgpufamilysupport"))
            or text(gpu.get("spdisplays_metal")),
        )
        for gpu in map(mapping, items(mapping(document).get("SPDisplaysDataType"), at_most=16))
        if gpu
    )


def parse_apple(facts: AppleFacts) -> Partial:
    """Return the unified pool, the Metal device, and how to raise the GPU's limit."""
    draft = Draft()
    draft.know("apple.chip", facts.chip, unit="text", source="sysctl machdep.cpu.brand_string")
    draft.know(
        "apple.os_version", facts.os_version, unit="text", source="sysctl kern.osproductversion"
    )
    if facts.is_translated:
        draft.say(
            "interpreter_translated",
            f"This Python is translated by Rosetta: the chip is {facts.chip or 'Apple silicon'}, "
            "not the Intel one it is told.",
            next_step="install a native (arm64) Python: programs it installs run natively, too",
            warn=True,
        )
    if not facts.is_arm:
        _say_unusable(draft, facts.gpus or (), "an Intel Mac")
        return draft.partial()
    gpu = _apple_gpu(facts)
    if facts.is_virtual:
        _say_unusable(draft, facts.gpus or (), "a virtual machine")
        return draft.partial()
    foreign = [g for g in facts.gpus or () if g is not gpu]
    _say_unusable(draft, foreign, "Apple silicon")
    _add_metal(draft, facts, gpu)
    return draft.partial()


def _apple_gpu(facts: AppleFacts) -> MacGpu | None:
    return next((g for g in facts.gpus or () if g.name.startswith("Apple")), None)


def _say_unusable(draft: Draft, gpus: Sequence[MacGpu], where: str) -> None:
    """Other GPUs are there, but the runtimes' Metal back ends do not use them well or at all."""
    for gpu in gpus:
        metal = "it has Metal" if gpu.metal else "whether it has Metal is not known"
        draft.say(
            "mac_gpu_unsupported",
            f"{gpu.name} in {where}: present, not counted; {metal}, but runtimes do not support "
            "this kind of GPU there.",
            next_step="models run on the CPU",
        )


def _add_metal(draft: Draft, facts: AppleFacts, gpu: MacGpu | None) -> None:
    total, name = facts.memory_bytes, facts.chip or (gpu.name if gpu else None) or "Apple GPU"
    pool = _pool(draft, facts)
    draft.pools.append(pool)
    draft.know("pools.unified.total_bytes", total, unit="bytes", source="sysctl hw.memsize")
    draft.know("pools.unified.used_bytes", pool.used_bytes, unit="bytes", source="vm_stat")
    cores = gpu.cores if gpu else None
    rates = catalog_rates(name, vendor="Apple", memory_bytes=total, gpu_cores=cores)
    draft.devices.append(
        Device(
            "metal",
            "metal",
            name,
            "unified",
            bandwidth_bytes_per_s=rates.bandwidth_bytes_per_s,
            fp16_flops_per_s=rates.fp16_flops_per_s,
            features=() if cores is None else (f"cores{cores}",),
        )
    )
    for key, value, unit, source in (
        ("gpu_cores", cores, "count", "system_profiler SPDisplaysDataType sppci_cores"),
        ("bandwidth_bytes_per_s", rates.bandwidth_bytes_per_s, "bytes/s", "catalog"),
    ):
        draft.know(f"devices.metal.{key}", value, unit=unit, source=source)
    if facts.gpus is None:
        draft.say(
            "system_profiler_silent",
            "macOS's system_profiler "
            + (facts.profiler_trouble or "answered with no JSON")
            + ": the GPU's cores, and with them its bandwidth, are less certain.",
        )


def _pool(draft: Draft, facts: AppleFacts) -> Pool:
    total = facts.memory_bytes
    if total is None:
        return Pool("unified", "unified", None, used_bytes=None)
    limit, low, source = _limit(facts, total)
    draft.know(
        "pools.unified.limit_bytes",
        limit,
        unit="bytes",
        source=source,
        kind="reported" if facts.wired_limit_mb else "derived",
    )
    safe = raised_limit_bytes(total)
    if safe > limit + GIB // 2:
        draft.say(
            "metal_limit",
            f"macOS lets the GPU use {format_bytes(limit)} of {format_bytes(total)}.",
            next_step=f"'{raise_limit_command(safe)}' raises it to "
            f"{format_bytes(safe)} until the next start (0 restores the rule)",
        )
    return Pool(
        "unified",
        "unified",
        total,
        limit_bytes=limit,
        used_bytes=held_of(total, available_bytes=facts.available_bytes),
        limit_low_bytes=low,
        limit_source=source,
        limit_scope="accelerators",
    )


def _limit(facts: AppleFacts, total: int) -> tuple[int, int | None, str]:
    """Return what the GPU may wire, its lower end, and where that comes from."""
    if facts.wired_limit_mb:
        return min(total, facts.wired_limit_mb * MIB), None, "sysctl iogpu.wired_limit_mb"
    from whatfits.sizing.catalog.apple_limits import gpu_limit  # noqa: PLC0415 - only on a Mac

    rule = gpu_limit(total, os_version=facts.os_version)
    return rule.mid_bytes, rule.low_bytes, rule.reason
