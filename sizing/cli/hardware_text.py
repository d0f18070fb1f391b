"""A machine and what backs it, in words and tables."""

from __future__ import annotations

from whatfits.sizing.document import Document, Facts, Lines, Table
from whatfits.sizing.explain import free_text, machine_sentence
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.units import format_bytes, size_text

if TYPE_CHECKING:
    from whatfits.probes.report import Finding, ProbeReport
    from whatfits.sizing.document import Block
    from whatfits.sizing.machine import Machine, Pool

__all__ = ["hardware_document", "machine_blocks"]


def machine_blocks(machine: Machine) -> tuple[Block, ...]:
    """Return the machine's pools and devices as tables."""
    pools = tuple(
        (
            pool.id,
            pool.kind,
            size_text(pool.total_bytes),
            _limit(pool),
            size_text(pool.used_bytes),
            format_bytes(pool.reserve_bytes),
            free_text(pool),
        )
        for pool in machine.pools
    )
    devices = tuple(
        (
            device.id,
            device.kind,
            device.name,
            device.pool,
            _rate(device.bandwidth_bytes_per_s, 10**9, "GB/s"),
            _rate(device.fp16_flops_per_s, 10**12, "TFLOP/s"),
        )
        for device in machine.devices
    )
    columns = ("pool", "kind", "total", "limit", "held by others", "kept free", "free")
    names = ("device", "kind", "name", "pool", "bandwidth", "FP16")
    return (
        Table(columns, pools, title="Memory", right=columns[2:]),
        Table(names, devices, title="Devices", right=names[4:]),
    )


def hardware_document(report: ProbeReport) -> Document:
    """Return a report as a document: machine, memory, devices, findings, evidence."""
    machine = report.machine
    facts = [("Machine", f"{machine.name}: {machine_sentence(machine)}")]
    if machine.os:
        facts.append(("System", f"{machine.os} {machine.os_version or ''}".strip()))
    facts += [
        ("Limit", f"{pool.id}: {pool.limit_source}") for pool in machine.pools if pool.limit_source
    ]
    if report.free_disk_bytes is not None:
        facts.append(("Free disk", format_bytes(report.free_disk_bytes)))
    blocks: list[Block] = [Facts(tuple(facts)), *machine_blocks(machine)]
    if report.holders:
        holders = tuple(
            (holder.name, holder.pool, size_text(holder.held_bytes)) for holder in report.holders
        )
        blocks.append(
            Table(
                ("program", "pool", "holds"), holders, title="Holding GPU memory", right=("holds",)
            )
        )
    if report.findings:
        blocks.append(Lines(tuple(_finding(f) for f in report.findings), title="Findings"))
    if report.evidence:
        evidence = tuple(
            (item.key, "unknown" if item.value is None else str(item.value), item.kind, item.source)
            for item in report.evidence
        )
        blocks.append(Table(("value", "reading", "kind", "source"), evidence, title="Evidence"))
    return Document(tuple(blocks))


def _finding(finding: Finding) -> str:
    text = f"{finding.severity}: {finding.text}"
    return f"{text} Next: {finding.next_step}" if finding.next_step else text


def _limit(pool: Pool) -> str:
    if pool.limit_bytes is None:
        return "none"
    of_gpu = " for the GPU" if pool.limit_scope == "accelerators" else ""
    return f"{size_text(pool.limit_bytes)}{of_gpu}"


def _rate(rate: int | None, unit: int, name: str) -> str:
    return "unknown" if rate is None else f"{rate / unit:,.0f} {name}"
