"""GGUF metadata of one architecture, typed and bounded.

Model files are untrusted: each value is checked for its kind and range before a formula sees it,
so that no product can be negative, no division can be by zero and no list can be too short.
Bounds are well above every published model and well below what would make a nonsense answer look
like an answer.
"""

from __future__ import annotations

import math
import re

from whatfits.sizing.errors import MalformedFileError
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final

__all__ = [
    "MAX_CONTEXT",
    "MAX_EXPERTS",
    "MAX_HEADS",
    "MAX_LAYERS",
    "MAX_VOCABULARY",
    "MAX_WIDTH",
    "Metadata",
    "architecture_of",
    "full_key",
]

MAX_LAYERS: Final = 4096
MAX_HEADS: Final = 2**16
MAX_WIDTH: Final = 2**24  # elements of one row: embedding, feed-forward, head, state
MAX_EXPERTS: Final = 2**16
MAX_VOCABULARY: Final = 2**26
MAX_CONTEXT: Final = 2**31 - 1
_MAX_LISTED: Final = 8
# Keys that bear no architecture's name.
_COMMON: Final = ("xielu.",)
_ARCHITECTURE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-]{0,63}")


def full_key(key: str, *, architecture: str) -> str:
    """Return a key as it stands in a file: under the architecture's name unless it is common."""
    return key if key.startswith(_COMMON) else f"{architecture}.{key}"


def architecture_of(values: Mapping[str, object]) -> str:
    """Return `general.architecture`.

    Raises:
        MalformedFileError: the key is missing, not a string, or not a plausible name.
    """
    name = values.get("general.architecture")
    if isinstance(name, str) and _ARCHITECTURE.fullmatch(name):
        return name
    raise MalformedFileError(
        file_format="gguf",
        field="general.architecture",
        reason="missing" if name is None else f"got {_shown(name)}",
        allowed="a short name, as 'llama'",
    )


def _shown(value: object) -> str:
    if isinstance(value, (tuple, list)):
        head = ", ".join(repr(item) for item in value[:_MAX_LISTED])
        return f"a list of {len(value):,}: {head}{', …' if len(value) > _MAX_LISTED else ''}"
    return f"{value!r} ({type(value).__name__})"


