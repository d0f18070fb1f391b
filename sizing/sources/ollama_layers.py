"""What the layers of a model in Ollama's store or registry are to it, and why some are none.

Source: ollama server/images.go (layers by media type), types/model/config.go (`remote_host`),
api/types.go (parameters).
"""

from __future__ import annotations

from whatfits.sizing.errors import printable
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any, Final

    from whatfits.sizing.sources.stores.stored import ExtraKind

__all__ = ["EXTRA_LAYERS", "cloud_refusal", "parameter_notes", "tensor_refusal"]

EXTRA_LAYERS: Final[tuple[ExtraKind, ...]] = ("projector", "adapter", "draft")
_SIZING_PARAMETERS: Final = ("num_ctx", "num_batch", "num_gpu", "draft_num_predict")


def tensor_refusal() -> str:
    """Return why a model of one blob a tensor cannot be sized."""
    return (
        "its weights are one blob a tensor, for Ollama's MLX runner; llama.cpp has no use for "
        "them: name the same model as a checkpoint or GGUF"
    )


def cloud_refusal(config: dict[str, Any]) -> str:
    """Return why a manifest without weights cannot be sized, from its configuration."""
    host = config.get("remote_host")
    if isinstance(host, str) and host:
        return f"it runs on {printable(host)}; nothing of it lies here, and nothing has to fit"
    return "its manifest names no model"


def parameter_notes(parameters: dict[str, Any]) -> list[str]:
    """Return what a model's own parameters set that changes what Ollama takes."""
    said = [
        f"{key} {parameters[key]:,}"
        for key in _SIZING_PARAMETERS
        if type(parameters.get(key)) is int
    ]
    return [f"Ollama loads it with {', '.join(said)} of its own"] if said else []
