"""One model under one file type, compared with llama.cpp's dry runs, buffer by buffer."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from whatfits.bench.synthetic import write_synthetic_gguf
from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.machine import Device, Machine, Pool
from whatfits.sizing.placement import resolve_placement
from whatfits.sizing.runtimes.llama_cpp import Bill
from whatfits.sizing.settings import resolve_settings
from whatfits.sizing.units import GIB
from whatfits.sizing.workload import PlacementRequest, Workload

if TYPE_CHECKING:
    from types import TracebackType

    from whatfits.bench.run_settings import RunSettings
    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.placement import Placement
    from whatfits.sizing.settings import Settings

WORKER = Path(__file__).with_name("worker.py")
HOST_FEATURES = ("avx2",)
PRETEND_BYTES = 24 * GIB


@dataclass(frozen=True)
class Box:
    """A machine of the dry runs: how many pretend GPUs, and what they can do."""

    gpus: int = 0
    flash: bool = True
    asynchronous: bool = True

    @property
    def machine(self) -> Machine:
        features = [] if self.flash else ["no_flash_attention"]
        if not self.asynchronous:
            features.append("no_async")
        pools = [Pool(f"vram{i}", "vram", PRETEND_BYTES) for i in range(self.gpus)]
        devices = [
            Device(f"gpu{i}", "cuda", f"pretend GPU {i}", f"vram{i}", features=tuple(features))
            for i in range(self.gpus)
        ]
        return Machine(
            pools=(*pools, Pool("ram", "ram", 64 * GIB)),
            devices=(*devices, Device("cpu", "cpu", "x86-64", "ram", features=HOST_FEATURES)),
        )


class Oracle:
    """llama.cpp in a child process with the GPUs of a box."""

    def __init__(self, box: Box) -> None:
        self.box = box
        self._child = self._start()

    def _start(self) -> subprocess.Popen[str]:
        box = self.box
        arguments = [str(int(x)) for x in (box.gpus, box.flash, box.asynchronous)]
        return subprocess.Popen(
            [sys.executable, str(WORKER), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "GGML_NO_BACKTRACE": "1"},
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._child.communicate(timeout=60)

    def ask(self, path: Path, settings: RunSettings) -> dict[str, Any]:
        """Return `buffers`, `n_ctx` and `log`, or `error`; a crash is an error too."""
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._child.stdin.write(
            json.dumps({"path": str(path), "settings": asdict(settings)}) + "\n"
        )
        self._child.stdin.flush()
        line = self._child.stdout.readline()
        if not line.startswith("{"):
            self._child.communicate(timeout=60)
            self._child = self._start()
            return {"error": "llama.cpp ended its process"}
        answer: dict[str, Any] = json.loads(line)
        return answer


@dataclass(frozen=True)
class Column:
    """Bytes of weights, cache and compute buffer on one device."""

    weights: int
    cache: int
    compute: int


@dataclass(frozen=True)
class Outcome:
    """One setting: what llama.cpp plans, what this engine predicts, accelerators first.

    `compute_ranges` are the intervals of the compute buffers.
    """

    settings: RunSettings
    truth: tuple[Column, ...]
    predicted: tuple[Column, ...]
    compute_ranges: tuple[tuple[int, int], ...]
    error: str | None = None

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
    metadata = {**spec.metadata, "tokenizer.ggml.model": "none"}
    metadata.setdefault(f"{spec.architecture}.context_length", 8192)
    metadata[f"{spec.architecture}.block_count"] = spec.n_layers
    metadata.pop(f"{spec.architecture}.nextn_predict_layers", None)
    key = f"{spec.architecture}.attention.recurrent_layers"
    if isinstance(flags := metadata.get(key), (list, tuple)):
        metadata[key] = flags[: spec.n_layers]
    kinds = next((t.shape[1] for t in spec.tensors if t.name == "token_types.weight"), 1)
    metadata.setdefault("tokenizer.ggml.token_type_count", kinds)
    write_synthetic_gguf(path, metadata=metadata, tensors=spec.tensors)


def without_nextn(spec: ModelSpec) -> ModelSpec:
    """Return the spec as the written file has it: blocks that predict further left out."""
    return replace(spec, hparams=replace(spec.hparams, n_layer_nextn=0))


def asked_for(spec: ModelSpec, box: Box, settings: RunSettings) -> tuple[Settings, Placement]:
    """Return what a run's settings mean to this engine.

    Raises:
        InvalidRequestError: llama.cpp would refuse them.
    """
    resolved = resolve_settings(
        spec, _workload(settings), flash_supported=box.flash or not box.gpus
    )
    return resolved, resolve_placement(spec, _request(settings), box.machine)


def compare(spec: ModelSpec, path: Path, oracle: Oracle, settings: RunSettings) -> Outcome:
    """Return truth and prediction of one setting."""
    from whatfits.sizing.compute import compute_buffers

    try:
        resolved, placement = asked_for(spec, oracle.box, settings)
    except InvalidRequestError as error:
        said = oracle.ask(path, settings)
        return Outcome(settings, (), (), (), f"refused: {error} / llama.cpp: {said.get('error')}")
    # an encoder is run for its embeddings
    said = oracle.ask(path, replace(settings, embeddings=resolved.embeddings))
    if "error" in said:
        return Outcome(settings, (), (), (), said["error"])
    bill = Bill(spec)
    memory = bill.memory(resolved, placement, oracle.box.machine, is_server=False)
    weights = bill.weights(placement)
    ranges = compute_buffers(spec, resolved, placement, streamed_bytes=weights.streamed_bytes)
    predicted = tuple(
        Column(row.weights_bytes, row.kv_cache_bytes, row.compute_bytes) for row in memory.devices
    )
    return Outcome(
        settings,
        _columns(said["buffers"], len(placement.accelerators)),
        predicted,
        tuple((r.low, r.high) for r in ranges),
    )


def _columns(buffers: dict[str, dict[str, int]], count: int) -> tuple[Column, ...]:
    names = [f"PRETEND{i}" for i in range(count)]
    empty = {"model": 0, "context": 0, "compute": 0}
    host = [row for name, row in buffers.items() if name not in names]
    rows = [buffers.get(name, empty) for name in names]
    rows.append({key: sum(row[key] for row in host) for key in empty})
    return tuple(Column(row["model"], row["context"], row["compute"]) for row in rows)


def _workload(settings: RunSettings) -> Workload:
    return Workload(
        program="api",
        context_tokens=settings.context_tokens,
        parallel=settings.parallel,
        kv_type_k=settings.kv_type_k,
        kv_type_v=settings.kv_type_v,
        batch=settings.batch,
        micro_batch=settings.micro_batch,
        flash_attention=settings.flash_attention,  # type: ignore[arg-type]
        kv_unified=settings.kv_unified,
        swa_full=settings.swa_full,
        outputs_max=settings.outputs_max,
    )


def _request(settings: RunSettings) -> PlacementRequest:
    return PlacementRequest(
        gpu_layers=settings.gpu_layers,
        tensor_split=settings.tensor_split or None,
        overrides=tuple((pattern, "CPU") for pattern in settings.host_overrides),
        kv_offload=settings.kv_offload,
        op_offload=settings.op_offload,
        split_mode=settings.split_mode,  # type: ignore[arg-type]
        mmap=False,
        repack="auto" if settings.repack else "off",
    )
