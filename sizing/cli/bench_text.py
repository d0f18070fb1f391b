"""The answers of `whatfits bench` for people."""

from __future__ import annotations

from whatfits.sizing.cli.bench_answer import BenchAnswer, FileBenchAnswer, ServerBenchAnswer
from whatfits.sizing.document import Document, Facts, Lines, Table
from whatfits.sizing.typed import TYPE_CHECKING, assert_never
from whatfits.sizing.units import GB, format_bytes

if TYPE_CHECKING:
    from typing import Final

    from whatfits.sizing.calibration import DeviceCalibration
    from whatfits.sizing.cli.bench_answer import FileTiming, KernelRow, TimingRow
    from whatfits.sizing.document import Block
    from whatfits.sizing.servers.timing import ServerTiming

__all__ = ["bench_document", "rates_blocks"]

_GFLOP: Final = 10**9
_PERCENT: Final = 100


def bench_document(answer: BenchAnswer | FileBenchAnswer | ServerBenchAnswer) -> Document:
    """Return an answer as a document."""
    match answer:
        case BenchAnswer():
            return _machine_document(answer)
        case FileBenchAnswer():
            return _file_document(answer)
        case ServerBenchAnswer():
            return _server_document(answer)
        case _:
            assert_never(answer)


def _machine_document(answer: BenchAnswer) -> Document:
    facts = [("Machine", answer.machine)]
    if answer.matrix is not None:
        matrix = f"{answer.matrix.per_s / _GFLOP:,.0f} GFLOP/s, {answer.matrix.threads} threads"
        facts.append(("Matrices", f"{matrix}{_mark(answer.matrix)}"))
    facts.append(("Kept in", answer.stored_in or "nowhere"))
    facts.append(("Took", f"{answer.seconds:,.1f} s"))
    blocks: list[Block] = [Facts(tuple(facts))]
    if answer.reads:
        size = "" if answer.read_bytes is None else f", {format_bytes(answer.read_bytes)} a pass"
        columns = ("threads", "median", "best", "spread", "CPU share", "by CPU time", "note")
        rows = tuple(_kernel(row) for row in answer.reads)
        blocks.append(Table(columns, rows, title=f"Reading memory{size}", right=columns[:6]))
    if answer.timings:
        names = (
            *("device", "model", "step", "depth", "threads"),
            *("tokens/s", "spread", "CPU share", "clean"),
        )
        timed = tuple(_timing(row) for row in answer.timings)
        blocks.append(Table(names, timed, title="llama.cpp", right=names[3:]))
    for device in answer.calibration.devices:
        blocks += rates_blocks(device)
    if answer.warnings:
        blocks.append(Lines(answer.warnings, title="Warnings", tone="warn"))
    if answer.stored_in and any(device.decode for device in answer.calibration.devices):
        blocks.append(Lines(("Speeds of every answer now rest on these rates.",), tone="dim"))
    return Document(tuple(blocks))


def rates_blocks(device: DeviceCalibration) -> tuple[Block, ...]:
    """Return what a calibration says of a device as a table of rates; nothing where it has none."""
    prefill = {(rate.quant_kind, rate.type_name): rate for rate in device.prefill}
    rows = []
    for rate in device.decode:
        prompt = prefill.get((rate.quant_kind, rate.type_name))
        rows.append(
            (
                rate.type_name or rate.quant_kind,
                f"{rate.bytes_per_s / GB:,.1f} GB/s",
                "" if rate.row_seconds is None else f"{1e9 * rate.row_seconds:,.1f} ns",
                _percent(rate.spread),
                "" if prompt is None else f"{prompt.flops_per_s / _GFLOP:,.0f} GFLOP/s",
                "" if prompt is None else _percent(prompt.spread),
            )
        )
    if not rows:
        return ()
    columns = ("weights", "decoding", "a row", "decoding ±", "prompt", "prompt ±")
    return (Table(columns, tuple(rows), title=f"Rates of {device.device}", right=columns[1:]),)


