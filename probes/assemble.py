"""One machine out of what each source told."""

from __future__ import annotations

from whatfits.probes.report import Evidence, ProbeReport
from whatfits.sizing.machine import Device, Machine, Pool
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import replace

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final

    from whatfits.probes.report import Partial

__all__ = ["assemble", "machine_name"]

_OS_NAMES: Final = {"darwin": "macos", "win32": "windows"}
_RAM: Final = "ram"
_UNIFIED: Final = "unified"
_OF_RAM: Final = f"pools.{_RAM}."
_USED: Final = f"pools.{_UNIFIED}.used_bytes"


def machine_name() -> str:
    """Return what a machine that was read is called: no host name, which is nobody's business."""
    return "this machine"


def assemble(parts: Sequence[Partial], *, platform: str, os_version: str | None) -> ProbeReport:
    """Return the report: pools and devices in the runtimes' order, the host last.

    A pool `unified` takes the place of `ram`: the CPU computes out of it, and what a container or
    a control group leaves of the RAM bounds it. There is always a host and its pool; what no
    source told of them is None.
    """
    pools = [pool for part in parts for pool in part.pools]
    devices = [device for part in parts for device in part.devices]
    evidence = [item for part in parts for item in part.evidence]
    findings = [finding for part in parts for finding in part.findings]
    if not any(device.kind == "cpu" for device in devices):
        devices.append(Device("cpu", "cpu", "unknown CPU", _RAM))
    if not any(pool.id == _RAM for pool in pools):
        pools.append(Pool(_RAM, "ram", None, used_bytes=None))
    unified = next((pool for pool in pools if pool.id == _UNIFIED), None)
    if unified is not None:
        joined = _join(unified, next(pool for pool in pools if pool.id == _RAM))
        pools = [joined, *(p for p in pools if p.id not in (_RAM, _UNIFIED))]
        devices = [replace(d, pool=_UNIFIED) if d.pool == _RAM else d for d in devices]
        evidence = _joined_evidence(evidence, joined)
        if any(device.bandwidth_bytes_per_s for device in devices if device.pool == _UNIFIED):
            findings = [f for f in findings if not f.code.startswith("ram_bandwidth")]
    holders = (holder for part in parts for holder in part.holders)
    machine = Machine(
        pools=tuple(sorted(pools, key=lambda pool: pool.kind != "vram")),
        devices=tuple(sorted(devices, key=lambda device: device.kind == "cpu")),
        links=tuple(link for part in parts for link in part.links),
        name=machine_name(),
        os=_OS_NAMES.get(platform, platform) or None,
        os_version=os_version,
    )
    return ProbeReport(
        machine=machine,
        evidence=tuple(evidence),
        findings=tuple(dict.fromkeys(findings)),
        holders=tuple(sorted(holders, key=lambda holder: -(holder.held_bytes or 0))),
        free_disk_bytes=_free_disk_bytes(evidence),
    )


def _join(unified: Pool, ram: Pool) -> Pool:
    """Return the shared pool; its reserve is what a limit of all does not leave free anyway."""
    from whatfits.probes.unified import join_ram  # noqa: PLC0415 - few machines are

    joined = join_ram(unified, ram)
    if joined.limit_scope == "accelerators":
        return joined
    allowance = joined.allowance_bytes
    if allowance is None or ram.allowance_bytes is None or ram.used_bytes is None:
        return joined
    beside_bytes = max(0, ram.allowance_bytes - ram.used_bytes - allowance)
    return replace(joined, reserve_bytes=max(0, ram.reserve_bytes - beside_bytes))


def _joined_evidence(evidence: Sequence[Evidence], joined: Pool) -> list[Evidence]:
    """Return the evidence with the RAM's as facts beside the pool, which is the GPU's."""
    kept = [
        replace(item, key=item.key.removeprefix("pools.")) if item.key.startswith(_OF_RAM) else item
        for item in evidence
        if item.key != _USED
    ]
    source = "what all may hold - the least of what GPU and RAM have free"
    used = joined.used_bytes
    kept.append(Evidence(_USED, used, "bytes", source, "unknown" if used is None else "derived"))
    return kept


def _free_disk_bytes(evidence: Sequence[Evidence]) -> int | None:
    value = next((item.value for item in evidence if item.key == "disk.home.free_bytes"), None)
    return value if isinstance(value, int) else None
