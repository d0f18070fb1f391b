"""`whatfits quants`: the table of file types, alone and for a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

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
