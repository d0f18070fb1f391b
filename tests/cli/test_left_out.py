"""A GPU that nothing is placed on is named, with the reason."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from whatfits.sizing.api import check
from whatfits.sizing.catalog.machines import machine_expression
from whatfits.sizing.left_out import left_out_notes

if TYPE_CHECKING:
    from collections.abc import Callable

SAID = "Radeon 780M is left out: it shares the RAM"


@pytest.mark.parametrize("command", [("check", "qwen3-4b"), ("plan", "qwen3-4b"), ("list",)])
def test_an_integrated_gpu_that_was_named_is_said_to_be_left_out_once(
    say: Callable[..., Any], command: tuple[str, ...]
) -> None:
    said = say(*command, "--machine", "radeon 780m + 32gb", "--plain")
    assert said.code == 0
    assert " ".join(said.out.split()).count(SAID) == 1
    with_card = say(*command, "--machine", "rtx-4090 + radeon 780m + 32gb", "--plain")
    assert SAID in " ".join(with_card.out.split())


@pytest.mark.parametrize("machine", ["rtx-4090 + 64gb", "m4-pro-24gb", "strix-halo 128gb", "16gb"])
def test_what_takes_part_is_not_said_to_be_left_out(machine: str) -> None:
    assert left_out_notes(machine_expression(machine)) == ()
    assert not any("left out" in note for note in check("qwen3-4b", machine=machine).notes)
