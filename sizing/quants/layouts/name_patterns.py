r"""Lists of modules in a quantisation block: names, wildcards and simple regular expressions.

A regular expression of a stranger is never run: it would have to be trusted not to run for ever.
What such lists are written in (literals, `.*`, `\.`, digits, one level of alternatives) is read as
wildcards instead, which match in steps that are counted beforehand; anything else is left unread.
Source of what a name means: compressed-tensors `match_name` (`re:` from the beginning of a name),
huggingface/transformers `should_convert_module`, ModelOpt `exclude_modules` (shell wildcards).
"""

from __future__ import annotations

import re

from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Final

__all__ = ["NamePatterns"]

_REGEX: Final = "re:"
_MAX_NAMES: Final = 20_000
# Each is tried on each module: published lists have up to 200.
_MAX_WILD: Final = 512
_MAX_SLOW: Final = 32  # with `?`, which is matched step by step
_MAX_LENGTH: Final = 300
_MAX_ALTERNATIVES: Final = 64
_GROUP: Final = re.compile(r"\((?:\?:)?([\w|.\\-]*)\)")
# In this order: what of a regular expression is read, and the wildcard it becomes. A run of digits
# becomes any run: modules have no names that could tell.
_TOKENS: Final = re.compile(
    r"(?P<any>\.\*|\\d[+*]|\[0-9\][+*])|(?P<some>\.\+)|(?P<one>\.|\\d|\[0-9\])"
    r"|\\(?P<escaped>[.\-_])|(?P<plain>[\w\-]+)"
)
_WILD: Final = {"any": "*", "some": "?*", "one": "?"}


class NamePatterns:
    """The modules that a list names.

    Attributes:
        unread: entries that are no name and no pattern that is understood here.
    """

    __slots__ = ("_names", "_wild", "unread")

    def __init__(self, listed: Iterable[str]) -> None:
        names: set[str] = set()
        wild: dict[str, None] = {}
        unread: list[str] = []
        for number, entry in enumerate(listed):
            read = None if number >= _MAX_NAMES else _read(entry)
            if read is None:
                unread.append(entry)
            elif isinstance(read, str):
                names.add(read)
            elif len(wild) + len(read) > _MAX_WILD or _slow([*wild, *read]) > _MAX_SLOW:
                unread.append(entry)
            else:
                wild |= dict.fromkeys(read)
        self._names = frozenset(names)
        self._wild = tuple(wild)
        self.unread = tuple(unread)

    def __bool__(self) -> bool:
        """Return whether anything is named at all."""
        return bool(self._names or self._wild)

    def matches(self, module: str) -> bool:
        """Return whether a module is named: itself, what holds it, or by its last parts."""
        if self._names:
            parts = module.split(".")
            for start in range(len(parts)):
                for end in range(start + 1, len(parts) + 1):
                    if ".".join(parts[start:end]) in self._names:
                        return True
        return any(
            _stepwise(pattern, module) if "?" in pattern else _in_pieces(pattern, module)
            for pattern in self._wild
        )


def _read(entry: str) -> str | tuple[str, ...] | None:
    """Return a plain name, the wildcards an entry stands for, or None when it is not read."""
    if len(entry) > _MAX_LENGTH:
        return None
    if entry.startswith(_REGEX):
        found = tuple(_wildcards(entry.removeprefix(_REGEX)))
        return found if found and None not in found else None  # type: ignore[return-value]
    name = entry.removesuffix(".*").removesuffix("*")
    if "*" in name or "?" in name:
        return (name, f"{name}.*") if not entry.endswith("*") else (entry,)
    return (f"{name}*",) if entry.endswith("*") and not entry.endswith(".*") else name


def _wildcards(pattern: str) -> Iterator[str | None]:
    """Yield the wildcards of a regular expression; None for a part that is not read."""
    for alternative in _expanded(pattern):
        if alternative is None:
            yield None
            continue
        text = alternative.removeprefix("^")
        anchored = text.endswith("$")
        yield _translated(text.removesuffix("$"), anchored=anchored)


def _expanded(pattern: str) -> list[str | None]:
    """Return a pattern with its groups of alternatives written out."""
    todo = [pattern]
    done: list[str | None] = []
    while todo and len(todo) + len(done) <= _MAX_ALTERNATIVES:
        text = todo.pop()
        found = _GROUP.search(text)
        if found is None:
            done.append(text)
            continue
        before, after = text[: found.start()], text[found.end() :]
        todo.extend(f"{before}{choice}{after}" for choice in found[1].split("|"))
    return [*done, *([None] if todo else [])]


def _translated(text: str, *, anchored: bool) -> str | None:
    wild, place = "", 0
    while place < len(text):
        found = _TOKENS.match(text, place)
        if found is None or text[found.end() : found.end() + 1] in ("?", "+", "*", "{"):
            return None
        kind = found.lastgroup or ""
        wild += _WILD.get(kind) or found[kind]
        place = found.end()
    return wild if anchored else f"{wild}*"


def _slow(patterns: Iterable[str]) -> int:
    return sum("?" in pattern for pattern in patterns)


def _in_pieces(pattern: str, text: str) -> bool:
    """Return whether a text has the pieces between the `*` of a pattern, one after the other."""
    first, *pieces = pattern.split("*")
    if not pieces:
        return text == pattern
    *middle, last = pieces
    if not text.startswith(first) or not text.endswith(last):
        return False
    place, end = len(first), len(text) - len(last)
    for piece in middle:
        place = text.find(piece, place, end)
        if place < 0:
            return False
        place += len(piece)
    return place <= end


def _stepwise(pattern: str, text: str) -> bool:
    """Return whether `*` (any run) and `?` (one character) fit; steps: at most their product."""
    at, star, resume = 0, -1, 0
    place = 0
    while place < len(text):
        if at < len(pattern) and pattern[at] == "*":
            star, resume = at, place
            at += 1
        elif at < len(pattern) and pattern[at] in ("?", text[place]):
            at += 1
            place += 1
        elif star >= 0:
            resume += 1
            at, place = star + 1, resume
        else:
            return False
    return not pattern[at:].strip("*")
