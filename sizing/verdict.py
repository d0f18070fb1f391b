"""Does it fit? The verdict is taken from the interval's upper end, pool by pool.

fits: every pool's upper end is free, and all of it lies in the fastest pool there is.
slow: as fits, but weights, experts or cache lie in a slower pool.
tight: only the middle of the interval is free, or only after closing what others hold.
no: beyond that.  unknown: an input is missing.
"""

from __future__ import annotations

from whatfits.sizing.named_tuples import NamedTuple
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.units import format_bytes
from whatfits.sizing.values import dataclass
from whatfits.sizing.weights import NOTHING_BY_NAME

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Final

    from whatfits.sizing.estimate import Memory, Verdict
    from whatfits.sizing.machine import Machine, Pool
    from whatfits.sizing.placement import Placement
    from whatfits.sizing.weights import HostByName

__all__ = [
    "MAY_RUN",
    "RUNS",
    "VERDICT_ORDER",
    "Judgement",
    "PoolNeed",
    "bounds_of",
    "is_more_than_all",
    "judge",
    "pool_needs",
    "spilled_of",
]

# best first
VERDICT_ORDER: Final[dict[Verdict, int]] = {"fits": 0, "slow": 1, "tight": 2, "no": 3, "unknown": 4}
RUNS: Final = frozenset({"fits", "slow"})
MAY_RUN: Final = frozenset({"fits", "slow", "tight"})


class PoolNeed(NamedTuple):
    """What a run takes of one pool, or its accelerators of what they may have of it.

    In the latter case `pool.limit_scope` is `accelerators`.
    """

    pool: Pool
    total_bytes: int
    high_bytes: int

    @property
    def spare_low_bytes(self) -> int | None:
        """What is surely left at the upper end of the need; None where it is not known."""
        free = self.pool.free_low_bytes
        return None if free is None else free - self.high_bytes

    @property
    def label(self) -> str:
        """The pool, or whose part of it, in words."""
        is_part = self.pool.limit_scope == "accelerators"
        return f"the GPU's part of {self.pool.id}" if is_part else self.pool.id


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
    """Return the need of each pool that a run touches, in the machine's order of pools.

    Where a limit binds accelerators alone, their need comes first, then that of all devices. Metal
    wraps the mapped file from the first to the last of its tensors: weights of the host that lie
    between them may count against its limit too, and do so at the upper end.
    Source: llama.cpp (0c1e57098) llama-model.cpp:load_tensors, buffer_from_host_ptr over
    llama_model_loader::get_mapping_range.
    """
    cpus = {device.id for device in machine.devices if device.kind == "cpu"}
    wraps = {device.id for device in machine.devices if device.kind == "metal"}
    needs: list[PoolNeed] = []
    for pool in machine.pools:
        rows = [row for row in memory.devices if row.pool == pool.id]
        for bound, at in bounds_of(pool, [row.device in cpus for row in rows]):
            total = sum(rows[index].total_bytes for index in at)
            high = sum(rows[index].high_bytes for index in at)
            if bound.limit_scope == "accelerators" and memory.mapped_bytes:
                wrapping = any(row.device in wraps and row.weights_bytes for row in rows)
                high += sum(row.weights_bytes for row in rows if wrapping and row.device in cpus)
            needs.append(PoolNeed(bound, total, high))
    return tuple(needs)


def bounds_of(pool: Pool, are_cpus: Sequence[bool]) -> Iterator[tuple[Pool, list[int]]]:
    """Yield what bounds the devices in a pool: the pool as they may fill it, and which they are.

    `are_cpus` says of each of them whether it is a CPU. A limit of accelerators alone binds their
    part; all of them together are bound by the rest. Nothing is yielded for no device.
    """
    if pool.limit_scope == "accelerators" and not all(are_cpus):
        yield pool, [index for index, is_cpu in enumerate(are_cpus) if not is_cpu]
    if are_cpus:
        yield pool.whole, [*range(len(are_cpus))]


def is_more_than_all(n_bytes: int, machine: Machine) -> bool:
    """Return whether so much is more than all there is when nobody else holds anything.

    Then the verdict is no, whatever lies where.
    """
    free = [pool.whole.free_when_idle_bytes for pool in machine.pools]
    return None not in free and n_bytes > sum(room or 0 for room in free)


def judge(
    memory: Memory,
    placement: Placement,
    machine: Machine,
    *,
    by_name: HostByName = NOTHING_BY_NAME,
) -> Judgement:
    """Return the verdict on one placement; `by_name` is what names put on the host."""
    needs = pool_needs(memory, machine)
    has_cache = memory.kv_cache_bytes > 0
    spilled = spilled_of(placement, machine, by_name=by_name, has_cache=has_cache)
    host_pool = placement.host.pool
    notes: list[str] = []
    checked = []
    for need in needs:
        if need.pool.total_bytes is None:
            if need.pool.id == host_pool and placement.accelerators and spilled is None:
                notes.append(
                    f"The size of {need.pool.id} is not known and was not checked: "
                    f"it has to hold {format_bytes(need.high_bytes)}."
                )
                continue
            return Judgement("unknown", f"the size of {need.pool.id} is not known", 0)
        checked.append(need)
    return _judge_known(checked, spilled=spilled, notes=tuple(notes))


