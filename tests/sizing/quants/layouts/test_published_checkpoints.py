"""Sizes of published MLX, AWQ, GPTQ and 16-bit checkpoints, from the catalog's shapes.

`tests/recorded/file_sizes/checkpoints.json` holds them. mlx-lm's choice of modules that keep other
bits changed over time; what a repository has (`overrides`: routers at the file's own bits, at 8 or
unquantised, gemma 4's dense feed-forward beside experts at 8) shows in the differences between the
widths of one model, and one choice explains all of them. What is left over is explained:

- vision towers are added from the catalog, in 16 bits; gemma 4 quantises the projector behind its
  tower (1152 x 5376 and 1152 x 2816 weights), up to 9 MB less than that;
- state decay and the selection bias of experts are F32 in some repositories: 2 bytes a number more;
- MiniMax keeps F32 scales for its F32 routers (3 MB); the card of M2.7 counts whole files, so the
  tokenizer (16 MB) too;
- a safetensors file begins with its header, some 100 bytes a tensor;
- Qwen's AWQ file holds a copy of the tied embedding as output matrix.

Repositories whose card gives a rounded size (a decimal figure times 2**20 or 2**30) are not used.
"""

from __future__ import annotations

import json
from functools import partial
from math import prod
from pathlib import Path
from typing import Any

import pytest

from whatfits.sizing.catalog.lookup import find_model
from whatfits.sizing.quants.layouts.awq import awq_parts
from whatfits.sizing.quants.layouts.checkpoint import checkpoint_bytes, mlx_checkpoint_bytes
from whatfits.sizing.quants.layouts.gptq import gptq_parts
from whatfits.sizing.sources.catalog_model import spec_of_entry

ROWS: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[3] / "recorded" / "file_sizes" / "checkpoints.json").read_text()
)["rows"]
MLX = [row for row in ROWS if row["layout"] == "mlx"]
SAFETENSORS = [row for row in ROWS if row["layout"] != "mlx"]
HEADER_BYTES_A_TENSOR = 130
TO_THE_BYTE = ("Nemotron-Nano-9B", "Qwen3.6")


def name_of(row: dict[str, Any]) -> str:
    return str(row["repo"]).partition("/")[2]


def predicted(row: dict[str, Any]) -> int:
    entry = find_model(row["model"])
    tensors = spec_of_entry(entry, file_type="F16").tensors
    match row["layout"]:
        case "mlx":
            sizes = mlx_checkpoint_bytes(
                tensors,
                bits=row["bits"],
                group=row["group"],
                mode=row["mode"],
                overrides=row["overrides"],
            )
            return sum(sizes.values()) + 2 * (entry.params_vision_audio or 0)
        case "awq":
            return sum(checkpoint_bytes(tensors, awq_parts).values())
        case "gptq":
            layout = partial(gptq_parts, bits=row["bits"], group=row["group"])
            return sum(checkpoint_bytes(tensors, layout).values())
        case _:
            return sum(2 * prod(tensor.shape) for tensor in tensors)


@pytest.mark.parametrize("row", MLX, ids=name_of)
def test_an_mlx_repository_has_the_size_predicted_within_a_two_thousandth(
    row: dict[str, Any],
) -> None:
    error = predicted(row) / row["bytes"] - 1
    print(f"{name_of(row):40} {error:+.5%}")
    assert abs(error) <= 0.0005


@pytest.mark.parametrize(
    "row", [row for row in MLX if any(name in row["repo"] for name in TO_THE_BYTE)], ids=name_of
)
def test_an_mlx_repository_without_f32_tensors_has_it_to_the_byte(row: dict[str, Any]) -> None:
    assert predicted(row) == row["bytes"]


@pytest.mark.parametrize("row", [r for r in MLX if "Qwen3.5" in r["repo"]], ids=name_of)
def test_what_an_mlx_repository_of_qwen_3_5_has_more_is_its_f32_decay(row: dict[str, Any]) -> None:
    tensors = spec_of_entry(find_model(row["model"]), file_type="F16").tensors
    decay = sum(prod(t.shape) for t in tensors if t.name.endswith("ssm_a"))
    assert row["bytes"] - predicted(row) == 2 * decay


@pytest.mark.parametrize("row", SAFETENSORS, ids=name_of)
def test_a_safetensors_file_is_its_tensors_and_a_header(row: dict[str, Any]) -> None:
    spec = spec_of_entry(find_model(row["model"]), file_type="F16")
    left = row["bytes"] - predicted(row)
    parts = {"awq": 3, "gptq": 4}.get(row["layout"], 1)
    if row["layout"] == "awq":
        left -= 2 * spec.hparams.n_vocab * spec.hparams.n_embd
    assert 0 < left <= HEADER_BYTES_A_TENSOR * len(spec.tensors) * parts
