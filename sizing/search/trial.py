"""One placement that was tried, and what came of it."""

from __future__ import annotations

from whatfits.sizing.extras import NO_EXTRAS
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import dataclass
from whatfits.sizing.verdict import RUNS

if TYPE_CHECKING:
    from whatfits.sizing.estimate import Memory
    from whatfits.sizing.extras import Extras
    from whatfits.sizing.growth import Growth
    from whatfits.sizing.placement import Placement
    from whatfits.sizing.settings import Settings
    from whatfits.sizing.verdict import Judgement
    from whatfits.sizing.workload import PlacementRequest

__all__ = ["Trial"]


@dataclass(frozen=True, slots=True)
class Trial:
    """One placement, what it takes, and the verdict on it."""

    request: PlacementRequest
    settings: Settings
    placement: Placement
    memory: Memory
    judgement: Judgement
    growth: Growth
    extras: Extras = NO_EXTRAS

    @property
    def runs(self) -> bool:
        """Whether the upper end of every pool is free."""
        return self.judgement.verdict in RUNS
