"""The speed of what does not fit is said to be that of a machine with more memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

SMALL = ("--machine", "rtx 4060 + 16gb")
AS_IF = "it does not fit: this is what it would do had each memory the room it lacks"


@pytest.mark.parametrize("runtime", ["llama.cpp", "ollama", "vllm"])
def test_a_speed_beside_a_no_says_what_it_supposes(say: Callable[..., Any], runtime: str) -> None:
    asked = ("check", "llama-3.3-70b", *SMALL, "--runtime", runtime)
    answer = say(*asked, "--json").json
    assert answer["verdict"] == "no"
    assert answer["speed"]["decode_tokens_per_s"]["mid"] > 0
    assert answer["speed"]["reason"].startswith(AS_IF)
    lines = say(*asked, "--plain").lines
    assert not [line for line in lines if line.startswith(("Writes", "Reads"))]
    assert len([line for line in lines if line.startswith(("Would write:", "Would read:"))]) == 2
    assert any(line.startswith(f"Speed note: {AS_IF}") for line in lines)


def test_a_speed_beside_an_answer_that_runs_supposes_nothing(say: Callable[..., Any]) -> None:
    asked = ("check", "qwen3-8b", *SMALL)
    assert AS_IF not in (say(*asked, "--json").json["speed"]["reason"] or "")
    assert any(line.startswith("Writes:") for line in say(*asked, "--plain").lines)


def test_tables_tell_no_speed_of_what_does_not_fit(say: Callable[..., Any]) -> None:
    asked = ("plan", "qwen3-32b", *SMALL)
    types = say(*asked, "--json").json["file_types"]
    assert {row["verdict"] for row in types} > {"no"}
    for row in types:
        assert (row["decode_tokens_per_s"] is None) == (row["verdict"] == "no")
    rows = [line for line in say(*asked, "--plain").lines if line.startswith("file type: ")]
    assert len(rows) == len(types)
    for row in rows:
        assert row.endswith("tokens/s: -") == ("verdict: no;" in row)
    listed = say("list", *SMALL, "--verdict", "no", "--limit", "2", "--plain").lines
    assert all(line.endswith("tokens/s: -") for line in listed if line.startswith("model: "))
    together = say("together", "llama-3.3-70b", "qwen3-0.6b", *SMALL, "--plain").lines
    ends = [line.endswith("tokens/s: -") for line in together if line.startswith("model: ")]
    assert ends == [True, False]
