"""One model under one file type, compared with llama.cpp's dry runs, buffer by buffer."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from whatfits.bench.plans import Planner
from whatfits.bench.requests import placement_request, workload
from whatfits.bench.synthetic import write_synthetic_model
from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.flash_attention import layers_can_fuse
from whatfits.sizing.machine import Device, Machine, Pool
from whatfits.sizing.placement import resolve_placement
from whatfits.sizing.runtimes.llama_cpp import Bill
from whatfits.sizing.settings import resolve_settings
from whatfits.sizing.units import GIB, MIB

if TYPE_CHECKING:
    from whatfits.bench.run_settings import RunSettings
    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.placement import Placement
    from whatfits.sizing.settings import Settings

WORKER = Path(__file__).with_name("worker.py")
HOST_FEATURES = ("avx2",)
PRETEND_BYTES = 24 * GIB
_OUTPUT_SIZE = re.compile(r"output buffer size = +([0-9.]+) MiB")


@dataclass(frozen=True)
class Box:
    """A machine of the dry runs: how many pretend GPUs, what they can do and hold.

    `kind` is what this engine takes them for.
    """

    gpus: int = 0
    flash: bool = True
    asynchronous: bool = True
    memory_bytes: tuple[int, ...] = ()
    kind: str = "cuda"

    @property
    def sizes(self) -> tuple[int, ...]:
        """Memory of each GPU."""
        return self.memory_bytes or (PRETEND_BYTES,) * self.gpus

    @property
    def machine(self) -> Machine:
        features = [] if self.flash else ["no_flash_attention"]
        if not self.asynchronous:
            features.append("no_async")
        pools = [Pool(f"vram{i}", "vram", size) for i, size in enumerate(self.sizes)]
        devices = [
            Device(f"gpu{i}", self.kind, f"pretend GPU {i}", f"vram{i}", features=tuple(features))
            for i in range(self.gpus)
        ]
        return Machine(
            pools=(*pools, Pool("ram", "ram", 64 * GIB)),
            devices=(*devices, Device("cpu", "cpu", "x86-64", "ram", features=HOST_FEATURES)),
        )


class Oracle(Planner):
    """llama.cpp in a child process with the GPUs of a box, and with what changes their graphs."""

    def __init__(self, box: Box, *, changes: str = "") -> None:
        self.box = box
        arguments = [str(int(x)) for x in (box.gpus, box.flash, box.asynchronous)]
        arguments += [",".join(str(size) for size in box.sizes), changes, box.kind]
        super().__init__([sys.executable, str(WORKER), *arguments])


@dataclass(frozen=True)
class Column:
    """Bytes of weights, cache and compute buffer on one device."""

    weights: int
    cache: int
    compute: int


@dataclass(frozen=True)
class Outcome:
    """One setting: what llama.cpp plans, what this engine predicts, accelerators first.

    `compute_ranges` are the intervals of the compute buffers; `n_ctx` and `output_mib` (as
    llama.cpp prints it) are truth and prediction.
    """

    settings: RunSettings
    truth: tuple[Column, ...]
    predicted: tuple[Column, ...]
    compute_ranges: tuple[tuple[int, int], ...]
    error: str | None = None
    n_ctx: tuple[int, int] = (0, 0)
    output_mib: tuple[str, str] = ("", "")

    @property
    def is_exact(self) -> bool:
        return self.truth == self.predicted

    @property
    def is_held(self) -> bool:
        """Whether each compute buffer lies inside its interval."""
        return all(
            low <= column.compute <= high
            for column, (low, high) in zip(self.truth, self.compute_ranges, strict=True)
        )


def write_model(spec: ModelSpec, path: Path) -> None:
    """Write a spec as a sparse GGUF that llama.cpp accepts."""
    write_synthetic_model(path, spec)


def without_nextn(spec: ModelSpec) -> ModelSpec:
    """Return the spec as the written file has it: blocks that predict further left out."""
    n_layers = spec.n_layers
    in_file = n_layers + spec.hparams.n_layer_nextn
    cut = {
        key: value[:n_layers]
        for key, value in spec.metadata.items()
        if isinstance(value, (list, tuple)) and len(value) == in_file
    }
    return replace(
        spec,
        metadata={**spec.metadata, **cut},
        tensors=tuple(tensor for tensor in spec.tensors if (tensor.layer or 0) < n_layers),
        hparams=replace(spec.hparams, n_layer_nextn=0),
    )


def asked_for(spec: ModelSpec, box: Box, settings: RunSettings) -> tuple[Settings, Placement]:
    """Return what a run's settings mean to this engine.

    Raises:
        InvalidRequestError: llama.cpp would refuse them.
    """
    placement = resolve_placement(spec, placement_request(settings), box.machine)
    types = settings.kv_type_k, settings.kv_type_v
    fuses = layers_can_fuse(spec, placement, kv_types=types)
    return resolve_settings(spec, workload(settings), flash_supported=fuses), placement


def compare(spec: ModelSpec, path: Path, oracle: Oracle, settings: RunSettings) -> Outcome:
    """Return truth and prediction of one setting."""
    # what embeds is run for its embeddings
    settings = replace(settings, embeddings=spec.embeds)
    bill = Bill(spec)
    try:
        resolved, placement = asked_for(spec, oracle.box, settings)
        memory = bill.memory(resolved, placement, oracle.box.machine, is_server=False)
    except InvalidRequestError as error:
        said = oracle.ask(path, settings)
        return Outcome(settings, (), (), (), f"refused: {error} / llama.cpp: {said.get('error')}")
    said = oracle.ask(path, settings)
    if "error" in said:
        return Outcome(settings, (), (), (), said["error"])
    made = outcome(spec, bill, oracle.box, settings, columns(said["buffers"], oracle.box.gpus))
    return replace(
        made,
        n_ctx=(said["n_ctx"], resolved.context_tokens),
        output_mib=(_output_mib(said["log"]), f"{memory.output_bytes / MIB:.2f}"),
    )


def outcome(
    spec: ModelSpec, bill: Bill, box: Box, settings: RunSettings, truth: tuple[Column, ...]
) -> Outcome:
    """Return a truth beside what this engine predicts; the truth is of all GPUs, the host last.

    Raises:
        InvalidRequestError: llama.cpp would refuse the settings.
    """
    from whatfits.sizing.compute import compute_buffers

    resolved, placement = asked_for(spec, box, settings)
    memory = bill.memory(resolved, placement, box.machine, is_server=False)
    weights = bill.weights(placement)
    ranges = compute_buffers(spec, resolved, placement, streamed_bytes=weights.streamed_bytes)
    predicted = tuple(
        Column(row.weights_bytes, row.kv_cache_bytes, row.compute_bytes) for row in memory.devices
    )
    taking_part = len(placement.accelerators)
    assert not any(c != Column(0, 0, 0) for c in truth[taking_part:-1])
    return Outcome(
        settings,
        (*truth[:taking_part], truth[-1]),
        predicted,
        tuple((r.low, r.high) for r in ranges),
    )


def _output_mib(log: str) -> str:
    found = _OUTPUT_SIZE.search(log)
    return found[1] if found else ""


def columns(buffers: dict[str, dict[str, int]], count: int) -> tuple[Column, ...]:
    """Return what llama.cpp plans on each pretend GPU, and on the host over all its buffers."""
    names = [f"PRETEND{i}" for i in range(count)]
    empty = {"model": 0, "context": 0, "compute": 0}
    host = [row for name, row in buffers.items() if name not in names]
    rows = [buffers.get(name, empty) for name in names]
    rows.append({key: sum(row[key] for row in host) for key in empty})
    return tuple(Column(row["model"], row["context"], row["compute"]) for row in rows)
