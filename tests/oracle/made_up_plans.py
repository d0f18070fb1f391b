"""Dry runs of small made-up models, recorded: for architectures without a catalog entry.

    python tests/oracle/made_up_plans.py        records them anew, with llama.cpp at hand

A model is written as a GGUF and read back; what llama.cpp plans for it under each setting of each
box is a column of weights, cache and compute bytes for each GPU and the host. Settings that
llama.cpp refuses are None.
"""

from __future__ import annotations

import json
import sys
import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import made_up
import sparse_models
import state_models
from cacheless_recipes import CACHELESS
from comparison import Box, Column, Oracle, columns, write_model
from recipes import RECIPES, UNFUSED

from whatfits.bench.run_settings import RunSettings
from whatfits.sizing.sources.catalog_model import load_catalog_model

if TYPE_CHECKING:
    from collections.abc import Callable

    from whatfits.sizing.model import ModelSpec

PATH: Final = Path(__file__).parents[1] / "recorded" / "llama_cpp" / "made_up.json"
_PROVENANCE: Final = (
    "dry runs of llama.cpp commit 0c1e57098 as vendored by llama-cpp-python 0.3.36, on models made "
    "up by tests/oracle; rows in the order of the boxes and settings of made_up_plans.py"
)
_ENCODERS: Final = ("bge-small-en-v1.5", "nomic-embed-text-v1.5")
_POOLINGS: Final = range(4)
_BASE: Final = RunSettings(8192)
_ON_CPU: Final = (
    RunSettings(4096, flash_attention="on"),
    RunSettings(4096, flash_attention="off", outputs_max=1),
    RunSettings(8192, flash_attention="off", parallel=3, outputs_max=3),
    RunSettings(8192, flash_attention="on", micro_batch=64),
    RunSettings(8192, flash_attention="on", parallel=4, kv_unified=True, swa_full=False),
    RunSettings(8192, flash_attention="on", kv_type_k="f32", kv_type_v="f32"),
    RunSettings(8192, flash_attention="on", kv_type_k="q8_0", kv_type_v="q8_0"),
    RunSettings(512, parallel=1, outputs_max=0),
)
_ON_GPU: Final = (
    replace(_BASE, outputs_max=1),
    replace(_BASE, gpu_layers=3),
    replace(_BASE, gpu_layers=3, flash_attention="off"),
    replace(_BASE, gpu_layers=2, micro_batch=16),
    replace(_BASE, kv_offload=False),
    replace(_BASE, host_overrides=("ffn_(up|gate|down)",)),
    RunSettings(512, gpu_layers=3, parallel=1, outputs_max=0),
)
_ON_TWO_GPUS: Final = (_BASE, replace(_BASE, outputs_max=2, parallel=2))
GRIDS: Final = ((Box(0), _ON_CPU), (Box(1), _ON_GPU), (Box(2), _ON_TWO_GPUS))


def _from_recipe(name: str, path: Path) -> ModelSpec:
    recipe, size = {**RECIPES, **UNFUSED, **CACHELESS}[name]
    return made_up.made_up(name, recipe, path, size)


def _pooled(name: str, pooling: int, path: Path) -> ModelSpec:
    spec = load_catalog_model(name, file_type="F16")
    key = f"{spec.architecture}.pooling_type"
    spec = replace(spec, metadata={**spec.metadata, key: pooling})
    write_model(spec, path)
    return spec


MODELS: Final[dict[str, Callable[[Path], ModelSpec]]] = {
    **{name: partial(_from_recipe, name) for name in (*RECIPES, *UNFUSED, *CACHELESS)},
    **{name: partial(state_models.made_up, name) for name in state_models.MADE_UP},
    **{name: partial(sparse_models.made_up, name) for name in sparse_models.MADE_UP},
    **{f"{name}, pooling {n}": partial(_pooled, name, n) for name in _ENCODERS for n in _POOLINGS},
}
"""Name → writes the model to a path and returns what this engine reads from it."""


def as_run(spec: ModelSpec, settings: RunSettings) -> RunSettings:
    """Return settings as a model takes them: an encoder is run for its embeddings."""
    return replace(settings, embeddings=not spec.hparams.causal)


def recorded() -> dict[str, list[list[tuple[Column, ...] | None]]]:
    """Return what llama.cpp plans for each model: box by box, setting by setting."""
    kept = json.loads(PATH.read_text("utf-8"))["rows"]
    return {
        name: [[None if row is None else _columns(row) for row in box] for box in boxes]
        for name, boxes in kept.items()
    }


def _columns(numbers: list[int]) -> tuple[Column, ...]:
    return tuple(Column(*numbers[at : at + 3]) for at in range(0, len(numbers), 3))


def _planned(oracle: Oracle, path: Path, settings: RunSettings) -> list[int] | None:
    said = oracle.ask(path, settings)
    if "buffers" not in said:
        return None
    found = columns(said["buffers"], oracle.box.gpus)
    return [n for column in found for n in (column.weights, column.cache, column.compute)]


def main() -> None:
    """Ask llama.cpp for every model and write the record."""
    rows: dict[str, list[list[list[int] | None]]] = {name: [] for name in MODELS}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.gguf"
        for box, grid in GRIDS:
            with Oracle(box) as oracle:
                for name, write in MODELS.items():
                    spec = write(path)
                    rows[name].append([_planned(oracle, path, as_run(spec, one)) for one in grid])
                    sys.stderr.write(f"{box.gpus} GPUs: {name}\n")
    lines = [f"{json.dumps(name)}: {json.dumps(boxes)}" for name, boxes in rows.items()]
    text = ",\n".join(lines)
    PATH.write_text(
        f'{{"provenance": {json.dumps(_PROVENANCE)},\n"rows": {{\n{text}\n}}}}\n', "utf-8"
    )


if __name__ == "__main__":
    main()
