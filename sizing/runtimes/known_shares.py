"""One model's own memory, kept for all who ask about the model in one answer."""

from __future__ import annotations

from whatfits.sizing.runtimes.model_shares import ModelShares
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from whatfits.sizing.graph.index import Replays
    from whatfits.sizing.model import ModelSpec

__all__ = ["shares_of"]


def shares_of(model: ModelSpec, replays: Replays | None) -> ModelShares:
    """Return one model's own memory: its tensors are grouped once for all who share `replays`."""
    if replays is None:
        return ModelShares(model)
    known = replays.shares.get(id(model))
    if known is None:  # it holds its model, so that no other one gets this identity
        known = replays.shares[id(model)] = ModelShares(model, replays=replays)
    return known
