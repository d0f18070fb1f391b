"""Speeds that others measured, and the terms this engine makes of each: what is fitted and judged.

A model on a device lies wholly in one half of the rows, by a hash of both names; nothing is ever
fitted on the half that judges.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from functools import cache
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from speed_machines import machine_of

from whatfits.sizing.api import load_model
from whatfits.sizing.placement import resolve_placement
from whatfits.sizing.runtimes.mlx_speed import as_mlx_attends, as_mlx_reads
from whatfits.sizing.settings import resolve_settings
from whatfits.sizing.speed.families import family_of
from whatfits.sizing.speed.rates import peak_rates
from whatfits.sizing.speed.terms import (
    Term,
    cut_over_ranks,
    decode_terms,
    is_of_rows,
    prompt_terms,
)
from whatfits.sizing.speed.work import step_work
from whatfits.sizing.units import GIB
from whatfits.sizing.workload import PlacementRequest, Workload

if TYPE_CHECKING:
    from whatfits.sizing.machine import Device, Machine
    from whatfits.sizing.model import ModelSpec, TensorSpec

__all__ = ["PEER_SHARE", "Row", "rows"]

FOLDER: Final = Path(__file__).parents[1] / "recorded" / "field_speed"
PEER_SHARE: Final = 0.55  # the peers' rule: bandwidth over size, times this
_FLOATS: Final = ("F32", "F16", "BF16")
_SMALL: Final = 1 << 16  # vectors and the like are not quantised
_SCALES: Final = (0.6, 1.7)  # a published file over the standard recipe's, else it is another model


@dataclass(frozen=True)
class Row:
    """One figure: what was run, what was measured, and the terms of its time a token.

    Attributes:
        phase: `decode` or `prefill`.
        tokens_per_s: as published.
        trust: whether its source told everything that matters.
        device: id in the catalog.
        model: id in the catalog.
        engine: None for llama.cpp, else `mlx` or `vllm`.
        devices: as the engine sees them, the host last.
        terms: of the time of one token.
        host_is_guessed: the host works, and how fast its memory is was not told.
        peer_tokens_per_s: by the peers' rule; None for prompts, for which they have none.
    """

    phase: str
    tokens_per_s: float
    trust: str
    device: str
    model: str
    engine: str | None
    devices: tuple[Device, ...]
    terms: tuple[Term, ...]
    host_is_guessed: bool
    peer_tokens_per_s: float | None

    @property
    def judges(self) -> bool:
        """Whether it is kept aside to judge by."""
        digest = hashlib.sha256(f"{self.device}|{self.model}".encode()).hexdigest()
        return int(digest, 16) % 2 == 1

    @property
    def kind(self) -> str:
        """Back end of its device."""
        return family_of(self.devices[0], self.engine)[0]

    @property
    def family(self) -> str:
        """Back end and generation of its device."""
        return ":".join(part for part in family_of(self.devices[0], self.engine) if part)


@cache
def rows() -> tuple[Row, ...]:
    """Return every figure that can be predicted; which those are does not depend on the error."""
    text = (FOLDER / "rows.jsonl").read_text("utf-8")
    return tuple(row for line in text.splitlines() for row in _rows_of(json.loads(line)))


def _rows_of(run: dict[str, Any]) -> list[Row]:
    model = _model(
        run["engine"],
        run["model"],
        run.get("file_type"),
        run.get("bits_per_weight"),
        run.get("file_gib"),
    )
    machine = None if model is None else machine_of(run, model)
    if model is None or machine is None:
        return []
    return [
        row
        for phase in ("decode", "prefill")
        for tokens, depth, rate in run.get(phase, ())
        if (row := _row(run, phase, tokens, depth, rate, model=model, machine=machine))
    ]


def _row(
    run: dict[str, Any],
    phase: str,
    tokens: int,
    depth: int,
    rate: float,
    *,
    model: ModelSpec,
    machine: Machine,
) -> Row | None:
    engine = None if run["engine"] == "llama.cpp" else run["engine"]
    if engine == "mlx":
        model = as_mlx_attends(model)
    layers, expert_layers = run.get("gpu_layers"), run.get("host_expert_layers", 0)
    if expert_layers:  # counted from the first layer that lies on a device
        expert_layers += max(0, model.n_layers + 1 - layers)
    asked_for = PlacementRequest(gpu_layers=layers, cpu_moe_layers=expert_layers)
    if engine == "vllm":  # its devices share every layer, or it has one
        asked_for = PlacementRequest(split_mode="none")
    placement = resolve_placement(model, asked_for, machine)
    micro, kv = run.get("micro_batch", 512), run.get("kv", "f16")
    asked = Workload(
        context_tokens=max(512, depth + tokens),
        micro_batch=micro,
        batch=max(2048, micro),
        kv_type_k=kv,
        kv_type_v=kv,
    )
    settings = resolve_settings(model, asked)
    devices = (*placement.accelerators, placement.host)
    rates = peak_rates(devices, machine, engine)
    if phase == "decode":
        middle = depth + tokens // 2
        told = decode_terms(model, settings, placement, rates, depth=middle)
        terms = [term for term in told if not is_of_rows(term)]  # in the cost of the bytes
    else:
        if not rates[0].flops:
            return None
        read = as_mlx_reads(model) if engine == "mlx" else model
        whole = prompt_terms(read, settings, placement, rates, tokens=tokens, depth=depth)
        terms = [term._replace(amount=term.amount / tokens) for term in whole]
    if engine == "vllm":
        layers = step_work(model, placement).layers if phase == "decode" else 0.0
        terms = cut_over_ranks(terms, run.get("tensor_parallel", 1), layers)
    peak = rates[0].bytes
    return Row(
        phase=phase,
        tokens_per_s=rate,
        trust=run["trust"],
        device=run["device"],
        model=run["model"],
        engine=engine,
        devices=devices,
        terms=tuple(terms),
        host_is_guessed=rates[-1].assumed is not None
        and any(term.device == len(devices) - 1 for term in terms),
        peer_tokens_per_s=peak / model.tensor_bytes * PEER_SHARE
        if peak and phase == "decode"
        else None,
    )


@cache
def _model(
    engine: str, name: str, file_type: str | None, bits: float | None, file_gib: float | None
) -> ModelSpec | None:
    """Return the model as the file of that size has it: the standard recipe's tensors, scaled."""
    runtime = "vllm" if engine == "vllm" else "llama.cpp"
    spec = load_model(name, file_type=file_type or "BF16", runtime=runtime)
    if bits is not None:
        label = "F16" if bits >= 16 else "Q8_0" if bits >= 8 else "Q4_1"
        tensors = tuple(_with_bits(tensor, bits, label) for tensor in spec.tensors)
        return replace(spec, tensors=tensors)
    if file_gib is None:
        return spec
    plain = file_type in _FLOATS
    kept = 0 if plain else sum(t.n_bytes for t in spec.tensors if t.type in _FLOATS)
    scale = (file_gib * GIB - kept) / (spec.tensor_bytes - kept)
    if not _SCALES[0] < scale < _SCALES[1]:
        return None
    tensors = tuple(
        tensor
        if tensor.type in _FLOATS and not plain
        else replace(tensor, n_bytes=int(tensor.n_bytes * scale))
        for tensor in spec.tensors
    )
    return replace(spec, tensors=tensors)


def _with_bits(tensor: TensorSpec, bits: float, label: str) -> TensorSpec:
    elements = prod(tensor.shape)
    if len(tensor.shape) < 2 or elements <= _SMALL:
        return tensor
    return replace(tensor, type=label, n_bytes=int(elements * bits / 8))
