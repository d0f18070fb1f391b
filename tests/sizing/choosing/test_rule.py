"""The rule that chooses a file type, by hand and at its edges."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from whatfits.sizing.api import load_machine, load_model
from whatfits.sizing.catalog.quality import quality_cost
from whatfits.sizing.estimate import RateRange
from whatfits.sizing.explain import short_rate
from whatfits.sizing.graph.index import Replays
from whatfits.sizing.planner import (
    TriedType,
    choose,
    context_rule,
    file_type_rule,
    option_of,
    other_choice,
    try_file_types,
)
from whatfits.sizing.search.trials import Trials
from whatfits.sizing.units import MIB
from whatfits.sizing.workload import PlacementRequest, Workload

if TYPE_CHECKING:
    from whatfits.sizing.machine import Machine

BEST_FIRST = ("F16", "Q8_0", "Q4_K_M")
CARD = load_machine("rtx 3060 12gb + 16gb")
WORKLOAD = Workload(context_tokens=4096)


def tried(machine: Machine = CARD) -> tuple[TriedType, ...]:
    specs = [load_model("smollm2-135m", file_type=name) for name in BEST_FIRST]
    return try_file_types(specs, machine, WORKLOAD, PlacementRequest(), replays=Replays())


def ram(mib: int) -> Machine:
    """Return a PC without a card that has so much memory to give."""
    machine = load_machine("16gb")
    (pool,) = machine.pools
    sized = replace(pool, total_bytes=mib * MIB, reserve_bytes=0, total_low_bytes=None)
    return replace(machine, pools=(sized,))


def test_each_file_type_is_tried_as_any_request_is() -> None:
    for name, one in zip(BEST_FIRST, tried(), strict=True):
        alone = Trials(
            load_model("smollm2-135m", file_type=name), CARD, WORKLOAD, PlacementRequest()
        )
        best = alone.best()
        assert one.file_type == name
        assert one.trial.memory == best.memory
        assert one.verdict == best.judgement.verdict == "fits"
        assert one.speed == alone.speed(best)
        assert one.largest_context_tokens == alone.largest_context(best) == 8192
        rate = one.speed.decode_tokens_per_s
        assert rate is not None
        assert one.mid_tokens_per_s == rate.mid


def test_what_is_told_of_a_file_type_is_what_was_tried() -> None:
    for one in tried():
        told = option_of(one, quality=quality_cost)
        memory = one.trial.memory
        assert told.file_type == one.file_type
        assert (told.weights_bytes, told.total_bytes, told.high_bytes) == (
            memory.weights_bytes,
            memory.total_bytes,
            memory.high_bytes,
        )
        assert (told.verdict, told.largest_context_tokens) == ("fits", 8192)
        assert told.decode_tokens_per_s == one.speed.decode_tokens_per_s
        assert told.quality_cost == quality_cost(one.file_type)


def test_a_model_whose_file_type_is_not_said_has_none() -> None:
    spec = replace(load_model("smollm2-135m"), file_type=None)
    (one,) = try_file_types([spec], CARD, WORKLOAD, PlacementRequest(), replays=Replays())
    assert one.file_type == ""


def test_with_one_verdict_for_all_the_best_quality_is_chosen() -> None:
    chosen, fast_enough = choose(tried())
    assert (chosen.file_type, fast_enough) == ("F16", True)


def test_a_better_verdict_comes_before_better_quality() -> None:
    machine = ram(300)
    verdicts = [one.verdict for one in tried(machine)]
    assert verdicts == ["no", "tight", "fits"]
    assert choose(tried(machine))[0].file_type == "Q4_K_M"
    assert choose(tried(machine)[:2])[0].file_type == "Q8_0"


@pytest.mark.parametrize("least_tokens_per_s", [None, 0.1, 1e9])
def test_where_nothing_runs_the_usual_file_type_is_answered_for(
    least_tokens_per_s: float | None,
) -> None:
    def chosen(usual: str | None) -> tuple[str, bool]:
        found, enough = choose(tried(ram(50)), usual=usual, least_tokens_per_s=least_tokens_per_s)
        return found.file_type, enough

    assert chosen("Q8_0") == ("Q8_0", True)
    assert chosen("MXFP4_MOE") == chosen(None) == ("Q4_K_M", True)


def test_what_does_not_run_is_not_the_fastest() -> None:
    """Its speed supposes memory that is not there."""
    machine = ram(300)
    running = [one for one in tried(machine) if one.verdict != "no"]
    fastest = max(running, key=lambda one: one.mid_tokens_per_s)
    too_large = tried(machine)[0]
    too_large.__dict__["speed"] = replace(
        too_large.speed, decode_tokens_per_s=RateRange(1e4, 1e4, 1e4)
    )
    among = (too_large, *running)
    for least in (100.0, 5e3):
        assert choose(among, least_tokens_per_s=least)[0].file_type == fastest.file_type


def test_what_is_surely_too_large_is_no_without_a_trial() -> None:
    one = tried(ram(50))[0]
    assert one.verdict == one.trial.judgement.verdict == "no"
    assert one.largest_context_tokens is None


@pytest.mark.parametrize("at", range(len(BEST_FIRST)))
def test_a_floor_is_reached_by_exactly_as_much(at: int) -> None:
    floor = tried()[at].mid_tokens_per_s
    quick = [one.file_type for one in tried() if one.mid_tokens_per_s >= floor]
    assert quick[0] == BEST_FIRST[at]
    chosen, fast_enough = choose(tried(), least_tokens_per_s=floor)
    assert (chosen.file_type, fast_enough) == (BEST_FIRST[at], True)
    faster, enough = choose(tried(), least_tokens_per_s=floor + 1e-6)
    assert faster.file_type == BEST_FIRST[min(at + 1, 2)]
    assert enough == (at < 2)


def test_of_those_fast_enough_the_one_with_the_best_verdict_is_chosen() -> None:
    machine = ram(300)
    assert choose(tried(machine), least_tokens_per_s=0.1)[0].file_type == "Q4_K_M"


def test_where_no_speed_is_known_none_is_fast_enough() -> None:
    devices = tuple(replace(one, bandwidth_bytes_per_s=None) for one in CARD.devices)
    unknown = tried(replace(CARD, devices=devices))
    assert {one.mid_tokens_per_s for one in unknown} == {0.0}
    chosen, fast_enough = choose(unknown, least_tokens_per_s=0.5)
    assert (chosen.file_type, fast_enough) == ("F16", False)
    assert choose(unknown)[1]


def test_the_rules_are_told_in_words() -> None:
    names = ("MXFP4_MOE", "Q8_0", "Q6_K")
    ladder = "File type: the best of MXFP4_MOE, Q8_0, Q6_K"
    assert file_type_rule(["Q4_0"], least_tokens_per_s=20) == "File type: as given."
    assert file_type_rule(names, least_tokens_per_s=None) == f"{ladder} with the best verdict."
    assert (
        file_type_rule(names, least_tokens_per_s=7.5)
        == f"{ladder} with the best verdict among those that write at least 7.5 tokens/s."
    )
    assert context_rule(asked=512, longest=True) == "Context: as asked for."
    assert context_rule(asked=None, longest=True) == "Context: the longest that runs."
    usual = "Context: the longest that runs, at most 32,768 tokens."
    assert context_rule(asked=None, longest=False) == usual


# what else many would choose


def named(rows: tuple[TriedType, ...], file_type: str, *, least: float | None = None) -> str | None:
    chosen = next(one for one in rows if one.file_type == file_type)
    return other_choice(rows, chosen, least_tokens_per_s=least)


def fourteen_billion(machine: str) -> tuple[TriedType, ...]:
    names = ("Q8_0", "Q6_K", "Q4_K_M", "Q3_K_M")
    specs = [load_model("qwen3-14b", file_type=name) for name in names]
    return try_file_types(
        specs, load_machine(machine), WORKLOAD, PlacementRequest(), replays=Replays()
    )


def test_beside_what_fits_the_next_better_that_spills_is_named_with_both_speeds() -> None:
    rows = fourteen_billion("rtx 3060 12gb + 32gb")
    assert [one.verdict for one in rows] == ["slow", "slow", "fits", "fits"]
    rates = [short_rate(rows[at].speed.decode_tokens_per_s) for at in (1, 2)]
    assert named(rows, "Q4_K_M") == (
        "Q6_K loses less quality and runs too, a part of it in slower memory: "
        f"{rates[0]} tokens/s, not {rates[1]} (--file-type Q6_K)."
    )
    fast_enough = rows[1].mid_tokens_per_s
    assert named(rows, "Q4_K_M", least=fast_enough) is not None
    assert named(rows, "Q4_K_M", least=fast_enough + 1e-6) is None


def test_beside_what_spills_the_usual_file_type_is_named() -> None:
    rows = fourteen_billion("rtx 4060 + 32gb")
    assert rows[0].verdict == rows[2].verdict == "slow"
    said = named(rows, "Q8_0")
    assert said is not None
    assert said.startswith("Q4_K_M writes faster and loses more quality: ")
    assert rows[2].mid_tokens_per_s > rows[0].mid_tokens_per_s * 1.25
    assert named(rows, "Q4_K_M") is None
    for faster, is_named in ((20.0, False), (20.1, True)):  # a quarter is not yet worth a word
        for at, rate in ((0, 16.0), (2, faster)):
            both = RateRange(rate, rate, rate)
            rows[at].__dict__["speed"] = replace(rows[at].speed, decode_tokens_per_s=both)
        assert (named(rows, "Q8_0") is not None) == is_named


def test_speeds_that_are_not_known_are_not_told() -> None:
    rows = fourteen_billion("rtx 3060 12gb + 32gb")
    rows[1].__dict__["speed"] = replace(rows[1].speed, decode_tokens_per_s=None)
    assert named(rows, "Q4_K_M") == (
        "Q6_K loses less quality and runs too, a part of it in slower memory (--file-type Q6_K)."
    )


def test_nothing_else_is_named_where_nothing_spills_or_nothing_runs() -> None:
    assert named(tried(), "F16") is None
    assert named(tried(ram(50)), "F16") is None


def test_what_runs_nowhere_is_never_named_beside_what_fits() -> None:
    rows = fourteen_billion("rtx 3060 12gb + 3gb")
    better = [one for one in rows if one.verdict == "no"]
    assert better
    fitting = next(one for one in rows if one.verdict == "fits")
    assert rows.index(better[-1]) < rows.index(fitting)
    assert other_choice(rows, fitting, least_tokens_per_s=None) is None
