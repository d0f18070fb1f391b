"""A model as a runtime takes it that loads checkpoints: of the catalog, a folder, a repository.

The tensors are those of the model's table, with the bytes a checkpoint of the chosen quantisation
stores them in. Unset, that is the publisher's own; 16 bits when he has none.
"""

from __future__ import annotations

import os
import re

from whatfits.sizing.architectures import find_entry, spec_from_config
from whatfits.sizing.catalog.lookup import find_model
from whatfits.sizing.errors import (
    InvalidRequestError,
    MalformedFileError,
    UnknownFileTypeError,
    UnsupportedArchitectureError,
)
from whatfits.sizing.model import CheckpointFacts, FullAttention, SlidingWindow
from whatfits.sizing.runtimes.vllm_file_types import (
    checkpoint_type_of,
    find_checkpoint_type,
    group_of,
    named_quantisation,
    requantised_checkpoint,
    stored_as,
)
from whatfits.sizing.sources.catalog_model import as_embedding
from whatfits.sizing.sources.claims import (
    is_address,
    is_checkpoint,
    is_hub_name,
    is_path,
)
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.units import format_bytes
from whatfits.sizing.values import replace

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Final

    from whatfits.sizing.catalog.lookup import ModelEntry
    from whatfits.sizing.model import LayerSpec, ModelSpec
    from whatfits.sizing.quants.layouts.from_config import CheckpointQuantisation
    from whatfits.sizing.readers.safetensors import StoredTensor
    from whatfits.sizing.sources.checkpoint_files import Checkpoint

__all__ = ["load_published"]

_OTHER_PARTS: Final = (
    r"(?:^|\.)(?:visual|vision\w*|audio\w*|embed_vision|embed_audio|multi_modal_projector|mtp)\."
)
_PREDICTING: Final = r"(?:^|\.)mtp\."
_OTHER_CONFIGS: Final = ("vision_config", "audio_config")
# Entries that describe the text part of what is published with eyes or ears.
_PARTS_OF_WHOLES: Final = frozenset({"gemma3n_text", "gemma4_text", "llama4"})
# Source: vllm-project/vllm 0.33.0 vllm/model_executor/models/llama.py, which all of them use.
_ONE_WINDOW: Final = frozenset({"mistral", "phi3"})
_STATE_TYPES: Final = ("mamba_ssm_dtype", "mamba_ssm_cache_dtype")
_MLX: Final = "mlx"
_ONLY_LLAMA: Final = "--spec-type"  # in a note: how llama.cpp drafts with layers vLLM leaves out
_ELSEWHERE: Final = "take --runtime llama.cpp"
_ALLOWED: Final = "a catalog name, hf:org/repo, or a folder with config.json and safetensors"


def load_published(name: str, *, file_type: str | None = None) -> ModelSpec:
    """Return the model of a catalog name or a checkpoint, with the bytes of the latter.

    A checkpoint lies in a folder here, or in a repository: `hf:org/repo`.

    Raises:
        InvalidRequestError: it is a GGUF, or an address of another kind.
        UnknownModelError: nothing of that name, or several.
        UnknownFileTypeError: no such quantisation.
        UnreadableFileError: missing, not permitted, not a checkpoint.
        UnsupportedArchitectureError: its tensor table is not known.
    """
    if not isinstance(name, str) or not name.strip():
        raise InvalidRequestError(what="model", got=name, allowed=_ALLOWED)
    text = name.strip()
    asked = None if file_type is None else find_checkpoint_type(file_type)
    if is_hub_name(text):
        return _of_hub(text, asked)
    if is_address(text):
        next_step = "vLLM reads checkpoints: take --runtime llama.cpp for this address"
        raise InvalidRequestError(
            what="model for vllm", got=text, allowed=_ALLOWED, next_step=next_step
        )
    if is_checkpoint(text):
        return _of_folder(text, asked)
    if is_path(text):
        raise InvalidRequestError(
            what="model for vllm",
            got=text,
            allowed=_ALLOWED,
            next_step="vLLM reads GGUF only with a plugin: take --runtime llama.cpp for this file",
        )
    return _of_catalog(text, asked)


