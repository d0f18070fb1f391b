"""What a name means to Ollama: `[HOST/][NAMESPACE/]MODEL[:TAG]`, checked part by part.

Each part becomes part of a path and of an address, so nothing but what Ollama allows is let in.
Source: ollama types/model/name.go (defaults, characters, lengths), manifest/paths.go (the two
public hosts are one; how a name becomes a path).
"""

from __future__ import annotations

import re

from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import dataclass

if TYPE_CHECKING:
    from typing import Final

__all__ = ["PREFIX", "OllamaName", "parse_ollama_name"]

PREFIX: Final = "ollama:"
_HOST: Final = "registry.ollama.ai"
_PUBLIC_HOSTS: Final = (_HOST, "ollama.com")
_NAMESPACE: Final = "library"
_TAG: Final = "latest"
_FORM: Final = "ollama:[HOST/][NAMESPACE/]MODEL[:TAG], as ollama:llama3.2:3b"
_PART: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_NAMESPACE_PART: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,127}")
_HOST_PART: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,252}(?::[0-9]{1,5})?")
_MOST_PARTS: Final = 3


@dataclass(frozen=True, slots=True)
class OllamaName:
    """A name with every part filled in.

    Attributes:
        host: the registry, as `registry.ollama.ai`; with a port when one is given.
        namespace: whose model it is; `library` is Ollama's own.
        model: the model.
        tag: which of its variants.
    """

    host: str
    namespace: str
    model: str
    tag: str

    def __str__(self) -> str:
        """The shortest form that means the same."""
        return f"{self.repository}:{self.tag}"

    @property
    def repository(self) -> str:
        """The shortest form without the tag."""
        if self.host != _HOST:
            return f"{self.host}/{self.namespace}/{self.model}"
        if self.namespace != _NAMESPACE:
            return f"{self.namespace}/{self.model}"
        return self.model

    @property
    def hosts(self) -> tuple[str, ...]:
        """Names the host may have in a path; the public registry has two."""
        return _PUBLIC_HOSTS if self.host == _HOST else (self.host,)


def parse_ollama_name(text: str) -> OllamaName:
    """Return the name behind `text`, with or without `ollama:` before it.

    Raises:
        InvalidRequestError: it is no name of a model.
    """
    bare = text[len(PREFIX) :] if text.lower().startswith(PREFIX) else text
    *before, last = bare.split("/")
    model, colon, tag = last.partition(":")
    if len(before) >= _MOST_PARTS or (colon and not tag):
        raise _refused(text)
    namespace = before[-1] if before else _NAMESPACE
    host = before[0] if len(before) == _MOST_PARTS - 1 else _HOST
    tag = tag or _TAG
    if not (
        _HOST_PART.fullmatch(host)
        and _NAMESPACE_PART.fullmatch(namespace)
        and _PART.fullmatch(model)
        and _PART.fullmatch(tag)
    ):
        raise _refused(text)
    known = host.lower() in _PUBLIC_HOSTS
    return OllamaName(_HOST if known else host, namespace, model, tag)


def _refused(text: str) -> InvalidRequestError:
    return InvalidRequestError(what="Ollama name", got=text, allowed=_FORM)
