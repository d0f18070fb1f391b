"""The machines of a fleet out of saved reports: files, folders, JSON Lines.

A report is what `whatfits hardware --json` wrote; beside its `machine` it may name the `node`, its
`address`, its `network` and the `interface` to it.
"""

from __future__ import annotations

import json
from pathlib import Path

from whatfits.sizing.errors import (
    BadInputError,
    InvalidRequestError,
    UnreadableFileError,
    printable,
)
from whatfits.sizing.fleets.inventory import (
    Node,
    checked_address,
    checked_interface,
    node_name,
)
from whatfits.sizing.requests import machine_from_object
from whatfits.sizing.sources.machine_file import read_json_object
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from typing import Any, Final

    from whatfits.sizing.machine import Machine

    Replay = Callable[[dict[str, Any]], Machine]

__all__ = ["is_nodes_file", "node_from_document", "nodes_of_lines", "read_nodes"]

_REPORT: Final = ".json"
_LINES: Final = ".jsonl"
_OF_A_MODEL: Final = "config.json"
_MAX_LINE_CHARACTERS: Final = 4_000_000
_BESIDE: Final = frozenset({"node", "address", "network", "interface"})


def is_nodes_file(text: str) -> bool:
    """Return whether a path is meant to name machines, not a model."""
    path = Path(text)
    if path.is_dir():
        return not (path / _OF_A_MODEL).exists()
    return path.suffix in (_REPORT, _LINES) and path.name != _OF_A_MODEL


def read_nodes(path: Path, *, replay: Replay) -> list[Node]:
    """Return the machines of a report, of a file of JSON Lines, or of a folder of such files.

    Args:
        path: the file or folder.
        replay: returns the machine of a recording by `whatfits hardware --doctor`.

    Raises:
        BadInputError: there is nothing to read, or it describes no machine.
    """
    if path.is_dir():
        files = sorted(p for p in path.iterdir() if p.suffix in (_REPORT, _LINES))
        return [node for file in files for node in read_nodes(file, replay=replay)]
    if path.suffix == _LINES:
        try:
            with path.open(encoding="utf-8-sig", errors="replace") as stream:
                return list(nodes_of_lines(stream, name=path.stem, replay=replay))
        except OSError as error:
            raise UnreadableFileError(
                what="file of machines", got=path, allowed="a readable file of JSON Lines"
            ) from error
    document = read_json_object(path)
    try:
        return [node_from_document(document, name=path.stem, replay=replay)]
    except BadInputError as error:
        raise _found_in(path.name, error) from error


def nodes_of_lines(lines: Iterable[str], *, name: str, replay: Replay) -> Iterator[Node]:
    """Yield one machine a line; `name` numbers those that have none of their own.

    Raises:
        BadInputError: a line is no report of a machine; its number is named.
    """
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            yield node_from_document(_parsed(line), name=f"{name}-{number}", replay=replay)
        except BadInputError as error:
            raise _found_in(f"line {number} of {name}", error) from error


def node_from_document(value: Mapping[str, Any], *, name: str, replay: Replay) -> Node:
    """Return one machine of a report; `name` where it does not name itself.

    Raises:
        InvalidRequestError: it is no report of a machine, or a field is none.
    """
    node = node_name(_text(value, "node") or name)
    described = {key: item for key, item in value.items() if key not in _BESIDE}
    if "format" in described and not {"machine", "pools"} & described.keys():
        machine = replay(described)
    else:
        machine = machine_from_object(described)
    interface = _text(value, "interface")
    return Node(
        node=node,
        machine=machine,
        address=checked_address(_text(value, "address") or node),
        network=_text(value, "network"),
        interface=None if interface is None else checked_interface(interface),
    )


def _found_in(place: str, error: BadInputError) -> InvalidRequestError:
    """Return an error that says which of several reports it is about."""
    return InvalidRequestError(
        what=f"{printable(place)}: {error.what}",
        got=error.got,
        allowed=error.allowed,
        next_step=error.next_step,
    )


def _text(value: Mapping[str, Any], key: str) -> str | None:
    found = value.get(key)
    if found is not None and (not isinstance(found, str) or not found):
        raise InvalidRequestError(what=f"{key} of a node", got=found, allowed="text, or null")
    return found


def _parsed(line: str) -> dict[str, Any]:
    if len(line) > _MAX_LINE_CHARACTERS:
        raise InvalidRequestError(
            what="report", allowed=f"a line of at most {_MAX_LINE_CHARACTERS:,} characters"
        )
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise InvalidRequestError(
            what="report",
            got=line.strip(),
            allowed="one JSON object a line, as 'whatfits hardware --json' writes it",
        )
    return value
