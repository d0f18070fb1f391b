"""`whatfits hardware`: what was read of this machine, from where, how to raise a limit."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from whatfits.sizing.cli.options import Parser, add_output_options
from whatfits.sizing.document import Document, Facts, Lines, Table
from whatfits.sizing.estimate import SCHEMA_VERSION
from whatfits.sizing.explain import machine_sentence
from whatfits.sizing.json_values import dump_json
from whatfits.sizing.units import format_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from whatfits.probes.report import Finding, ProbeReport
    from whatfits.sizing.cli.answers import HardwareAnswer
    from whatfits.sizing.document import Block
    from whatfits.sizing.machine import Machine

__all__ = ["machine_blocks", "run"]


def run(arguments: Sequence[str]) -> int:
    """Run the command; 0, also when a source could not be read (that is a finding)."""
    parser = Parser(command="hardware", description="What was read of this machine.")
    parser.add_argument("--machine", metavar="NAME|FILE", help="show another machine instead")
    parser.add_argument(
        "--doctor",
        action="store_true",
        help="a redacted recording of everything that was read, for a bug report",
    )
    add_output_options(parser)
    options = parser.read(arguments)
    if options.doctor:
        return _doctor()
    from whatfits.probes.report import ProbeReport
    from whatfits.sizing.api import hardware, load_machine

    report = ProbeReport(load_machine(options.machine)) if options.machine else hardware()
    if options.json:
        sys.stdout.write(dump_json(_answer(report)) + "\n")
    else:
        from whatfits.sizing.cli.render import show

        show(_document(report), plain=options.plain)
    return 0


def _doctor() -> int:
    from whatfits.probes.doctor import record

    sys.stdout.write(dump_json(record(), indent=1) + "\n")
    return 0


def _answer(report: ProbeReport) -> HardwareAnswer:
    from whatfits.sizing.cli.answers import HardwareAnswer

    return HardwareAnswer(
        SCHEMA_VERSION,
        report.machine,
        report.evidence,
        report.findings,
        report.holders,
        report.free_disk_bytes,
    )


def machine_blocks(machine: Machine) -> tuple[Block, ...]:
    """Return the machine's pools and devices as tables."""
    pools = tuple(
        (
            pool.id,
            pool.kind,
            _size(pool.total_bytes),
            _size(pool.limit_bytes) if pool.limit_bytes is not None else "none",
            _size(pool.used_bytes),
            format_bytes(pool.reserve_bytes),
            _size(pool.free_bytes),
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


def _document(report: ProbeReport) -> Document:
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
            (holder.name, holder.pool, _size(holder.held_bytes)) for holder in report.holders
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


def _size(size: int | None) -> str:
    return "unknown" if size is None else format_bytes(size)


def _rate(rate: int | None, unit: int, name: str) -> str:
    return "unknown" if rate is None else f"{rate / unit:,.0f} {name}"
