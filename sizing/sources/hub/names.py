"""`hf:org/repo`: the parts of a name on Hugging Face, taken apart before anything is asked.

`hf:org/repo[@revision][:part]`; the part is a file type (`Q4_K_M`) or a file. What a browser shows
of a repository or a file (`https://huggingface.co/org/repo/blob/main/FILE`) means the same.
Source of what a repository may be called: huggingface_hub utils/_validators.py.
"""

from __future__ import annotations

import re
from urllib.parse import unquote, urlsplit

from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.hub_source import HUB_PREFIX
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import dataclass

if TYPE_CHECKING:
    from typing import Final

__all__ = ["MAIN", "HubName", "is_plain_path", "parse_hub_name"]

MAIN: Final = "main"
_EXAMPLE: Final = "hf:org/repo, hf:org/repo:Q4_K_M or hf:org/repo@revision:FILE.gguf"
_VIEWS: Final = ("tree", "blob", "resolve", "raw")
_WORD: Final = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,94}[A-Za-z0-9_])?")
_REVISION: Final = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_./+-]{0,198}[A-Za-z0-9_])?")
_MAX_PART: Final = 1_024


@dataclass(frozen=True, slots=True)
class HubName:
    """A name taken apart.

    Attributes:
        repository: `org/repo`.
        revision: branch, tag or commit; None when none was named, which means `main`.
        part: file or file type; None when none was named.
    """

    repository: str
    revision: str | None = None
    part: str | None = None

    def text(self, part: str | None = None) -> str:
        """Return the name as it is typed, with another part when one is given."""
        at = "" if self.revision is None else f"@{self.revision}"
        chosen = part or self.part
        return f"{HUB_PREFIX}{self.repository}{at}" + ("" if chosen is None else f":{chosen}")


def parse_hub_name(text: str) -> HubName:
    """Return the parts of a name.

    Raises:
        InvalidRequestError: it is not of the form above.
    """
    if not text.lower().startswith(HUB_PREFIX):
        return _from_page(text)
    rest = text[len(HUB_PREFIX) :].removeprefix("//")
    head, colon, part = rest.partition(":")
    repository, at, revision = head.partition("@")
    pieces = repository.strip("/").split("/", 2)
    if len(pieces) > 2 and not colon:  # noqa: PLR2004 - org/repo/FILE, as others write it
        colon, part = ":", pieces.pop()
    return _checked(text, "/".join(pieces), revision if at else None, part if colon else None)


def _from_page(text: str) -> HubName:
    """Return what the address of a page names: a repository, perhaps a revision and a file."""
    pieces = unquote(urlsplit(text).path).strip("/").split("/")
    repository, rest = "/".join(pieces[:2]), pieces[2:]
    if not rest:
        return _checked(text, repository, None, None)
    if rest[0] not in _VIEWS or len(rest) == 1:
        raise _refusal("page of Hugging Face", text)
    revision = None if rest[1] == MAIN else rest[1]
    part = "/".join(rest[2:]) if rest[0] != "tree" and rest[2:] else None
    return _checked(text, repository, revision, part)


def _checked(text: str, repository: str, revision: str | None, part: str | None) -> HubName:
    """Refuse what no repository, revision or file is called.

    Raises:
        InvalidRequestError: one of them.
    """
    words = repository.split("/")
    well = len(words) == 2 and all(map(_WORD.fullmatch, words))  # noqa: PLR2004 - org/repo
    if not well or "--" in repository or ".." in repository or repository.endswith(".git"):
        raise _refusal("repository on Hugging Face", text)
    if revision is not None and (not _REVISION.fullmatch(revision) or ".." in revision):
        raise _refusal("revision of a repository on Hugging Face", text)
    if part is not None and not is_plain_path(part):
        raise _refusal("file or file type of a repository on Hugging Face", text)
    return HubName(repository, revision, part)


def is_plain_path(path: str) -> bool:
    """Whether a path stays where it starts: no empty step, none that leads up, nothing unprintable.

    Paths in listings come from strangers and become part of addresses.
    """
    steps = path.split("/")
    return (
        len(path) <= _MAX_PART
        and path.isprintable()
        and "\\" not in path
        and all(step.strip() and step not in (".", "..") for step in steps)
    )


def _refusal(what: str, text: str) -> InvalidRequestError:
    return InvalidRequestError(what=what, got=text, allowed=_EXAMPLE)
