"""One request under MLX, worked out."""

from __future__ import annotations

from whatfits.sizing.named_tuples import NamedTuple
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.verdict import RUNS

if TYPE_CHECKING:
    from whatfits.sizing.estimate import Memory
    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.placement import Placement
    from whatfits.sizing.runtimes.mlx_memory import MlxBill
    from whatfits.sizing.runtimes.mlx_settings import MlxSettings
    from whatfits.sizing.verdict import Judgement

__all__ = ["MlxTrial"]


class MlxTrial(NamedTuple):
    """One request worked out: what it takes, and the verdict on it."""

    model: ModelSpec
    settings: MlxSettings
    placement: Placement
    bill: MlxBill
    memory: Memory
    judgement: Judgement

    @property
    def runs(self) -> bool:
        """Whether the upper end of every pool is free."""
        return self.judgement.verdict in RUNS
