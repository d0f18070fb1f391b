"""The memory model against llama.cpp itself: its plan without memory, and a real load."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from whatfits.bench.loads import LoadLimits, LoadOutcome, load_for_real
from whatfits.bench.plans import plan
from whatfits.bench.requests import run_settings
from whatfits.bench.reservation import Buffers
from whatfits.sizing.errors import ProbeError
from whatfits.sizing.estimate import ModelSummary
from whatfits.sizing.overhead import process_overhead
from whatfits.sizing.units import MIB
from whatfits.sizing.verification import CheckedTerm, LoadReport, Verification, verdict_of
from whatfits.sizing.version import SCHEMA_VERSION

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from whatfits.bench.prepared import Prepared
    from whatfits.bench.reservation import Reservation
    from whatfits.sizing.estimate import DeviceMemory, Memory
    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.overhead import Overhead
    from whatfits.sizing.workload import PlacementRequest, Workload

__all__ = ["REFERENCE", "columns_of", "verify"]

REFERENCE: Final = "llama.cpp 0c1e57098, as in llama-cpp-python 0.3.36"
_OUTPUT_LINE: Final = re.compile(r"output buffer size =\s*([0-9.]+) MiB")
_PRINTED_TO: Final = MIB // 100  # the log rounds to hundredths of a MiB
# A load's resident memory beside its buffers, as a share: pages of allocators, worst of 230 loads.
_RESIDENT_SHARE: Final = 0.03
_FEW_TOKENS: Final = 16


def verify(
    spec: ModelSpec,
    path: Path,
    prepared: Prepared,
    *,
    workload: Workload,
    request: PlacementRequest,
    accelerators: Mapping[str, str],
    real: bool,
    limits: LoadLimits | None = None,
    progress: Callable[[str], None] | None = None,
) -> Verification:
    """Return the prediction beside llama.cpp's plan and, with `real`, beside a real load.

    `accelerators` gives llama.cpp's name of each accelerator of the placement. What llama.cpp
    refuses is an answer too: nothing is measured, and a note says why.

    Raises:
        MissingExtraError: llama-cpp-python is not installed.
    """
    mmap = real and prepared.placement.mmap
    settings = run_settings(workload, prepared.settings, prepared.placement, mmap=mmap)
    notes: tuple[str, ...] = ()
    planned = outcome = None
    try:
        planned = plan(path, settings)
    except ProbeError as error:
        notes = (str(error),)
    if real and planned is not None:
        outcome = load_for_real(
            path,
            settings,
            limits=limits,
            decode_tokens=_decoded(prepared),
            progress=progress,
        )
        notes = (outcome.reason,) if outcome.reason else ()
    terms = _terms(prepared, planned, outcome, accelerators)
    if outcome is not None and outcome.kind == "measured":
        terms = (*terms, _resident(prepared.memory, outcome))
    return Verification(
        schema_version=SCHEMA_VERSION,
        model=ModelSummary.of(spec),
        workload=workload,
        placement=request,
        reference=REFERENCE,
        verdict=verdict_of(terms),
        terms=terms,
        load=None if outcome is None else _report(outcome),
        notes=notes,
    )


def _decoded(prepared: Prepared) -> int:
    """Return how many tokens are put through: where devices compute, as many as go at once.

    Their back ends take memory for a large product only when it comes. llama.cpp ends itself where
    more is handed over at once than a batch takes, or than a micro-batch does without a cache.
    """
    settings = prepared.settings
    on_host = all(place is None for place in prepared.placement.layer_device)
    wanted = _FEW_TOKENS if on_host else settings.micro_batch_tokens
    most = settings.micro_batch_tokens if settings.embeddings else settings.batch_tokens
    room = settings.context_tokens // settings.sequences
    return max(1, min(wanted, most, room))


def _terms(
    prepared: Prepared,
    planned: Reservation | None,
    outcome: LoadOutcome | None,
    accelerators: Mapping[str, str],
) -> tuple[CheckedTerm, ...]:
    real: dict[str, Buffers] | None = None
    if outcome is not None and outcome.kind == "measured":
        real = {
            name: Buffers(row["model"], row["context"], row["compute"])
            for name, row in outcome.buffers.items()
        }
    terms: list[CheckedTerm] = []
    memory = prepared.memory
    for row, overhead in zip(memory.devices, prepared.overheads, strict=True):
        name = accelerators.get(row.device)
        planned_row = None if planned is None else columns_of(planned.buffers, name, accelerators)
        real_row = None if real is None else columns_of(real, name, accelerators)
        mapped = memory.mapped_bytes > 0 and name is None
        terms += _rows(row, overhead, planned_row, real_row, mapped=mapped)
    terms.append(_output(memory, planned))
    return tuple(terms)


def columns_of(
    buffers: Mapping[str, Buffers], name: str | None, others: Mapping[str, str]
) -> Buffers:
    """Return the columns of one accelerator, or of all that is no accelerator's."""
    if name is not None:
        return buffers.get(name, Buffers(0, 0, 0))
    rows = [row for buffer, row in buffers.items() if buffer not in others.values()]
    return Buffers(
        sum(row.model for row in rows),
        sum(row.context for row in rows),
        sum(row.compute for row in rows),
    )


