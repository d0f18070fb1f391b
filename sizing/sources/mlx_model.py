"""A name or path as the model that mlx-lm would run: converted, or as it was published.

Catalog models and checkpoints in 16 bits are what `mlx_lm.convert` makes of them. A checkpoint
that MLX reads as it is (its own, and the formats below) keeps what lies on disk.
Source: ml-explore/mlx-lm 0.32.2 mlx_lm/utils.py (load_model).
"""

from __future__ import annotations

import os
import re

from whatfits.sizing.errors import InvalidRequestError, printable
from whatfits.sizing.model import ByteRange
from whatfits.sizing.runtimes.mlx_models import check_model_type, check_writes
from whatfits.sizing.runtimes.mlx_types import (
    AS_PUBLISHED,
    DEFAULT_TYPE,
    MlxType,
    find_mlx_type,
)
from whatfits.sizing.runtimes.mlx_weights import as_mlx
from whatfits.sizing.sources import load as load_source
from whatfits.sizing.sources.claims import is_address, is_checkpoint, is_hub_name, is_path
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import replace

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final

    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.quants.layouts.from_config import CheckpointQuantisation
    from whatfits.sizing.sources.checkpoint_files import Checkpoint

__all__ = ["load_mlx_model"]

_BASE: Final = "F16"
_OWN: Final = "mlx"
# Formats that are taken as they are, at the bytes on disk; those of AWQ and GPTQ are rearranged,
# and packed zero points become 16-bit biases: 12 bits a group, 8 % of four bits in groups of 32.
_NATIVE_METHOD: Final = "mxfp4"
_AS_THEY_ARE: Final = frozenset(
    {_OWN, _NATIVE_METHOD, "bitnet", "compressed-tensors", "modelopt", "awq", "gptq"}
)
_MORE: Final = 1.08
_EIGHT: Final = 8
# Parts that mlx-lm drops when it loads: other senses, and prediction of further tokens.
_DROPPED: Final = (
    r"(?:^|\.)(?:visual|vision\w*|audio\w*|embed_vision|embed_audio"
    r"|multi_modal_projector|mtp)(?:\.|$)"
)
_WHY_DEFAULT: Final = f"No file type was asked for: {DEFAULT_TYPE}, the usual balance."
_PROJECTOR: Final = "--mmproj"
_ONLY_LLAMA: Final = ("No file type was asked for:", "llama.cpp", "--spec-type", _PROJECTOR)


def load_mlx_model(name: str, *, file_type: str | None = None) -> ModelSpec:
    """Return the model behind a name as mlx-lm runs it.

    Unset, the file type is the checkpoint's own where it is one that MLX reads as it is (gpt-oss:
    its experts in MXFP4), else 4bit; the notes say so.

    Raises:
        BadInputError: unknown name or file type, a file that cannot be read, a GGUF, or a model
            that mlx-lm does not run.
    """
    wanted = None if file_type is None else find_mlx_type(file_type)
    text = name.strip()
    if is_hub_name(text):
        return _of_hub(text, wanted)
    if is_checkpoint(text):
        from whatfits.sizing.sources.checkpoint_files import read_checkpoint  # noqa: PLC0415 - one path
        from whatfits.sizing.sources.folder import display_name  # noqa: PLC0415 - one path

        return _of_checkpoint(read_checkpoint(text), wanted, name=text, shown=display_name(text))
    if is_address(text) or (is_path(text) and os.path.exists(text)):  # noqa: PTH110 - paths may be any bytes
        raise _gguf(name)
    base = load_source(text, file_type=_BASE)
    from whatfits.sizing.catalog.lookup import find_model  # noqa: PLC0415 - one path

    check_model_type(find_model(base.name).config.get("model_type"), name=base.name)
    check_writes(base)
    if wanted is None and _native(base):
        return _published(base)
    return _converted(base, wanted)


def _gguf(name: str) -> InvalidRequestError:
    return InvalidRequestError(
        what="model for MLX",
        got=name,
        allowed="a name of the catalog, hf:org/repo, or a folder with safetensors",
        next_step="mlx-lm runs no GGUF: use --runtime llama.cpp",
    )


def _of_hub(name: str, wanted: MlxType | None) -> ModelSpec:
    from whatfits.sizing.sources.hub.checkpoint import read_hub_checkpoint  # noqa: PLC0415 - one path

    read = read_hub_checkpoint(name, runtime="MLX")
    if wanted is None and read.file_type is not None:
        wanted = find_mlx_type(read.file_type)
    run = _of_checkpoint(read.found, wanted, name=read.source, shown=read.shown, where=read.where)
    said = read.notes
    if read.revision is not None:
        said += (f"mlx-lm's programs take the newest revision, not {printable(read.revision)}.",)
    return replace(run, notes=(*run.notes, *said))


