"""What llama.cpp itself planned on a real card, an H200, against what is predicted for one.

`tests/recorded/llama_cpp/cuda.json` says how it was asked. A card that only pretends may do what a
real one cannot: its back end decides which weights it takes and which operations it runs.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Final

import pytest
from random_settings import verdict
from recorded_plans import CUDA, read

if TYPE_CHECKING:
    from comparison import Outcome
    from recorded_plans import PlanGroup

GROUPS: Final = read(CUDA)
EXACT: Final = 0.85  # share of the plans that are equal to the byte, intervals aside
# Two quantised tensors of its last cache are padded, one is counted.
CACHE_OFF: Final = ("bailingmoe3", 512)


def named(group: PlanGroup) -> str:
    return f"{group.shape.model} {group.shape.file_type}"


@cache
def outcomes(group: PlanGroup) -> tuple[Outcome, ...]:
    return tuple(group.outcomes())


@pytest.mark.parametrize("recorded", GROUPS, ids=map(named, GROUPS))
def test_a_real_card_plans_what_is_predicted(recorded: PlanGroup) -> None:
    for outcome in outcomes(recorded):
        refused = not outcome.predicted, not outcome.truth
        assert refused in {(True, True), (False, False)}, (outcome.settings, outcome.error)
        if all(refused):
            continue
        for truth, ours in zip(outcome.truth, outcome.predicted, strict=True):
            assert truth.weights == ours.weights, outcome.settings
            off = abs(truth.cache - ours.cache)
            assert off == 0 or (recorded.shape.architecture, off) == CACHE_OFF
        assert outcome.is_held, outcome.settings


def test_most_plans_are_equal_to_the_byte() -> None:
    counts = Counter(
        verdict(replace(outcome, n_ctx=(0, 0)))
        for group in GROUPS
        for outcome in outcomes(group)
        if outcome.truth and outcome.predicted
    )
    assert sum(counts.values()) > 1400
    assert counts["exact"] >= EXACT * sum(counts.values())
    assert set(counts) <= {"exact", "held", "cache"}


def test_the_record_has_what_a_card_cannot_do() -> None:
    kinds = {group.shape.file_type for group in GROUPS}
    assert kinds >= {"TQ1_0", "TQ2_0"}
    architectures = {group.shape.architecture for group in GROUPS}
    assert architectures >= {"mistral4", "bert"}
    caches = {plan.settings.kv_type_v for group in GROUPS for plan in group.plans}
    assert caches >= {"iq4_nl", "q4_1", "bf16", "q8_0"}
