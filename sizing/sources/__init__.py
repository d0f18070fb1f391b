"""A name, path or address → a model; the only input and output inside sizing.

One file a source, and one list of them: the first that claims a name answers for it. A source is
imported when it has to answer.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.sources.claims import is_address, is_checkpoint, is_name, is_path

if TYPE_CHECKING:
    from collections.abc import Callable

    from whatfits.sizing.model import ModelSpec

__all__ = ["SOURCES", "ModelSource", "SourceEntry", "load"]

_PACKAGE: Final = "whatfits.sizing.sources"
_ALLOWED: Final = "a catalog name, the path of a GGUF file, or a folder with safetensors"


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
    """

    kind: str
    claims: Callable[[str], bool]
    module: str
    function: str

    def source(self) -> ModelSource:
        """Return the source, importing it."""
        return _function(self.module, self.function)


def _function(module: str, function: str) -> ModelSource:
    found: ModelSource = getattr(import_module(f"{_PACKAGE}.{module}"), function)
    return found


SOURCES: Final = (
    SourceEntry("checkpoint", is_checkpoint, "folder", "load_checkpoint_model"),
    SourceEntry("GGUF", is_path, "gguf_model", "load_file"),
    SourceEntry("catalog", is_name, "catalog_model", "load_catalog_model"),
)


def load(
    name: str, *, file_type: str | None = None, loader: tuple[str, str] | None = None
) -> ModelSpec:
    """Return the model behind a catalog name or a path.

    `file_type` chooses the quantisation of a catalog model or a checkpoint; a GGUF already has
    one, and gets a planned other one when it is given. `loader` is the file and the function of a
    runtime that reads models in its own way.

    Raises:
        BadInputError: unknown name, unreadable or malformed file, unknown file type.
    """
    if not isinstance(name, str) or not name.strip():
        raise InvalidRequestError(what="model", got=name, allowed=_ALLOWED)
    if loader is not None:
        return _function(*loader)(name, file_type=file_type)
    text = name.strip()
    if is_address(text):
        raise InvalidRequestError(
            what="model",
            got=text,
            allowed=_ALLOWED,
            next_step="addresses are not read yet: download the file, or use the catalog name",
        )
    entry = next(entry for entry in SOURCES if entry.claims(text))
    return entry.source()(text, file_type=file_type)
