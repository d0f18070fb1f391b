"""A name or path as the model that mlx-lm would run: converted, or as it was published.

Catalog models and checkpoints in 16 bits are what `mlx_lm.convert` makes of them. A checkpoint
that MLX reads as it is (its own, and the formats below) keeps what lies on disk.
Source: ml-explore/mlx-lm 0.32.2 mlx_lm/utils.py (load_model).
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.model import ByteRange, TensorSpec
from whatfits.sizing.runtimes.mlx_models import check_model_type
from whatfits.sizing.runtimes.mlx_types import AS_PUBLISHED, DEFAULT_TYPE, find_mlx_type
from whatfits.sizing.runtimes.mlx_weights import as_mlx
from whatfits.sizing.sources import load as load_source
from whatfits.sizing.sources.claims import is_checkpoint, is_name

if TYPE_CHECKING:
    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.readers.safetensors import StoredTensor
    from whatfits.sizing.runtimes.mlx_types import MlxType
    from whatfits.sizing.sources.checkpoint_files import Checkpoint

__all__ = ["load_mlx_model"]

_BASE: Final = "F16"
_OWN: Final = "mlx"
# Formats that are taken as they are, at the bytes on disk; those of AWQ and GPTQ are rearranged,
# and packed zero points become 16-bit biases: 12 bits a group, 8 % of four bits in groups of 32.
_AS_THEY_ARE: Final = frozenset(
    {_OWN, "mxfp4", "bitnet", "compressed-tensors", "modelopt", "awq", "gptq"}
)
_REARRANGED: Final = frozenset({"awq", "gptq", "bitnet", "compressed-tensors", "modelopt"})
_MORE: Final = 1.08
# Parts that mlx-lm drops when it loads: other senses, and prediction of further tokens.
_DROPPED: Final = re.compile(
    r"(?:^|\.)(?:visual|vision\w*|audio\w*|embed_vision|embed_audio|multi_modal_projector|mtp)(?:\.|$)"
)
_GGUF_ORIGIN: Final = "the catalog's name, a folder with safetensors, or a repository"
_WHY_DEFAULT: Final = f"No file type was asked for: {DEFAULT_TYPE}, the usual balance."
_ONLY_LLAMA: Final = ("No file type was asked for:", "llama.cpp", "safetensors")


def load_mlx_model(name: str, *, file_type: str | None = None) -> ModelSpec:
    """Return the model behind a name as mlx-lm runs it.

    Unset, the file type is the checkpoint's own where it is one that MLX reads as it is (gpt-oss:
    its experts in MXFP4), else 4bit; the notes say so.

    Raises:
        BadInputError: unknown name or file type, a file that cannot be read, a GGUF, or a model
            that mlx-lm does not run.
    """
    wanted = None if file_type is None else find_mlx_type(file_type)
    base = load_source(name, file_type=_BASE)
    if not (base.planned or base.source == "catalog"):
        raise InvalidRequestError(
            what="model for MLX",
            got=name,
            allowed=_GGUF_ORIGIN,
            next_step="mlx-lm runs no GGUF: use --runtime llama.cpp",
        )
    if is_checkpoint(name.strip()):
        return _of_checkpoint(base, name.strip(), wanted)
    if base.source == "catalog" and is_name(name.strip()):
        from whatfits.sizing.catalog.lookup import find_model  # noqa: PLC0415 - one path

        check_model_type(find_model(base.name).config.get("model_type"), name=base.name)
    if wanted is None and _native(base):
        return _published(base)
    return _converted(base, wanted)


def _of_checkpoint(base: ModelSpec, name: str, wanted: MlxType | None) -> ModelSpec:
    """Return a checkpoint on disk, as it is where MLX reads it so and nothing else is asked for."""
    from whatfits.sizing.quants.layouts.from_config import (  # noqa: PLC0415 - one path
        checkpoint_quantisation,
    )
    from whatfits.sizing.sources.checkpoint_files import read_checkpoint  # noqa: PLC0415 - same

    found = read_checkpoint(name)
    config = {} if found.config is None else found.config.values
    check_model_type(config.get("model_type"), name=base.name)
    quantisation = checkpoint_quantisation(config)
    method = None if quantisation is None else quantisation.method
    if wanted is None and found.tensors and method in _AS_THEY_ARE:
        label = AS_PUBLISHED if quantisation is None else quantisation.label
        return _as_on_disk(base, found, rearranged=method in _REARRANGED, label=label)
    if method == _OWN and wanted is not None:
        raise InvalidRequestError(
            what="file type",
            got=wanted.name,
            allowed=f"none: {base.name} is quantised by MLX already",
            next_step="start from the 16-bit checkpoint",
        )
    if wanted is None and _native(base):
        return _published(base)
    return _converted(base, wanted)


def _as_on_disk(base: ModelSpec, found: Checkpoint, *, rearranged: bool, label: str) -> ModelSpec:
    kept = tuple(_spec_of(one) for one in found.tensors if not _DROPPED.search(one.name))
    total = sum(tensor.n_bytes for tensor in kept)
    weights = None
    if rearranged:
        weights = ByteRange(
            total, total, round(total * _MORE), f"{label} is rearranged into MLX's own layout"
        )
    run = as_mlx(base, find_mlx_type(DEFAULT_TYPE))  # for what mlx-lm says of the architecture
    return replace(
        run,
        tensors=kept,
        weights=weights,
        file_type=label,
        file_bytes=found.file_bytes,
        notes=(*_notes(base), "The checkpoint is run as it lies on disk."),
        planned=False,
    )


def _spec_of(tensor: StoredTensor) -> TensorSpec:
    return TensorSpec(
        tensor.name, tuple(reversed(tensor.shape)), tensor.dtype, tensor.n_bytes, "layer"
    )


def _native(base: ModelSpec) -> bool:
    return any(tensor.type == "MXFP4" for tensor in base.tensors)


def _published(base: ModelSpec) -> ModelSpec:
    """Return a model whose experts were published in MXFP4: the rest is in 16 bits."""
    run = as_mlx(base, find_mlx_type("bf16"))
    said = "No file type was asked for: as published, experts in MXFP4 and the rest in 16 bits."
    return replace(run, file_type=AS_PUBLISHED, notes=(*_notes(base), said), planned=False)


def _converted(base: ModelSpec, wanted: MlxType | None) -> ModelSpec:
    run = as_mlx(base, wanted or find_mlx_type(DEFAULT_TYPE))
    why = (_WHY_DEFAULT,) if wanted is None else ()
    return replace(run, notes=(*_notes(base), *why), planned=True)


def _notes(base: ModelSpec) -> tuple[str, ...]:
    """Return what is known of the model, without what concerns its GGUF."""
    return tuple(note for note in base.notes if not any(part in note for part in _ONLY_LLAMA))
