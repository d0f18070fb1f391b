"""Buffers that llama.cpp printed as it loaded a model on real devices, against what is predicted.

`tests/recorded/field_memory/loads.json` says where its rows come from and what each leaves out.
llama.cpp prints MiB with two decimals, so each printed line may be half of the last one off.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from whatfits.sizing.api import check
from whatfits.sizing.quants.ggml_types import tensor_bytes
from whatfits.sizing.sources.catalog_model import load_catalog_model
from whatfits.sizing.units import GIB, MIB

if TYPE_CHECKING:
    from whatfits.sizing.estimate import DeviceMemory, Memory
    from whatfits.sizing.model import ModelSpec, TensorSpec

PATH: Final = Path(__file__).parents[1] / "recorded" / "field_memory" / "loads.json"
RECORDED: Final = json.loads(PATH.read_text(encoding="utf-8"))
LOADS: Final = RECORDED["rows"]
DRAFTS: Final = RECORDED["drafts"]
WHOLE: Final = RECORDED["whole"]
HALF_A_DIGIT_BYTES: Final = MIB * 0.005
ROOM_GIB: Final = 512
COLUMNS: Final = {
    "weights": "weights_bytes",
    "cache": "kv_cache_bytes",
    "compute": "compute_bytes",
    "output": "output_bytes",
}


def machine(kinds: list[str], free_gib: list[float] | None) -> dict[str, Any]:
    """Return devices of these kinds with room enough, and a CPU with AVX2."""
    free = free_gib or [ROOM_GIB] * len(kinds)
    if kinds == ["metal"]:
        pools = [{"id": "unified", "kind": "unified", "total_bytes": ROOM_GIB * GIB}]
        names = ["unified", "unified"]
    else:
        pools = [
            {"id": f"vram{at}", "kind": "vram", "total_bytes": round(size * GIB)}
            for at, size in enumerate(free)
        ]
        pools.append({"id": "ram", "kind": "ram", "total_bytes": ROOM_GIB * GIB})
        names = [pool["id"] for pool in pools]
    devices = [
        {"id": f"gpu{at}", "kind": kind, "name": kind, "pool": pool}
        for at, (kind, pool) in enumerate(zip(kinds, names, strict=False))
    ]
    cpu = {"id": "cpu", "kind": "cpu", "name": "cpu", "pool": names[-1], "features": ["avx2"]}
    return {"pools": pools, "devices": [*devices, cpu]}


def retyped(tensor: TensorSpec, types: dict[str, str]) -> TensorSpec:
    """Return a tensor in the type that the file has it in."""
    name = tensor.name.removeprefix(f"blk.{tensor.layer}.")
    kind = types.get(name, tensor.type)
    return replace(tensor, type=kind, n_bytes=tensor_bytes(kind, tensor.shape))


def in_its_file(row: dict[str, Any]) -> ModelSpec | None:
    """Return a model with the file's own types, or without prediction layers; else None."""
    types, is_shorter = row.get("tensor_types", {}), row.get("without_prediction_layers", False)
    if not types and not is_shorter:
        return None
    model = load_catalog_model(row["model"], file_type=row["file_type"])
    model = replace(model, tensors=tuple(retyped(tensor, types) for tensor in model.tensors))
    if is_shorter:
        hparams = replace(model.hparams, n_layer_nextn=0)
        model = replace(model, hparams=hparams, prediction_tensors=())
    return model


def predicted(row: dict[str, Any]) -> Memory:
    own = in_its_file(row)
    plan = check(
        own or row["model"],
        machine=machine(row["devices"], row.get("free_gib")),
        file_type=None if own else row["file_type"],
        runtime=row.get("runtime", "llama.cpp"),
        workload=row["workload"],
        placement=row.get("placement", {}),
    )
    assert plan.memory is not None
    return plan.memory


def by_device(memory: Memory) -> dict[str, DeviceMemory]:
    return {device.device: device for device in memory.devices}


def assert_printed(lines: list[float], n_bytes: int, what: str) -> None:
    assert abs(sum(lines) * MIB - n_bytes) <= HALF_A_DIGIT_BYTES * len(lines) + 1, (
        f"{what}: {n_bytes / MIB:.2f} MiB predicted, {sum(lines):.2f} printed"
    )


@pytest.mark.parametrize("row", LOADS, ids=[row["name"] for row in LOADS])
def test_every_printed_buffer_is_what_was_predicted(row: dict[str, Any]) -> None:
    devices = by_device(predicted(row))
    for name, columns in row["logged"].items():
        for column, lines in columns.items():
            assert_printed(lines, getattr(devices[name], COLUMNS[column]), f"{name} {column}")


@pytest.mark.parametrize("row", WHOLE, ids=[row["name"] for row in WHOLE])
def test_what_was_told_in_whole_mebibytes_is_what_was_predicted(row: dict[str, Any]) -> None:
    devices = by_device(predicted(row))
    for name, columns in row["told_mib"].items():
        among = devices.values() if name == "all" else [devices[name]]
        for column, told in columns.items():
            n_bytes = sum(getattr(device, COLUMNS[column]) for device in among)
            assert abs(n_bytes / MIB - told) < 1, f"{name} {column}: {n_bytes / MIB:.2f} MiB"


@pytest.mark.parametrize("row", DRAFTS, ids=[row["name"] for row in DRAFTS])
def test_a_context_for_prediction_layers_holds_its_cache(row: dict[str, Any]) -> None:
    devices = by_device(predicted(row))
    for name, lines in row["cache"].items():
        assert_printed(lines, devices[name].kv_cache_bytes, f"{name} cache")


@pytest.mark.parametrize("row", DRAFTS, ids=[row["name"] for row in DRAFTS])
def test_the_working_memory_of_prediction_layers_is_held(row: dict[str, Any]) -> None:
    # What may be added for earlier states is the main context's, and the most.
    wanted = row["workload"]
    beside = by_device(predicted(row))
    plain = {key: value for key, value in wanted.items() if not key.startswith("spec_")}
    alone = by_device(predicted({**row, "workload": plain}))
    state_bytes = 4 * max(
        layer.recurrent.state_elements
        for layer in load_catalog_model(row["model"]).layers
        if layer.recurrent is not None
    )
    states_bytes = state_bytes * wanted["parallel"] * wanted["spec_draft_n_max"]
    for name, logged in row["draft_compute"].items():
        added = beside[name].compute_bytes - alone[name].compute_bytes
        assert 0.98 * logged * MIB <= added <= 1.35 * logged * MIB + states_bytes, name


def test_the_rows_are_of_many_kinds() -> None:
    kinds = {kind for row in LOADS for kind in row["devices"] or ["cpu"]}
    assert kinds == {"cpu", "cuda", "metal", "rocm", "sycl", "vulkan"}
    assert len({row["model"] for row in LOADS}) >= 15
    printed = [columns for row in LOADS for columns in row["logged"].values()]
    assert sum(len(columns) for columns in printed) >= 60
