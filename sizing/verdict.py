"""Does it fit? The verdict is taken from the interval's upper end, pool by pool.

fits: every pool's upper end is free, and all of it lies in the fastest pool there is.
slow: as fits, but weights, experts or cache lie in a slower pool.
tight: only the middle of the interval is free, or only after closing what others hold.
no: beyond that.  unknown: an input is missing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from whatfits.sizing.units import format_bytes

if TYPE_CHECKING:
    from whatfits.sizing.estimate import Memory, Verdict
    from whatfits.sizing.machine import Machine, Pool
    from whatfits.sizing.placement import Placement

__all__ = ["Judgement", "PoolNeed", "judge", "pool_needs"]


class PoolNeed(NamedTuple):
    """What a run takes of one pool."""

    pool: Pool
    total_bytes: int
    high_bytes: int


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict with its reason.

    Attributes:
        verdict: `fits`, `tight`, `slow`, `no` or `unknown`.
        reason: one sentence with the numbers it rests on.
        shortfall_bytes: missing bytes over all pools by the upper end; 0 when it fits.
        notes: what was left out of the judgement, and why.
    """

    verdict: Verdict
    reason: str
    shortfall_bytes: int
    notes: tuple[str, ...] = ()


def pool_needs(memory: Memory, machine: Machine) -> tuple[PoolNeed, ...]:
    """Return the need of each pool that a run touches, in the machine's order of pools."""
    sums: dict[str, tuple[int, int]] = {}
    for row in memory.devices:
        total, high = sums.get(row.pool, (0, 0))
        sums[row.pool] = (total + row.total_bytes, high + row.high_bytes)
    return tuple(PoolNeed(pool, *sums[pool.id]) for pool in machine.pools if pool.id in sums)


def judge(memory: Memory, placement: Placement, machine: Machine) -> Judgement:
    """Return the verdict on one placement."""
    needs = pool_needs(memory, machine)
    spilled = _is_spilled(placement, machine)
    host_pool = placement.host.pool
    notes: list[str] = []
    checked = []
    for need in needs:
        if need.pool.total_bytes is None:
            if need.pool.id == host_pool and placement.accelerators and not spilled:
                notes.append(
                    f"The size of {need.pool.id} is not known and was not checked: "
                    f"it has to hold {format_bytes(need.high_bytes)}."
                )
                continue
            return Judgement("unknown", f"the size of {need.pool.id} is not known", 0)
        checked.append(need)
    return _judge_known(checked, spilled=spilled, notes=tuple(notes))


def _judge_known(needs: list[PoolNeed], *, spilled: bool, notes: tuple[str, ...]) -> Judgement:
    shortfall = sum(max(0, need.high_bytes - (need.pool.free_low_bytes or 0)) for need in needs)
    worst = max(needs, key=lambda need: need.high_bytes - (need.pool.free_low_bytes or 0))
    if all(_at_most(need.high_bytes, need.pool.free_low_bytes) for need in needs):
        return Judgement("slow" if spilled else "fits", _headroom(worst), 0, notes)
    if all(_at_most(need.total_bytes, need.pool.free_bytes) for need in needs):
        if all(_at_most(need.high_bytes, need.pool.free_bytes) for need in needs):
            reason = f"{worst.pool.id} may turn out smaller than {_free_text(worst.pool)}"
        else:
            reason = (
                f"{worst.pool.id} needs {format_bytes(worst.total_bytes)}, and up to "
                f"{format_bytes(worst.high_bytes)} in the worst case, of {_free_text(worst.pool)}"
            )
        return Judgement("tight", reason, shortfall, notes)
    if all(_at_most(need.total_bytes, need.pool.free_when_idle_bytes) for need in needs):
        held = worst.pool.used_bytes
        reason = (
            f"{worst.pool.id}: what other programs hold could not be read"
            if held is None
            else f"{worst.pool.id} is short by "
            f"{format_bytes(worst.total_bytes - (worst.pool.free_bytes or 0))} until other "
            f"programs let go of some of the {format_bytes(held)} they hold"
        )
        return Judgement("tight", reason, shortfall, notes)
    return Judgement("no", _lack(worst), shortfall, notes)


def _at_most(need_bytes: int, free_bytes: int | None) -> bool:
    return free_bytes is not None and need_bytes <= free_bytes


def _is_spilled(placement: Placement, machine: Machine) -> bool:
    """Return whether any layer, expert or cache lies outside the fastest pool there is."""
    fast = {pool.id for pool in machine.pools if pool.kind in ("vram", "unified")}
    usable = {device.pool for device in machine.accelerators if "unusable" not in device.features}
    fast &= usable
    if not fast or placement.host.pool in fast:
        return False
    on_host = None in placement.layer_device or placement.output_device is None
    return on_host or placement.has_overrides or not placement.kv_offload


def _free_text(pool: Pool) -> str:
    return f"{format_bytes(pool.free_bytes or 0)} free"


def _headroom(need: PoolNeed) -> str:
    free = need.pool.free_low_bytes or 0
    return (
        f"{need.pool.id}: up to {format_bytes(need.high_bytes)} of {format_bytes(free)} free, "
        f"{format_bytes(free - need.high_bytes)} to spare"
    )


def _lack(need: PoolNeed) -> str:
    free = need.pool.free_bytes or 0
    return (
        f"{need.pool.id} needs {format_bytes(need.total_bytes)} of {format_bytes(free)} free: "
        f"{format_bytes(need.total_bytes - free)} short"
    )
