"""Files made before a model's prediction layers were kept: the number of layers they want."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from whatfits.sizing import check, load_machine
from whatfits.sizing.placement import place_layers
from whatfits.sizing.workload import PlacementRequest

if TYPE_CHECKING:
    from whatfits.sizing.estimate import Plan

SMALL, LARGE = "rtx 4060 + 64gb", "rtx 5090 + 64gb"
SAID = re.compile(r"block_count (\d+), not (\d+)\) has to get (\d+) layers .* instead of (\d+)\.")


def said(plan: Plan) -> list[tuple[int, ...]]:
    found = (SAID.search(note) for note in plan.notes)
    return [tuple(map(int, match.groups())) for match in found if match]


def test_the_number_for_an_older_file_puts_the_same_layers_on_the_card() -> None:
    plan = check("qwen3.5-27b", machine=SMALL)
    ((older, newer, less, told),) = said(plan)
    assert (newer, told) == (older + 1, plan.placement.gpu_layers)
    assert f"-ngl {told}" in plan.commands["llama.cpp"][0]
    machine, request = load_machine(SMALL), PlacementRequest()
    planned = place_layers(newer, request, machine, gpu_layers=told)
    of_older = place_layers(older, request, machine, gpu_layers=less)
    assert of_older.layer_device == planned.layer_device[:older]
    assert of_older.output_device == planned.output_device
    unchanged = place_layers(older, request, machine, gpu_layers=told)
    assert unchanged.layer_device != planned.layer_device[:older]


def test_nothing_is_said_where_all_layers_are_on_the_card() -> None:
    plan = check("qwen3.5-27b", machine=LARGE)
    assert plan.placement.gpu_layers == 66
    assert not said(plan)


def test_nothing_is_said_of_a_model_without_such_layers_or_without_a_card() -> None:
    assert not said(check("qwen3-32b", machine=SMALL))
    assert not said(check("qwen3.5-27b", machine="64gb"))
    assert not said(check("qwen3.5-27b", machine=SMALL, placement={"gpu_layers": 0}))


def test_an_output_layer_alone_is_one_layer_in_any_file() -> None:
    ((_, _, less, told),) = said(check("qwen3.5-27b", machine=SMALL, placement={"gpu_layers": 2}))
    assert (less, told) == (1, 2)
    assert not said(check("qwen3.5-27b", machine=SMALL, placement={"gpu_layers": 1}))
