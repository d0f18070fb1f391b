"""Records llama.cpp's dry runs with what a back end changes in a graph.

usage: record_fused.py LLAMA_CPP
LLAMA_CPP: the unpacked sources of the llama.cpp that llama-cpp-python was built from.
Writes tests/recorded/llama_cpp/fused.json.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from back_end_changes import KINDS, changes_of, compiled
from comparison import Box, Oracle, columns, without_nextn, write_model
from recorded_plans import FUSED, Plan, PlanGroup, write

from whatfits.bench.run_settings import RunSettings
from whatfits.bench.suite import CatalogShape
from whatfits.bench.verify import REFERENCE
from whatfits.sizing.sources.catalog_model import load_catalog_model

if TYPE_CHECKING:
    from collections.abc import Iterator

    from whatfits.sizing.model import ModelSpec

__all__ = ["MODELS", "settings_for"]

MODELS: Final = (
    *("qwen2.5-0.5b", "phi-2", "starcoder2-3b", "command-r7b", "all-minilm-l6-v2"),
    *("gemma-3-1b", "gemma-3n-e4b", "gemma-4-26b-a4b", "gpt-oss-20b", "llama-4-scout"),
    *("qwen3-30b-a3b", "granite-3.0-1b-a400m", "olmoe-1b-7b", "phi-3.5-moe", "dbrx"),
    *("glm-4.5-air", "ling-mini-2.0", "minimax-m2", "mimo-v2-flash", "step-3.7-flash"),
    *("deepseek-v2-lite", "deepseek-v3.2", "deepseek-v4-flash", "glm-5.3-flash", "minimax-m3"),
    *("falcon-h1-0.5b", "mamba2-2.7b", "rwkv7-0.4b", "jamba-1.5-mini", "nemotron-3-nano-30b-a3b"),
    *("lfm2-8b-a1b", "minimax-m1", "kimi-linear-48b-a3b", "ling-3.0-flash"),
    *("qwen3-next-80b-a3b", "qwen3.5-35b-a3b"),
)
_ON_TWO: Final = ("qwen2.5-0.5b", "gpt-oss-20b", "qwen3-30b-a3b", "qwen3-next-80b-a3b")
_FILE_TYPE: Final = "Q4_K_M"
_PROVENANCE: Final = (
    f"Dry runs (no_alloc) of {REFERENCE} beside pretend GPUs, as in offload.json, whose graphs are "
    "changed by llama.cpp's own graph_optimize of CUDA, Metal and Vulkan, compiled from its "
    "sources without a GPU; sizes are those of CUDA's buffers in all three. Made by "
    "tests/oracle/record_fused.py."
)


def settings_for(spec: ModelSpec) -> Iterator[RunSettings]:
    """Yield what a model is planned for."""
    embeds = spec.embeds
    yield RunSettings(8192, flash_attention="on", embeddings=embeds)
    if embeds:
        return
    yield RunSettings(4096, flash_attention="off", parallel=4, outputs_max=4, swa_full=False)
    yield RunSettings(8192, flash_attention="on", gpu_layers=5, micro_batch=64)
    if any(layer.n_expert for layer in spec.layers):
        yield RunSettings(8192, flash_attention="on", outputs_max=1, host_overrides=("exps",))


def _groups(library: Path) -> Iterator[PlanGroup]:
    for kind in KINDS:
        for gpus, models in ((1, MODELS), (2, _ON_TWO)):
            box = Box(gpus, kind=kind)
            with Oracle(box, changes=changes_of(library, kind)) as oracle:
                for model in models:
                    group = _planned(model, box, oracle)
                    if group.plans:
                        yield group


def _planned(model: str, box: Box, oracle: Oracle) -> PlanGroup:
    spec = without_nextn(load_catalog_model(model, file_type=_FILE_TYPE))
    plans = []
    # CUDA changes nothing where there are no experts
    if box.kind != "cuda" or any(layer.n_expert for layer in spec.layers):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "synthetic.gguf"
            write_model(spec, path)
            for settings in settings_for(spec):
                said = oracle.ask(path, settings)
                if "buffers" in said:
                    plans.append(Plan(settings, columns(said["buffers"], box.gpus)))
    return PlanGroup(CatalogShape(model, spec.architecture, _FILE_TYPE), box, tuple(plans))


def main() -> None:
    """Compile what changes graphs, record every case and write the file."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("llama_cpp", metavar="LLAMA_CPP", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        library = compiled(given.llama_cpp, Path(folder))
        write(FUSED, list(_groups(library)), provenance=_PROVENANCE)


if __name__ == "__main__":
    main()