def _rows(
    row: DeviceMemory,
    overhead: Overhead,
    planned: Buffers | None,
    real: Buffers | None,
    *,
    mapped: bool,
) -> list[CheckedTerm]:
    """Return weights, cache and compute buffers; what is uncertain of a device is the last."""
    compute = row.compute_bytes
    middle = row.total_bytes - overhead.mid_bytes
    low = compute + row.low_bytes - overhead.low_bytes - middle
    high = compute + row.high_bytes - overhead.high_bytes - middle
    weights, cache = row.weights_bytes, row.kv_cache_bytes
    loaded = None if real is None or mapped else real.model
    plan_model, plan_context, plan_compute = _columns(planned)
    _, real_context, real_compute = _columns(real)
    return [
        CheckedTerm("weights", row.device, weights, weights, weights, plan_model, loaded),
        CheckedTerm("cache", row.device, cache, cache, cache, plan_context, real_context),
        CheckedTerm("compute", row.device, compute, low, high, plan_compute, real_compute),
    ]


def _columns(row: Buffers | None) -> tuple[int, int, int] | tuple[None, None, None]:
    return (None, None, None) if row is None else (row.model, row.context, row.compute)


def _output(memory: Memory, planned: Reservation | None) -> CheckedTerm:
    """Return the output buffer, which is only told in a log line, to a hundredth of a MiB."""
    predicted = memory.output_bytes
    told = None if planned is None else _OUTPUT_LINE.search(planned.log)
    truth = None if told is None else round(float(told[1]) * MIB)
    if truth is not None and abs(truth - predicted) <= _PRINTED_TO:
        truth = predicted
    host = memory.devices[-1].device
    return CheckedTerm("output", host, predicted, predicted, predicted, truth)


def _resident(memory: Memory, outcome: LoadOutcome) -> CheckedTerm:
    """Return the growth of the process: weights, cache and output; the graph is not touched yet."""
    host = memory.devices[-1]
    predicted = host.weights_bytes + host.kv_cache_bytes + host.output_bytes
    process = process_overhead(is_server=True)
    slack = round(predicted * _RESIDENT_SHARE)
    high = predicted + memory.mapped_bytes + process.high_bytes + slack
    return CheckedTerm(
        "resident",
        host.device,
        predicted + process.mid_bytes,
        predicted - slack,
        high,
        None,
        outcome.loaded.get("resident_bytes"),
    )


def _report(outcome: LoadOutcome) -> LoadReport:
    return LoadReport(
        kind=outcome.kind,
        reason=outcome.reason,
        resident_bytes=outcome.loaded.get("resident_bytes"),
        anonymous_bytes=outcome.loaded.get("anonymous_bytes"),
        file_bytes=outcome.loaded.get("file_bytes"),
        resident_after_decode_bytes=outcome.decoded.get("resident_bytes"),
        device_bytes=dict(outcome.devices),
        seconds=outcome.seconds,
    )
