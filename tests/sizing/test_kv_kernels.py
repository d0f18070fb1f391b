"""Cache types that CUDA computes in a slower way: said, and counted where nothing is fused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from whatfits.sizing import check

if TYPE_CHECKING:
    from whatfits.sizing.estimate import Plan

CARD = "rtx 4090 + 64gb"


def asked(keys: str, values: str, machine: str = CARD, **placement: object) -> Plan:
    workload = {"kv_type_k": keys, "kv_type_v": values}
    return check("qwen3-8b", machine=machine, workload=workload, placement=placement)


def said(plan: Plan) -> list[str]:
    return [note for note in plan.notes if note.startswith("CUDA ") and "slower" in note]


@pytest.mark.parametrize("kind", ["f16", "bf16", "q8_0", "q4_0"])
def test_pairs_that_are_compiled_cost_nothing_more(kind: str) -> None:
    assert said(asked(kind, kind)) == []


@pytest.mark.parametrize(
    ("keys", "values"), [("q8_0", "f16"), ("q8_0", "q4_0"), ("q5_1", "q5_1"), ("f32", "f32")]
)
def test_other_pairs_are_converted_for_every_token(keys: str, values: str) -> None:
    (note,) = said(asked(keys, values))
    assert f"keys in {keys} with values in {values}" in note
    assert said(asked(keys, values, "m4 max 64gb")) == []
    assert said(asked(keys, values, devices=[])) == []


def test_keys_that_cannot_be_fused_take_the_room_of_whole_scores() -> None:
    plan, fused = asked("iq4_nl", "f16"), asked("q4_0", "f16")
    scores_bytes = 4 * 32 * 8192 * 512  # heads, cells, tokens of a micro-batch
    assert plan.memory.compute_bytes - fused.memory.compute_bytes > scores_bytes / 2
    on_mac = asked("iq4_nl", "f16", "m4 max 64gb")
    assert on_mac.memory.compute_bytes < scores_bytes / 2


def test_values_that_cannot_be_fused_are_said_to_be_slow() -> None:
    (note,) = said(asked("iq4_nl", "iq4_nl"))
    assert "does not fuse attention over iq4_nl" in note
