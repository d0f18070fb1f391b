"""What a request names beside the model: draft, projector, adapters; here or in a repository."""

from __future__ import annotations

from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.extras import (
    NO_EXTRAS,
    Adapter,
    AdapterTensor,
    Extras,
    Projector,
    ProjectorTensor,
)
from whatfits.sizing.sources import load
from whatfits.sizing.sources.claims import is_hub_name
from whatfits.sizing.sources.local_file import load_gguf
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Final

    from whatfits.sizing.model import ModelSpec, TensorSpec
    from whatfits.sizing.readers.gguf import GgufHeader
    from whatfits.sizing.workload import Workload

__all__ = ["adapter_of", "load_extras", "projector_of"]

_HALVES: Final = (".lora_a", ".lora_b")
_IGNORED_SUFFIX: Final = "_norm.weight"
_EMBEDDING: Final = "token_embd.weight"
_MODALITIES: Final = ("vision", "audio")
_MOST_ADAPTERS: Final = 64


def load_extras(model: ModelSpec, workload: Workload) -> Extras:
    """Return what the workload names beside `model`.

    Raises:
        BadInputError: a file cannot be read, or is not what it is used as.
    """
    if not (workload.model_draft or workload.mmproj or workload.lora):
        return NO_EXTRAS
    if len(workload.lora) > _MOST_ADAPTERS:
        raise InvalidRequestError(
            what="lora", got=len(workload.lora), allowed=f"up to {_MOST_ADAPTERS} adapters"
        )
    return Extras(
        draft=load(workload.model_draft) if workload.model_draft else None,
        projector=_projector(workload.mmproj) if workload.mmproj else None,
        adapters=tuple(_adapter(path, model) for path in workload.lora),
    )


def _header(path: str) -> tuple[GgufHeader, str]:
    """Return the header of a file, here or in a repository, and a name to show for it."""
    if not is_hub_name(path):
        return load_gguf(path)
    from whatfits.sizing.sources.hub.headers import load_hub_file  # noqa: PLC0415 - network on use

    return load_hub_file(path)


def _projector(path: str) -> Projector:
    header, name = _header(path)
    return projector_of(header, name=name, path=path)


def _adapter(path: str, model: ModelSpec) -> Adapter:
    header, name = _header(path)
    return adapter_of(header, model, name=name, path=path)


def projector_of(header: GgufHeader, *, name: str, path: str) -> Projector:
    """Return the projector with a header; `path` is for messages.

    Raises:
        InvalidRequestError: it is the header of something else.
    """
    metadata = header.metadata
    if metadata.get("general.architecture") != "clip":
        raise InvalidRequestError(
            what="mmproj",
            got=f"{path} (architecture {_text(header, 'general.architecture')})",
            allowed="a projector file, as mmproj-model-f16.gguf",
        )
    kinds = {}
    for modality in _MODALITIES:
        own = f"clip.{modality}.projector_type"
        if metadata.get(f"clip.has_{modality}_encoder") is True:
            kinds[modality] = _text(header, own if own in metadata else "clip.projector_type")
    if not kinds:
        raise InvalidRequestError(
            what="mmproj", got=path, allowed="a projector with a vision or an audio tower"
        )
    return Projector(
        name=name,
        kinds=kinds,
        tensors=tuple(ProjectorTensor(t.name, t.shape, t.type, t.n_bytes) for t in header.tensors),
        metadata={key: value for key, value in metadata.items() if key.startswith("clip.")},
    )


def _text(header: GgufHeader, key: str) -> str:
    value = header.metadata.get(key)
    return value if isinstance(value, str) else "not given"


def adapter_of(header: GgufHeader, model: ModelSpec, *, name: str, path: str) -> Adapter:
    """Return the adapter with a header, checked against the model as llama.cpp checks it.

    Raises:
        InvalidRequestError: it is the header of something else, or made for another model.
    """
    for key, allowed in (
        ("general.type", "adapter"),
        ("adapter.type", "lora"),
        ("general.architecture", model.architecture),
    ):
        got = _text(header, key)
        if got != allowed:
            raise InvalidRequestError(
                what=f"lora {path}: {key}",
                got=got,
                allowed=allowed,
                next_step="give an adapter that was made for this model",
            )
    by_name = {tensor.name: tensor for tensor in model.tensors}
    halves: dict[str, dict[str, AdapterTensor]] = {}
    for tensor in header.tensors:
        half = next((half for half in _HALVES if tensor.name.endswith(half)), None)
        if half is None and tensor.name.endswith(_IGNORED_SUFFIX):
            continue
        target = tensor.name.removesuffix(half or "")
        base = by_name.get(target)
        if half is None or base is None:
            raise InvalidRequestError(
                what=f"lora {path}: tensor",
                got=tensor.name,
                allowed=f"pairs NAME.lora_a and NAME.lora_b for tensors of {model.name}",
            )
        halves.setdefault(target, {})[half] = AdapterTensor(
            target, base.role, base.layer, tensor.shape, tensor.type, tensor.n_bytes
        )
    for target, pair in halves.items():
        if set(pair) != set(_HALVES) or not _fits(pair, by_name[target]):
            raise InvalidRequestError(
                what=f"lora {path}: matrices for",
                got=target,
                allowed=f"two whose shapes match the model's {by_name[target].shape}",
            )
    return Adapter(name, tuple(tensor for pair in halves.values() for tensor in pair.values()))


def _fits(pair: dict[str, AdapterTensor], base: TensorSpec) -> bool:
    """Return whether both matrices have the shapes that `base` asks for."""
    first, second = (pair[half].shape for half in _HALVES)
    if len(base.shape) < 2 or len(first) < 2 or len(second) < 2:  # noqa: PLR2004 - matrices
        return False
    if base.name.endswith(_EMBEDDING):
        return (base.shape[0], base.shape[1]) == (second[1], first[1])
    return (base.shape[0], base.shape[1], first[1]) == (first[0], second[1], second[0])
