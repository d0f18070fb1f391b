"""The processor: its name, its cores and how many of them may be used, its instruction sets.

Files of the OS only (fractions of a millisecond); py-cpuinfo, which starts ten programs and takes
over a second, is asked where the OS has no such files, and its answer is kept.
"""

from __future__ import annotations

from whatfits.probes.cgroup import CpuQuota, read_cpu_quota
from whatfits.probes.cpu_facts import CpuFacts
from whatfits.probes.cpuinfo import CpuDescription, parse_cpuinfo
from whatfits.probes.drafts import Draft, count, items, read_text_or_none, text
from whatfits.probes.host_kind import how_to_raise_cpu, read_host_kind
from whatfits.probes.numa import parse_cpu_list
from whatfits.probes.topology import Topology, read_topology
from whatfits.sizing.errors import CatalogError, ProbeError
from whatfits.sizing.machine import Device
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.units import GB
from whatfits.sizing.values import replace

if TYPE_CHECKING:
    from collections.abc import Mapping

    from whatfits.probes.report import Partial
    from whatfits.probes.system import System

__all__ = ["parse_snapshot_cpu", "probe"]


def probe(system: System) -> Partial:
    """Return the device `cpu`, computing out of the pool `ram`."""
    draft = Draft()
    facts = _read(system, draft)
    quota = read_cpu_quota(system) if system.platform == "linux" else None
    # A virtual machine shares its host's memory with others, except where it is the only guest.
    shares = facts.is_virtual and not _is_personal_vm(system)
    peak = None if shares else _peak_bandwidth(facts.brand)
    draft.devices.append(
        Device(
            id="cpu",
            kind="cpu",
            name=facts.brand or f"{system.architecture or 'unknown'} CPU",
            pool="ram",
            bandwidth_bytes_per_s=peak,
            features=facts.features,
            cores=_threads(system, facts),
            fast_cores=_fast_cores(_threads(system, facts), facts, quota),
            clock_hz=facts.clock_hz,
        )
    )
    _tell_cores(draft, facts, quota)
    _tell_bandwidth(draft, peak, shares=shares)
    _say(draft, system, facts, quota)
    return draft.partial()


def _read(system: System, draft: Draft) -> CpuFacts:
    """Return what the OS tells; where it names no processor, py-cpuinfo is asked."""
    reader = {"linux": _read_linux, "darwin": _read_macos, "win32": _read_windows}.get(
        system.platform
    )
    facts = CpuFacts("no source")
    if reader is not None:
        try:
            facts = reader(system)
        except ProbeError as error:
            draft.say("cpu_source_failed", f"CPU: {error}.", warn=True)
    if facts.brand is None and system.platform not in ("linux", "darwin", "win32"):
        for name in ("psutil", "cpuinfo"):
            try:
                snapshot = system.query(name)
                facts = _completed(facts, parse_snapshot_cpu(snapshot, source=name))
                damaged = text(snapshot.get("damaged_cache"))
                if damaged is not None:
                    said = f"What was kept of the processor's name was damaged: it {damaged}."
                    draft.say("cpu_cache_damaged", said, warn=True)
            except ProbeError as error:
                draft.say("cpu_source_failed", f"CPU: {error}.", warn=True)
    return facts


def _threads(system: System, facts: CpuFacts) -> int | None:
    """Return how many threads llama.cpp starts: one a core, on some systems a faster core.

    Source: common/common.cpp (common_cpu_get_num_math, common_cpu_get_num_physical_cores).
    """
    is_x86 = system.architecture in ("x86_64", "AMD64", "amd64")
    is_choosy = system.platform == "darwin" or (system.platform == "linux" and is_x86)
    cores = (facts.performance_cores if is_choosy else None) or facts.physical_cores
    return min(cores, facts.allowed_cores or cores) if cores else None


def _fast_cores(threads: int | None, facts: CpuFacts, quota: CpuQuota | None) -> float | None:
    """Return what those cores are worth in fast ones; None where they are alike and all may run.

    Where only kinds are told, the slower one counts as nothing: every product waits for it.
    """
    if threads is None:
        return None
    fast: float = threads
    if threads == facts.physical_cores:  # else they are the fast ones, or some of them
        fast = facts.worth_in_cores or facts.performance_cores or threads
    may_run = fast if quota is None else min(fast, quota.cores)
    return may_run if 0 < may_run < threads else None


