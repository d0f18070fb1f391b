"""A machine by name: an expression, or a file that `whatfits hardware --json` wrote."""

from __future__ import annotations

from whatfits.sizing.errors import BadInputError, UnknownMachineError, UnreadableFileError
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Any, Final

    from whatfits.sizing.machine import Machine

__all__ = ["read_json_object", "read_machine"]

_OR_A_FILE: Final = "or a machine file as 'whatfits hardware --json' writes it"
_MAX_FILE_BYTES: Final = 4_000_000


def read_machine(text: str, *, replay: Callable[[dict[str, Any]], Machine]) -> Machine:
    """Return the machine behind an expression such as `2x rtx-3090 + 64gb`, or a saved report.

    Args:
        text: an expression, or the path of a file.
        replay: returns the machine of a recording by `whatfits hardware --doctor`.

    Raises:
        UnknownMachineError: neither a file nor an expression.
        UnreadableFileError: the file cannot be read or is no JSON object.
        InvalidRequestError: the JSON describes no machine.
    """
    without_rates = text.casefold().replace("mt/s", "")
    if text.endswith(".json") or "/" in without_rates or "\\" in text:
        from pathlib import Path  # noqa: PLC0415 - a name alone needs none of it

        return _read_file(Path(text), replay)
    from whatfits.sizing.catalog.machines import machine_expression  # noqa: PLC0415 - cold path

    try:
        return machine_expression(text)
    except UnknownMachineError as error:
        if error.next_step:
            raise
        raise UnknownMachineError(
            what=error.what, got=error.got, allowed=error.allowed, next_step=_OR_A_FILE
        ) from None


def read_json_object(path: Path) -> dict[str, Any]:
    """Return the JSON object of a file.

    Raises:
        UnknownMachineError: there is no such file.
        UnreadableFileError: the file cannot be read or is no JSON object.
    """
    import json  # noqa: PLC0415 - a name alone needs none of it

    try:
        if not path.exists():
            raise UnknownMachineError(
                what="machine file",
                got=path,
                allowed="a file saved by 'whatfits hardware --json', or a name as "
                "'rtx-4090 + 64gb'",
            )
        if not path.is_file() or path.stat().st_size > _MAX_FILE_BYTES:
            raise UnreadableFileError(
                what="machine file",
                got=path,
                allowed=f"a JSON file of at most {_MAX_FILE_BYTES:,} bytes",
            )
        value = json.loads(path.read_bytes())
    except (OSError, UnicodeDecodeError, ValueError, RecursionError) as error:
        if isinstance(error, BadInputError):
            raise
        raise UnreadableFileError(
            what="machine file", got=path, allowed="a report saved by 'whatfits hardware --json'"
        ) from error
    if not isinstance(value, dict):
        raise UnreadableFileError(what="machine file", got=path, allowed="a JSON object")
    return value


def _read_file(path: Path, replay: Callable[[dict[str, Any]], Machine]) -> Machine:
    value = read_json_object(path)
    if "format" in value and "pools" not in value:
        return replay(value)
    from whatfits.sizing.requests import machine_from_object  # noqa: PLC0415 - pydantic on use only

    return machine_from_object(value)
