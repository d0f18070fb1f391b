"""Configuration or GGUF header → ModelSpec, both through the same metadata."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from whatfits.sizing.architectures import find_entry, load_architecture
from whatfits.sizing.architectures.config import FILE_FORMAT, Config
from whatfits.sizing.architectures.family import Blueprint
from whatfits.sizing.architectures.geometry import read_geometry, read_layer_counts
from whatfits.sizing.architectures.layers import hparams_and_layers
from whatfits.sizing.architectures.metadata import (
    MAX_VOCABULARY,
    Metadata,
    architecture_of,
    full_key,
)
from whatfits.sizing.architectures.roles import block_of, is_loaded, role_of
from whatfits.sizing.architectures.unknown import check_unknown
from whatfits.sizing.errors import UnsupportedArchitectureError
from whatfits.sizing.model import ModelSpec, TensorSpec
from whatfits.sizing.quants.file_layout import data_offsets, header_range
from whatfits.sizing.quants.ggml_types import tensor_bytes
from whatfits.sizing.units import pad
from whatfits.sizing.values import replace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from whatfits.sizing.model import Hparams, TensorShape
    from whatfits.sizing.quants.file_types import FileType
    from whatfits.sizing.readers.gguf import GgufHeader

__all__ = ["config_file", "config_spec", "file_type_name", "gguf_spec"]

_ALIGNMENT: Final = 32
_EXPERT_STACK: Final = "_exps."
_TOKENS: Final = "tokenizer.ggml.tokens"
_EMBEDDING: Final = "token_embd.weight"


def config_spec(
    values: Mapping[str, object],
    *,
    name: str,
    source: str,
    file_type: str,
    n_vocab_override: int | None,
    imatrix: bool | None,
    origin: str,
) -> ModelSpec:
    """Return the model of a configuration; see `spec_from_config`."""
    from whatfits.sizing.quants.file_types import find_file_type  # noqa: PLC0415 - one path only

    chosen = find_file_type(file_type)
    blueprint, tensors_of = _drawn(values, n_vocab_override=n_vocab_override, file_type=chosen)
    shapes = tuple(tensors_of(blueprint))
    for shape in shapes:
        if 0 in shape.shape:
            allowed = "widths and counts above 0"
            raise blueprint.metadata.error(shape.name, "would be empty", allowed=allowed)
    tensors = _typed(shapes, blueprint, chosen, imatrix=imatrix)
    spec = _assembled(
        tensors,
        metadata=blueprint.metadata,
        n_vocab=blueprint.n_vocab,
        name=name,
        source=source,
        file_type=chosen.name,
        file_bytes=sum(pad(tensor.n_bytes, _ALIGNMENT) for tensor in tensors),
        origin=origin,
        notes=(),
    )
    return replace(spec, file_header=header_range(tensors, n_vocab=blueprint.n_vocab))


def config_file(
    config: Mapping[str, object], *, file_type: str
) -> tuple[dict[str, object], tuple[TensorSpec, ...]]:
    """Return the metadata and every tensor of the file a configuration becomes, in file order.

    Blocks that llama.cpp leaves unloaded are in it too.

    Raises:
        UnsupportedArchitectureError: there is no tensor table for this kind of configuration.
        UnknownFileTypeError: no such file type.
        MalformedFileError: a value is missing, of the wrong kind or out of range.
    """
    from whatfits.sizing.quants.file_types import find_file_type  # noqa: PLC0415 - one path only

    kind = find_file_type(file_type)
    blueprint, shapes_of = _drawn(config, n_vocab_override=None, file_type=kind)
    tensors = _typed(tuple(shapes_of(blueprint)), blueprint, kind, imatrix=None)
    in_order = sorted(tensors, key=lambda tensor: tensor.offset_bytes or 0)
    return dict(blueprint.metadata.kept()), tuple(in_order)


def _drawn(
    values: Mapping[str, object], *, n_vocab_override: int | None, file_type: FileType
) -> tuple[Blueprint, Callable[[Blueprint], Iterator[TensorShape]]]:
    """Return the blueprint of a configuration and the function that draws its tensors."""
    entry = find_entry(values)
    architecture = None if entry is None else load_architecture(entry)
    if architecture is None or architecture.tensors is None:
        raise UnsupportedArchitectureError(
            what="configuration of kind",
            got=values.get("model_type") or values.get("architectures"),
            allowed="one whose tensor table is known",
            next_step="give a .gguf file of the model",
        )
    config = Config(values)
    n_vocab = _vocabulary(config, n_vocab_override)
    name = architecture.name
    given = architecture.metadata(config)
    metadata = Metadata(
        {
            "general.architecture": name,
            "general.file_type": file_type.id,
            **{full_key(key, architecture=name): value for key, value in given.items()},
            full_key("vocab_size", architecture=name): n_vocab,
        },
        architecture=name,
        file_format=FILE_FORMAT,
    )
    return Blueprint(config, metadata, read_geometry(metadata), n_vocab), architecture.tensors


def _vocabulary(config: Config, override: int | None) -> int:
    n_vocab = config.n_vocab if override is None else override
    if type(n_vocab) is int and 0 < n_vocab <= MAX_VOCABULARY:
        return n_vocab
    raise config.error("vocab_size", f"got {n_vocab!r}", allowed=f"from 1 to {MAX_VOCABULARY:,}")


def _typed(
    shapes: Sequence[TensorShape],
    blueprint: Blueprint,
    file_type: FileType,
    *,
    imatrix: bool | None,
) -> tuple[TensorSpec, ...]:
    """Return the tensors with the storage types a file type gives them."""
    from whatfits.sizing.quants.mixing import MixFacts, assign_types  # noqa: PLC0415 - one path only

    geometry, architecture = blueprint.geometry, blueprint.metadata.architecture
    facts = MixFacts(
        n_layers_all=geometry.n_layers_all,
        n_head=geometry.heads[0],
        n_head_kv=geometry.heads_kv[0],
        n_expert=geometry.n_expert,
    )
    types = assign_types(
        shapes, architecture=architecture, facts=facts, file_type=file_type, imatrix=imatrix
    )
    sizes = [tensor_bytes(kind, shape.shape) for shape, kind in zip(shapes, types, strict=True)]
    offsets = data_offsets([shape.name for shape in shapes], sizes)
    tensors: list[TensorSpec] = []
    for shape, kind, n_bytes, offset in zip(shapes, types, sizes, offsets, strict=True):
        role, layer = role_of(shape.name, architecture=architecture, n_layers=geometry.n_layers_all)
        tensors.append(
            TensorSpec(
                name=shape.name,
                shape=shape.shape,
                type=kind,
                n_bytes=n_bytes,
                role=role,
                layer=layer,
                offset_bytes=offset,
            )
        )
    return tuple(tensors)


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
    return _assembled(
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


def _assembled(
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
