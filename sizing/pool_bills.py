"""The memory bill pool by pool: what a bar against capacity shows."""

from __future__ import annotations

from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import dataclass
from whatfits.sizing.verdict import PoolNeed, pool_needs

if TYPE_CHECKING:
    from typing import Final

    from whatfits.sizing.estimate import Plan
    from whatfits.sizing.machine import Pool

__all__ = ["PART_LABELS", "PoolBill", "pool_bills"]

# what a pool holds, in the order of a bar, with the words for people
PART_LABELS: Final = {
    "weights": "weights",
    "kv_cache": "context (KV cache)",
    "compute": "compute buffers",
    "output": "output rows",
    "overhead": "runtime overhead",
    "margin": "safety margin",
    "cpu": "the CPU's part",
    "used": "held by other programs",
    "reserve": "kept for the system",
}


@dataclass(frozen=True, slots=True)
class PoolBill:
    """What lies in one pool, and what it can hold.

    Attributes:
        pool: its id.
        label: for people: the devices that compute out of it, and the pool.
        parts: (key of PART_LABELS, bytes) in the order of a bar; the run's own, then the others'.
            Where a limit binds accelerators alone, their parts end with the margin: they may reach
            the limit, the whole bar what is installed.
        needs: what bounds the run here, see `pool_needs`; the whole pool last.
        limit_bytes: what may be used at most, from the lower end; None when unknown.
        installed_bytes: capacity; None when unknown.
        is_limited: less may be used than is installed.
    """

    pool: str
    label: str
    parts: tuple[tuple[str, int], ...]
    needs: tuple[PoolNeed, ...]
    limit_bytes: int | None
    installed_bytes: int | None
    is_limited: bool

    @property
    def total_bytes(self) -> int:
        """Middle of what the run takes."""
        return self.needs[-1].total_bytes

    @property
    def high_bytes(self) -> int:
        """Upper end of what the run takes."""
        return self.needs[-1].high_bytes

    @property
    def tightest(self) -> PoolNeed:
        """The bound that leaves least."""
        return min(self.needs, key=lambda need: need.spare_low_bytes or 0)

    @property
    def spare_bytes(self) -> int | None:
        """What is left free at the upper end of the need; negative when short."""
        return self.tightest.spare_low_bytes

    @property
    def short_bytes(self) -> int:
        """What is missing by the middle of need and room; 0 when nothing is."""
        return max(_short(need) for need in self.needs)

    @property
    def overflows(self) -> bool:
        """Whether the upper end of the need is more than is free."""
        return self.spare_bytes is not None and self.spare_bytes < 0

    @property
    def bar_bytes(self) -> int:
        """How long the bar is: every part together."""
        return sum(size for _, size in self.parts)


def pool_bills(plan: Plan) -> tuple[PoolBill, ...]:
    """Return one bill for each pool that the run touches, in the machine's order of pools."""
    needs: dict[str, list[PoolNeed]] = {}
    for need in pool_needs(plan.memory, plan.machine):
        needs.setdefault(need.pool.id, []).append(need)
    return tuple(_bill(tuple(bounds), plan) for bounds in needs.values())


def _bill(needs: tuple[PoolNeed, ...], plan: Plan) -> PoolBill:
    first, whole = needs[0], needs[-1]
    pool = first.pool
    cpus = {device.id for device in plan.machine.devices if device.kind == "cpu"}
    rows = [
        row
        for row in plan.memory.devices
        if row.pool == pool.id and not (len(needs) > 1 and row.device in cpus)
    ]
    own = tuple(
        (part, sum(getattr(row, f"{part}_bytes") for row in rows))
        for part in ("weights", "kv_cache", "compute", "output", "overhead")
    )
    beside = (
        ("margin", first.high_bytes - first.total_bytes),
        ("cpu", whole.high_bytes - first.high_bytes),
        ("used", pool.used_bytes or 0),
        ("reserve", pool.reserve_bytes),
    )
    return PoolBill(
        pool=pool.id,
        label=_label(pool, plan),
        parts=(*own, *beside),
        needs=needs,
        limit_bytes=pool.allowance_low_bytes,
        installed_bytes=pool.total_bytes,
        is_limited=pool.allowance_bytes != pool.total_bytes,
    )


def _short(need: PoolNeed) -> int:
    """Return what a pool lacks: as it is now, or as when idle where its use is not known."""
    pool = need.pool
    free = pool.free_when_idle_bytes if pool.free_bytes is None else pool.free_bytes
    return 0 if free is None else max(0, need.total_bytes - free)


def _label(pool: Pool, plan: Plan) -> str:
    """Return the pool's id with the name of the accelerator that has it to itself."""
    if pool.kind == "ram":
        return "RAM"
    names = [device.name for device in plan.machine.accelerators if device.pool == pool.id]
    kind = "unified memory" if pool.kind == "unified" else pool.id
    return f"{names[0]}, {kind}" if names else kind
