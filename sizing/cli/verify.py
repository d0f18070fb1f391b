"""`whatfits verify`: predicted bytes against llama.cpp's own plan, and against a real load."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from pathlib import Path

from whatfits.sizing.api import load_machine, load_model
from whatfits.sizing.cli.load_here import gguf_of, load_limits, request_here
from whatfits.sizing.cli.options import (
    add_placement_options,
    add_workload_options,
    workload_of,
)
from whatfits.sizing.cli.parser import (
    Parser,
    add_output_options,
    parsed,
    refuse_strays,
    seconds_up_to,
)
from whatfits.sizing.cli.progress import progress_shown
from whatfits.sizing.errors import InvalidRequestError, UnknownModelError, UnreadableFileError
from whatfits.sizing.json_values import dump_json
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence
    from typing import Final

    from whatfits.bench.prepared import Prepared
    from whatfits.sizing.machine import Machine
    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.verification import Verification

__all__ = ["run"]

_LONGEST_S: Final = 24 * 3600.0


def _parser() -> Parser:
    parser = Parser(
        command="verify",
        description="Predicted bytes against llama.cpp itself: its plan, and a real load "
        "(needs the extra: pip install 'whatfits[bench]'); or against a running server.",
    )
    parser.add_argument("model", nargs="?", metavar="MODEL.gguf", help="a file on this machine")
    parser.add_argument(
        "--synthetic", metavar="MODEL", help="a catalog model, without its weights: the plan only"
    )
    parser.add_argument(
        "--server",
        metavar="URL",
        help="a server of this machine or a private network, as http://127.0.0.1:11434",
    )
    parser.add_argument("--api-key", metavar="KEY", help="the server's; better: WHATFITS_API_KEY")
    parser.add_argument("--machine", metavar="NAME|FILE", help="the machine of the server")
    parser.add_argument("--file-type", metavar="TYPE", help="quantisation of a catalog model")
    parser.add_argument(
        "--suite", action="store_true", help="the accuracy suite: every architecture on the CPU"
    )
    parser.add_argument(
        "--quick", action="store_true", help="a bounded suite: one model and a few settings each"
    )
    parser.add_argument("--write", metavar="FILE", help="write the suite's table to a file")
    parser.add_argument("--plan-only", action="store_true", help="no real load")
    parser.add_argument(
        "--timeout",
        action=parsed(seconds_up_to(_LONGEST_S)),
        default=600.0,
        metavar="SECONDS",
    )
    parser.add_argument("--force", action="store_true", help="load even when it may not fit")
    add_workload_options(parser)
    add_placement_options(parser)
    add_output_options(parser)
    return parser


def run(arguments: Sequence[str]) -> int:
    """Run the command; 0 when every truth asked for lies in its interval, else 1."""
    options = _parser().read(arguments)
    _check(options)
    if options.server is not None:
        from whatfits.sizing.cli.verify_server import run_server

        return run_server(options)
    from whatfits.bench.loads import require_llama_cpp

    require_llama_cpp()
    if options.suite:
        from whatfits.sizing.cli.verify_suite import run_suite

        return run_suite(
            quick=options.quick, write=options.write, as_json=options.json, plain=options.plain
        )
    answer = _verified(options)
    if options.json:
        sys.stdout.write(dump_json(answer) + "\n")
    else:
        from whatfits.sizing.cli.render import show
        from whatfits.sizing.cli.verify_text import verification_document

        show(verification_document(answer), plain=options.plain)
    measured = answer.load is None or answer.load.kind == "measured"
    return 0 if measured and answer.verdict in ("equal", "inside") else 1


def _check(options: argparse.Namespace) -> None:
    """Refuse options that contradict each other.

    Raises:
        InvalidRequestError: they do.
    """
    chosen = [options.model is not None, options.synthetic is not None, options.suite]
    if options.server is not None:
        chosen = [True, options.synthetic is not None, options.suite]  # MODEL may be given too
    if sum(chosen) != 1:
        raise InvalidRequestError(
            what="model",
            got="none" if not any(chosen) else "more than one of them",
            allowed="one of: a .gguf file, --synthetic MODEL, --suite, --server URL",
        )
    has_server = options.server is not None
    refuse_strays(
        (
            ("--write", options.write, options.suite, "--suite"),
            ("--quick", options.quick, options.suite, "--suite"),
            ("--api-key", options.api_key, has_server, "--server"),
            ("--machine", options.machine, has_server, "--server"),
            ("--plan-only", options.plan_only, not has_server, "a file"),
            ("--force", options.force, not has_server, "a file"),
            (
                "--file-type",
                options.file_type,
                has_server or options.synthetic is not None,
                "--synthetic or --server",
            ),
        )
    )
    if has_server:
        return
    if options.model is not None and not (options.model and Path(options.model).exists()):
        raise UnreadableFileError(
            what="file",
            got=options.model,
            allowed="a .gguf file on this machine",
            next_step=f"a catalog model needs no file: --synthetic {_catalog_name(options.model)}",
        )


def _catalog_name(text: str) -> str:
    """Return the text if the catalog knows it, else what stands for such a name."""
    from whatfits.sizing.catalog.lookup import find_model

    try:
        find_model(text)
    except UnknownModelError:
        return "MODEL"
    return text


def _verified(options: argparse.Namespace) -> Verification:
    from whatfits.bench.devices import named_accelerators
    from whatfits.bench.prepared import prepare
    from whatfits.bench.verify import verify

    machine = load_machine(None)
    accelerators = named_accelerators(machine)
    workload, request = workload_of(options), request_here(options, accelerators)
    with (
        _model(options) as (spec, path),
        progress_shown(
            quiet=options.json, first="asking llama.cpp for its plan", before="a child process: "
        ) as progress,
    ):
        prepared = prepare(spec, machine, workload, request)
        real = bool(options.model) and not options.plan_only
        limits = None
        if real:
            limits = load_limits(
                prepared,
                machine,
                model=options.model,
                seconds=options.timeout,
                force=options.force,
                drivers=bool(accelerators),
                instead="close something, use --plan-only, or --force",
            )
        answer = verify(
            spec,
            path,
            prepared,
            workload=workload,
            request=request,
            accelerators=accelerators,
            real=real,
            limits=limits,
            progress=progress,
        )
    _remember(answer, prepared, machine, accelerators)
    return answer


@contextmanager
def _model(options: argparse.Namespace) -> Iterator[tuple[ModelSpec, Path]]:
    """Return the model and its file; a synthetic one lives as long as the block."""
    if options.model is not None:
        spec = load_model(options.model)
        yield spec, gguf_of(spec, options.model)
        return
    from whatfits.bench.synthetic import write_catalog_model
    from whatfits.bench.temporary import put_down, temporary_folder
    from whatfits.sizing.catalog.lookup import find_model
    from whatfits.sizing.sources.catalog_model import load_catalog_model

    name = find_model(options.synthetic).id
    chosen = load_catalog_model(name, file_type=options.file_type).file_type
    assert chosen is not None  # a catalog model is always drawn under a file type
    with temporary_folder() as folder:
        path = folder / "synthetic.gguf"
        with put_down():
            spec = write_catalog_model(path, name, file_type=chosen)
        yield spec, path


def _remember(
    answer: Verification, prepared: Prepared, machine: Machine, accelerators: dict[str, str]
) -> None:
    """Keep what a real load has measured; an answer is given whether or not it can be kept."""
    from whatfits.bench.load_records import records_of
    from whatfits.probes.measurements import (
        MeasurementStore,
        default_measurements_path,
        fingerprint,
    )

    records = records_of(answer, prepared, accelerators, machine=fingerprint(machine))
    if not records:
        return
    store = MeasurementStore(default_measurements_path())
    try:
        store.add(records)
    except OSError as error:
        sys.stderr.write(f"whatfits: the measurement could not be kept: {error}\n")
    if store.set_aside is not None:
        sys.stderr.write(f"whatfits: unreadable measurements were moved to {store.set_aside}\n")
