"""Dataclasses as plain JSON values, without pydantic: the cold path's way out.

Field names are the JSON keys; a trailing underscore (`from_`) is dropped. pydantic's
`TypeAdapter` gives the same keys and the published schema; a test compares the two.
"""

from __future__ import annotations

import json
from dataclasses import fields, is_dataclass
from typing import Any

__all__ = ["dump_json", "to_json_value"]


def to_json_value(value: Any) -> Any:  # noqa: ANN401 - JSON is untyped
    """Return `value` made of dicts, lists and scalars only."""
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    if is_dataclass(value) and not isinstance(value, type):
        return {
            field.name.rstrip("_"): to_json_value(getattr(value, field.name))
            for field in fields(value)
        }
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
