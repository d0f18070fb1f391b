"""`whatfits quants`: the table of file types, alone and for a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from whatfits.sizing.catalog.quality import perplexity_loss

if TYPE_CHECKING:
    from collections.abc import Callable


def test_the_table_alone_has_bits_and_no_sizes(
    say: Callable[..., Any], is_valid: Callable[[str, object], None]
) -> None:
    answer = say("quants", "--json").json
    is_valid("quants", answer)
    rows = {row["file_type"]: row for row in answer["file_types"]}
    assert rows["Q8_0"]["nominal_bits_per_weight"] == 8.5
    assert rows["Q4_K_M"]["perplexity_change"] > rows["Q6_K"]["perplexity_change"] > 0
    assert all(row["weights_bytes"] is None for row in rows.values())


def test_what_was_measured_with_an_importance_matrix_alone_is_told_so(
    say: Callable[..., Any],
) -> None:
    rows = say("quants", "--json").json["file_types"]
    told = {row["file_type"]: row["perplexity_change"] for row in rows}
    assert told["IQ4_XS"] > 0
    assert told == {name: perplexity_loss(name) for name in told}


@pytest.mark.parametrize("model", ["llama-3.1-8b", "gpt-oss-20b", "qwen3-30b-a3b", "gemma-3-4b"])
def test_every_size_is_the_one_check_gives(say: Callable[..., Any], model: str) -> None:
    said = say("quants", model, "--json")
    assert said.code == 0
    rows = {row["file_type"]: row for row in said.json["file_types"]}
    for name in ("F16", "Q8_0", "Q4_K_M", "Q2_K"):
        plan = say(
            *("check", model, "--machine", "2x rtx-3090 + 512gb", "--file-type", name, "-ngl", "0"),
            *("--no-repack", "--json"),
        ).json
        assert rows[name]["weights_bytes"] == plan["memory"]["weights_bytes"]


def test_rows_shrink_and_what_is_not_made_is_said(say: Callable[..., Any]) -> None:
    said = say("quants", "llama-3.1-8b", "--json")
    sizes = [row["weights_bytes"] or 0 for row in said.json["file_types"]]
    assert sizes == sorted(sizes, reverse=True)
    text = say("quants", "llama-3.1-8b")
    nvfp4 = next(line for line in text.lines if line.startswith("file type: NVFP4"))
    assert "size of llama-3.1-8b: not made" in nvfp4
    q4 = next(line for line in text.lines if line.startswith("file type: Q4_K_M;"))
    assert "size of llama-3.1-8b: 4.6 GiB" in q4


@pytest.mark.parametrize(
    ("model", "machine"),
    [
        ("llama-3.1-8b", "rtx 3060 12gb + 16gb"),
        ("qwen3-30b-a3b", "rtx-4090 + 32gb"),
        ("gpt-oss-20b", "m4 pro 24gb"),
        ("bge-m3", "8gb"),
    ],
)
def test_a_machine_has_the_verdict_of_check_on_every_type(
    say: Callable[..., Any], is_valid: Callable[[str, object], None], model: str, machine: str
) -> None:
    answer = say("quants", model, "--machine", machine, "--json").json
    is_valid("quants", answer)
    verdicts = {row["file_type"]: row["verdict"] for row in answer["file_types"]}
    for name in ("F16", "Q8_0", "Q6_K", "Q4_K_M", "Q3_K_M", "Q2_K"):
        told = say("check", model, "--machine", machine, "--file-type", name, "--json").json
        assert verdicts[name] == told["verdict"], name
    made = {row["file_type"]: row["weights_bytes"] is not None for row in answer["file_types"]}
    assert made == {name: verdict is not None for name, verdict in verdicts.items()}


def test_text_names_the_machine_and_the_context_of_its_verdicts(say: Callable[..., Any]) -> None:
    text = say("quants", "llama-3.1-8b", "--machine", "rtx 3060 12gb + 16gb", "--plain")
    f16 = next(line for line in text.lines if line.startswith("file type: F16;"))
    assert "there: slow" in f16
    q4 = next(line for line in text.lines if line.startswith("file type: Q4_K_M;"))
    assert "there: fits" in q4
    assert "of GeForce RTX 3060 12 GB + 16 GiB RAM with 8,192 tokens of context." in text.out


def test_without_a_machine_nothing_is_said_of_one(say: Callable[..., Any]) -> None:
    answer = say("quants", "llama-3.1-8b", "--json").json
    assert answer["machine"] is None
    assert {row["verdict"] for row in answer["file_types"]} == {None}
    assert "there" not in say("quants", "llama-3.1-8b", "--plain").out.split("\n")[0]


def test_a_machine_without_a_model_is_refused(say: Callable[..., Any]) -> None:
    told = say("quants", "--machine", "rtx-4090")
    assert told.code == 2
    assert "--machine without a model" in told.err
