"""A command names a file: where it is to be had is said, of catalog models alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CARD = ("--machine", "rtx-4090 + 64gb")
WANTED = "To get the file: "


def told(said: Any) -> list[str]:  # noqa: ANN401 - what `say` returns
    return [note for note in said.json["notes"] if WANTED in note]


@pytest.mark.parametrize("runtime", ["llama.cpp", "ollama", "lm-studio", "jan"])
def test_the_list_of_the_model_s_quantisations_is_named(
    say: Callable[..., Any], runtime: str
) -> None:
    (note,) = told(say("check", "llama-3.1-8b", *CARD, "--runtime", runtime, "--json"))
    assert "models?other=base_model:quantized:meta-llama/Llama-3.1-8B-Instruct " in note
    assert "with hf:org/repo:Q4_K_M in the place of llama-3.1-8b" in note


def test_plan_says_it_once(say: Callable[..., Any]) -> None:
    lines = say("plan", "llama-3.1-8b", *CARD).lines
    assert len([line for line in lines if WANTED in line]) == 1


def test_nothing_is_said_without_a_command(say: Callable[..., Any]) -> None:
    assert not told(say("check", "llama-3.3-70b", "--machine", "8gb", "--json"))
    assert not told(say("check", "llama-3.1-8b", *CARD, "--runtime", "vllm", "--json"))


def test_a_file_of_this_disk_is_not_looked_for(say: Callable[..., Any], model: Path) -> None:
    assert not told(say("check", str(model), *CARD, "--json"))
