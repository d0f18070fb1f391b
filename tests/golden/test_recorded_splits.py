"""Splits chosen where llama.cpp's own does not hold: its dry runs take what is predicted."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from record_splits import planned
from recorded_plans import SPLITS, read

from whatfits.sizing.sources.catalog_model import load_catalog_model

if TYPE_CHECKING:
    from recorded_plans import PlanGroup

GROUPS = read(SPLITS)


@pytest.mark.parametrize("recorded", GROUPS, ids=[group.shape.model for group in GROUPS])
def test_a_chosen_split_takes_what_llama_cpp_plans_with_it(recorded: PlanGroup) -> None:
    (plan,) = recorded.plans
    spec = load_catalog_model(recorded.shape.model, file_type=recorded.shape.file_type)
    answer = planned(spec, recorded.box, plan.settings.context_tokens)
    assert answer.placement.tensor_split == plan.settings.tensor_split
    assert any("llama.cpp's own split would put" in note for note in answer.notes)
    found = [
        (row.weights_bytes, row.kv_cache_bytes, row.compute_bytes) for row in answer.memory.devices
    ]
    assert found == [(each.weights, each.cache, each.compute) for each in plan.truth]


def test_the_recorded_splits_are_of_two_and_three_cards_equal_and_not() -> None:
    counts = {len(group.box.memory_bytes) for group in GROUPS}
    assert counts == {2, 3}
    equal = {
        all(one == other for one, other in pairwise(group.box.memory_bytes)) for group in GROUPS
    }
    assert equal == {True, False}