def _kernel(row: KernelRow) -> tuple[str, ...]:
    corrected = row.corrected_per_s
    return (
        str(row.threads),
        f"{row.per_s / GB:,.1f} GB/s",
        f"{row.best_per_s / GB:,.1f} GB/s",
        _percent(row.spread),
        _percent(row.cpu_share),
        "" if corrected is None else f"{corrected / GB:,.1f} GB/s",
        "" if row.is_measured else "disturbed",
    )


def _mark(row: KernelRow) -> str:
    return "" if row.is_measured else f" (disturbed: CPU share {_percent(row.cpu_share)})"


def _timing(row: TimingRow) -> tuple[str, ...]:
    return (
        row.device,
        row.model,
        f"{row.kind} {row.tokens}",
        f"{row.depth_tokens:,}",
        str(row.threads),
        f"{row.tokens_per_s:,.1f}",
        _percent(row.spread),
        "" if row.cpu_share is None else _percent(row.cpu_share),
        f"{row.clean_repeats} of {row.repeats}",
    )


def _file_document(answer: FileBenchAnswer) -> Document:
    columns = (
        *("step", "depth", "measured", "spread", "clean"),
        *("predicted", "from", "to", "ratio", ""),
    )
    on = f"{answer.gpu_layers} layers on accelerators, {answer.threads} threads"
    return Document(
        (
            Facts(
                (
                    ("Model", f"{answer.model.name} {answer.model.file_type or ''}".strip()),
                    ("Loaded in", f"{answer.load_seconds:,.1f} s; {on}"),
                    ("Prediction", answer.provenance),
                )
            ),
            Table(
                columns,
                tuple(_file_row(row) for row in answer.timings),
                title="Tokens a second",
                right=columns[1:9],
            ),
            *((Lines(answer.warnings, title="Warnings", tone="warn"),) if answer.warnings else ()),
        )
    )


def _file_row(row: FileTiming) -> tuple[str, ...]:
    predicted = row.predicted_tokens_per_s
    return (
        f"{row.kind} {row.tokens}",
        f"{row.depth_tokens:,}",
        f"{row.tokens_per_s:,.1f}",
        _percent(row.spread),
        f"{row.clean_repeats} of {row.repeats}",
        f"{predicted.mid:,.1f}" if predicted is not None else "unknown",
        f"{predicted.low:,.1f}" if predicted is not None else "",
        f"{predicted.high:,.1f}" if predicted is not None else "",
        "" if row.ratio is None else f"{row.ratio:.2f}",
        "outside" if row.is_inside is False else "",
    )


def _server_document(answer: ServerBenchAnswer) -> Document:
    prompt = "unknown" if answer.prompt_tokens is None else f"{answer.prompt_tokens:,} tokens"
    counted = "by the server" if answer.counted_by == "usage" else "as events of the stream"
    columns = ("at once", "answered", "first token", "longest", "tokens/s each", "tokens/s all")
    return Document(
        (
            Facts(
                (
                    ("Server", answer.url),
                    ("Model", answer.model),
                    ("Prompt", prompt),
                    ("Tokens counted", counted),
                )
            ),
            Table(columns, tuple(_server_row(row) for row in answer.timings), right=columns),
            *((Lines(answer.warnings, title="Warnings", tone="warn"),) if answer.warnings else ()),
        )
    )


def _server_row(row: ServerTiming) -> tuple[str, ...]:
    first, longest = row.time_to_first_token_s, row.longest_time_to_first_token_s
    return (
        str(row.concurrency),
        f"{row.answered} of {row.concurrency}",
        "" if first is None else f"{first:,.2f} s",
        "" if longest is None else f"{longest:,.2f} s",
        "" if row.tokens_per_s is None else f"{row.tokens_per_s:,.1f}",
        "" if row.total_tokens_per_s is None else f"{row.total_tokens_per_s:,.1f}",
    )


def _percent(share: float) -> str:
    return f"{_PERCENT * share:,.0f} %"
