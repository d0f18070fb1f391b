"""The parameters of a rank, to the byte, against vLLM's own model classes.

`tests/recorded/vllm/parameters.json` says how they were counted.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from whatfits.sizing.api import load_model
from whatfits.sizing.runtimes.vllm_parallel import why_not_ranks
from whatfits.sizing.runtimes.vllm_weights import _TRITON_PADDING, _USUAL_PADDING, _on_rank

if TYPE_CHECKING:
    from whatfits.sizing.model import ModelSpec

RECORDED: Final = Path(__file__).parents[1] / "recorded"
FOUND: Final = json.loads((RECORDED / "vllm" / "parameters.json").read_text("utf-8"))
ROWS: Final[list[dict[str, Any]]] = FOUND["rows"]
PUBLISHED: Final = json.loads((RECORDED / "configs" / "published.json").read_text("utf-8"))["rows"]
# Off by so much: shapes of matrices that are tensors themselves (`weight_shape`), and the padding
# of the experts' biases.
NEAR: Final = {"w4a16": 4e-6, "mxfp4": 5e-5}


def name_of(row: dict[str, Any]) -> str:
    kind = row.get("file_type", "as published")
    return f"{row.get('model', row.get('config'))}-{kind}-{row['ranks']}"


@cache
def spec_by_name(name: str, folder: Path) -> ModelSpec:
    row = next(row for row in ROWS if name_of(row) == name)
    if "model" in row:
        return load_model(row["model"], file_type=row["file_type"], runtime="vllm")
    config = next(one["config"] for one in PUBLISHED if one["model"] == row["config"])
    path = folder / "config.json"
    path.write_text(json.dumps(config), "utf-8")
    return load_model(str(path), runtime="vllm")


@pytest.mark.parametrize("row", ROWS, ids=name_of)
def test_the_parameters_of_a_rank_are_vllms_own(row: dict[str, Any], tmp_path: Path) -> None:
    spec = spec_by_name(name_of(row), tmp_path)
    ranks = row["ranks"]
    assert ranks == 1 or why_not_ranks(spec, ranks) is None
    padding = _TRITON_PADDING if spec.architecture == "gpt-oss" else _USUAL_PADDING
    told = sum(_on_rank(spec, tensor, ranks, padding) for tensor in spec.tensors)
    near = NEAR.get(str(row.get("file_type")), 0.0)
    assert told == pytest.approx(row["bytes"], rel=near, abs=0)


@pytest.mark.parametrize("row", FOUND["refused"], ids=name_of)
def test_what_vllm_does_not_cut_is_not_cut(row: dict[str, Any]) -> None:
    spec = load_model(row["model"], file_type="bf16", runtime="vllm")
    assert why_not_ranks(spec, row["ranks"]) is not None


def test_most_are_held_to_the_byte() -> None:
    exact = [row for row in ROWS if row.get("file_type") not in NEAR]
    assert len(ROWS) >= 340
    assert len(exact) >= 330
    assert {row["ranks"] for row in exact} == {1, 2, 4, 8}
    assert len({row.get("model") for row in exact}) >= 140
