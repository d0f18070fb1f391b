"""The memory model against llama.cpp itself: its plan without memory, and a real load."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from whatfits.bench.loads import LoadLimits, LoadOutcome, load_for_real
from whatfits.bench.plans import plan
from whatfits.bench.requests import run_settings
from whatfits.probes.measurements import LoadRecord
from whatfits.sizing.errors import ProbeError
from whatfits.sizing.estimate import ModelSummary
from whatfits.sizing.flash_attention import layers_can_fuse
from whatfits.sizing.named_tuples import NamedTuple
from whatfits.sizing.overhead import overheads_of, process_overhead
from whatfits.sizing.placement import resolve_placement
from whatfits.sizing.runtimes.llama_cpp import Bill
from whatfits.sizing.settings import resolve_settings
from whatfits.sizing.units import MIB
from whatfits.sizing.verification import CheckedTerm, LoadReport, Verification, verdict_of
from whatfits.sizing.version import SCHEMA_VERSION

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from whatfits.bench.reservation import Reservation
    from whatfits.sizing.estimate import DeviceMemory, Memory
    from whatfits.sizing.machine import Machine
    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.overhead import Overhead
    from whatfits.sizing.placement import Placement
    from whatfits.sizing.settings import Settings
    from whatfits.sizing.workload import PlacementRequest, Workload

__all__ = ["REFERENCE", "Prepared", "columns_of", "prepare", "records_of", "verify"]

REFERENCE: Final = "llama.cpp 0c1e57098, as in llama-cpp-python 0.3.36"
_OUTPUT_LINE: Final = re.compile(r"output buffer size =\s*([0-9.]+) MiB")
_PRINTED_TO: Final = MIB // 100  # the log rounds to hundredths of a MiB
# A load's resident memory beside its buffers, as a share: pages of allocators, worst of 230 loads.
_RESIDENT_SHARE: Final = 0.03
_FEW_TOKENS: Final = 16


class Prepared(NamedTuple):
    """A request, resolved, with what this engine predicts for it.

    Attributes:
        settings: as resolved.
        placement: where layers lie.
        memory: a row a device.
        overheads: of each device, which are in its row.
    """

    settings: Settings
    placement: Placement
    memory: Memory
    overheads: tuple[Overhead, ...]


def prepare(
    spec: ModelSpec, machine: Machine, workload: Workload, request: PlacementRequest
) -> Prepared:
    """Return the prediction for a request on a machine.

    Raises:
        InvalidRequestError: a value is out of range, or llama.cpp refuses the combination.
    """
    placement = resolve_placement(spec, request, machine)
    types = workload.kv_type_k, workload.kv_type_v
    fuses = layers_can_fuse(spec, placement, kv_types=types)
    settings = resolve_settings(spec, workload, flash_supported=fuses)
    memory = Bill(spec).memory(settings, placement, machine, is_server=False)
    overheads = overheads_of(spec, settings, placement, machine, is_server=False)
    return Prepared(settings, placement, memory, tuple(overheads))


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
    told: dict[str, tuple[int, int, int]] | None = None
    if planned is not None:
        told = {n: (row.model, row.context, row.compute) for n, row in planned.buffers.items()}
    real: dict[str, tuple[int, int, int]] | None = None
    if outcome is not None and outcome.kind == "measured":
        real = {
            name: (row["model"], row["context"], row["compute"])
            for name, row in outcome.buffers.items()
        }
    terms: list[CheckedTerm] = []
    memory = prepared.memory
    for row, overhead in zip(memory.devices, prepared.overheads, strict=True):
        name = accelerators.get(row.device)
        planned_row = None if told is None else columns_of(told, name, accelerators)
        real_row = None if real is None else columns_of(real, name, accelerators)
        mapped = memory.mapped_bytes > 0 and name is None
        terms += _rows(row, overhead, planned_row, real_row, mapped=mapped)
    terms.append(_output(memory, planned))
    return tuple(terms)


def columns_of(
    buffers: Mapping[str, tuple[int, int, int]], name: str | None, others: Mapping[str, str]
) -> tuple[int, int, int]:
    """Return the columns of one accelerator, or of all that is no accelerator's."""
    if name is not None:
        return buffers.get(name, (0, 0, 0))
    rows = [row for buffer, row in buffers.items() if buffer not in others.values()]
    return (
        sum(row[0] for row in rows),
        sum(row[1] for row in rows),
        sum(row[2] for row in rows),
    )


def _rows(
    row: DeviceMemory,
    overhead: Overhead,
    planned: tuple[int, int, int] | None,
    real: tuple[int, int, int] | None,
    *,
    mapped: bool,
) -> list[CheckedTerm]:
    middle = row.total_bytes - overhead.mid_bytes
    spread = (
        row.low_bytes - overhead.low_bytes - middle,
        row.high_bytes - overhead.high_bytes - middle,
    )
    terms = []
    for index, (term, predicted) in enumerate(
        (
            ("weights", row.weights_bytes),
            ("cache", row.kv_cache_bytes),
            ("compute", row.compute_bytes),
        )
    ):
        # what is uncertain beside the driver's share is the compute buffer
        low, high = (predicted, predicted)
        if term == "compute":
            low, high = predicted + spread[0], predicted + spread[1]
        measured = None if real is None or (mapped and term == "weights") else real[index]
        terms.append(
            CheckedTerm(
                term,  # type: ignore[arg-type]
                row.device,
                predicted,
                low,
                high,
                None if planned is None else planned[index],
                measured,
            )
        )
    return terms


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


def records_of(
    answer: Verification, prepared: Prepared, accelerators: Mapping[str, str], *, machine: str
) -> tuple[LoadRecord, ...]:
    """Return what a real load has measured, a record a device; none without a measurement.

    Of the host only loads without mapping count: mapped pages come and go.
    """
    load = answer.load
    if load is None or load.kind != "measured":
        return ()
    records = []
    for row in prepared.memory.devices:
        name = accelerators.get(row.device)
        if name is not None:
            measured: int | None = load.device_bytes.get(name)
            predicted = row.weights_bytes + row.kv_cache_bytes + row.compute_bytes
        elif prepared.placement.mmap:
            continue
        else:
            measured = load.resident_bytes
            predicted = row.weights_bytes + row.kv_cache_bytes + row.output_bytes
        if measured is None:
            continue
        records.append(
            LoadRecord(
                when=datetime.now(UTC).isoformat(timespec="seconds"),
                machine=machine,
                reference=answer.reference,
                model=answer.model.name,
                architecture=answer.model.architecture,
                file_type=answer.model.file_type,
                device=row.device,
                device_kind="cpu" if name is None else name.rstrip("0123456789").lower(),
                predicted_bytes=predicted,
                measured_bytes=measured,
            )
        )
    return tuple(records)
