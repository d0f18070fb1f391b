"""Recorded graphs of llama.cpp: of which models, under which settings, and how they are kept.

tests/recorded/llama_cpp/graphs.json holds, a model a line, the number of nodes and a digest of
their lines (graph_nodes.py) for each setting of each box; null where llama.cpp refuses.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from comparison import Box
from graph_nodes import Digest
from made_up_plans import MODELS
from variants import FULLER, VARIANTS

from whatfits.bench.run_settings import RunSettings
from whatfits.bench.suite import CatalogShape, as_run, smallest_shapes
from whatfits.sizing.sources.catalog_model import load_catalog_model

if TYPE_CHECKING:
    from collections.abc import Iterator

    from whatfits.sizing.model import ModelSpec

PATH: Final = Path(__file__).parents[1] / "recorded" / "llama_cpp" / "graphs.json"
_PROVENANCE: Final = (
    "graphs that llama.cpp commit 0c1e57098, as vendored by llama-cpp-python 0.3.36, reserves "
    "memory for in dry runs; asked by tests/oracle/record_graphs.py"
)
_BASE: Final = RunSettings(4096, swa_full=False)
_ON_CPU: Final = (
    replace(_BASE, flash_attention="on", outputs_max=1),
    replace(_BASE, flash_attention="off", parallel=3, outputs_max=3, micro_batch=96),
    replace(
        _BASE, flash_attention="on", parallel=4, kv_unified=True, kv_type_k="q8_0", kv_type_v="q8_0"
    ),
    replace(_BASE, flash_attention="off", kv_type_k="f32", kv_type_v="f32", micro_batch=64),
    replace(
        _BASE,
        flash_attention="on",
        parallel=2,
        outputs_max=2,
        kv_type_k="q8_0",
        kv_type_v="q8_0",
        micro_batch=32,
    ),
)
_ON_GPU: Final = (
    replace(_BASE, gpu_layers=3),
    replace(_BASE, gpu_layers=3, micro_batch=16),
    replace(_BASE, kv_offload=False, host_overrides=("ffn_(up|gate|down)",)),
    replace(_BASE, host_overrides=("hc_|attn_out",), micro_batch=64),
)
_ON_TWO_GPUS: Final = (replace(_BASE, parallel=2, outputs_max=2),)
GRIDS: Final = ((Box(0), _ON_CPU), (Box(1), _ON_GPU), (Box(2), _ON_TWO_GPUS))
SHAPES: Final[dict[str, CatalogShape]] = {
    **{shape.model: shape for shape in smallest_shapes()},
    **{name: CatalogShape(name, "", "Q4_K_M") for name in FULLER},
}
MADE: Final = {**MODELS, **VARIANTS}
NAMES: Final = (*SHAPES, *MADE)


def runs(spec: ModelSpec) -> Iterator[tuple[Box, RunSettings]]:
    """Yield each box and setting, as a model takes it."""
    for box, grid in GRIDS:
        for settings in grid:
            yield box, as_run(spec, settings)


def model(name: str, folder: Path) -> ModelSpec:
    """Return a model of the record; one that is made up is written to a folder for it."""
    if name in SHAPES:
        return load_catalog_model(name, file_type=SHAPES[name].file_type)
    return MADE[name](folder / "model.gguf")


def read() -> dict[str, list[Digest | None]]:
    """Return what is recorded of each model, in the order of `runs`."""
    kept = json.loads(PATH.read_text("utf-8"))["graphs"]
    return {name: [each and Digest(*each) for each in row] for name, row in kept.items()}


def write(found: dict[str, list[Digest | None]]) -> None:
    """Write the record."""
    rows = {
        name: [each and [each.nodes, each.sha256] for each in row] for name, row in found.items()
    }
    lines = [f"{json.dumps(name)}: {json.dumps(row)}" for name, row in rows.items()]
    text = ",\n".join(lines)
    PATH.write_text(
        f'{{"provenance": {json.dumps(_PROVENANCE)},\n"graphs": {{\n{text}\n}}}}\n', "utf-8"
    )