def _completed(first: CpuFacts, second: CpuFacts) -> CpuFacts:
    """Return the first with its gaps filled from the second."""
    gaps = {
        name: getattr(second, name)
        for name in CpuFacts.__dataclass_fields__
        if getattr(first, name) in (None, (), "no source")
    }
    return replace(first, **gaps)


def _read_linux(system: System) -> CpuFacts:
    try:
        cpuinfo = system.read_text("/proc/cpuinfo")
        described = parse_cpuinfo(cpuinfo, architecture=system.architecture)
    except ProbeError:
        # Without /proc the arrangement in /sys may still be there.
        described = CpuDescription(None)
    arranged = read_topology(system)
    logical = len(arranged.online) or described.processors or None
    if described.brand is None and logical is None:
        system.read_text("/proc/cpuinfo")  # nothing was told: say why
    return CpuFacts(
        source="/proc/cpuinfo, /sys/devices/system/cpu",
        brand=_with_board(system, described.brand),
        features=described.features,
        physical_cores=arranged.physical_cores,
        logical_cores=logical,
        performance_cores=arranged.performance_cores,
        worth_in_cores=arranged.worth_in_cores,
        clock_hz=arranged.clock_hz,
        allowed_cores=_allowed_cores(system, arranged),
        sockets=arranged.sockets,
        l3_bytes=arranged.l3_bytes,
        l3_total_bytes=arranged.l3_total_bytes,
        present_cores=arranged.present,
        is_virtual=described.is_virtual or read_host_kind(system).hypervisor is not None,
    )


def _with_board(system: System, brand: str | None) -> str | None:
    """Return the brand with the board's name, which the device tree of ARM and RISC-V tells."""
    if not system.architecture.startswith(("arm", "aarch64", "riscv")) or "(" in (brand or ""):
        return brand
    board = text((read_text_or_none(system, "/proc/device-tree/model") or "").rstrip("\0"))
    return f"{board} ({brand})" if board and brand else brand or board


def _allowed_cores(system: System, arranged: Topology) -> int | None:
    """Return the threads in this process's affinity mask (control group sets are part of it)."""
    status = read_text_or_none(system, "/proc/self/status") or ""
    _, found, rest = status.partition("Cpus_allowed_list:")
    if not found:
        return None
    allowed = parse_cpu_list(rest.split("\n", 1)[0])
    online = set(arranged.online)
    return len(online.intersection(allowed) if online else allowed) or None


def _read_macos(system: System) -> CpuFacts:
    from whatfits.probes.macos_cpu import parse_macos_cpu  # noqa: PLC0415 - on a Mac only
    from whatfits.probes.sysctl import read_sysctl  # noqa: PLC0415 - as above

    return parse_macos_cpu(read_sysctl(system))


def _read_windows(system: System) -> CpuFacts:
    cpu = system.query("windows").get("cpu")
    return parse_snapshot_cpu(cpu if isinstance(cpu, dict) else {}, source="registry, Windows API")


def parse_snapshot_cpu(snapshot: Mapping[str, object], *, source: str) -> CpuFacts:
    """Return the processor from a snapshot whose keys are those of `CpuFacts`."""
    features = (text(feature) for feature in items(snapshot.get("features")))
    return CpuFacts(
        source=source,
        brand=text(snapshot.get("brand")),
        features=tuple(feature for feature in features if feature),
        physical_cores=count(snapshot.get("physical_cores")) or None,
        logical_cores=count(snapshot.get("logical_cores")) or None,
        performance_cores=count(snapshot.get("performance_cores")) or None,
        allowed_cores=count(snapshot.get("allowed_cores")) or None,
        l3_bytes=count(snapshot.get("l3_bytes")) or None,
        is_virtual=snapshot.get("is_virtual") is True,
    )


def _peak_bandwidth(brand: str | None) -> int | None:
    """Return one socket's peak memory bandwidth by the catalog's platform of that name.

    Where boards of that platform take one of two memory types, the slower one counts.
    """
    if brand is None:
        return None
    try:
        from whatfits.sizing.catalog.lookup import match_cpu  # noqa: PLC0415 - opens the catalog

        platform = match_cpu(brand)
    except (CatalogError, ImportError):
        return None  # a broken catalog must not cost the processor
    if platform is None:
        return None
    low = platform.low_peak_bandwidth_bytes_per_s_per_socket
    return low or platform.peak_bandwidth_bytes_per_s_per_socket


