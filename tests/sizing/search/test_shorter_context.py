"""The remedy of a shorter context: nothing longer than a model was trained for is of use."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from whatfits.sizing import check

if TYPE_CHECKING:
    from whatfits.sizing.estimate import Plan

MACHINE = "rtx 4060 + 64gb"


def asked(context_tokens: int, *, parallel: int = 1) -> Plan:
    workload = {"context_tokens": context_tokens, "parallel": parallel}
    return check("qwen3-8b", machine=MACHINE, workload=workload)


def shorter(plan: Plan) -> int:
    (found,) = (remedy for remedy in plan.remedies if remedy.key == "context")
    tokens: int = found.change["workload"]["context_tokens"]
    return tokens


@pytest.mark.parametrize("parallel", [1, 2])
def test_a_context_beyond_training_is_cut_to_what_was_trained_for(parallel: int) -> None:
    plan = asked(2**20, parallel=parallel)
    assert plan.verdict == "no"
    assert shorter(plan) == 40_960 * parallel
    assert asked(shorter(plan), parallel=parallel).verdict == "slow"


def test_what_was_trained_for_is_halved_where_it_is_too_long_as_well() -> None:
    plan = asked(65_536)
    assert (plan.verdict, plan.model.context_train_tokens) == ("slow", 40_960)
    assert shorter(plan) == 8192
    assert asked(8192).verdict == "fits"
    assert asked(16_384).verdict == "slow"