def _of_checkpoint(
    found: Checkpoint, wanted: MlxType | None, *, name: str, shown: str, where: str = "On disk"
) -> ModelSpec:
    """Return a checkpoint as it is where MLX reads it so and nothing else is asked for.

    `name` is where its figures come from, `shown` what to call it, `where` the files lie.
    """
    from whatfits.sizing.quants.layouts.from_config import (  # noqa: PLC0415 - one path
        checkpoint_quantisation,
    )
    from whatfits.sizing.sources.folder import checkpoint_spec  # noqa: PLC0415 - one path

    # mlx-lm drops an output matrix that the configuration ties
    base = checkpoint_spec(
        found, name=name, shown=shown, file_type=_BASE, where=where, as_found=False
    )
    config = {} if found.config is None else found.config.values
    check_model_type(config.get("model_type"), name=base.name)
    quantisation = checkpoint_quantisation(config)
    if quantisation is None or quantisation.method not in _AS_THEY_ARE:
        return _converted(base, wanted)
    if wanted is not None:
        if quantisation.method == _NATIVE_METHOD:  # a conversion quantises the rest
            return _converted(base, wanted)
        raise InvalidRequestError(
            what="file type",
            got=wanted.name,
            allowed=f"none: {base.name} is quantised already ({quantisation.label})",
            next_step="start from the 16-bit checkpoint",
        )
    run = as_mlx(base, _type_of(quantisation))
    if found.tensors and not found.missing:
        run = replace(run, weights=_on_disk(found, quantisation), file_bytes=found.file_bytes)
    elif quantisation.method != _NATIVE_METHOD:
        expected = _not_here(run, base, quantisation, config)
        run = replace(run, weights=expected, file_bytes=expected.mid_bytes)
    said = "The checkpoint is run as it is, without a conversion."
    return replace(run, notes=(*_notes(base), said), planned=False)


def _type_of(quantisation: CheckpointQuantisation) -> MlxType:
    """Return the file type that is like a checkpoint's own quantisation."""
    if quantisation.method == _NATIVE_METHOD:
        return find_mlx_type("bf16")._replace(name=quantisation.label)
    if quantisation.method != _OWN:
        usual = find_mlx_type(DEFAULT_TYPE)._replace(name=quantisation.label)
        return usual if quantisation.bits != _EIGHT else usual._replace(bits=_EIGHT)
    return MlxType(
        quantisation.label, quantisation.bits, group=quantisation.group, mode=quantisation.mode
    )


def _on_disk(found: Checkpoint, quantisation: CheckpointQuantisation) -> ByteRange:
    """Return what the tensors on disk take once they are loaded."""
    total = sum(one.n_bytes for one in found.tensors if not re.search(_DROPPED, one.name))
    if quantisation.method in (_OWN, _NATIVE_METHOD):
        return ByteRange(total, total, total, "exact: the tensors on disk")
    reason = f"{quantisation.label} is rearranged into MLX's own layout"
    return ByteRange(total, total, round(total * _MORE), reason)


def _not_here(
    run: ModelSpec,
    base: ModelSpec,
    quantisation: CheckpointQuantisation,
    config: Mapping[str, object],
) -> ByteRange:
    """Return the interval of a quantised checkpoint of which only the configuration is here."""
    from whatfits.sizing.quants.layouts.whole import whole_checkpoint_bytes  # noqa: PLC0415 - rare

    expected = whole_checkpoint_bytes(base.tensors, quantisation, config)
    if expected is not None and expected.low == expected.high:
        most = expected.high if quantisation.method == _OWN else round(expected.high * _MORE)
        # what MLX rounds and casts while it loads is in the interval of its own matrices
        known = run.weights
        spread = 0 if known is None else known.high_bytes - known.low_bytes
        reason = "worked out from the configuration"
        return ByteRange(expected.low, expected.low, most + spread, reason)
    size = run.tensor_bytes
    low = size if run.weights is None else run.weights.low_bytes
    most = as_mlx(base, find_mlx_type("bf16")).tensor_bytes
    reason = "not all of the checkpoint is here, and which modules have other bits is not counted"
    return ByteRange(low, size, max(size, most), reason)


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
    notes = [note for note in base.notes if not any(part in note for part in _ONLY_LLAMA)]
    if any(_PROJECTOR in note for note in base.notes):
        notes.append("mlx-lm runs the language model alone; images need another program.")
    return tuple(notes)
