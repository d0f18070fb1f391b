"""YAML out of dicts, lists and scalars: the little of it that manifests need.

Text of several lines that begins with a word is a literal block; other text is quoted as JSON
quotes it, which YAML reads alike, unless it is a plain word.
"""

from __future__ import annotations

import json
import re

from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Final

__all__ = ["Yaml", "yaml_documents", "yaml_text"]

Yaml = str | int | float | bool | list["Yaml"] | dict[str, "Yaml"]
# Words that no version of YAML takes for anything but text.
_PLAIN: Final = re.compile(r"[A-Za-z][A-Za-z0-9._/-]*")
_NOT_TEXT: Final = frozenset({"true", "false", "yes", "no", "on", "off", "null", "y", "n"})
_STEP: Final = "  "


def yaml_documents(values: Sequence[Mapping[str, Yaml]]) -> str:
    """Return several documents in one text."""
    return "---\n".join(yaml_text(value) for value in values)


def yaml_text(value: Mapping[str, Yaml]) -> str:
    """Return one document."""
    return "".join(f"{line}\n" for line in _mapping(value, ""))


def _mapping(value: Mapping[str, Yaml], indent: str) -> Iterator[str]:
    for key, item in value.items():
        yield from _entry(f"{indent}{_scalar(key)}:", item, indent)


def _entry(head: str, item: Yaml, indent: str) -> Iterator[str]:
    """Yield a key or a dash with what belongs to it."""
    if isinstance(item, dict) and item:
        yield head
        yield from _mapping(item, indent + _STEP)
    elif isinstance(item, list) and item:
        yield head
        for element in item:
            yield from _element(element, indent + _STEP)
    elif isinstance(item, str) and _is_block(item):
        yield f"{head} |"
        yield from (f"{indent}{_STEP}{line}".rstrip() for line in item.splitlines())
    else:
        yield f"{head} {_scalar(item)}"


def _element(element: Yaml, indent: str) -> Iterator[str]:
    """Yield one element of a list; the first key of a mapping stands beside the dash."""
    if isinstance(element, dict) and element:
        lines = list(_mapping(element, indent + _STEP))
        yield f"{indent}- {lines[0].removeprefix(indent + _STEP)}"
        yield from lines[1:]
    else:
        yield from _entry(f"{indent}-", element, indent)


def _is_block(text: str) -> bool:
    """Return whether text is lines that a block gives back as they are."""
    *lines, rest = text.split("\n")
    whole = not rest and bool(lines) and bool(lines[-1])
    plain = bool(_PLAIN.match(text)) and all(line.rstrip() == line for line in lines)
    return whole and plain and all(map(str.isprintable, lines))


def _scalar(value: Yaml) -> str:
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value.lower() not in _NOT_TEXT:
        return value
    quoted = json.dumps(value, ensure_ascii=False)
    # JSON lets characters pass that YAML does not take as they are
    return "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in quoted)
