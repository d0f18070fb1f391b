"""The accuracy record in one row a kind, as the page about the method shows it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from plan_sections import tally

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cases import CaseGroup

PATH: Final = Path(__file__).parents[2] / "webapp" / "accuracy.json"
_TITLES: Final = {
    "suite": "every architecture, on the CPU",
    "offload": "layers, experts and cache on GPUs",
}


def summary(groups: Mapping[str, Sequence[CaseGroup]]) -> list[dict[str, Any]]:
    """Return one row a kind: cases, and how many were equal to the byte."""
    rows = []
    for kind, title in _TITLES.items():
        found = tally([case for group in groups[kind] for case in group.compared])
        rows.append(
            {
                "what": title,
                "cases": found.cases,
                "weights_exact": found.weights,
                "kv_cache_exact": found.cache,
                "compute_exact": found.compute,
                "compute_inside": found.inside,
            }
        )
    return rows


def text(groups: Mapping[str, Sequence[CaseGroup]]) -> str:
    """Return the file as it should be."""
    return json.dumps(summary(groups), indent=1) + "\n"
