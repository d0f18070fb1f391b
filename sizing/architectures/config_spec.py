"""Configuration → ModelSpec: its tensors drawn, and typed as `llama-quantize` would."""

from __future__ import annotations

from whatfits.sizing.architectures import find_entry, load_architecture
from whatfits.sizing.architectures.config import FILE_FORMAT, Config
from whatfits.sizing.architectures.family import Blueprint
from whatfits.sizing.architectures.geometry import read_geometry
from whatfits.sizing.architectures.metadata import MAX_VOCABULARY, Metadata, full_key
from whatfits.sizing.architectures.roles import role_of
from whatfits.sizing.architectures.spec import assembled
from whatfits.sizing.errors import UnsupportedArchitectureError
from whatfits.sizing.model import TensorSpec
from whatfits.sizing.quants.file_layout import data_offsets, header_range
from whatfits.sizing.quants.file_types import find_file_type
from whatfits.sizing.quants.ggml_types import tensor_bytes
from whatfits.sizing.quants.mixing import MixFacts, assign_types
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.units import pad
from whatfits.sizing.values import replace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import Final

    from whatfits.sizing.model import ModelSpec, TensorShape
    from whatfits.sizing.quants.file_types import FileType

__all__ = ["config_file", "config_spec"]

_ALIGNMENT: Final = 32


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
    chosen = find_file_type(file_type)
    blueprint, tensors_of = _drawn(values, n_vocab_override=n_vocab_override, file_type=chosen)
    shapes = tuple(tensors_of(blueprint))
    for shape in shapes:
        if 0 in shape.shape:
            allowed = "widths and counts above 0"
            raise blueprint.metadata.error(shape.name, "would be empty", allowed=allowed)
    tensors = _typed(shapes, blueprint, chosen, imatrix=imatrix)
    spec = assembled(
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
