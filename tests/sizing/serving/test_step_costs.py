"""What a step costs where the host works beside the card, and where they take turns."""

from __future__ import annotations

from dataclasses import replace

import pytest

from whatfits.sizing.serving.step_costs import StepCosts

TURNS = StepCosts(
    write_s=[0.0, 0.004, 0.005, 0.006],
    arithmetic_s=[0.0, 0.001, 0.002, 0.003],
    cache_s=0.0001,
    depth_s=0.000001,
    read_s=[0.0, 0.002, 0.003],
    read_arithmetic_s=[0.0, 0.001, 0.002],
    pair_s=0.0,
    ride_s=0.0,
    host_s=0.0005,
)
BESIDE = replace(TURNS, overlaps=True)


def test_taking_turns_the_host_adds_its_work_for_each_sequence_after_the_first() -> None:
    assert TURNS.writing_s(3, 300) == pytest.approx(0.006 + 3 * 0.0001 + 0.0003 + 2 * 0.0005)


def test_beside_the_card_the_longer_of_both_counts() -> None:
    card_s = 0.006 + 3 * 0.0001 + 0.0003
    assert BESIDE.writing_s(3, 300) == pytest.approx(card_s)
    slow = replace(BESIDE, host_s=0.003)
    assert slow.writing_s(3, 300) == pytest.approx(0.004 + 2 * 0.003)
    assert slow.writing_s(3, 3_000_000) == pytest.approx(0.006 + 3 * 0.0001 + 3.0)
    assert slow.writing_s(1, 100) == TURNS.writing_s(1, 100)


def test_with_prompts_in_the_step_it_is_the_same() -> None:
    taking_turns, arithmetic = TURNS.mixed_s(2, 0, 2, 0.0)
    beside, same = BESIDE.mixed_s(2, 0, 2, 0.0)
    assert taking_turns == pytest.approx(beside + 2 * 0.0005)
    assert arithmetic == same
    assert replace(BESIDE, host_s=0.01).mixed_s(2, 0, 2, 0.0)[0] == pytest.approx(0.004 + 0.02)
