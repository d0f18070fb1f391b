"""`whatfits fleet`: several machines, and how a model runs on them."""

from __future__ import annotations

import io
import sys
from pathlib import Path

from whatfits.sizing.cli.options import add_workload_options, workload_of
from whatfits.sizing.cli.parser import (
    Parser,
    add_output_options,
    parsed,
    refuse_strays,
    seconds_up_to,
)
from whatfits.sizing.errors import BadInputError, InvalidRequestError
from whatfits.sizing.json_values import dump_json
from whatfits.sizing.named_tuples import NamedTuple
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.version import SCHEMA_VERSION

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from whatfits.sizing.fleets.answer import FleetAnswer
    from whatfits.sizing.fleets.inventory import Node
    from whatfits.sizing.machine import Machine

__all__ = ["run"]

_STDIN = "-"
_LONGEST_WAIT_S = 3600.0


def _parser() -> Parser:
    parser = Parser(command="fleet", description="Several machines, and how MODEL runs on them.")
    parser.add_argument(
        "items",
        metavar="FILES… [MODEL]",
        nargs="*",
        help="saved 'hardware --json' reports: .json, .jsonl, a folder, - for lines on stdin; "
        "then a model, as in check",
    )
    parser.add_argument(
        "--machine",
        action="append",
        default=[],
        metavar="NAME",
        help="a machine more, by name: 'rtx-4090 + 64gb'",
    )
    parser.add_argument(
        "--ray", metavar="ADDRESS", help="ask every node of a Ray cluster: HOST:6379, or auto"
    )
    parser.add_argument(
        "--ray-timeout",
        action=parsed(seconds_up_to(_LONGEST_WAIT_S)),
        metavar="SECONDS",
        help="the longest to wait for its nodes (default 30)",
    )
    parser.add_argument(
        "--network", metavar="NAME", help="between the machines: 1gbe, 10gbe, thunderbolt-5, …"
    )
    parser.add_argument(
        "--runtime",
        action=parsed(str.casefold),
        metavar="NAME",
        help="only llama.cpp, vllm or mlx (exo)",
    )
    parser.add_argument("--file-type", metavar="TYPE", help="quantisation, as Q4_K_M")
    parser.add_argument(
        "--idle", action="store_true", help="as after a restart: nothing held by other programs"
    )
    parser.add_argument(
        "--lines", action="store_true", help="only the machines, as JSON Lines this command reads"
    )
    parser.add_argument(
        "--write", metavar="FOLDER", help="commands and manifests of every plan that may run"
    )
    parser.add_argument("--force", action="store_true", help="write over files that are there")
    add_workload_options(parser)
    add_output_options(parser)
    return parser


class _Read(NamedTuple):
    """The machines that were given, and what is to be said of those that are missing."""

    nodes: tuple[Node, ...]
    warnings: tuple[str, ...]


def run(arguments: Sequence[str]) -> int:
    """Run the command; 0 when a plan may run, or no model was asked for; 1 when none does."""
    options = _parser().read(arguments, mixed=True)
    refuse_strays(
        (
            ("--ray-timeout", options.ray_timeout, options.ray is not None, "--ray"),
            ("--force", options.force, options.write is not None, "--write"),
        )
    )
    files, model = _files_and_model(options)
    read = _read(files, options)
    if options.lines:
        sys.stderr.writelines(f"whatfits: {warning}\n" for warning in read.warnings)
        sys.stdout.writelines(f"{dump_json(node)}\n" for node in read.nodes)
        return 0
    answer = _answer(read, model, options)
    if options.write is not None:
        from whatfits.sizing.cli.fleet_files import write_plans

        write_plans(answer.plans, Path(options.write), force=options.force)
    if options.json:
        sys.stdout.write(dump_json(answer) + "\n")
    else:
        from whatfits.sizing.cli.fleet_text import fleet_document
        from whatfits.sizing.cli.render import show

        show(fleet_document(answer), plain=options.plain)
    return 0 if model is None or any(plan.may_run for plan in answer.plans) else 1


def _files_and_model(options: argparse.Namespace) -> tuple[list[str], str | None]:
    """Return the files of machines and the model.

    Raises:
        InvalidRequestError: there is more than one model, one that is not planned for, or none
            where an option needs one.
    """
    from whatfits.sizing.sources.fleet_files import is_nodes_file

    files = [item for item in options.items if item == _STDIN or is_nodes_file(item)]
    models = [item for item in options.items if item not in files]
    if len(models) > 1:
        raise InvalidRequestError(
            what="models",
            got=", ".join(models),
            allowed="one; files of machines end in .json or .jsonl",
            next_step=f"a machine by its name is --machine '{models[-1]}'",
        )
    model = models[0] if models else None
    if model is None and options.write is not None:
        raise InvalidRequestError(
            what="--write", got=options.write, allowed="with a model", next_step="name a model"
        )
    if model is not None and options.lines:
        raise InvalidRequestError(
            what="model with --lines",
            got=model,
            allowed="none: they are the machines alone",
            next_step="give --json for plans",
        )
    return files, model


def _read(files: Sequence[str], options: argparse.Namespace) -> _Read:
    from whatfits.sizing.api import fleet_nodes
    from whatfits.sizing.values import replace

    warnings: list[str] = []
    given: list[Node | str | Machine] = [n for file in files for n in _nodes_of(file)]
    given += options.machine
    if options.ray is not None:
        ray = _ray_nodes(options)
        given += ray.nodes
        warnings += ray.warnings
    nodes = fleet_nodes(given, network=options.network)
    if options.idle:
        from whatfits.sizing.machine_changes import idle_machine

        nodes = tuple(replace(node, machine=idle_machine(node.machine)) for node in nodes)
    return _Read(nodes, tuple(warnings))


def _nodes_of(file: str) -> Iterator[Node]:
    from whatfits.sizing.api import replayed
    from whatfits.sizing.sources.fleet_files import nodes_of_lines, read_nodes

    if file != _STDIN:
        yield from read_nodes(Path(file), replay=replayed)
        return
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(encoding="utf-8-sig", errors="replace")
    yield from nodes_of_lines(sys.stdin, name="node", replay=replayed)


def _ray_nodes(options: argparse.Namespace) -> _Read:
    """Return the nodes of a Ray cluster."""
    from whatfits.probes.ray_nodes import DEFAULT_DEADLINE_S, read_ray_nodes
    from whatfits.sizing.api import replayed
    from whatfits.sizing.sources.fleet_files import node_from_document

    deadline_s = options.ray_timeout or DEFAULT_DEADLINE_S
    report = read_ray_nodes(options.ray, deadline_s=deadline_s)
    said = [f"{finding.text} {finding.next_step}".strip() for finding in report.findings]
    nodes = []
    for found in report.nodes:
        document = {**found.document, "address": found.address}
        try:
            nodes.append(node_from_document(document, name=found.name, replay=replayed))
        except BadInputError as error:  # another version of this package is on that node
            said.append(f"{found.name} is not planned for: {error}")
    return _Read(tuple(nodes), tuple(said))


def _answer(read: _Read, model: str | None, options: argparse.Namespace) -> FleetAnswer:
    from whatfits.sizing.api import fleet
    from whatfits.sizing.fleets.answer import FleetAnswer
    from whatfits.sizing.values import replace

    if model is None:
        return FleetAnswer(SCHEMA_VERSION, read.nodes, warnings=read.warnings)
    answer = fleet(
        model,
        read.nodes,
        file_type=options.file_type,
        runtime=options.runtime,
        workload=workload_of(options),
    )
    return replace(answer, warnings=read.warnings)
