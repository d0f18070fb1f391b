"""Where the file of a command is to be had: a catalog entry has none of its own.

Source: model pages of huggingface.co ("Browse Quantizations", read 2026-11-27), which link the list
of what names a model as the one it was quantised from.
"""

from __future__ import annotations

from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Final

    from whatfits.sizing.estimate import ModelSummary
    from whatfits.sizing.model import ModelSpec

__all__ = ["file_list", "file_notes"]

_CATALOG: Final = "catalog"
_LIST: Final = "https://huggingface.co/models?other=base_model:quantized:"


def file_list(model: ModelSpec | ModelSummary) -> str | None:
    """Return the address of who offers a catalog model quantised; None of what was read itself."""
    if model.source != _CATALOG:
        return None
    from whatfits.sizing.catalog.lookup import find_model  # noqa: PLC0415 - beside commands alone

    return f"{_LIST}{find_model(model.name).hf_id}"


def file_notes(model: ModelSpec) -> tuple[str, ...]:
    """Return where the GGUF of a catalog model is found; nothing for what was read itself."""
    address = file_list(model)
    if address is None:
        return ()
    note = (
        f"To get the file: {address} lists who offers it; with hf:org/repo:{model.file_type} "
        f"in the place of {model.name} the command downloads it."
    )
    return (note,)
