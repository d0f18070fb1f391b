"""A slow card beside a fast one is not answered worse without a word."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from whatfits.sizing import check

if TYPE_CHECKING:
    from whatfits.sizing.estimate import Plan


def writes(plan: Plan) -> float:
    assert plan.speed is not None
    assert plan.speed.decode_tokens_per_s is not None
    return plan.speed.decode_tokens_per_s.mid


def said(plan: Plan) -> list[str]:
    return [note for note in plan.notes if "times as fast" in note]


@pytest.mark.parametrize(
    ("model", "machine"),
    [
        ("internvl3-8b", "rtx 3090 + gtx 1060 6gb + 64gb"),
        ("internvl3-8b", "gtx 1060 6gb + 2x rtx 3090 + 64gb"),
        ("llama-3.3-70b", "2x rtx 3090 + k80 + 64gb"),
        ("phi-4-mini", "rtx 3090 + arc a380 + 32gb"),
    ],
)
def test_leaving_out_the_slow_cards_keeps_what_the_note_promises(model: str, machine: str) -> None:
    plan = check(model, machine=machine)
    (note,) = said(plan)
    found = re.search(r"about ([\d.]+) times as fast: --device (\S+)\.$", note)
    assert found is not None
    # `--device` takes llama.cpp's names of them, whatever their case
    devices = tuple(name.casefold() for name in found[2].split(","))
    fewer = check(model, machine=machine, placement={"devices": devices})
    assert fewer.verdict == "fits"
    assert writes(fewer) / writes(plan) == pytest.approx(float(found[1]), abs=0.06)
    assert said(fewer) == []


@pytest.mark.parametrize(
    ("machine", "placement"),
    [
        ("2x rtx 3090 + 64gb", {}),  # alike
        ("rtx 3090 + gtx 1060 6gb + 64gb", {"devices": ("cuda0", "cuda1")}),  # as asked for
        ("rtx 3090 + gtx 1060 6gb + 64gb", {"tensor_split": (1.0, 1.0)}),
    ],
)
def test_nothing_is_said_where_no_card_slows_the_others_or_they_were_named(
    machine: str, placement: dict[str, tuple[object, ...]]
) -> None:
    assert said(check("internvl3-8b", machine=machine, placement=placement)) == []


def test_nothing_is_said_where_the_slow_card_is_needed() -> None:
    plan = check("qwen3-32b", machine="rtx 3090 + gtx 1060 6gb + 64gb", file_type="Q5_K_M")
    assert plan.verdict == "fits"
    assert said(plan) == []
