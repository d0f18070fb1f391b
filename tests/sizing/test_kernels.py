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
    marks = ("slower than told here", "fuses no attention")
    return [note for note in plan.notes if any(mark in note for mark in marks)]


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
    assert "fuses no attention over a cache in iq4_nl" in note


@pytest.mark.parametrize("values", ["iq4_nl", "q8_0"])
def test_values_force_fused_attention_that_a_card_cannot_do(values: str) -> None:
    keys = "q8_0" if values == "iq4_nl" else "iq4_nl"
    plan = asked(keys, values)
    (note,) = said(plan)
    assert "computes it on the processor" in note
    assert plan.speed is not None
    assert plan.speed.decode_tokens_per_s is None
    assert "no kernel for this attention" in (plan.speed.reason or "")


def test_heads_that_a_card_cannot_fuse_are_named() -> None:
    # heads of 32, of which CUDA has no kernel
    forced = check("all-minilm-l6-v2", machine=CARD, workload={"flash_attention": "on"})
    (note,) = said(forced)
    assert "this model's heads" in note
    assert said(check("all-minilm-l6-v2", machine=CARD)) == []  # left alone it is not fused


def test_ternary_weights_stay_on_the_host_of_a_card() -> None:
    on_card = check("llama-3.1-8b", machine=CARD, file_type="TQ2_0")
    card, host = on_card.memory.devices
    assert card.weights_bytes < host.weights_bytes
    assert any("no kernel for weights in TQ2_0" in note for note in on_card.notes)
    on_mac = check("llama-3.1-8b", machine="m4 max 64gb", file_type="TQ2_0")
    assert not any("no kernel for weights" in note for note in on_mac.notes)


def test_experts_that_are_copied_for_every_token_have_no_speed() -> None:
    on_card = check("mistral-small-4-119b", machine="h200 sxm + 256gb")
    assert on_card.speed is not None
    assert on_card.speed.decode_tokens_per_s is None
    assert "copies them to the processor" in (on_card.speed.reason or "")
    on_host = check(
        "mistral-small-4-119b", machine="h200 sxm + 256gb", placement={"cpu_moe_layers": 99}
    )
    assert on_host.speed is not None
    assert on_host.speed.decode_tokens_per_s is not None
    on_mac = check("mistral-small-4-119b", machine="m3 ultra 256gb")
    assert on_mac.speed is not None
    assert on_mac.speed.decode_tokens_per_s is not None
