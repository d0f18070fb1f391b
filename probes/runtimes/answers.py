"""What servers say, taken for no more than it is: types are checked, sizes are bounded."""

from __future__ import annotations

import json

from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Final

    from whatfits.probes.runtimes.http_ask import Answer

    Answers = Mapping[str, Answer]

__all__ = ["OK", "UNAUTHORISED", "count", "entries", "json_object", "object_of", "text"]

OK: Final = 200
UNAUTHORISED: Final = 401
_MOST_TEXT: Final = 1024
_MOST_ENTRIES: Final = 200
_MOST_COUNT: Final = 2**63


def json_object(answers: Answers, path: str) -> dict[str, Any]:
    """Return the JSON object that a path answered with; empty when it gave none."""
    answer = answers.get(path)
    if answer is None or answer.status != OK or not answer.is_complete:
        return {}
    return object_of(answer.body)


def object_of(body: bytes) -> dict[str, Any]:
    """Return the JSON object in `body`; empty when there is none."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def text(value: object) -> str | None:
    """Return a text of a length that can be one; None for anything else."""
    if isinstance(value, str) and value.strip() and len(value) <= _MOST_TEXT:
        return value.strip()
    return None


def count(value: object) -> int | None:
    """Return a whole number that can be bytes or tokens; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < _MOST_COUNT:
        return None
    return value


def entries(value: object) -> list[dict[str, Any]]:
    """Return the objects of a list, at most 200; empty for anything else."""
    if not isinstance(value, list):
        return []
    return [entry for entry in value[:_MOST_ENTRIES] if isinstance(entry, dict)]
