"""Compares models with llama.cpp over a grid of settings, and says where they differ.

usage: sweep.py [--gpus 0,1,2] [--misses N] [--file-type Q4_K_M] [--quick] [--whole] MODEL…
--whole writes blocks that predict further tokens too.
Prints, a model and box: settings compared, exact ones, those held by the interval; then misses.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
from pathlib import Path

from comparison import Box, Oracle, Outcome, compare, without_nextn, write_model

from whatfits.bench.run_settings import RunSettings
from whatfits.bench.synthetic import write_catalog_model
from whatfits.sizing.sources.catalog_model import load_catalog_model

CONTEXTS = (512, 4096, 32768)


def cpu_grid(*, quick: bool) -> list[RunSettings]:
    """Settings of a CPU: contexts, sequences, batches, cache types, windows, rows of logits."""
    if quick:
        return [
            RunSettings(4096, flash_attention=flash, swa_full=False, outputs_max=rows)
            for flash, rows in itertools.product(("on", "off"), (0, 1))
        ]
    grid = [
        RunSettings(
            context,
            flash_attention=flash,
            parallel=parallel,
            swa_full=full,
            outputs_max=parallel if few_rows else 0,  # fewer than sequences ends llama.cpp
        )
        for context, flash, parallel, full, few_rows in itertools.product(
            CONTEXTS, ("on", "off"), (1, 3), (True, False), (False, True)
        )
    ]
    for flash in ("on", "off"):
        grid += [
            RunSettings(8192, flash_attention=flash, micro_batch=64, swa_full=False),
            RunSettings(8192, flash_attention=flash, micro_batch=2048, swa_full=False),
            RunSettings(8192, flash_attention=flash, batch=256, swa_full=False),
            RunSettings(8192, flash_attention=flash, parallel=4, kv_unified=True, swa_full=False),
            RunSettings(8192, flash_attention=flash, kv_type_k="q8_0", swa_full=False),
            RunSettings(8192, flash_attention=flash, kv_type_k="f32", kv_type_v="f32"),
            RunSettings(8192, flash_attention=flash, kv_type_k="bf16", kv_type_v="bf16"),
        ]
    grid += [
        RunSettings(8192, flash_attention="on", kv_type_k=kind, kv_type_v=kind, parallel=parallel)
        for kind, parallel in itertools.product(("q8_0", "q4_0"), (1, 4))
    ]
    return grid


def gpu_grid(gpus: int, *, n_layers: int, quick: bool) -> list[RunSettings]:
    """Settings beside accelerators: layers, splits, overrides, what stays on the host."""
    if quick:
        return [
            RunSettings(4096, gpu_layers=layers, swa_full=False)
            for layers in (-1, 0, n_layers // 2)
        ]
    grid = [
        RunSettings(
            context, gpu_layers=layers, flash_attention=flash, swa_full=False, outputs_max=rows
        )
        for context, layers, flash, rows in itertools.product(
            (8192, 65536), (-1, 0, 1, n_layers // 2, n_layers), ("on", "off"), (0, 1)
        )
    ]
    for layers in (-1, n_layers // 2):
        grid += [
            RunSettings(8192, gpu_layers=layers, parallel=4, swa_full=False),
            RunSettings(8192, gpu_layers=layers, kv_offload=False, swa_full=False),
            RunSettings(8192, gpu_layers=layers, op_offload=False, swa_full=False),
            RunSettings(8192, gpu_layers=layers, kv_type_k="q8_0", kv_type_v="q8_0"),
            RunSettings(8192, gpu_layers=layers, micro_batch=2048, swa_full=False),
            RunSettings(8192, gpu_layers=layers, micro_batch=16, swa_full=False),
            RunSettings(8192, gpu_layers=layers, host_overrides=("ffn_(up|gate|down)",)),
            RunSettings(8192, gpu_layers=layers, host_overrides=(r"blk\.[0-9]\.ffn_.*_exps",)),
        ]
    if gpus > 1:
        grid += [
            RunSettings(8192, tensor_split=split, swa_full=False)
            for split in ((3.0, 1.0), (1.0, 9.0))
        ]
        grid.append(RunSettings(8192, split_mode="none", swa_full=False))
    return grid


BOXES = {
    0: (Box(0),),
    1: (Box(1), Box(1, flash=False)),
    2: (Box(2), Box(2, asynchronous=False)),
}


def sweep(model: str, options: argparse.Namespace, folder: Path) -> None:
    """Print one model's outcome on every box."""
    path = folder / f"{model}.gguf"
    if options.whole:
        spec = write_catalog_model(path, model, file_type=options.file_type)
    else:
        spec = load_catalog_model(model, file_type=options.file_type)
        write_model(spec, path)
        spec = without_nextn(spec)
    for gpus in options.gpus:
        for box in BOXES[gpus]:
            grid = (
                gpu_grid(gpus, n_layers=spec.n_layers, quick=options.quick)
                if gpus
                else cpu_grid(quick=options.quick)
            )
            if not box.flash:
                grid = [RunSettings(8192), RunSettings(8192, gpu_layers=spec.n_layers // 2)]
            with Oracle(box) as oracle:
                outcomes = [compare(spec, path, oracle, settings) for settings in grid]
            report(f"{model} ({spec.architecture}) {box}", outcomes, misses=options.misses)


def report(title: str, outcomes: list[Outcome], *, misses: int) -> None:
    """Print counts, then the first misses with truth and prediction."""
    good = [o for o in outcomes if o.error is None]
    exact, held = sum(o.is_exact for o in good), sum(o.is_held for o in good)
    refused = len(outcomes) - len(good)
    print(f"{title}: {len(good)} compared, {exact} exact, {held} held, {refused} refused")
    for outcome in [o for o in good if not o.is_exact][:misses]:
        print("  ", outcome.settings)
        for got, want in zip(outcome.predicted, outcome.truth, strict=True):
            print("      predicted", got, "truth", want, "" if got == want else "<<<")
    for outcome in [o for o in outcomes if o.error is not None][:misses]:
        print("  ", outcome.error, outcome.settings)


def main() -> None:
    """Sweep every model named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--gpus", type=lambda t: [int(x) for x in t.split(",")], default=[0, 1, 2])
    parser.add_argument("--misses", type=int, default=3)
    parser.add_argument("--file-type", default="Q4_K_M")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--whole", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for model in options.models:
            sweep(model, options, Path(folder))


if __name__ == "__main__":
    main()
