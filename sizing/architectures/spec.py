"""GGUF header → ModelSpec; a configuration ends here too, through the same metadata."""

from __future__ import annotations

from whatfits.sizing.architectures.geometry import read_layer_counts
from whatfits.sizing.architectures.layers import hparams_and_layers
from whatfits.sizing.architectures.metadata import (
    MAX_VOCABULARY,
    Metadata,
    architecture_of,
)
from whatfits.sizing.architectures.roles import block_of, is_loaded, role_of
from whatfits.sizing.architectures.unknown import check_unknown
from whatfits.sizing.model import ModelSpec, TensorSpec
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import replace

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Final

    from whatfits.sizing.model import Hparams
    from whatfits.sizing.readers.gguf import GgufHeader

__all__ = ["assembled", "file_type_name", "gguf_spec"]

_EXPERT_STACK: Final = "_exps."
_TOKENS: Final = "tokenizer.ggml.tokens"
_EMBEDDING: Final = "token_embd.weight"


def gguf_spec(header: GgufHeader, *, name: str, source: str) -> ModelSpec:
    """Return the model of a header; see `spec_from_gguf`."""
    architecture = architecture_of(header.metadata)
    metadata = Metadata(
        header.metadata, architecture=architecture, array_lengths=header.array_lengths
    )
    check_unknown(metadata)
    names = frozenset(tensor.name for tensor in header.tensors)
    n_layers, _ = read_layer_counts(metadata, tensor_names=names)
    tensors: list[TensorSpec] = []
    for tensor in header.tensors:
        role, layer = role_of(tensor.name, architecture=architecture, n_layers=n_layers)
        tensors.append(
            TensorSpec(
                name=tensor.name,
                shape=tensor.shape,
                type=tensor.type,
                n_bytes=tensor.n_bytes,
                role=role,
                layer=layer,
                file_index=tensor.file_index,
                offset_bytes=tensor.offset_bytes,
            )
        )
    return assembled(
        tuple(tensors),
        metadata=metadata,
        n_vocab=_tokens(metadata, header),
        name=name,
        source=source,
        file_type=file_type_name(header.metadata.get("general.file_type")),
        file_bytes=header.file_bytes,
        origin="",
        notes=(*header.findings, *_uneven_heads(metadata, n_layers)),
    )


def _uneven_heads(metadata: Metadata, n_layers: int) -> tuple[str, ...]:
    """Return what to say when the length of a head is a quotient with a remainder."""
    width = metadata.integer("embedding_length")
    heads = metadata.per_layer("attention.head_count", n_layers) or (0,)
    if metadata.has("attention.key_length") or not heads[0] or width % heads[0] == 0:
        return ()
    uneven = f"{width:,} elements do not divide into {heads[0]:,} heads and no key_length is given"
    return (f"{uneven}: llama.cpp rounds down, and so does this answer.",)


def file_type_name(type_id: object) -> str | None:
    """Return the name of the file type that `general.file_type` gives; None when it names none."""
    from whatfits.sizing.quants.file_types import file_type_of_id  # noqa: PLC0415 - one path only

    if type(type_id) is not int:
        return None
    found = file_type_of_id(type_id)
    return None if found is None else found.name


def _tokens(metadata: Metadata, header: GgufHeader) -> int:
    """Return the length of the tokenizer: its list, else `vocab_size`, else the embedding's rows.

    Raises:
        MalformedFileError: none of them is there, or the number is absurd.
    """
    listed = header.array_lengths.get(_TOKENS, 0)
    if listed > MAX_VOCABULARY:
        reason = f"a list of {listed:,}"
        raise metadata.error("vocab_size", reason, allowed=f"up to {MAX_VOCABULARY:,}")
    if listed:
        return listed
    given = metadata.optional("vocab_size", high=MAX_VOCABULARY)
    if given:
        return given
    rows = next((t.shape[-1] for t in header.tensors if t.name == _EMBEDDING), 0)
    if 0 < rows <= MAX_VOCABULARY:
        return rows
    raise metadata.error("vocab_size", "missing", allowed=f"from 1 to {MAX_VOCABULARY:,}")


def assembled(
    tensors: tuple[TensorSpec, ...],
    *,
    metadata: Metadata,
    n_vocab: int,
    name: str,
    source: str,
    file_type: str | None,
    file_bytes: int,
    origin: str,
    notes: tuple[str, ...],
) -> ModelSpec:
    """Return the model of tensors and metadata, wherever both came from."""
    names = frozenset(tensor.name for tensor in tensors)
    layout = hparams_and_layers(metadata, n_vocab=n_vocab, tensor_names=names)
    n_layers = len(layout.layers)
    loaded = tuple(
        tensor
        for tensor in tensors
        if is_loaded(tensor.name, architecture=metadata.architecture, n_layers=n_layers)
    )
    predicting: tuple[TensorSpec, ...] = ()
    if len(loaded) < len(tensors) and layout.hparams.n_layer_nextn:
        present = {tensor.name for tensor in loaded}
        predicting = tuple(
            replace(tensor, layer=number)
            for tensor in tensors
            if (number := block_of(tensor.name)) is not None
            and number >= n_layers
            and tensor.name not in present
        )
    used = (tensor for tensor in loaded if tensor.layer is None or tensor.layer < n_layers)
    parameters, active = _parameters(used, layout.hparams)
    return ModelSpec(
        name=name,
        source=source,
        architecture=metadata.architecture,
        file_type=file_type,
        file_bytes=file_bytes,
        tensors=loaded,
        layers=layout.layers,
        hparams=layout.hparams,
        parameters=parameters,
        active_parameters=active,
        metadata=metadata.kept(),
        cache_interval=layout.cache_interval,
        notes=notes + layout.notes,
        origin=origin,
        prediction_tensors=predicting,
    )


def _parameters(tensors: Iterable[TensorSpec], hparams: Hparams) -> tuple[int, int]:
    """Return (elements of all weights, elements one token goes through)."""
    total = routed = 0
    for tensor in tensors:
        elements = 1
        for dimension in tensor.shape:
            elements *= dimension
        total += elements
        if _EXPERT_STACK in tensor.name:
            routed += elements
    if not hparams.n_expert:
        return total, total
    return total, total - routed + routed * hparams.n_expert_used // hparams.n_expert
