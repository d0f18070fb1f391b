"""What writes nothing is told by how fast it reads, on every surface that compares."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

ENCODER = "bge-m3"
CARD = ("--machine", "rtx-4090 + 64gb")
NODES = ("--machine", "rtx-3090 + 32gb", *CARD)


@pytest.mark.parametrize(
    "question",
    [("plan", ENCODER, *CARD), ("need", ENCODER, *CARD), ("together", ENCODER, *CARD)],
    ids=lambda question: question[0],
)
def test_a_table_has_a_dash_for_writing_where_nothing_is_written(
    say: Callable[..., Any], question: tuple[str, ...]
) -> None:
    shown = say(*question).out
    assert "tokens/s: -" in shown
    assert "tokens/s: ?" not in shown


def test_a_decoder_has_a_rate_there(say: Callable[..., Any]) -> None:
    assert "tokens/s: -" not in say("together", "qwen3-8b", *CARD).out


def test_a_fleet_takes_the_node_that_reads_an_encoder_fastest(say: Callable[..., Any]) -> None:
    shown = say("fleet", ENCODER, *NODES).out
    assert "one node (rtx-4090-64gb)" in shown
    assert "of those it reads fastest" in shown
    assert "\nreads: " in shown
    assert "\nwrites: " not in shown


@pytest.mark.parametrize("model", [ENCODER, "deepseek-v4-flash"])
def test_nodes_together_do_not_run_what_vllm_does_not_take_on_one(
    say: Callable[..., Any], model: str
) -> None:
    nodes = ("--machine", "2x b200 + 512gb") * 2
    plans = say("fleet", model, *nodes, "--runtime", "vllm", "--json")
    assert plans.code == 2
    assert plans.json["error"]["code"] == "unsupported_architecture"
