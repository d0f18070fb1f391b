"""What is said to be free is what a verdict is taken from, and of whom it is said."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from whatfits.sizing.catalog.lookup import find_model
from whatfits.sizing.catalog.machines import machine_expression
from whatfits.sizing.explain import free_text
from whatfits.sizing.fleets.inventory import Node
from whatfits.sizing.fleets.plans import named_rows, shares_of
from whatfits.sizing.search.trials import Trials
from whatfits.sizing.sources.catalog_model import load_entry
from whatfits.sizing.units import format_bytes
from whatfits.sizing.workload import PlacementRequest, Workload

if TYPE_CHECKING:
    from collections.abc import Callable

MAC = "m4-max-64gb"


@pytest.mark.parametrize("command", [(), ("hardware",), ("explain", "free memory")])
def test_a_macs_free_memory_is_a_range_from_what_verdicts_use(
    say: Callable[..., Any], command: tuple[str, ...]
) -> None:
    (pool,) = machine_expression(MAC).pools
    assert free_text(pool) == "48.0 GiB to 51.8 GiB"
    said = " ".join(say(*command, "--machine", MAC, "--plain").out.split())
    assert "48.0 GiB to 51.8 GiB" in said
    if command != ("explain", "free memory"):
        assert "for the GPU" in said


def test_a_cards_free_memory_is_one_figure_where_it_is_known(say: Callable[..., Any]) -> None:
    said = " ".join(say("--machine", "rtx-4090 + 64gb", "--plain").out.split())
    assert "vram0 23.0 GiB of 23.5 GiB, ram 62.0 GiB of 64.0 GiB" in said


@pytest.mark.parametrize("machine", [MAC, "rtx-4090 + 64gb", "2x b200 + 512gb"])
def test_a_nodes_share_is_set_against_what_is_surely_free(machine: str) -> None:
    node = Node("one", machine_expression(machine), "one")
    spec = load_entry(find_model("llama-3.1-8b"), None)
    trial = Trials(spec, node.machine, Workload(), PlacementRequest()).first()
    (share,) = shares_of(named_rows(trial.memory, "one"), [node], [33])
    surely = sum(pool.whole.free_low_bytes or 0 for pool in node.machine.pools)
    assert share.free_bytes == surely


def test_the_words_of_a_fleet_tell_cards_from_ram(say: Callable[..., Any]) -> None:
    said = say("fleet", "--machine", MAC, "--machine", "rtx-4090 + 64gb", "--plain").out
    assert f"surely free on the GPU, else in RAM: {format_bytes(48 * 2**30)}" in said
    assert "surely free on the GPU, else in RAM: 23.0 GiB" in said
