"""Dataclasses as plain JSON values, without pydantic: the cold path's way out.

Field names are the JSON keys; a trailing underscore (`from_`) is dropped. pydantic's
`TypeAdapter` gives the same keys and the published schema; a test compares the two.
"""

from __future__ import annotations

import json

from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import field_names

if TYPE_CHECKING:
    from typing import Any

__all__ = ["dump_json", "to_json_value"]


def to_json_value(value: Any) -> Any:  # noqa: ANN401 - JSON is untyped
    """Return `value` made of dicts, lists and scalars only."""
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    if (names := field_names(value)) is not None:
        return {name.rstrip("_"): to_json_value(getattr(value, name)) for name in names}
    if isinstance(value, dict):
        return {str(key): to_json_value(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_json_value(item) for item in value]
    if isinstance(value, (set, frozenset)):
        return sorted(to_json_value(item) for item in value)
    raise TypeError(f"no JSON form for {type(value).__name__}")


def dump_json(value: Any, *, indent: int | None = None) -> str:  # noqa: ANN401 - JSON is untyped
    """Return `value` as JSON text; refuses NaN and infinities.

    Text that UTF-8 cannot carry (a path of other bytes) is escaped.
    """
    plain = to_json_value(value)
    text = json.dumps(plain, indent=indent, ensure_ascii=False, allow_nan=False)
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(plain, indent=indent, allow_nan=False)
    return text