def _of_catalog(name: str, asked: str | None) -> ModelSpec:
    entry = find_model(name)
    config = entry.config
    drawn = _table(config, name=entry.id, source="catalog", origin=entry.source)
    spec = as_embedding(drawn, entry)
    own = _native(entry)
    facts = CheckpointFacts(
        reference=entry.hf_id,
        states_in_f32=_states_in_f32(config),
        has_other_parts=entry.vision is not None
        or entry.kind == "vlm"
        or config.get("model_type") in _PARTS_OF_WHOLES,
    )
    found = _chosen(spec, facts, own, asked, config)
    return replace(found, notes=(*found.notes, *entry.caveats))


def _native(entry: ModelEntry) -> CheckpointQuantisation | None:
    """Return how a publisher quantised a model; None for 16 bits.

    Raises:
        UnsupportedArchitectureError: nobody described that quantisation here.
    """
    name = entry.native_quantisation
    if name is None:  # a block in the configuration is that of a derivative
        return None
    from whatfits.sizing.quants.layouts.from_config import (  # noqa: PLC0415 - few models
        checkpoint_quantisation,
    )

    try:
        return checkpoint_quantisation(entry.config) or named_quantisation(
            find_checkpoint_type(name)
        )
    except UnknownFileTypeError as error:
        raise UnsupportedArchitectureError(
            what=f"quantisation of {entry.id} for vllm:", got=name, next_step=_ELSEWHERE
        ) from error


def _of_hub(name: str, asked: str | None) -> ModelSpec:
    from whatfits.sizing.sources.hub.checkpoint import read_hub_checkpoint  # noqa: PLC0415 - on use

    read = read_hub_checkpoint(name, runtime="vllm")
    if asked is None and read.file_type is not None:
        asked = find_checkpoint_type(read.file_type)
    return _of_checkpoint(
        read.found,
        asked,
        shown=read.shown,
        source=read.source,
        facts=CheckpointFacts(reference=read.repository, revision=read.revision),
        where=read.where,
        said=read.notes,
    )


def _of_folder(name: str, asked: str | None) -> ModelSpec:
    from whatfits.sizing.sources.checkpoint_files import read_checkpoint  # noqa: PLC0415 - one path
    from whatfits.sizing.sources.folder import display_name  # noqa: PLC0415 - one path

    found = read_checkpoint(name)
    folder = os.path.abspath(found.folder)  # noqa: PTH100 - paths may be any bytes
    return _of_checkpoint(
        found,
        asked,
        shown=display_name(name),
        source=name,
        facts=CheckpointFacts(reference=folder),
        where="On disk",
    )


def _of_checkpoint(
    found: Checkpoint,
    asked: str | None,
    *,
    shown: str,
    source: str,
    facts: CheckpointFacts,
    where: str,
    said: tuple[str, ...] = (),
) -> ModelSpec:
    """Return the model of a checkpoint's files; `said` is what is known of where they came from."""
    from whatfits.sizing.quants.layouts.from_config import (  # noqa: PLC0415 - one path
        checkpoint_quantisation,
    )
    from whatfits.sizing.sources.checkpoint_files import CONFIG  # noqa: PLC0415 - one path
    from whatfits.sizing.sources.folder import hollow_layers, missing_files  # noqa: PLC0415 - one path

    if found.config is None:
        raise UnsupportedArchitectureError(
            what=f"a checkpoint without {CONFIG}:",
            got=source,
            next_step=f"put the {CONFIG} of the model into the same folder",
        )
    config = dict(found.config.values)
    own = checkpoint_quantisation(config)
    if own is not None and own.method == _MLX:
        raise InvalidRequestError(
            what="model for vllm",
            got=source,
            allowed="quantised otherwise than by MLX: vLLM does not read that",
            next_step="take the checkpoint it was made of, or 'whatfits check --runtime mlx'",
        )
    spec = _table(config, name=shown, source=source, origin=f"{CONFIG}: {source}")
    text = config.get("text_config")
    inner: Mapping[str, object] = text if isinstance(text, dict) else config
    stored = None if found.missing or not found.tensors else _language_bytes(found.tensors)
    if stored is not None and not any(re.search(_PREDICTING, t.name) for t in found.tensors):
        spec = replace(spec, prediction_tensors=())  # left out by who made this checkpoint
    facts = replace(
        facts,
        states_in_f32=_states_in_f32(inner),
        has_other_parts=any(part in config for part in _OTHER_CONFIGS),
        stored_bytes=stored,
    )
    chosen = _chosen(spec, facts, own, asked, config)
    notes = (*found.config.findings, *found.findings, *missing_files(found))
    notes += tuple(hollow_layers(found, spec))
    if stored is not None:
        notes += (f"{where}, other parts left out: {stored:,} bytes ({format_bytes(stored)}).",)
    return replace(chosen, notes=(*chosen.notes, *notes, *said))


