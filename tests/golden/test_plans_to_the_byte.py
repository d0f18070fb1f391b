"""Some dry runs of every model and box, predicted anew: as equal to llama.cpp's as is written.

docs/accuracy.json says of each recorded plan whether weights, cache and compute buffers are equal
to the byte; nearly all are (tests/accuracy). Here a part of the plans of every group is predicted
again, the first and last among them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import pytest
from cases import RECORDS, load, measured
from recorded_plans import read

if TYPE_CHECKING:
    from cases import CaseGroup
    from recorded_plans import PlanGroup

_PLANS_EACH: Final = 4
_PAIRS: Final = [
    (plans, written)
    for kind, record in RECORDS.items()
    for plans, written in zip(read(record), load()[kind], strict=True)
]


@pytest.mark.parametrize(
    ("plans", "written"),
    _PAIRS,
    ids=[f"{group.shape.model}-{group.box.gpus} GPUs-{n}" for n, (group, _) in enumerate(_PAIRS)],
)
def test_a_plan_is_as_near_to_llama_cpps_as_is_written(
    plans: PlanGroup, written: CaseGroup
) -> None:
    last = len(plans.plans) - 1
    chosen = sorted({last * part // (_PLANS_EACH - 1) for part in range(_PLANS_EACH)})
    again = measured(replace(plans, plans=tuple(plans.plans[at] for at in chosen)))
    assert again.cases == tuple(written.cases[at] for at in chosen)