class Metadata:
    """The values under one architecture's prefix.

    Keys are given without the prefix: `block_count` reads `llama.block_count`.
    """

    __slots__ = ("_file_format", "_lengths", "_values", "architecture")

    def __init__(
        self,
        values: Mapping[str, object],
        *,
        architecture: str,
        array_lengths: Mapping[str, int] | None = None,
        file_format: str = "gguf",
    ) -> None:
        self.architecture = architecture
        self._values = values
        self._lengths = array_lengths or {}
        self._file_format = file_format

    def name(self, key: str) -> str:
        """Return the full key."""
        return f"{self.architecture}.{key}"

    def kept(self) -> dict[str, object]:
        """Return what sizing needs: the architecture's own keys and the file type, full names."""
        prefix = f"{self.architecture}."
        return {
            key: value
            for key, value in self._values.items()
            if key.startswith((prefix, *_COMMON))
            or key in ("general.architecture", "general.file_type")
        }

    def has(self, key: str) -> bool:
        """Return whether the key is there, a list that was only counted included."""
        name = self.name(key)
        return name in self._values or name in self._lengths

    def is_list(self, key: str) -> bool:
        """Return whether the key holds a list."""
        name = self.name(key)
        return name in self._lengths or isinstance(self._values.get(name), (tuple, list))

    def error(self, key: str, reason: str, *, allowed: str = "") -> MalformedFileError:
        """Return the error for a value that cannot be; `reason` says why."""
        return MalformedFileError(
            file_format=self._file_format, field=self.name(key), reason=reason, allowed=allowed
        )

    def _checked(self, key: str, value: object, low: int, high: int) -> int:
        if type(value) is int and low <= value <= high:
            return value
        raise self.error(
            key, f"got {_shown(value)}", allowed=f"a whole number from {low:,} to {high:,}"
        )

    def _value(self, key: str) -> object:
        value = self._values.get(self.name(key))
        if value is None and self.name(key) in self._lengths:
            n = self._lengths[self.name(key)]
            raise self.error(key, f"a list of {n:,} values", allowed=f"at most {MAX_LAYERS:,}")
        return value

    def optional(self, key: str, *, low: int = 0, high: int = MAX_WIDTH) -> int | None:
        """Return a whole number, None when the key is missing.

        Raises:
            MalformedFileError: not a whole number, or out of range.
        """
        value = self._value(key)
        return None if value is None else self._checked(key, value, low, high)

    def integer(self, key: str, *, low: int = 1, high: int = MAX_WIDTH) -> int:
        """Return a whole number that must be there.

        Raises:
            MalformedFileError: missing, not a whole number, or out of range.
        """
        value = self.optional(key, low=low, high=high)
        if value is None:
            raise self.error(key, "missing", allowed=f"a whole number from {low:,} to {high:,}")
        return value

    def per_layer(
        self, key: str, n_layers: int, *, high: int = MAX_WIDTH
    ) -> tuple[int, ...] | None:
        """Return one whole number a layer from a single number or a list; None when missing.

        Raises:
            MalformedFileError: a list of another length, or a value that is not a whole number.
        """
        value = self._value(key)
        if value is None:
            return None
        if not isinstance(value, (tuple, list)):
            return (self._checked(key, value, 0, high),) * n_layers
        if len(value) != n_layers:
            raise self.error(key, f"a list of {len(value):,}", allowed=f"{n_layers:,} values")
        return tuple(self._checked(key, item, 0, high) for item in value)

    def flags(self, key: str, n_layers: int) -> tuple[bool, ...] | None:
        """Return one flag a layer from a list of booleans or numbers; None when there is no list.

        A list that is too short counts as false from there on, as llama.cpp has it.

        Raises:
            MalformedFileError: a value that is neither, or a list that is absurdly long.
        """
        if not self.is_list(key):
            return None
        value = self._value(key)
        assert isinstance(value, (tuple, list))
        if len(value) > MAX_LAYERS:
            raise self.error(key, f"a list of {len(value):,}", allowed=f"at most {MAX_LAYERS:,}")
        for item in value:
            if type(item) not in (int, bool):
                raise self.error(key, f"got {_shown(item)} in the list", allowed="true or false")
        given = tuple(bool(item) for item in value[:n_layers])
        return given + (False,) * (n_layers - len(given))

    def integers(self, key: str, *, low: int, high: int) -> tuple[int, ...] | None:
        """Return a list of whole numbers of any length; None when missing.

        Raises:
            MalformedFileError: not a list, or a value that is not a whole number in range.
        """
        value = self._value(key)
        if value is None:
            return None
        if not isinstance(value, (tuple, list)) or len(value) > MAX_LAYERS:
            raise self.error(key, f"got {_shown(value)}", allowed=f"at most {MAX_LAYERS:,} numbers")
        return tuple(self._checked(key, item, low, high) for item in value)

    def number(self, key: str) -> float | None:
        """Return a finite number, None when the key is missing.

        Raises:
            MalformedFileError: not a finite number.
        """
        value = self._value(key)
        if value is None:
            return None
        if type(value) in (int, float) and math.isfinite(value):  # type: ignore[arg-type]
            return float(value)  # type: ignore[arg-type]
        raise self.error(key, f"got {_shown(value)}", allowed="a finite number")

    def boolean(self, key: str, *, default: bool) -> bool:
        """Return a flag, or the default when the key is missing.

        Raises:
            MalformedFileError: not a boolean.
        """
        value = self._value(key)
        if value is None:
            return default
        if isinstance(value, bool):
            return value
        raise self.error(key, f"got {_shown(value)}", allowed="true or false")