def _is_personal_vm(system: System) -> bool:
    """Return whether this virtual machine is one user's own: WSL, Docker Desktop, a Mac's."""
    if system.platform != "linux":
        return system.platform == "darwin"
    kind = read_host_kind(system)
    return kind.wsl is not None or kind.is_docker_desktop or kind.is_on_mac


def _tell_cores(draft: Draft, facts: CpuFacts, quota: CpuQuota | None) -> None:
    source = facts.source
    draft.know("cpu.brand", facts.brand, unit="text", source=source)
    for key in (
        "physical_cores",
        "logical_cores",
        "performance_cores",
        "sockets",
    ):
        draft.know(f"cpu.{key}", getattr(facts, key), unit="count", source=source)
    draft.know(
        "cpu.usable_cores",
        _usable_cores(facts, quota),
        unit="count",
        source="affinity mask and quota of processor time, rounded down",
        kind="derived",
    )
    if quota is not None:
        draft.know("cpu.quota_cores", quota.cores, unit="count", source=quota.file)
    draft.know("cpu.clock_hz", facts.clock_hz, unit="Hz", source="cpufreq (its highest)")
    draft.know("cpu.features", " ".join(facts.features) or None, unit="text", source=source)
    draft.know("cpu.l3_bytes", facts.l3_bytes, unit="bytes", source=f"{source} (one cache)")
    if facts.l3_total_bytes is not None:
        draft.know(
            "cpu.l3_total_bytes",
            facts.l3_total_bytes,
            unit="bytes",
            source="one cache × (processors ÷ processors that share it)",
            kind="derived",
        )


def _usable_cores(facts: CpuFacts, quota: CpuQuota | None) -> int | None:
    """Return how many threads can run at once; more than a quota's worth would be stalled."""
    counts = [n for n in (facts.allowed_cores, facts.logical_cores) if n]
    if quota is not None:
        counts.append(max(1, int(quota.cores)))
    return min(counts, default=None)


def _tell_bandwidth(draft: Draft, peak: int | None, *, shares: bool) -> None:
    draft.know(
        "devices.cpu.bandwidth_bytes_per_s",
        peak,
        unit="bytes/s",
        source="catalog, unverified: one socket, all channels at the highest official rate of the "
        "slower memory type; which modules are fitted is told to the administrator only",
        kind="derived",
    )
    if shares:
        text = "The memory bandwidth of this virtual machine is unknown: it shares its host's."
    elif peak is None:
        text = "The memory bandwidth is unknown: the system does not tell which modules are fitted."
    else:
        text = (
            f"The memory bandwidth is taken as {peak / GB:,.0f} GB/s, all channels filled at full "
            "rate; a single module or slower ones give less."
        )
    code = "ram_bandwidth_unknown" if peak is None else "ram_bandwidth_derived"
    draft.say(code, text, next_step="speeds are given as a wide range")


def _say(draft: Draft, system: System, facts: CpuFacts, quota: CpuQuota | None) -> None:
    """Record what stands between the cores that are there and those that may be used."""
    if facts.is_translated:
        draft.say(
            "python_translated",
            "This Python is an x86 program translated by Rosetta; runtimes started from it would "
            "be translated, too.",
            next_step="install an arm64 Python",
            warn=True,
        )
    if quota is not None and quota.cores < (facts.logical_cores or quota.cores + 1):
        draft.say(
            "cpu_quota",
            f"Processor time is limited to {quota.cores:g} processors ({quota.file}).",
            next_step=how_to_raise_cpu(read_host_kind(system), quota_file=quota.file),
        )
    if facts.allowed_cores and facts.logical_cores and facts.allowed_cores < facts.logical_cores:
        draft.say(
            "cpu_affinity",
            f"This process may run on {facts.allowed_cores} of {facts.logical_cores} processors.",
            next_step="see 'taskset -p $$', or the container's cpuset",
        )
    if facts.present_cores and facts.logical_cores and facts.present_cores > facts.logical_cores:
        draft.say(
            "cpus_offline",
            f"{facts.present_cores - facts.logical_cores} of {facts.present_cores} processors "
            "are offline.",
            next_step="write 1 to /sys/devices/system/cpu/cpuN/online",
        )
    if facts.brand is None:
        draft.say("cpu_unknown", "The system does not name its processor.")
