"""`whatfits bench`: how fast this machine, a file on it, or a running server is."""

from __future__ import annotations

import sys

from whatfits.sizing.cli.options import add_placement_options
from whatfits.sizing.cli.parser import (
    Parser,
    add_output_options,
    parsed,
    refuse_strays,
    seconds_up_to,
)
from whatfits.sizing.cli.progress import progress_shown
from whatfits.sizing.errors import InvalidRequestError, MissingExtraError
from whatfits.sizing.json_values import dump_json
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.version import SCHEMA_VERSION

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence
    from typing import Final

    from whatfits.bench.session import Session
    from whatfits.probes.report import ProbeReport
    from whatfits.sizing.cli.bench_answer import BenchAnswer, FileBenchAnswer, ServerBenchAnswer

__all__ = ["run"]

_BUDGET_S: Final = 110.0
_LONGEST_S: Final = 3600.0


def _parser() -> Parser:
    parser = Parser(
        command="bench",
        description="Measure this machine without a download, and let every answer use it: memory, "
        "and llama.cpp itself on made-up models of up to 3 GB, deleted in turn (needs the extra: "
        "pip install 'whatfits[bench]'). With MODEL.gguf: that file. Nothing leaves the machine.",
    )
    parser.add_argument("model", nargs="?", metavar="MODEL.gguf", help="measure a file instead")
    parser.add_argument(
        "--server", metavar="URL", help="measure a running OpenAI-compatible server instead"
    )
    parser.add_argument("--api-key", metavar="KEY", help="the server's; better: WHATFITS_API_KEY")
    parser.add_argument("--name", metavar="NAME", help="the server's model, if it has several")
    parser.add_argument("--quick", action="store_true", help="seconds: without llama.cpp")
    parser.add_argument("--no-save", action="store_true", help="show it, but do not keep it")
    parser.add_argument(
        "--budget",
        action=parsed(seconds_up_to(_LONGEST_S)),
        default=_BUDGET_S,
        metavar="SECONDS",
        help="begin no further step after so long (default: 110)",
    )
    parser.add_argument("--force", action="store_true", help="load even when it may not fit")
    add_placement_options(parser)
    add_output_options(parser)
    return parser


def run(arguments: Sequence[str]) -> int:
    """Run the command; 0 when something was measured, 1 when nothing could be."""
    options = _parser().read(arguments)
    _check(options)
    answer: BenchAnswer | FileBenchAnswer | ServerBenchAnswer
    with progress_shown(quiet=options.json) as progress:
        if options.server is not None:
            from whatfits.sizing.cli.bench_server import measured_server

            answer = measured_server(options, progress)
            worked = any(row.answered for row in answer.timings)
        elif options.model is not None:
            from whatfits.sizing.cli.bench_file import measured_file

            answer = measured_file(options, progress)
            worked = bool(answer.timings)
        else:
            answer = _measured_machine(options, progress)
            worked = answer.matrix is not None and (options.quick or bool(answer.timings))
    if options.json:
        sys.stdout.write(dump_json(answer) + "\n")
    else:
        from whatfits.sizing.cli.bench_text import bench_document
        from whatfits.sizing.cli.render import show

        show(bench_document(answer), plain=options.plain)
    return 0 if worked else 1


def _check(options: argparse.Namespace) -> None:
    """Refuse options that contradict each other.

    Raises:
        InvalidRequestError: they do.
    """
    if options.server is not None and options.model is not None:
        raise InvalidRequestError(
            what="more than one thing to measure", allowed="a file, or --server URL, or neither"
        )
    is_machine = options.server is None and options.model is None
    refuse_strays(
        (
            ("--api-key", options.api_key, options.server is not None, "--server"),
            ("--name", options.name, options.server is not None, "--server"),
            ("--quick", options.quick, is_machine, "the machine itself"),
            ("--no-save", options.no_save, is_machine, "the machine itself"),
            ("--force", options.force, options.model is not None, "a file"),
        )
    )


def _measured_machine(
    options: argparse.Namespace, progress: Callable[[str], None] | None
) -> BenchAnswer:
    from whatfits.bench.session import measure
    from whatfits.sizing.api import hardware

    report = hardware()
    accelerators = None if options.quick else _accelerators(report)
    session = measure(report, accelerators, budget_s=options.budget, progress=progress)
    kept, notes = (None, ()) if options.no_save else _kept(session)
    return _answer(session, report, quick=options.quick, kept=kept, notes=notes)


def _accelerators(report: ProbeReport) -> dict[str, str]:
    """Return llama.cpp's names of this machine's accelerators.

    Raises:
        MissingExtraError: llama-cpp-python is not installed; what works without is said.
    """
    from whatfits.bench.devices import named_accelerators

    try:
        return named_accelerators(report.machine)
    except MissingExtraError as error:
        raise MissingExtraError(
            extra=error.extra, purpose="'whatfits bench' (with --quick it does without)"
        ) from None


def _kept(session: Session) -> tuple[str | None, tuple[str, ...]]:
    """Keep the calibration; return where, and what has to be said of it.

    A quick measurement does not take the place of a whole one's rates of llama.cpp.
    """
    from whatfits.bench.calibrate import with_older_rates
    from whatfits.probes.calibration import CalibrationStore, default_calibration_path

    path = default_calibration_path()
    store = CalibrationStore(path)
    older = store.calibration(session.calibration.fingerprint)
    kept: str | None = str(path)
    notes: list[str] = []
    try:
        store.keep(with_older_rates(session.calibration, older))
    except OSError as error:
        kept, notes = None, [f"the measurement could not be kept: {error}"]
    if store.set_aside is not None:
        notes.append(f"an unreadable calibration was moved to {store.set_aside}")
    return kept, tuple(notes)


def _answer(
    session: Session, report: ProbeReport, *, quick: bool, kept: str | None, notes: tuple[str, ...]
) -> BenchAnswer:
    from whatfits.sizing.cli.bench_answer import BenchAnswer
    from whatfits.sizing.cli.bench_rows import kernel_row, timing_row
    from whatfits.sizing.explain import machine_sentence

    rates = session.rates
    own = (warning for device in session.calibration.devices for warning in device.warnings)
    return BenchAnswer(
        schema_version=SCHEMA_VERSION,
        machine=machine_sentence(report.machine),
        quick=quick,
        read_bytes=None if rates is None else rates.total_bytes,
        reads=() if rates is None else tuple(kernel_row(rate) for rate in rates.reads),
        matrix=None if rates is None else kernel_row(rates.matrix),
        timings=tuple(
            timing_row(device, measured)
            for device, rows in session.measured.items()
            for measured in rows
        ),
        calibration=session.calibration,
        stored_in=kept,
        warnings=(*own, *session.warnings, *notes),
        seconds=session.seconds,
    )
