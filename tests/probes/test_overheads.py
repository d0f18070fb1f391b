"""Real loads narrow or widen what the next answer allows for, by a law."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st
from recorded_load import RECORD

from whatfits.probes.measurements import MeasurementStore, fingerprint
from whatfits.probes.overheads import measured_report, with_measured_overheads
from whatfits.probes.report import ProbeReport
from whatfits.sizing.api import check
from whatfits.sizing.machine import Device, Machine, Pool
from whatfits.sizing.overhead import device_overhead, overhead_of, process_overhead
from whatfits.sizing.units import GIB, MIB

if TYPE_CHECKING:
    from pathlib import Path

    from whatfits.probes.measurements import LoadRecord

CARD = Device("cuda0", "cuda", "RTX 4090", "vram0")
HOST = Device("cpu", "cpu", "x86-64", "ram")
MACHINE = Machine(
    pools=(Pool("vram0", "vram", 24 * GIB), Pool("ram", "ram", 64 * GIB)), devices=(CARD, HOST)
)
SIZES = st.lists(st.integers(100 * MIB, 4 * GIB), min_size=3, max_size=20)


def _loads(device: Device, overheads: list[int]) -> list[LoadRecord]:
    predicted = 4 * GIB
    return [
        replace(
            RECORD,
            when=f"2026-11-{1 + number:02}T10:00:00+00:00",
            device=device.id,
            device_kind=device.kind,
            predicted_bytes=predicted,
            measured_bytes=predicted + size,
        )
        for number, size in enumerate(overheads)
    ]


def _width(machine: Machine, device: Device) -> int:
    known = overhead_of(machine, device, is_server=True)
    return known.high_bytes - known.low_bytes


@given(SIZES)
def test_the_interval_holds_every_load_it_came_from(sizes: list[int]) -> None:
    known = with_measured_overheads(MACHINE, _loads(CARD, sizes)).overheads[0]
    assert known.device == "cuda0"
    assert 0 <= known.low_bytes <= known.mid_bytes <= known.high_bytes
    assert all(known.low_bytes <= max(0, size) <= known.high_bytes for size in sizes)


@given(SIZES, st.integers(100 * MIB, 4 * GIB))
def test_a_further_load_never_narrows_the_interval_unless_it_agrees(
    sizes: list[int], further: int
) -> None:
    before = with_measured_overheads(MACHINE, _loads(CARD, sizes)).overheads[0]
    after = with_measured_overheads(MACHINE, _loads(CARD, [*sizes, further])).overheads[0]
    assert after.low_bytes <= before.low_bytes
    assert after.high_bytes >= before.high_bytes
    if min(sizes) <= further <= max(sizes):
        assert (after.low_bytes, after.high_bytes) == (before.low_bytes, before.high_bytes)


def test_two_loads_are_not_enough() -> None:
    assert with_measured_overheads(MACHINE, _loads(CARD, [MIB, MIB])).overheads == ()
    assert overhead_of(MACHINE, CARD, is_server=True) == device_overhead("cuda")


def test_loads_that_were_measured_without_the_cards_context_are_left_out() -> None:
    # a CUDA context alone takes more; such loads were measured after it was there
    late = _loads(CARD, [60 * MIB] * 3)
    assert with_measured_overheads(MACHINE, late).overheads == ()
    whole = _loads(CARD, [610 * MIB] * 3)
    (known,) = with_measured_overheads(MACHINE, [*late, *whole]).overheads
    assert known.low_bytes == (610 - 140) * MIB
    of_host = with_measured_overheads(MACHINE, _loads(HOST, [9 * MIB] * 3))
    assert [each.device for each in of_host.overheads] == ["cpu"]


def test_loads_that_agree_narrow_and_loads_that_do_not_widen() -> None:
    stock = _width(MACHINE, CARD)
    close = with_measured_overheads(MACHINE, _loads(CARD, [450 * MIB, 452 * MIB, 451 * MIB]))
    apart = with_measured_overheads(MACHINE, _loads(CARD, [100 * MIB, 900 * MIB, 450 * MIB]))
    assert _width(close, CARD) < stock < _width(apart, CARD)


def test_a_device_keeps_to_its_own_loads() -> None:
    machine = with_measured_overheads(MACHINE, _loads(CARD, [300 * MIB] * 3))
    assert overhead_of(machine, HOST, is_server=True) == process_overhead(is_server=True)
    assert overhead_of(machine, CARD, is_server=True).mid_bytes == 300 * MIB


def test_the_library_adds_nothing_to_the_host_whatever_was_measured() -> None:
    machine = with_measured_overheads(MACHINE, _loads(HOST, [30 * MIB] * 3))
    assert overhead_of(machine, HOST, is_server=False).high_bytes == 0


def test_the_next_answer_has_the_measured_overhead_and_nothing_else_of_it_moves() -> None:
    loads = [*_loads(CARD, [450 * MIB] * 3), *_loads(HOST, [9 * MIB] * 3)]
    before = check("llama-3.1-8b", machine=MACHINE).memory
    plan = check("llama-3.1-8b", machine=with_measured_overheads(MACHINE, loads))
    after = plan.memory
    assert after.overhead_bytes == 459 * MIB
    assert after.high_bytes - after.low_bytes < before.high_bytes - before.low_bytes
    for part in ("weights_bytes", "kv_cache_bytes", "compute_bytes", "output_bytes"):
        assert getattr(after, part) == getattr(before, part)
    basis = next(b for b in plan.basis if b.key == "memory.overhead_bytes")
    assert "3 real loads on this machine, the last on 2026-11-03" in basis.source


def test_the_report_says_how_many_loads_there_were_and_when(tmp_path: Path) -> None:
    path = tmp_path / "measurements.json"
    report = ProbeReport(MACHINE)
    assert measured_report(report, path) == report
    here = fingerprint(MACHINE)
    loads = [replace(load, machine=here) for load in _loads(CARD, [450 * MIB] * 3)]
    MeasurementStore(path).add(loads[:1])
    few = measured_report(report, path)
    assert few.findings[0].code == "loads_measured"
    assert few.findings[0].text.startswith("1 real load measured on this machine, the last on 2026")
    assert few.machine == MACHINE
    MeasurementStore(path).add(loads[1:])
    enough = measured_report(report, path)
    assert "3 real loads" in enough.findings[0].text
    assert "cuda0 310 to 590 MiB" in enough.findings[0].text
    assert enough.machine.overheads[0].device == "cuda0"


def test_the_report_names_a_file_that_cannot_be_used(tmp_path: Path) -> None:
    path = tmp_path / "measurements.json"
    path.write_text("{")
    report = measured_report(ProbeReport(MACHINE), path)
    assert report.machine == MACHINE
    assert report.findings[0].severity == "warning"
    assert str(path) in report.findings[0].text
