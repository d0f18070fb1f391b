"""`whatfits start`: what is installed and running here, what to begin with, how to connect."""

from __future__ import annotations

import sys

from whatfits.sizing.cli.machine_options import add_machine_options, machine_of, machine_words
from whatfits.sizing.cli.parser import Parser, add_output_options, parsed, whole_number
from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.json_values import dump_json
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final

    from whatfits.probes.runtimes.report import RunningServer, RuntimesReport
    from whatfits.sizing.cli.start_answer import StartAnswer
    from whatfits.sizing.connecting import Connection
    from whatfits.sizing.machine import Machine
    from whatfits.sizing.starting import Level, Pick

__all__ = ["run"]

_MOST_USERS: Final = 100_000


def _parser() -> Parser:
    from whatfits.sizing.starting import LEVELS

    parser = Parser(
        command="start",
        description="What is installed and running here, what to begin with, how to connect.",
    )
    parser.add_argument(
        "--level",
        choices=LEVELS,
        default=LEVELS[0],
        help="a desktop app, a simple command, or the engine itself",
    )
    parser.add_argument(
        "--users", action=parsed(_users), default=1, metavar="N", help="people at once"
    )
    add_machine_options(parser)
    add_output_options(parser)
    return parser


def run(arguments: Sequence[str]) -> int:
    """Run the command; 0."""
    options = _parser().read(arguments)
    machine = machine_of(options)
    report = None
    if options.machine is None:
        from whatfits.probes.runtimes import look

        report = look()
    answer = _answer(machine, report, level=options.level, users=options.users)
    if options.json:
        sys.stdout.write(dump_json(answer) + "\n")
    else:
        from whatfits.sizing.cli.render import show
        from whatfits.sizing.cli.start_text import start_document

        show(start_document(answer, machine_option=machine_words(options)), plain=options.plain)
    return 0


def _users(text: str) -> int:
    count = whole_number(text)
    if not 1 <= count <= _MOST_USERS:
        raise InvalidRequestError(
            what="number of users", got=text, allowed=f"from 1 to {_MOST_USERS:,}"
        )
    return count


def _answer(
    machine: Machine, report: RuntimesReport | None, *, level: Level, users: int
) -> StartAnswer:
    from whatfits.probes.runtimes.report import RuntimesReport
    from whatfits.sizing.cli.start_answer import StackLayer, StartAnswer
    from whatfits.sizing.starting import LAYERS, LEVELS, pick
    from whatfits.sizing.version import SCHEMA_VERSION

    found = report or RuntimesReport()
    running = {server.runtime for server in found.servers}
    here = {runtime.id for runtime in found.installed} | running
    picks = tuple(
        pick(
            machine,
            each,
            users=users,
            installed=None if report is None else here,
            running=running,
        )
        for each in LEVELS
    )
    return StartAnswer(
        schema_version=SCHEMA_VERSION,
        machine=machine,
        looked=report is not None,
        level=level,
        users=users,
        layers=tuple(StackLayer(*layer) for layer in LAYERS),
        installed=found.installed,
        servers=found.servers,
        findings=found.findings,
        picks=picks,
        connection=_connection(picks[LEVELS.index(level)], found.servers, os=machine.os),
    )


def _connection(chosen: Pick, servers: Sequence[RunningServer], *, os: str | None) -> Connection:
    """Return how to reach the picked server, else one that runs, else the picked one once it does.

    Of those that run, one with a model loaded and without a key is easier to talk to.
    """
    from whatfits.sizing.connecting import connection

    ranked = sorted(
        servers,
        key=lambda server: (server.runtime != chosen.runtime, server.needs_key, not server.loaded),
    )
    if not ranked:
        return connection(
            runtime=chosen.runtime,
            base_url=chosen.base_url,
            model=None,
            is_running=False,
            needs_key=chosen.needs_key,
            os=os,
        )
    server = ranked[0]
    return connection(
        runtime=server.runtime,
        base_url=server.base_url,
        model=server.loaded[0].name if server.loaded else None,
        is_running=True,
        needs_key=server.needs_key,
        os=os,
    )
