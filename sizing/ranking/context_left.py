"""The longest context of a row of a ranking: asked for where it is shown, for it takes long."""

from __future__ import annotations

from whatfits.sizing.search.trials import Trials
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import replace
from whatfits.sizing.workload import PlacementRequest

if TYPE_CHECKING:
    from whatfits.sizing.machine import Machine
    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.ranking.rows import RankedModel
    from whatfits.sizing.workload import Workload

__all__ = ["with_longest_context"]


def with_longest_context(
    row: RankedModel, spec: ModelSpec, machine: Machine, workload: Workload
) -> RankedModel:
    """Return a row with the longest context that runs, as `check` says it of the same request.

    `spec` is the row's model under the row's file type.
    """
    trials = Trials(spec, machine, workload, PlacementRequest())
    return replace(row, largest_context_tokens=trials.largest_context(trials.best()))