def _judge_known(
    needs: list[PoolNeed], *, spilled: str | None, notes: tuple[str, ...]
) -> Judgement:
    shortfall = _shortfall_bytes(needs)
    if all(_at_most(need.high_bytes, need.pool.free_low_bytes) for need in needs):
        worst = max(needs, key=lambda need: need.high_bytes - (need.pool.free_low_bytes or 0))
        if spilled is None:
            return Judgement("fits", _headroom(worst), 0, notes)
        return Judgement("slow", f"{spilled}; {_headroom(worst)}", 0, notes)
    if all(_at_most(need.total_bytes, need.pool.free_bytes) for need in needs):
        return Judgement("tight", _doubt(needs), shortfall, notes)
    if all(_at_most(need.total_bytes, need.pool.free_when_idle_bytes) for need in needs):
        return Judgement("tight", _held(needs), shortfall, notes)
    worst = max(needs, key=lambda need: need.total_bytes - (need.pool.free_when_idle_bytes or 0))
    return Judgement("no", _lack(worst), shortfall, notes)


def _shortfall_bytes(needs: list[PoolNeed]) -> int:
    """Return what is missing over all pools; two bounds of one pool lack the same bytes once."""
    missing: dict[str, int] = {}
    for need in needs:
        lack = need.high_bytes - (need.pool.free_low_bytes or 0)
        missing[need.pool.id] = max(missing.get(need.pool.id, 0), lack)
    return sum(missing.values())


def _doubt(needs: list[PoolNeed]) -> str:
    """Return why a middle that fits is no promise: the need or the pool is uncertain."""
    worst = max(needs, key=lambda need: need.high_bytes - (need.pool.free_bytes or 0))
    if _at_most(worst.high_bytes, worst.pool.free_bytes):
        worst = max(needs, key=lambda need: need.high_bytes - (need.pool.free_low_bytes or 0))
        return f"{worst.label} may turn out smaller than {_free_text(worst.pool)}"
    return (
        f"{worst.label} needs {format_bytes(worst.total_bytes)}, and up to "
        f"{format_bytes(worst.high_bytes)} in the worst case, of {_free_text(worst.pool)}"
    )


def _held(needs: list[PoolNeed]) -> str:
    """Return what has to be let go of before it fits."""
    worst = max(needs, key=lambda need: need.total_bytes - (need.pool.free_bytes or 0))
    pool = worst.pool
    if pool.used_bytes is None:
        return f"{pool.id}: what other programs hold could not be read"
    lack = format_bytes(worst.total_bytes - (pool.free_bytes or 0))
    return (
        f"{worst.label} is short by {lack} until "
        f"other programs let go of some of the {format_bytes(pool.used_bytes)} they hold"
    )


def _at_most(need_bytes: int, free_bytes: int | None) -> bool:
    return free_bytes is not None and need_bytes <= free_bytes


def spilled_of(
    placement: Placement,
    machine: Machine,
    *,
    by_name: HostByName = NOTHING_BY_NAME,
    has_cache: bool = True,
) -> str | None:
    """Return what lies outside the fastest pool there is, in words; None when nothing does."""
    fast = {pool.id for pool in machine.pools if pool.kind in ("vram", "unified")}
    usable = {device.pool for device in machine.accelerators if device.is_usable}
    fast &= usable
    slow = placement.host.pool
    if not fast or slow in fast:
        return None
    places = (*placement.layer_device, placement.output_device)
    on_host = places.count(None)
    if on_host:
        return f"{on_host} of {len(places)} layers are in {slow}"
    if by_name.expert_layers:
        layers = "layer" if by_name.expert_layers == 1 else "layers"
        return f"the experts of {by_name.expert_layers} {layers} are in {slow}"
    if by_name.others:
        return f"tensors placed by name are in {slow}"
    return f"the cache is in {slow}" if has_cache and not placement.kv_offload else None


def _free_text(pool: Pool) -> str:
    return f"{format_bytes(pool.free_bytes or 0)} free"


def _headroom(need: PoolNeed) -> str:
    free = need.pool.free_low_bytes or 0
    return (
        f"{need.label}: up to {format_bytes(need.high_bytes)} of {format_bytes(free)} free, "
        f"{format_bytes(free - need.high_bytes)} to spare"
    )


def _lack(need: PoolNeed) -> str:
    pool = need.pool
    free = pool.free_when_idle_bytes if pool.free_bytes is None else pool.free_bytes
    return (
        f"{need.label} needs {format_bytes(need.total_bytes)} of {format_bytes(free or 0)} free: "
        f"{format_bytes(need.total_bytes - (free or 0))} short"
    )
