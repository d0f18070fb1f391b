"""A tight answer does not say in one breath that it may run and that nothing fits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

TIGHT = ("qwen3-235b-a22b", "--machine", "strix-halo 128gb", "--file-type", "Q2_K")


def test_of_a_tight_answer_no_context_surely_fits(say: Callable[..., Any]) -> None:
    said = say("check", *TIGHT, "--plain")
    assert said.out.startswith("Tight: ")
    assert "llama-server" in said.out
    assert "Largest context: none surely fits" in said.out
    assert say("check", *TIGHT, "--json").json["largest_context_tokens"] is None


def test_where_it_does_not_fit_no_context_does(say: Callable[..., Any]) -> None:
    said = say("check", "llama-3.3-70b", "--machine", "16gb", "--plain")
    assert "Largest context: none fits" in said.out


def test_the_table_of_file_types_tells_the_two_apart(say: Callable[..., Any]) -> None:
    said = say("plan", *TIGHT[:3], "-c", "8192", "--json").json
    verdicts = {one["file_type"]: one["verdict"] for one in said["file_types"]}
    lines = say("plan", *TIGHT[:3], "-c", "8192", "--plain").out.splitlines()
    tight = [name for name, verdict in verdicts.items() if verdict == "tight"]
    assert tight
    for name in tight:
        (row,) = [line for line in lines if f"file type: {name}" in line and "needs:" in line]
        assert "largest context: none surely" in row
