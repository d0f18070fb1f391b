"""One machine out of many sources: shared memory once, the host last, nothing without a pool."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from whatfits.probes.assemble import assemble
from whatfits.probes.report import Evidence, Finding, Holder, Partial
from whatfits.sizing.machine import Device, Pool
from whatfits.sizing.reserve import LIVE_RAM_RESERVE_BYTES
from whatfits.sizing.units import GIB

if TYPE_CHECKING:
    from whatfits.probes.report import ProbeReport

CPU = Device("cpu", "cpu", "A CPU", "ram")
GPU = Device("metal", "metal", "A GPU", "unified")


def built(*parts: Partial) -> ProbeReport:
    return assemble(parts, platform="linux", os_version=None)


def test_with_no_source_at_all_there_is_still_a_host() -> None:
    report = built()
    assert report.machine.host is not None
    assert report.machine.pool("ram").total_bytes is None


def test_the_host_comes_last() -> None:
    card = Device("cuda0", "cuda", "A card", "vram0")
    report = built(
        Partial(devices=(CPU,), pools=(Pool("ram", "ram", GIB),)),
        Partial(devices=(card,), pools=(Pool("vram0", "vram", GIB),)),
    )
    assert [device.id for device in report.machine.devices] == ["cuda0", "cpu"]


def test_the_cpu_moves_onto_shared_memory() -> None:
    report = built(
        Partial(devices=(CPU,), pools=(Pool("ram", "ram", 64 * GIB, used_bytes=8 * GIB),)),
        Partial(devices=(GPU,), pools=(Pool("unified", "unified", 64 * GIB, used_bytes=0),)),
    )
    assert [pool.id for pool in report.machine.pools] == ["unified"]
    assert {device.pool for device in report.machine.devices} == {"unified"}


GIBS = st.integers(min_value=1, max_value=512)


@given(total=GIBS, limit=GIBS, held=GIBS, container=st.one_of(st.none(), GIBS))
def test_shared_memory_is_free_where_limit_others_and_container_all_leave_it(
    total: int, limit: int, held: int, container: int | None
) -> None:
    """Free = min(GPU limit, container, total - held - reserve), never more, never below zero."""
    held = min(held, total)
    ram_limit = None if container is None else min(container, total) * GIB
    ram_allowance = total * GIB if ram_limit is None else ram_limit
    available = min(ram_allowance, (total - held) * GIB)
    ram = Pool(
        "ram",
        "ram",
        total * GIB,
        limit_bytes=ram_limit,
        used_bytes=ram_allowance - available,
        reserve_bytes=LIVE_RAM_RESERVE_BYTES,
    )
    gpu_allowance = min(limit, total) * GIB
    gpu_used = max(0, gpu_allowance - (total - held) * GIB)
    unified = Pool("unified", "unified", total * GIB, limit_bytes=limit * GIB, used_bytes=gpu_used)
    report = built(Partial(devices=(CPU,), pools=(ram,)), Partial(devices=(GPU,), pools=(unified,)))
    pool = report.machine.pool("unified")
    room = min(gpu_allowance, available - LIVE_RAM_RESERVE_BYTES)
    if container is None:
        assert pool.free_bytes == max(0, room)
    else:
        assert pool.free_bytes is not None
        assert pool.free_bytes <= max(0, min(gpu_allowance, available))


def test_what_was_read_of_the_ram_stays_known_beside_shared_memory() -> None:
    ram = Partial(
        devices=(CPU,),
        pools=(Pool("ram", "ram", GIB),),
        evidence=(Evidence("pools.ram.total_bytes", GIB, "bytes", "a file", "reported"),),
    )
    gpu = Partial(devices=(GPU,), pools=(Pool("unified", "unified", GIB),))
    keys = [item.key for item in built(ram, gpu).evidence]
    assert keys == ["ram.total_bytes", "pools.unified.used_bytes"]


def test_the_same_finding_of_two_sources_is_said_once() -> None:
    finding = Finding("a_code", "info", "A sentence.")
    assert built(Partial(findings=(finding,)), Partial(findings=(finding,))).findings == (finding,)


def test_who_holds_most_comes_first() -> None:
    holders = tuple(
        Holder("vram0", name, None, held) for name, held in (("a", 1), ("b", None), ("c", 9))
    )
    assert [holder.name for holder in built(Partial(holders=holders)).holders] == ["c", "a", "b"]
