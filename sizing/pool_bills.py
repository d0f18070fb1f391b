"""The memory bill pool by pool: what a bar against capacity shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from whatfits.sizing.values import dataclass

if TYPE_CHECKING:
    from whatfits.sizing.estimate import DeviceMemory, Plan
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
        total_bytes: middle of what the run takes.
        high_bytes: upper end of what the run takes.
        limit_bytes: what may be used at most, from the lower end; None when unknown.
        installed_bytes: capacity; None when unknown.
        free_bytes: what the run may take, from the lower end; None when unknown.
        is_limited: less may be used than is installed.
        short_bytes: what is missing by the middle of need and room; 0 when nothing is.
    """

    pool: str
    label: str
    parts: tuple[tuple[str, int], ...]
    total_bytes: int
    high_bytes: int
    limit_bytes: int | None
    installed_bytes: int | None
    free_bytes: int | None
    is_limited: bool
    short_bytes: int

    @property
    def spare_bytes(self) -> int | None:
        """What is left free at the upper end of the need; negative when short."""
        return None if self.free_bytes is None else self.free_bytes - self.high_bytes

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
    rows: dict[str, list[DeviceMemory]] = {}
    for row in plan.memory.devices:
        rows.setdefault(row.pool, []).append(row)
    return tuple(_bill(pool, rows[pool.id], plan) for pool in plan.machine.pools if pool.id in rows)


def _bill(pool: Pool, rows: list[DeviceMemory], plan: Plan) -> PoolBill:
    total = sum(row.total_bytes for row in rows)
    high = sum(row.high_bytes for row in rows)
    own = tuple(
        (part, sum(getattr(row, f"{part}_bytes") for row in rows))
        for part in ("weights", "kv_cache", "compute", "output", "overhead")
    )
    beside = (
        ("margin", high - total),
        ("used", pool.used_bytes or 0),
        ("reserve", pool.reserve_bytes),
    )
    return PoolBill(
        pool=pool.id,
        label=_label(pool, plan),
        parts=(*own, *beside),
        total_bytes=total,
        high_bytes=high,
        limit_bytes=pool.allowance_low_bytes,
        installed_bytes=pool.total_bytes,
        free_bytes=pool.free_low_bytes,
        is_limited=pool.allowance_bytes != pool.total_bytes,
        short_bytes=_short(total, pool),
    )


def _short(total_bytes: int, pool: Pool) -> int:
    """Return what a pool lacks: as it is now, or as when idle where its use is not known."""
    free = pool.free_when_idle_bytes if pool.free_bytes is None else pool.free_bytes
    return 0 if free is None else max(0, total_bytes - free)


def _label(pool: Pool, plan: Plan) -> str:
    """Return the pool's id with the name of the accelerator that has it to itself."""
    if pool.kind == "ram":
        return "RAM"
    names = [device.name for device in plan.machine.accelerators if device.pool == pool.id]
    kind = "unified memory" if pool.kind == "unified" else pool.id
    return f"{names[0]}, {kind}" if names else kind
