"""Records llama.cpp's dry runs for the accuracy record: on the CPU, and beside pretend GPUs.

usage: record_plans.py suite|offload [ARCHITECTURE…]
Without architectures everything is made anew; with them, theirs is and the rest is kept.
Writes tests/recorded/llama_cpp/suite.json or offload.json.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from comparison import Box, Oracle, columns
from recorded_plans import OFFLOAD, SUITE, Plan, PlanGroup, read, write

from whatfits.bench.run_settings import RunSettings
from whatfits.bench.suite import as_run, settings_grid, suite_shapes
from whatfits.bench.synthetic import write_catalog_model
from whatfits.bench.verify import REFERENCE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from whatfits.bench.suite import CatalogShape
    from whatfits.sizing.model import ModelSpec

_PROVENANCE: Final = (
    f"Dry runs (no_alloc) of {REFERENCE}: llama.cpp's own bytes per device, columns of "
    "llama_get_memory_breakdown. Models are the catalog's, written with their full tensor tables "
    "and no data (whatfits.bench.synthetic)."
)
_PRETEND: Final = (
    " GPUs are pretended (tests/oracle/pretend_gpu.c: they answer as ggml's CUDA back end does "
    "where that decides memory, and compute nothing); 24 GiB each; host x86-64 with AVX2, weights "
    "repacked. Made by tests/oracle/record_plans.py."
)
_EXPERTS: Final = r"\.ffn_(up|down|gate|gate_up)_(ch|)exps"  # what --cpu-moe of llama.cpp means
_FEED_FORWARD: Final = "ffn_(up|gate|down)"
_EVERYTHING: Final = r"\.weight"
_BASE: Final = RunSettings(8192, outputs_max=1, swa_full=False)


def offload_grid(box: Box, spec: ModelSpec) -> tuple[RunSettings, ...]:
    """Return the settings of a box: where layers, experts and cache lie, what changes graphs."""
    half = replace(_BASE, gpu_layers=spec.n_layers // 2)
    if not box.flash:
        return _BASE, half
    if not box.asynchronous:
        return _BASE, half, replace(_BASE, parallel=4, outputs_max=4)
    experts = (replace(_BASE, host_overrides=(_EXPERTS,)),) if spec.hparams.n_expert else ()
    if box.gpus > 1:
        return (
            *(_BASE, half, *experts),
            replace(_BASE, context_tokens=65_536),
            replace(_BASE, flash_attention="off"),
            replace(_BASE, tensor_split=(3.0, 1.0)),
            replace(half, tensor_split=(1.0, 9.0)),
            replace(_BASE, split_mode="none"),
            replace(_BASE, kv_offload=False),
            replace(_BASE, parallel=4, outputs_max=4),
            replace(_BASE, kv_type_k="q8_0", kv_type_v="q8_0", micro_batch=2048),
        )
    return (
        *(_BASE, half, *experts),
        *(replace(_BASE, gpu_layers=layers) for layers in (0, 1, spec.n_layers)),
        replace(_BASE, context_tokens=65_536),
        replace(_BASE, flash_attention="off"),
        replace(half, flash_attention="off"),
        replace(_BASE, parallel=4, outputs_max=4),
        replace(half, parallel=4, outputs_max=4, kv_unified=True),
        replace(_BASE, kv_offload=False),
        replace(half, kv_offload=False),
        replace(half, op_offload=False),
        replace(_BASE, kv_type_k="q8_0", kv_type_v="q8_0"),
        replace(_BASE, micro_batch=2048),
        replace(half, micro_batch=16),
        replace(_BASE, host_overrides=(_FEED_FORWARD,)),
        replace(_BASE, host_overrides=(rf"blk\.[0-9]\.{_FEED_FORWARD}",)),
        replace(_BASE, host_overrides=(_EVERYTHING,)),
        RunSettings(8192),
    )


def record(kind: str, shapes: Sequence[CatalogShape], folder: Path) -> list[PlanGroup]:
    """Return the dry runs of some shapes, box by box."""
    boxes = (Box(0),)
    if kind == "offload":
        boxes = (Box(1), Box(1, flash=False), Box(2), Box(2, asynchronous=False))
    groups = []
    for box in boxes:
        with Oracle(box) as oracle:
            for shape in shapes:
                sys.stderr.write(f"{box.gpus} GPUs: {shape.model}\n")
                groups.append(_group(oracle, shape, folder / "synthetic.gguf"))
    return groups


def _group(oracle: Oracle, shape: CatalogShape, path: Path) -> PlanGroup:
    spec = write_catalog_model(path, shape.model, file_type=shape.file_type)
    grid = offload_grid(oracle.box, spec) if oracle.box.gpus else settings_grid()
    plans = []
    for wanted in grid:
        settings = as_run(spec, wanted)
        said = oracle.ask(path, settings)
        truth = columns(said["buffers"], oracle.box.gpus) if "buffers" in said else ()
        refusal = said.get("error")
        # what follows the colon is its log, with the paths of this machine
        plans.append(Plan(settings, truth, refusal and refusal.partition(":")[0]))
    return PlanGroup(shape, oracle.box, tuple(plans))


def main(kind: str, architectures: Sequence[str]) -> None:
    """Record what is asked for and write the file."""
    path, provenance = {
        "suite": (SUITE, f"{_PROVENANCE} On the CPU, nothing repacked."),
        "offload": (OFFLOAD, _PROVENANCE + _PRETEND),
    }[kind]
    shapes = [s for s in suite_shapes() if not architectures or s.architecture in architectures]
    if kind == "offload":  # of each architecture the smallest
        shapes = list({shape.architecture: shape for shape in reversed(shapes)}.values())[::-1]
    kept = read(path) if architectures else ()
    with tempfile.TemporaryDirectory() as folder:
        made = record(kind, shapes, Path(folder))
    groups = [*(g for g in kept if g.shape.architecture not in architectures), *made]
    order = sorted(groups, key=lambda g: (g.box.gpus, g.box.flash, g.box.asynchronous))
    write(path, sorted(order, key=lambda g: g.shape.architecture), provenance=provenance)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
