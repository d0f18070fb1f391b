"""Draws models, boxes and settings at random and says where this engine and llama.cpp differ.

usage: random_settings.py [--seed N] [--groups N] [--cases N] [--misses N] [--model NAME]
A group is a model under a file type on a box; `--cases` settings are drawn for each. Prints the
misses as they come, then rates.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from comparison import Box, Oracle, Outcome, compare, write_model

from whatfits.bench.run_settings import RunSettings
from whatfits.bench.synthetic import write_catalog_model
from whatfits.sizing.api.loading import load_spec
from whatfits.sizing.catalog.lookup import model_entries
from whatfits.sizing.errors import BadInputError, InvalidRequestError
from whatfits.sizing.graph.models import has_graph
from whatfits.sizing.quants.file_types import FILE_TYPES
from whatfits.sizing.sources.catalog_model import load_catalog_model
from whatfits.sizing.units import GIB

if TYPE_CHECKING:
    from collections.abc import Iterator

    from whatfits.sizing.model import ModelSpec

_MOST_TENSORS = 1200  # a plan of more takes seconds
_FEW_TENSORS = 400
_USUAL_TYPES = ("Q4_K_M", "Q8_0", "Q6_K", "IQ4_XS", "F16")
_CONTEXTS = (1, 31, 255, 256, 257, 512, 1000, 4096, 5000, 8192, 12345, 16384, 32768, 65536, 131072)
_BATCHES = (1, 7, 31, 32, 33, 64, 512, 2048)
_CACHE_TYPES = ("f16", "f32", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0", "iq4_nl")
_OVERRIDES = (
    (r"exps",),
    (r"blk\.[0-9]\.ffn_.*",),
    (r"ffn_(up|gate|down)",),
    (r"attn",),
    (r"output",),
    (r"token_embd",),
    (r"blk\.1\.",),
    (r"norm",),
    (r"blk\.[0-3]\.attn_[qk]", r"ffn_down"),
    (r"ssm",),
    (r"\.weight",),
)


@dataclass(frozen=True)
class Group:
    """One model on one box, and what is asked of it."""

    model: str
    file_type: str
    whole_file: bool
    box: Box
    settings: tuple[RunSettings, ...]


@cache
def _models() -> tuple[tuple[str, int, int], ...]:
    """Return (name, weight of its draw, layers) of every catalog model with a graph."""
    found = []
    for entry in model_entries():
        try:
            spec = load_catalog_model(entry.name, file_type="Q4_K_M")
        except BadInputError:
            continue  # its shape has holes
        if has_graph(spec) and len(spec.tensors) <= _MOST_TENSORS:
            weight = 3 if len(spec.tensors) <= _FEW_TENSORS else 1
            found.append((entry.name, weight, spec.n_layers))
    return tuple(found)


def _box(rng: random.Random) -> Box:
    gpus = rng.choices((0, 1, 2, 3, 4), (35, 30, 20, 10, 5))[0]
    sizes = tuple(rng.choice((4, 8, 11, 24, 80)) * GIB for _ in range(gpus))
    return Box(
        gpus,
        flash=rng.random() < 0.8,
        asynchronous=rng.random() < 0.8,
        memory_bytes=sizes if rng.random() < 0.5 else (),
    )


def _split(rng: random.Random, gpus: int) -> tuple[float, ...]:
    if gpus < 2 or rng.random() < 0.5:
        return ()
    return tuple(rng.choice((0.0, 0.1, 1.0, 1.0, 3.0, 7.5)) for _ in range(gpus))


def _offload(rng: random.Random, gpus: int, n_layers: int) -> dict[str, object]:
    if not gpus:
        return {"repack": rng.random() < 0.7}
    part = rng.randrange(n_layers + 2)
    return {
        "repack": rng.random() < 0.7,
        "gpu_layers": rng.choice((-1, -1, -1, 0, 1, n_layers, n_layers + 1, part, part)),
        "tensor_split": _split(rng, gpus),
        "split_mode": "none" if rng.random() < 0.1 else "layer",
        "host_overrides": rng.choice(_OVERRIDES) if rng.random() < 0.25 else (),
        "kv_offload": rng.random() < 0.85,
        "op_offload": rng.random() < 0.8,
    }


def _cache_types(rng: random.Random) -> tuple[str, str]:
    match rng.randrange(5):
        case 0 | 1:
            return "f16", "f16"
        case 2 | 3:
            kind = rng.choice(_CACHE_TYPES)
            return kind, kind
        case _:
            return rng.choice(_CACHE_TYPES), rng.choice(_CACHE_TYPES)


def _settings(rng: random.Random, gpus: int, n_layers: int) -> RunSettings:
    parallel = rng.choice((1, 1, 1, 2, 3, 4, 5, 8, 16))
    key, value = _cache_types(rng)
    settings = RunSettings(
        rng.choice(_CONTEXTS) if rng.random() < 0.8 else rng.randint(1, 131072),
        parallel=parallel,
        batch=rng.choice(_BATCHES) if rng.random() < 0.3 else 2048,
        micro_batch=rng.choice(_BATCHES) if rng.random() < 0.5 else 512,
        kv_type_k=key,
        kv_type_v=value,
        flash_attention=rng.choice(("auto", "auto", "on", "off")),
        kv_unified=rng.random() < 0.3,
        swa_full=rng.random() < 0.4,
        outputs_max=rng.choice((0, 0, parallel, parallel, parallel + 3, 100)),
    )
    return replace(settings, **_offload(rng, gpus, n_layers))


def groups(seed: int, count: int, cases: int, *, model: str | None = None) -> Iterator[Group]:
    """Yield as many groups of as many cases, the same ones for the same seed."""
    rng = random.Random(seed)  # noqa: S311 - nothing secret is drawn
    models = [row for row in _models() if model in (None, row[0])]
    for _ in range(count):
        name, _, n_layers = rng.choices(models, [weight for _, weight, _ in models])[0]
        box = _box(rng)
        yield Group(
            name,
            rng.choice(_USUAL_TYPES if rng.random() < 0.5 else tuple(FILE_TYPES)),
            rng.random() < 0.5,
            box,
            tuple(_settings(rng, box.gpus, n_layers) for _ in range(cases)),
        )


def _written(group: Group, path: Path) -> ModelSpec:
    if group.whole_file:
        return write_catalog_model(path, group.model, file_type=group.file_type)
    write_model(load_catalog_model(group.model, file_type=group.file_type), path)
    return load_spec(str(path))  # blocks that predict further are left out: the file says so


def outcomes(group: Group, folder: Path) -> Iterator[Outcome]:
    """Yield every case of a group, compared; none for a file type the model cannot have."""
    path = folder / "model.gguf"
    try:
        spec = _written(group, path)
    except InvalidRequestError:
        return
    with Oracle(group.box) as oracle:
        for settings in group.settings:
            yield compare(spec, path, oracle, settings)


def verdict(outcome: Outcome) -> str:
    """Return in one word how a case came out."""
    if outcome.error is not None:
        return _refusal(outcome.error)
    for column in ("weights", "cache"):
        if [getattr(c, column) for c in outcome.truth] != [
            getattr(c, column) for c in outcome.predicted
        ]:
            return column
    if len(set(outcome.n_ctx)) > 1 or len(set(outcome.output_mib) - {""}) > 1:
        return "context or output"
    if outcome.is_exact:
        return "exact"
    return "held" if outcome.is_held else "compute"


def _refusal(error: str) -> str:
    if not error.startswith("refused: "):
        return "only llama.cpp refused"
    return "only we refused" if error.endswith("llama.cpp: None") else "both refused"


def total_error(outcome: Outcome) -> float:
    """Return predicted over true total, less one."""
    true, ours = (
        sum(c.weights + c.cache + c.compute for c in columns)
        for columns in (outcome.truth, outcome.predicted)
    )
    return ours / true - 1


def main() -> None:
    """Draw, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--groups", type=int, default=20)
    parser.add_argument("--cases", type=int, default=20)
    parser.add_argument("--misses", type=int, default=3)
    parser.add_argument("--model")
    options = parser.parse_args()
    counts: Counter[str] = Counter()
    lowest = 0.0
    with tempfile.TemporaryDirectory() as folder:
        for group in groups(options.seed, options.groups, options.cases, model=options.model):
            shown = 0
            for outcome in outcomes(group, Path(folder)):
                word = verdict(outcome)
                counts[word] += 1
                if outcome.error is None:
                    lowest = min(lowest, total_error(outcome))
                if word not in ("exact", "both refused") and shown < options.misses:
                    shown += 1
                    _show(group, outcome, word)
            print(sum(counts.values()), "compared", file=sys.stderr, flush=True)
    print(dict(counts), f"lowest total {lowest:+.3%}")


def _show(group: Group, outcome: Outcome, word: str) -> None:
    print(f"{word}: {group.model} {group.file_type} whole={group.whole_file} {group.box}")
    print("  ", outcome.settings)
    if outcome.error is not None:
        print("  ", outcome.error)
        return
    rows = zip(outcome.truth, outcome.predicted, outcome.compute_ranges, strict=True)
    for truth, ours, (low, high) in rows:
        print("    truth", truth, "ours", "same" if ours == truth else f"{ours} [{low}, {high}]")
    print("   ", outcome.n_ctx, outcome.output_mib, f"{total_error(outcome):+.3%}", flush=True)


if __name__ == "__main__":
    main()
