"""The same bytes on every device, whichever way a catalog model came in.

Every model with a tensor table comes in three ways: from the catalog, as a `config.json`, and as
the GGUF header that `whatfits.bench.synthetic` writes of it. At each of three file types all three
have the same tensors, layers and dimensions; at one of them, drawn from a seed with the settings,
they need the same bytes on the CPU and on every device beside two GPUs.

What differs, and moves no byte: a header keeps 32 bits of a floating-point number, names a training
context and a count of token types because llama.cpp refuses a file without them, and lists tensors
in the order of the file.
"""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import pytest
from checkpoints import write_config

from whatfits.bench.synthetic import write_catalog_model
from whatfits.sizing.architectures import find_entry
from whatfits.sizing.catalog.lookup import ModelEntry, model_entries
from whatfits.sizing.machine import Device, Machine, Pool
from whatfits.sizing.search.trials import Trials
from whatfits.sizing.sources import load
from whatfits.sizing.units import GIB
from whatfits.sizing.workload import PlacementRequest, Workload

if TYPE_CHECKING:
    from pathlib import Path

    from whatfits.sizing.model import ModelSpec, TensorSpec

SEED: Final = 20261125
BLOCK: Final = 32  # values of Q8_0 that share a scale
FILE_TYPES: Final = ("Q4_K_M", "Q8_0", None)  # None: the native one, else Q4_K_M
# Their architecture has a tensor table, their shape in the catalog does not fill it.
SHAPES_WITH_HOLES: Final = {
    *("falcon-h1-1.5b", "falcon-h1-1.5b-deep", "falcon-h1-3b", "falcon-h1-7b", "falcon-h1-34b"),
}
CONTEXT_NOT_READ: Final = {"falcon3-1b"}  # a header has to name one all the same
ROOM: Final = 16_384 * GIB
RAM: Final = Pool("ram", "ram", ROOM)
CPU: Final = Device("cpu", "cpu", "a CPU", "ram", features=("avx2",))
MACHINES: Final = {
    "cpu": Machine(pools=(RAM,), devices=(CPU,)),
    "two GPUs": Machine(
        pools=(Pool("vram0", "vram", ROOM), Pool("vram1", "vram", ROOM), RAM),
        devices=(
            Device("cuda0", "cuda", "a card", "vram0"),
            Device("cuda1", "cuda", "a card", "vram1"),
            CPU,
        ),
    ),
}
PARTS: Final = (
    *("device", "pool", "weights_bytes", "kv_cache_bytes", "compute_bytes", "output_bytes"),
    *("overhead_bytes", "total_bytes", "low_bytes", "high_bytes"),
)
ENTRIES: Final = tuple(
    entry
    for entry in model_entries()
    if find_entry(entry.config) is not None and entry.id not in SHAPES_WITH_HOLES
)
FIELDS: Final = (
    *("architecture", "file_type", "layers", "parameters", "active_parameters", "cache_interval"),
    "weights",
)


def tensor_facts(tensors: tuple[TensorSpec, ...]) -> list[tuple[object, ...]]:
    """Everything about tensors but the order in which they were listed."""
    rows = ((t.name, t.shape, t.type, t.n_bytes, t.role, t.layer, t.offset_bytes) for t in tensors)
    return sorted(rows, key=str)


def facts(spec: ModelSpec, *, context_known: bool) -> dict[str, object]:
    """Everything that fixes a byte, and nothing of where it was read."""
    context = spec.hparams.context_train_tokens if context_known else None
    hparams = replace(spec.hparams, context_train_tokens=context)
    return {
        **{name: getattr(spec, name) for name in FIELDS},
        "hparams": hparams,
        "tensors": tensor_facts(spec.tensors),
        "prediction tensors": tensor_facts(spec.prediction_tensors),
    }


def drawn(entry: ModelEntry) -> tuple[str | None, dict[str, Any]]:
    """A file type and a workload drawn from the seed, others for every model."""
    draw = random.Random(f"{SEED} {entry.id}")  # noqa: S311 - a sample, no secret
    kv_type = draw.choice(("f16", "f16", "q8_0"))
    if entry.config.get("head_dim", BLOCK) % BLOCK:  # no cache of blocks for such heads
        kv_type = "f16"
    # llama.cpp has no room for the graph of a quantised cache per sequence of some models
    parallel = draw.choice((1, 1, 2, 4)) if kv_type == "f16" else 1
    return draw.choice(FILE_TYPES), {
        "context_tokens": 256 * draw.randint(2, 64),
        "parallel": parallel,
        "micro_batch": draw.choice((128, 512)),
        "kv_type_k": kv_type,
        "kv_type_v": kv_type,
        "flash_attention": "auto" if kv_type == "f16" else "on",
    }


def rows(spec: ModelSpec, machine: str, workload: dict[str, Any]) -> list[tuple[object, ...]]:
    """Every figure of every device."""
    trials = Trials(spec, MACHINES[machine], Workload(**workload), PlacementRequest())
    memory = trials.first().memory
    return [tuple(getattr(row, part) for part in PARTS) for row in memory.devices]


def test_the_catalog_has_a_table_for_nearly_every_model() -> None:
    assert len(ENTRIES) >= 241
    tables = {entry.id for entry in model_entries() if load(entry.id).tensors}
    assert tables == {entry.id for entry in ENTRIES}


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.id)
def test_every_way_in_gives_the_same_bytes(entry: ModelEntry, tmp_path: Path) -> None:
    write_config(tmp_path, entry.config)
    measured, workload = drawn(entry)
    for file_type in FILE_TYPES:
        catalog = load(entry.id, file_type=file_type)
        assert catalog.file_type is not None
        write_catalog_model(tmp_path / "m.gguf", entry.id, file_type=catalog.file_type)
        ways = {
            "config.json": load(str(tmp_path / "config.json"), file_type=file_type),
            "GGUF header": load(str(tmp_path / "m.gguf")),
        }
        known = catalog.hparams.context_train_tokens is not None
        assert known or entry.id in CONTEXT_NOT_READ
        expected_facts = facts(catalog, context_known=known)
        for way, spec in ways.items():
            assert facts(spec, context_known=known) == expected_facts, (way, file_type)
        if file_type != measured:
            continue
        if catalog.embeds and catalog.hparams.causal:
            del ways["config.json"]  # it does not say that rows are pooled: it is read as a writer
        for machine in MACHINES:
            expected = rows(catalog, machine, workload)
            for way, spec in ways.items():
                assert rows(spec, machine, workload) == expected, (way, machine)
