"""`whatfits batch`: JSON Lines of requests in, one answer a line out."""

from __future__ import annotations

import io
import json
import sys
from typing import TYPE_CHECKING, Any, Final, TextIO, TypedDict

from whatfits.sizing.api import check, cost, fleet, load_machine, load_model, serve
from whatfits.sizing.cli.parser import Parser
from whatfits.sizing.errors import InvalidRequestError, WhatfitsError
from whatfits.sizing.json_values import dump_json, to_json_value
from whatfits.sizing.runtimes import DEFAULT_RUNTIME, find_runtime
from whatfits.sizing.version import SCHEMA_VERSION

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from whatfits.sizing.machine import Machine
    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.requests import Request
    from whatfits.sizing.workload import PlacementRequest, Workload

__all__ = ["run"]

_MAX_LINE_CHARACTERS: Final = 4_000_000
_KEPT: Final = 256


class _Shape(TypedDict):
    """What every question asks with."""

    runtime: str
    machine: Machine
    workload: Workload
    placement: PlacementRequest


class _Session:
    """Loads each model and machine once; this machine is probed once."""

    def __init__(self) -> None:
        self._models: dict[tuple[object, ...], ModelSpec] = {}
        self._machines: dict[str | None, Machine] = {}

    def answer(self, line: str) -> str:
        """Return the answer to one line as JSON, or an error object; never raises for bad input."""
        request_id: Any = None
        try:
            value = _parsed(line)
            request_id = value.get("id") if isinstance(value, dict) else None
            return dump_json({"id": request_id, **self._answer(value)})
        except WhatfitsError as error:
            return _failure(request_id, error)
        except Exception as error:  # noqa: BLE001 - one request's bug must not end the others
            own = WhatfitsError(f"internal error: {type(error).__name__}: {error}")
            return _failure(request_id, own)

    def _answer(self, value: object) -> dict[str, Any]:
        from whatfits.sizing.requests import (
            machine_from_object,
            placement_from_object,
            request_from_object,
            workload_from_object,
        )

        request = request_from_object(value)
        if request.question == "fleet":
            return _fleet(request)
        if isinstance(request.machine, dict):
            machine = machine_from_object(request.machine)
        else:
            machine = self._machine(request.machine)
        runtime = request.runtime or DEFAULT_RUNTIME
        spec = self._model(request.model, request.file_type, runtime)
        shape: _Shape = {
            "runtime": runtime,
            "machine": machine,
            "workload": workload_from_object(request.workload or {}),
            "placement": placement_from_object(request.placement or {}),
        }
        if request.question == "cost":
            return _cost(spec, request.cost or {}, shape)
        if request.question == "serve":
            return _serve(spec, request, shape)
        result: dict[str, Any] = to_json_value(check(spec, **shape, force=request.force))
        return result

    def _model(self, name: str, file_type: str | None, runtime: str) -> ModelSpec:
        key = (name, file_type, find_runtime(runtime).loader)
        if key not in self._models:
            if len(self._models) >= _KEPT:
                self._models.clear()
            self._models[key] = load_model(name, file_type=file_type, runtime=runtime)
        return self._models[key]

    def _machine(self, name: str | None) -> Machine:
        if name not in self._machines:
            if len(self._machines) >= _KEPT:
                self._machines.clear()
            self._machines[name] = load_machine(name)
        return self._machines[name]


def _fleet(request: Request) -> dict[str, Any]:
    answer = fleet(
        request.model,
        request.machines or (),
        file_type=request.file_type,
        runtime=request.runtime,
        workload=request.workload,
        network=request.network,
    )
    result: dict[str, Any] = to_json_value(answer)
    return result


def _serve(spec: ModelSpec, request: Request, shape: _Shape) -> dict[str, Any]:
    served = serve(
        spec,
        **shape,
        force=request.force,
        users=1 if request.users is None else request.users,
        load=request.load,
        limits=request.limits,
        seed=request.seed or 0,
    )
    result: dict[str, Any] = to_json_value(served)
    return result


def _cost(spec: ModelSpec, asked: Mapping[str, Any], shape: _Shape) -> dict[str, Any]:
    """Return what a model costs at today's prices."""
    import datetime as dt

    from whatfits.sizing.costing.requests import cost_request

    request = cost_request(asked)
    answer = cost(
        spec,
        **shape,
        today=dt.datetime.now(tz=dt.UTC).date(),
        # as they were written: a value does not tell what was given and what is a default
        usage=asked.get("usage"),
        ownership=asked.get("ownership"),
        spreads=asked.get("spreads"),
        region=request.region,
        against=request.against,
        router=request.router,
    )
    result: dict[str, Any] = to_json_value(answer)
    return result


def _failure(request_id: object, error: WhatfitsError) -> str:
    return dump_json({"id": request_id, "schema_version": SCHEMA_VERSION, "error": error.to_dict()})


def _parsed(line: str) -> object:
    """Return the value of a line that can also be written again: the answer repeats its id."""
    if len(line) > _MAX_LINE_CHARACTERS:
        raise InvalidRequestError(
            what="request", allowed=f"a line of at most {_MAX_LINE_CHARACTERS:,} characters"
        )
    try:
        value: object = json.loads(line)
        json.dumps(value, allow_nan=False)
    except (ValueError, RecursionError) as error:
        raise InvalidRequestError(
            what="request", got=line.strip(), allowed="one JSON object a line"
        ) from error
    return value


def _lines(stream: TextIO) -> Iterator[str]:
    """Yield lines that are not empty; of one that is too long only the beginning."""
    while line := stream.readline(_MAX_LINE_CHARACTERS + 1):
        rest = line
        while len(rest) > _MAX_LINE_CHARACTERS and not rest.endswith("\n"):
            rest = stream.readline(_MAX_LINE_CHARACTERS + 1)
        if line.strip():
            yield line


def run(arguments: Sequence[str]) -> int:
    """Run the command; 0 when every line was read, whatever the answers say."""
    parser = Parser(command="batch", description="JSON Lines of requests in, answers out.")
    parser.add_argument("file", nargs="?", default="-", help="a file of requests; - or none: stdin")
    parser.add_argument("--json", action="store_true", help="always on; accepted for symmetry")
    options = parser.read(arguments)
    session = _Session()
    if options.file == "-":
        if isinstance(sys.stdin, io.TextIOWrapper):
            sys.stdin.reconfigure(encoding="utf-8-sig", errors="replace")
        _answer_all(session, sys.stdin)
        return 0
    with _opened(options.file) as stream:
        _answer_all(session, stream)
    return 0


def _opened(path: str) -> TextIO:
    try:
        return open(path, encoding="utf-8-sig", errors="replace")  # noqa: PTH123 - the caller's
    except (OSError, ValueError) as error:
        from whatfits.sizing.errors import UnreadableFileError

        raise UnreadableFileError(
            what="requests file", got=path, allowed="a readable file of JSON Lines"
        ) from error


def _answer_all(session: _Session, stream: TextIO) -> None:
    for line in _lines(stream):
        sys.stdout.write(session.answer(line) + "\n")
        sys.stdout.flush()
