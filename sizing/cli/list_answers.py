"""The JSON answers of `list` and of `whatfits` alone: what brings more with it is in `answers`."""

from __future__ import annotations

from whatfits.sizing.machine import Machine
from whatfits.sizing.ranking import RankedModel
from whatfits.sizing.values import dataclass

__all__ = ["HomeAnswer", "ListAnswer"]


@dataclass(frozen=True, slots=True)
class ListAnswer:
    """`whatfits list`, and `whatfits` alone: models on a machine, and the rule they came by."""

    schema_version: str
    machine: Machine
    rule: str
    models: tuple[RankedModel, ...]


@dataclass(frozen=True, slots=True)
class HomeAnswer(ListAnswer):
    """`whatfits` alone: the biggest models, and the biggest that write faster than people read."""

    quick_rule: str
    quick_models: tuple[RankedModel, ...]
