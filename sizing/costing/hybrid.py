"""Some requests to the cloud, the rest to the machine: cost against the share that is sent.

cost over that of the cloud alone = s + (1 - s) x w + r
s: share of tokens sent to the cloud. w: what the rest costs here in electricity of the work, over
the cloud's price for it. r: what the machine costs a day whatever it does, over the cloud's price
of the day. Cheaper than the cloud alone while s < 1 - r / (1 - w).
Source: the cost model of a router with a strong and a weak model, as in RouteLLM (arXiv 2406.18665)
and Hybrid LLM (arXiv 2404.14618); r also holds what running a router would cost, where it does.
How good the answers are at a share is not computed: it is a matter of the requests, and published
results stand beside this with the settings they were had in.
"""

from __future__ import annotations

from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import dataclass

if TYPE_CHECKING:
    from typing import Final

    from whatfits.sizing.costing.cloud import CloudDay
    from whatfits.sizing.costing.local import LocalDay

__all__ = ["Hybrid", "HybridRow", "break_even_share", "cost_ratio", "hybrid_of"]

_SHARES: Final = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9)


@dataclass(frozen=True, slots=True)
class HybridRow:
    """One share.

    Attributes:
        cloud_share: part of the tokens that is sent to the cloud.
        cost_ratio: cost over that of the cloud alone.
        usd_per_day: on an average day.
        machine_can: whether the machine can do the rest, at its middle speed.
    """

    cloud_share: float
    cost_ratio: float
    usd_per_day: float
    machine_can: bool


@dataclass(frozen=True, slots=True)
class Hybrid:
    """Cost against the share sent to the cloud.

    Attributes:
        work_ratio: w, electricity of the work over the cloud's price for the same tokens.
        fixed_ratio: r, what the machine costs in any case over the cloud's price of the day.
        break_even_share: above it the cloud alone is cheaper; None where it always is.
        rows: some shares.
    """

    work_ratio: float
    fixed_ratio: float
    break_even_share: float | None
    rows: tuple[HybridRow, ...]


def cost_ratio(cloud_share: float, *, work_ratio: float, fixed_ratio: float) -> float:
    """Return the cost over that of the cloud alone."""
    return cloud_share + (1 - cloud_share) * work_ratio + fixed_ratio


def break_even_share(*, work_ratio: float, fixed_ratio: float) -> float | None:
    """Return the share sent at which both cost the same; None where the cloud alone is cheaper."""
    if work_ratio >= 1:
        return None
    share = 1 - fixed_ratio / (1 - work_ratio)
    return share if share >= 0 else None


def hybrid_of(local: LocalDay, cloud: CloudDay) -> Hybrid | None:
    """Return the costs at some shares; None where the machine's are unknown or the cloud's 0."""
    work, fixed, whole = local.work_usd_per_day, local.fixed_usd_per_day, cloud.usd_per_day
    if work is None or fixed is None or not whole:
        return None
    ratios = {"work_ratio": work / whole, "fixed_ratio": fixed / whole}
    rows = []
    for share in _SHARES:
        ratio = cost_ratio(share, **ratios)
        can = (local.utilisation or 0.0) * (1 - share) <= 1
        rows.append(HybridRow(share, ratio, ratio * whole, machine_can=can))
    return Hybrid(**ratios, break_even_share=break_even_share(**ratios), rows=tuple(rows))
