"""`whatfits batch`: JSON Lines of requests in, one answer a line out."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any, Final, TextIO

from whatfits.sizing.api import check, load_machine, load_model
from whatfits.sizing.cli.options import Parser
from whatfits.sizing.errors import InvalidRequestError, WhatfitsError
from whatfits.sizing.estimate import SCHEMA_VERSION
from whatfits.sizing.json_values import dump_json, to_json_value

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from whatfits.sizing.machine import Machine
    from whatfits.sizing.model import ModelSpec

__all__ = ["run"]

_MAX_LINE_BYTES: Final = 4_000_000
_KEPT: Final = 256


class _Session:
    """Loads each model and machine once; this machine is probed once."""

    def __init__(self) -> None:
        self._models: dict[tuple[str, str | None], ModelSpec] = {}
        self._machines: dict[str | None, Machine] = {}

    def answer(self, line: str) -> dict[str, Any]:
        """Return the answer to one line, or an error object; never raises for bad input."""
        request_id: Any = None
        try:
            value = _parsed(line)
            request_id = value.get("id") if isinstance(value, dict) else None
            return {"id": request_id, **self._answer(value)}
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
        if isinstance(request.machine, dict):
            machine = machine_from_object(request.machine)
        else:
            machine = self._machine(request.machine)
        plan = check(
            self._model(request.model, request.file_type),
            runtime=request.runtime,
            machine=machine,
            workload=workload_from_object(request.workload or {}),
            placement=placement_from_object(request.placement or {}),
            force=request.force,
        )
        result: dict[str, Any] = to_json_value(plan)
        return result

    def _model(self, name: str, file_type: str | None) -> ModelSpec:
        key = (name, file_type)
        if key not in self._models:
            if len(self._models) >= _KEPT:
                self._models.clear()
            self._models[key] = load_model(name, file_type=file_type)
        return self._models[key]

    def _machine(self, name: str | None) -> Machine:
        if name not in self._machines:
            if len(self._machines) >= _KEPT:
                self._machines.clear()
            self._machines[name] = load_machine(name)
        return self._machines[name]


def _failure(request_id: object, error: WhatfitsError) -> dict[str, Any]:
    return {"id": request_id, "schema_version": SCHEMA_VERSION, "error": error.to_dict()}


def _parsed(line: str) -> object:
    if len(line) > _MAX_LINE_BYTES:
        raise InvalidRequestError(
            what="request", allowed=f"a line of at most {_MAX_LINE_BYTES:,} characters"
        )
    try:
        value: object = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InvalidRequestError(
            what="request", got=line.strip(), allowed="one JSON object a line"
        ) from error
    return value


def _lines(stream: TextIO) -> Iterator[str]:
    for line in stream:
        if line.strip():
            yield line


def run(arguments: Sequence[str]) -> int:
    """Run the command; 0 when every line was read, whatever the answers say."""
    parser = Parser(command="batch", description="JSON Lines of requests in, answers out.")
    parser.add_argument("file", nargs="?", default="-", help="a file of requests; - or none: stdin")
    parser.add_argument("--json", action="store_true", help="always on; accepted for symmetry")
    options = parser.parse_args(arguments)
    session = _Session()
    if options.file == "-":
        _answer_all(session, sys.stdin)
        return 0
    try:
        with open(options.file, encoding="utf-8", errors="replace") as stream:  # noqa: PTH123
            _answer_all(session, stream)
    except OSError as error:
        from whatfits.sizing.errors import UnreadableFileError

        raise UnreadableFileError(
            what="requests file", got=options.file, allowed="a readable file of JSON Lines"
        ) from error
    return 0


def _answer_all(session: _Session, stream: TextIO) -> None:
    for line in _lines(stream):
        sys.stdout.write(dump_json(session.answer(line)) + "\n")
        sys.stdout.flush()
