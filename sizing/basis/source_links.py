"""Where the sources of a number can be read: the addresses behind the words of a `Basis`."""

from __future__ import annotations

import re

from whatfits.sizing.named_tuples import NamedTuple
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Final

__all__ = ["SourceLink", "source_links"]

_GITHUB: Final = "https://github.com"
_REPOSITORY: Final = r"(?P<repository>[\w.-]+/[\w.-]+)"
_FORMS: Final = (
    (
        re.compile(r"\bllama\.cpp \((?P<commit>[0-9a-f]{7,40})\)"),
        "ggml-org/llama.cpp/tree/{commit}",
    ),
    (re.compile(rf"{_REPOSITORY} issue (?P<number>\d+)"), "{repository}/issues/{number}"),
    (re.compile(rf"{_REPOSITORY} pull (?P<number>\d+)"), "{repository}/pull/{number}"),
    (re.compile(rf"{_REPOSITORY} (?P<version>\d+(?:\.\d+)+)\b"), "{repository}/tree/v{version}"),
    (re.compile(rf"{_REPOSITORY} \(\d{{4}}-\d\d-\d\d\)"), "{repository}"),
)


class SourceLink(NamedTuple):
    """A source as it is named, and its address."""

    name: str
    url: str


def source_links(source: str) -> tuple[SourceLink, ...]:
    """Return a link for each commit, release, issue and repository that a source names."""
    found = [
        (match.start(), SourceLink(match[0], f"{_GITHUB}/{form.format(**match.groupdict())}"))
        for pattern, form in _FORMS
        for match in pattern.finditer(source)
    ]
    return tuple(dict.fromkeys(link for _, link in sorted(found)))
