"""What a store of models holds: values only."""

from __future__ import annotations

from whatfits.sizing.typed import Literal
from whatfits.sizing.values import dataclass

__all__ = ["ExtraKind", "FileIdentity", "Format", "StoreContents", "StoredExtra", "StoredModel"]

Format = Literal["gguf", "safetensors", "mlx"]
ExtraKind = Literal["projector", "adapter", "draft"]
FileIdentity = tuple[int, int]


@dataclass(frozen=True, slots=True)
class StoredExtra:
    """A file that the program loads beside a model.

    Attributes:
        kind: `projector` (vision or audio), `adapter` (LoRA) or `draft`.
        path: where it lies.
        file_bytes: its length.
        identity: file system and number of the file.
    """

    kind: ExtraKind
    path: str
    file_bytes: int
    identity: FileIdentity


@dataclass(frozen=True, slots=True)
class StoredModel:
    """One model in a store, as far as names and lengths tell; no model file has been opened.

    Attributes:
        name: what the program calls it.
        store: which program keeps it.
        paths: its files, the first of a split model first; the folder of a checkpoint.
        file_bytes: lengths of the model's own files together, without `extras`.
        format: `gguf`, `safetensors` or `mlx`; None when it cannot be told.
        extras: what the program loads beside it.
        complete: all files are there, at the length that is known of them.
        findings: what a person should know about it, one printable line each.
        identities: file system and number of every file, in order: equal for the same files
            under another name.
        refusal: why it can be listed but not sized; empty when it can.
    """

    name: str
    store: str
    paths: tuple[str, ...]
    file_bytes: int
    format: Format | None
    extras: tuple[StoredExtra, ...] = ()
    complete: bool = True
    findings: tuple[str, ...] = ()
    identities: tuple[FileIdentity, ...] = ()
    refusal: str = ""


@dataclass(frozen=True, slots=True)
class StoreContents:
    """One folder of one store.

    Attributes:
        store: which program keeps it.
        folder: where it lies.
        models: in the order of their names.
        findings: what could not be read or was refused, one printable line each.
    """

    store: str
    folder: str
    models: tuple[StoredModel, ...] = ()
    findings: tuple[str, ...] = ()
