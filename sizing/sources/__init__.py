"""A name, path or address → a model; the only input and output inside sizing.

One file a source, and one list of them: the first that claims a name answers for it. A source is
imported when it has to answer.
"""

from __future__ import annotations

from importlib import import_module

from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.named_tuples import NamedTuple
from whatfits.sizing.sources.claims import (
    is_checkpoint,
    is_hub_name,
    is_name,
    is_ollama,
    is_path,
    is_url,
)
from whatfits.sizing.typed import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

    from whatfits.sizing.model import ModelSpec

__all__ = ["SOURCES", "ModelSource", "SourceEntry", "load"]

_PACKAGE: Final = "whatfits.sizing.sources"
_ALLOWED: Final = (
    "a catalog name, the path of a GGUF file, a folder with safetensors, hf:org/repo, "
    "ollama:NAME, or "
    "https://….gguf"
)


class ModelSource(Protocol):
    """One way a model comes in; whichever it is, the same model is the same ModelSpec."""

    def __call__(self, name: str, *, file_type: str | None = None) -> ModelSpec:
        """Return the model behind a name; `file_type` asks for another quantisation.

        Raises:
            BadInputError: it cannot be found, read or understood.
        """
        ...


class SourceEntry(NamedTuple):
    """One source.

    Attributes:
        kind: for people.
        claims: whether a name belongs to it.
        module: its file.
        function: the `ModelSource` in it.
        quick: module and function of the `ModelSource` that answers from one request, where the
            usual one needs more.
    """

    kind: str
    claims: Callable[[str], bool]
    module: str
    function: str
    quick: tuple[str, str] | None = None

    def source(self, *, quick: bool = False) -> ModelSource:
        """Return the source, importing it."""
        module, function = (self.quick if quick else None) or (self.module, self.function)
        return _function(module, function)


def _function(module: str, function: str) -> ModelSource:
    found: ModelSource = getattr(import_module(f"{_PACKAGE}.{module}"), function)
    return found


SOURCES: Final = (
    SourceEntry("Ollama", is_ollama, "ollama", "load_ollama_model"),
    SourceEntry(
        "Hugging Face",
        is_hub_name,
        "hugging_face",
        "load_hub_model",
        ("hugging_face", "load_quick_hub_model"),
    ),
    SourceEntry("URL", is_url, "direct_url", "load_url", ("quick", "load_quick_url")),
    SourceEntry("checkpoint", is_checkpoint, "folder", "load_checkpoint_model"),
    SourceEntry("GGUF", is_path, "gguf_model", "load_file"),
    SourceEntry("catalog", is_name, "catalog_model", "load_catalog_model"),
)


def load(
    name: str,
    *,
    file_type: str | None = None,
    quick: bool = False,
    loader: tuple[str, str] | None = None,
) -> ModelSpec:
    """Return the model behind a name: of the catalog, a path, a repository, a registry, an address.

    `file_type` chooses the quantisation of a catalog model or a checkpoint, and the file of a
    repository; a GGUF already has one, and gets a planned other one when it is given. `quick` asks
    for an answer from a single request (and one for a repository's listing), with an interval;
    where no request is needed it changes nothing. `loader` is the file and the function of a
    runtime that reads models in its own way.

    Raises:
        BadInputError: unknown name, unreadable or malformed file, unknown file type, an address
            that cannot be reached.
    """
    if not isinstance(name, str) or not name.strip():
        raise InvalidRequestError(what="model", got=name, allowed=_ALLOWED)
    if loader is not None:
        return _function(*loader)(name, file_type=file_type)
    text = name.strip()
    entry = next(entry for entry in SOURCES if entry.claims(text))
    return entry.source(quick=quick)(text, file_type=file_type)
