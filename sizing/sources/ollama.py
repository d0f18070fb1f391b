"""`ollama:NAME`: the store on this disk first, then the registry."""

from __future__ import annotations

from whatfits.sizing.sources.ollama_name import parse_ollama_name
from whatfits.sizing.sources.stores.loading import load_stored_model
from whatfits.sizing.sources.stores.ollama import find_model
from whatfits.sizing.sources.stores.surroundings import here
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from whatfits.sizing.model import ModelSpec

__all__ = ["load_ollama_model"]


def load_ollama_model(name: str, *, file_type: str | None = None) -> ModelSpec:
    """Return the model that Ollama runs under a name, with what it loads beside it.

    A name whose file is not in the store is asked for at the registry, as Ollama would.

    Raises:
        InvalidRequestError: no name of Ollama's, or a registry that may not be asked.
        UnknownModelError: neither the store nor the registry has it.
        UnsupportedArchitectureError: it runs elsewhere, or has no GGUF.
        BadInputError: the registry cannot be reached, or what it sends cannot be understood.
    """
    asked = parse_ollama_name(name)
    stored = find_model(asked, here())
    if stored is not None and (stored.complete or stored.paths):
        return load_stored_model(stored, file_type=file_type)
    from whatfits.sizing.sources.ollama_registry import load_from_registry  # noqa: PLC0415 - heavy

    return load_from_registry(asked, file_type=file_type)
