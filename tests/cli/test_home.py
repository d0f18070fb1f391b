"""`whatfits` alone: the machine, the models it can hold, and what to type next."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable


def test_json_is_the_list_by_its_stated_rule(
    say: Callable[..., Any], is_valid: Callable[[str, object], None]
) -> None:
    said = say("--machine", "8gb", "--json")
    assert (said.code, said.err) == (0, "")
    is_valid("whatfits", said.json)
    rows = said.json["models"]
    assert rows
    assert "one row a maker's line" in said.json["rule"]
    assert all(row["verdict"] in ("fits", "slow") for row in rows)
    assert len({row["family"] for row in rows}) == len(rows)
    quick = said.json["quick_models"]
    assert all(row["decode_tokens_per_s"]["mid"] > 5 for row in quick)


def test_slow_giants_are_followed_by_models_faster_than_reading(say: Callable[..., Any]) -> None:
    said = say("--machine", "24gb")
    start = said.lines.index("Smaller, but faster than you read:")
    quick = said.lines[start + 1].split(";")[0].removeprefix("model: ")
    rows = say("--machine", "24gb", "--json").json
    assert quick in {row["model"] for row in rows["quick_models"]}
    assert any(row["decode_tokens_per_s"]["mid"] < 5 for row in rows["models"])


@pytest.mark.parametrize("machine", ["8gb", "rtx 3060 12gb + 16gb", "m1 8gb"])
def test_text_goes_from_the_machine_to_the_next_command(
    say: Callable[..., Any], machine: str
) -> None:
    said = say("--machine", machine)
    assert said.code == 0
    assert said.lines[0].startswith("Machine: ")
    first_title = next(i for i, line in enumerate(said.lines) if line.endswith(":"))
    assert first_title <= 4, "the machine takes four lines at most"
    rows = [line for line in said.lines if line.startswith("model: ")]
    assert rows
    assert all("spare: " in row for row in rows)
    next_steps = said.lines[said.lines.index("Next:") + 1 :]
    assert next_steps[0].startswith("whatfits check ")
    words = shlex.split(next_steps[0])
    assert words[words.index("--machine") + 1] == machine


def test_a_machine_too_small_for_anything_is_told_so(say: Callable[..., Any]) -> None:
    said = say("--machine", "1gb", "--reserve", "900MiB")
    assert said.code == 0
    assert any(line.startswith("No model of the catalog fits here") for line in said.lines)


def test_the_next_command_it_prints_works(say: Callable[..., Any]) -> None:
    said = say("--machine", "8gb")
    command = said.lines[said.lines.index("Next:") + 1]
    model = command.split()[2]
    assert say("check", model, "--machine", "8gb").code == 0


def test_version_and_help_go_to_standard_output(say: Callable[..., Any]) -> None:
    assert say("--version").out.startswith("whatfits ")
    said = say("--help")
    assert said.code == 0
    assert "whatfits COMMAND --help" in said.out