def _table(config: Mapping[str, object], *, name: str, source: str, origin: str) -> ModelSpec:
    """Return the model in 16 bits.

    Raises:
        UnsupportedArchitectureError: its tensor table is not known.
    """
    if find_entry(config) is not None:
        try:
            drawn = spec_from_config(
                config, name=name, source=source, file_type="BF16", origin=origin
            )
            notes = tuple(note for note in drawn.notes if _ONLY_LLAMA not in note)
            return _with_one_window(replace(drawn, notes=notes), config)
        except MalformedFileError as error:
            if source != "catalog":
                raise
            why = str(error)
    else:
        why = "nobody described this kind of configuration here"
    raise UnsupportedArchitectureError(
        what=f"shape of {name} is not known well enough for vllm:",
        got=why,
        next_step=_ELSEWHERE,
    )


def _chosen(
    spec: ModelSpec,
    facts: CheckpointFacts,
    own: CheckpointQuantisation | None,
    asked: str | None,
    config: Mapping[str, object],
) -> ModelSpec:
    """Return the model as it is published, or under the quantisation that was asked for."""
    published = checkpoint_type_of(own)
    if asked not in (None, published):
        return requantised_checkpoint(spec, facts, asked, is_native=own is None)
    kept = replace(
        facts,
        label=None if own is None else own.label,
        group=group_of(own, config.get("quantization_config")),
        only_experts=own is not None and own.only_experts,
    )
    notes = spec.notes
    if asked is None:
        notes += (f"No file type was asked for: {published}, as it is published.",)
    return replace(stored_as(spec, published, own), checkpoint=kept, notes=notes)


def _states_in_f32(config: Mapping[str, object]) -> bool | None:
    """Return whether states are kept in 32 bits; None where the configuration does not say."""
    told = [config[name] for name in _STATE_TYPES if config.get(name) is not None]
    return "float32" in told if told else None


def _with_one_window(spec: ModelSpec, config: Mapping[str, object]) -> ModelSpec:
    """Return the model with one window for all layers, which vLLM follows and GGUF never tells."""
    text = config.get("text_config")
    inner: Mapping[str, object] = text if isinstance(text, dict) else config
    window = inner.get("sliding_window")
    is_one = inner.get("model_type") in _ONE_WINDOW and inner.get("layer_types") is None
    if not is_one or not isinstance(window, int):
        return spec
    return replace(spec, layers=tuple(_windowed(layer, window) for layer in spec.layers))


def _windowed(layer: LayerSpec, window_tokens: int) -> LayerSpec:
    full = layer.attention
    if not isinstance(full, FullAttention):
        return layer
    return replace(layer, attention=SlidingWindow(full.key_width, full.value_width, window_tokens))


def _language_bytes(tensors: Iterable[StoredTensor]) -> int:
    return sum(t.n_bytes for t in tensors if not re.search(_OTHER_PARTS, t.name))
