"""What stands in for `typing` does what it stands for, and no command loads `typing` itself."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Literal, NamedTuple, get_args

import pytest
from pydantic import TypeAdapter

from whatfits.sizing import typed

_COMMANDS = (
    ("hardware",),
    ("list", "--machine", "rtx 4090"),
    ("check", "llama-3.1-8b", "--machine", "rtx 4090"),
    ("plan", "llama-3.1-8b", "--machine", "m3 max 64gb"),
    ("need", "llama-3.1-8b"),
    ("cost", "llama-3.1-8b", "--machine", "rtx 4090"),
    ("together", "llama-3.1-8b", "qwen3-8b", "--machine", "rtx 4090"),
    ("quants",),
    ("explain", "Q4_K_M"),
)
_SCRIPT = """
import io, json, sys
before = set(sys.modules)
sys.stdout = io.StringIO()
from whatfits.sizing.cli import main
code = main(json.loads(sys.argv[1]))
sys.stdout = sys.__stdout__
print(json.dumps([code, sorted(set(sys.modules) - before)]))
"""


@pytest.mark.parametrize("command", _COMMANDS, ids=lambda command: command[0])
def test_no_command_loads_what_only_checkers_need(command: tuple[str, ...]) -> None:
    asked = json.dumps([*command, "--json"])
    # -S: an environment's start-up files may load them first
    path = "import sys; sys.path[:0] = " + repr([one for one in sys.path if one]) + "\n"
    done = subprocess.run(
        [sys.executable, "-S", "-c", path + _SCRIPT, asked], capture_output=True, check=True
    )
    code, loaded = json.loads(done.stdout)
    assert code in (0, 1)
    assert "whatfits.sizing.typed" in loaded
    assert not {"typing", "dataclasses", "inspect", "pydantic"} & set(loaded)


class _Answer(NamedTuple):
    verdict: Literal["yes", "no"]
    kind: Literal["one"] | None


def test_words_become_those_of_a_schema() -> None:
    answer, choice = typed.Literal["yes", "no"], typed.Literal["one"] | None
    class_ = type("_Answer", _Answer.__bases__, {**vars(_Answer)})
    class_.__annotations__ = {"verdict": answer, "kind": choice}
    assert TypeAdapter(class_).json_schema() == TypeAdapter(_Answer).json_schema()
    assert get_args(choice) == get_args(Literal["one"] | None)


def test_anything_is_anything_to_a_schema() -> None:
    assert TypeAdapter(typed.Any).json_schema() == {}


def test_what_was_not_to_come_is_named() -> None:
    with pytest.raises(AssertionError, match="'seen' was not to come"):
        typed.assert_never("seen")  # type: ignore[arg-type]


def test_a_cast_is_the_value_itself() -> None:
    value = [1]
    assert typed.cast("list[int]", value) is value
