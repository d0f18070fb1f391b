"""Memory of unknown size: nothing is called too large for it, and it is said how to tell it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

UNSIZED = "ryzen 9 7950x"
HINT = "The size of ram is not known: name the machine with it"


def test_no_model_is_called_too_large_for_memory_of_unknown_size(say: Callable[..., Any]) -> None:
    rows = say("list", "--machine", UNSIZED, "--json").json["models"]
    assert {row["verdict"] for row in rows} == {"unknown"}
    assert {"llama-3.1-8b", "deepseek-v3"} <= {row["model"] for row in rows}
    said = say("list", "--machine", UNSIZED).lines
    assert not any("exceed all" in line for line in said)
    assert any(line.startswith(HINT) for line in said)


def test_what_a_card_is_too_small_for_may_fit_into_ram_of_unknown_size(
    say: Callable[..., Any],
) -> None:
    said = say("list", "--machine", "rtx-4090", "--limit", "1").lines
    assert any("models exceed all known memory here" in line for line in said)
    notes = say("check", "llama-3.3-70b", "--machine", "rtx-4090", "--json").json["notes"]
    assert any(note.startswith(HINT) for note in notes)
    fits = say("check", "llama-3.1-8b", "--machine", "rtx-4090", "--json").json["notes"]
    assert not any(note.startswith(HINT) for note in fits)


def test_the_first_answer_says_what_is_missing(say: Callable[..., Any]) -> None:
    said = say("--machine", UNSIZED).lines
    assert any(line.startswith(f"What fits cannot be told. {HINT}") for line in said)
    assert not any(line.startswith("No model of the catalog fits") for line in said)


def test_whether_it_runs_here_is_not_denied(
    say: Callable[..., Any], is_valid: Callable[[str, object], None]
) -> None:
    lines = say("need", "llama-3.2-1b", "--machine", UNSIZED).lines
    assert f"{UNSIZED}: whether it runs here cannot be told. {HINT}" in lines[1]
    answer = say("need", "llama-3.2-1b", "--machine", UNSIZED, "--json").json
    is_valid("need", answer)
    assert any(warning.startswith(HINT) for warning in answer["warnings"])


def test_every_runtime_says_how_to_tell_the_size(say: Callable[..., Any]) -> None:
    for runtime in ("llama.cpp", "ollama", "vllm", "mlx"):
        plan = say("check", "qwen3-4b", "--machine", UNSIZED, "--runtime", runtime, "--json").json
        assert plan["verdict"] == "unknown", runtime
        assert any(note.startswith(HINT) for note in plan["notes"]), runtime
