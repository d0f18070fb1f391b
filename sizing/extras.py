"""What a server loads beside the model, as it was read: no arithmetic here."""

from __future__ import annotations

from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import dataclass, field

if TYPE_CHECKING:
    from collections.abc import Mapping

    from whatfits.sizing.model import ModelSpec, TensorRole

__all__ = [
    "NO_EXTRAS",
    "Adapter",
    "AdapterTensor",
    "Companion",
    "Extras",
    "Projector",
    "ProjectorTensor",
]


@dataclass(frozen=True, slots=True)
class ProjectorTensor:
    """A tensor of a projector file.

    Attributes:
        name: as `v.blk.0.attn_q.weight`.
        shape: dimensions, row length first.
        type: storage type.
        n_bytes: exact bytes of its data.
    """

    name: str
    shape: tuple[int, ...]
    type: str
    n_bytes: int


@dataclass(frozen=True, slots=True)
class Projector:
    """A vision or audio tower with its projector (`mmproj`).

    Attributes:
        name: short name for people.
        kinds: projector types by modality, as {"vision": "gemma3"}.
        tensors: everything in the file.
        metadata: its keys under `clip.`.
    """

    name: str
    kinds: Mapping[str, str]
    tensors: tuple[ProjectorTensor, ...]
    metadata: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AdapterTensor:
    """One of the two matrices that adapt a tensor of the model.

    Attributes:
        target: name of the tensor it adapts.
        role: role of that tensor.
        layer: layer of that tensor.
        shape: its own dimensions, row length first.
        type: its own storage type.
        n_bytes: exact bytes of its data.
    """

    target: str
    role: TensorRole
    layer: int | None
    shape: tuple[int, ...]
    type: str
    n_bytes: int


@dataclass(frozen=True, slots=True)
class Adapter:
    """A LoRA adapter.

    Attributes:
        name: short name for people.
        tensors: its matrices, two for each tensor it adapts.
    """

    name: str
    tensors: tuple[AdapterTensor, ...]


@dataclass(frozen=True, slots=True)
class Extras:
    """Everything that was asked for beside the model.

    Attributes:
        draft: the model that drafts for it.
        projector: the vision or audio tower.
        adapters: LoRA adapters, in the order they were given.
    """

    draft: ModelSpec | None = None
    projector: Projector | None = None
    adapters: tuple[Adapter, ...] = ()


NO_EXTRAS = Extras()


@dataclass(frozen=True, slots=True)
class Companion:
    """What a model comes with, and what its program therefore loads beside it.

    Attributes:
        file: the path to write into a command.
        content: what was read of it: a projector, an adapter, or a model that drafts.
    """

    file: str
    content: Projector | Adapter | ModelSpec
