from __future__ import annotations

import json
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("altair", reason="needs the extra [web]")

from whatfits.sizing import plan
from whatfits.sizing.api import load_machine, load_model
from whatfits.sizing.curves import context_curves
from whatfits.sizing.pool_bills import pool_bills
from whatfits.sizing.units import GIB
from whatfits.sizing.workload import PlacementRequest, Workload
from whatfits.webapp.chart_parts import DARK, LIGHT, Ink
from whatfits.webapp.explore_charts import (
    context_alt,
    context_chart,
    quant_alt,
    quant_chart,
    quant_rows,
)
from whatfits.webapp.memory_chart import (
    PART_COLOURS,
    memory_alt,
    memory_chart,
    memory_rows,
    memory_spec,
)

if TYPE_CHECKING:
    from whatfits.sizing.planning import BestPlan

MACHINES = ["rtx-4090 + 64gb", "2x rtx-3090 + 64gb", "m4-max-40-core-gpu 64gb", "64gb"]


@cache
def answer(machine: str, file_type: str | None = "Q4_K_M") -> BestPlan:
    return plan(
        "llama-3.3-70b", machine=machine, file_type=file_type, workload={"context_tokens": 8192}
    )


def values(spec: dict[str, Any]) -> list[dict[str, Any]]:
    return [row for layer in spec["layer"] for row in layer["data"]["values"]]


@pytest.mark.parametrize("machine", MACHINES)
def test_the_parts_of_a_bar_lie_end_to_end_and_are_the_bill(machine: str) -> None:
    for bill in pool_bills(answer(machine)):
        rows = memory_rows([bill])
        assert rows[0]["begin"] == 0
        for before, after in pairwise(rows):
            assert after["begin"] == pytest.approx(before["end"])
        assert rows[-1]["end"] == pytest.approx(bill.bar_bytes / GIB)


@pytest.mark.parametrize("machine", MACHINES)
def test_a_row_a_pool_has_room_and_a_rule_where_it_ends(machine: str) -> None:
    found = answer(machine)
    spec = memory_chart(pool_bills(found), LIGHT).to_dict()
    two_rules = any(bill.is_limited for bill in pool_bills(found))
    assert spec["height"] == {"step": 108 if two_rules else 76}
    ends = [row for row in values(spec) if row.get("limit")]
    bills = pool_bills(found)
    shown = {(row["pool"], row["at"]) for row in ends}
    assert shown == {(bill.label, (bill.limit_bytes or 0) / GIB) for bill in bills}
    ticks = [layer["mark"] for layer in spec["layer"] if layer["mark"]["type"] == "tick"]
    assert ticks
    assert all(tick["size"] >= 30 and tick["thickness"] >= 3 for tick in ticks)


def test_the_page_gets_the_chart_it_would_make() -> None:
    bills = pool_bills(answer(MACHINES[0]))
    assert json.loads(memory_spec(bills, DARK)) == memory_chart(bills, DARK).to_dict()


def test_a_mac_has_two_rules() -> None:
    rows = values(memory_chart(pool_bills(answer(MACHINES[2])), LIGHT).to_dict())
    labels = {row["label"] for row in rows if "at" in row}
    assert labels == {"GPU's limit 48.0 GiB", "installed 64.0 GiB"}


def test_a_part_has_the_same_colour_in_every_chart() -> None:
    for machine in MACHINES:
        spec = memory_chart(pool_bills(answer(machine)), DARK).to_dict()
        scale = spec["layer"][0]["encoding"]["color"]["scale"]
        assert set(scale["range"]) <= set(PART_COLOURS.values())
        assert len(set(scale["range"])) == len(scale["domain"])
        assert scale["domain"][0] == "weights"
        assert scale["range"][0] == PART_COLOURS["weights"]


def luminance(colour: str) -> float:
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize(("ink", "page"), [(LIGHT, "#ffffff"), (DARK, "#0e1117")])
def test_what_is_written_on_a_chart_can_be_read(ink: Ink, page: str) -> None:
    for colour in (ink.text, ink.limit, ink.installed):
        assert contrast(colour, page) >= 4.5, colour


@pytest.mark.parametrize("page", ["#ffffff", "#0e1117"])
def test_every_part_of_a_bar_stands_out_from_the_page(page: str) -> None:
    # WCAG 2.2, 1.4.11: three to one for what a graphic needs to be understood
    for part, colour in PART_COLOURS.items():
        assert contrast(colour, page) >= 3, part


@pytest.mark.parametrize("machine", MACHINES)
def test_the_words_for_a_bar_are_its_numbers(machine: str) -> None:
    found = answer(machine)
    said = memory_alt(pool_bills(found))
    for bill in pool_bills(found):
        assert bill.label in said
    assert ("short" in said) == any(bill.overflows for bill in pool_bills(found))


def test_the_context_chart_shows_every_point_and_the_capacity() -> None:
    curves = context_curves(
        load_model("llama-3.1-8b"),
        load_machine("rtx-4090 + 64gb"),
        Workload(),
        PlacementRequest(),
        kv_types=["f16", "q8_0"],
        contexts=[1024, 8192, 131_072],
    )
    spec = context_chart(curves, free_bytes=23 * GIB, here=(8192, 8 * GIB), ink=LIGHT).to_dict()
    rows = values(spec)
    points = [row for row in rows if "cache" in row]
    assert [(row["cache"], row["context"], row["need"]) for row in points] == [
        (curve.kv_type, point.context_tokens, point.high_bytes / GIB)
        for curve in curves
        for point in curve.points
    ]
    assert {"free": 23.0, "label": "free 23.0 GiB"} in rows
    assert {"context": 8192, "need": 8.0} in rows
    # dashes make a ragged circle of a legend's point
    assert spec["layer"][0]["encoding"]["color"]["legend"]["symbolType"] == "stroke"
    said = context_alt(curves, free_bytes=23 * GIB)
    for curve in curves:
        assert f"{curve.largest_context_tokens:,} tokens" in said


def test_the_context_chart_does_without_what_is_unknown() -> None:
    assert len(context_chart([], free_bytes=None, here=None, ink=DARK).to_dict()["layer"]) == 1


def test_the_quality_chart_has_a_dot_for_each_measured_type() -> None:
    options = answer("rtx-4090 + 64gb", None).file_types
    measured = [option for option in options if option.file_type != "Q2_K"]
    losses = {option.file_type: 0.5 for option in measured} | {"Q2_K": None}
    rows = quant_rows(options, losses)
    assert [row["file_type"] for row in rows] == [option.file_type for option in measured]
    assert [row["size"] for row in rows] == [option.high_bytes / GIB for option in measured]
    spec = quant_chart(rows, LIGHT).to_dict()
    assert spec["data"]["values"] == rows
    # a 30 GiB model would have a line for each GiB on a wide page
    assert spec["layer"][0]["encoding"]["x"]["axis"]["tickCount"] <= 10
    for row in rows:
        assert row["needs"] in quant_alt(rows)
