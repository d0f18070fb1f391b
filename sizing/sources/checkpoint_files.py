"""The files of a safetensors checkpoint: found, opened, read as far as their headers.

The folder may lie anywhere: see `folders`.
"""

from __future__ import annotations

import os
import re

from whatfits.sizing.errors import MalformedFileError, UnreadableFileError, printable
from whatfits.sizing.quants.layouts.block import quantisation_block
from whatfits.sizing.readers.hf_config import (
    MAX_CONFIG_BYTES,
    HfConfig,
    read_hf_config,
    read_json_object,
)
from whatfits.sizing.readers.safetensors import SafetensorsHeader, read_safetensors_header
from whatfits.sizing.readers.safetensors_index import (
    MAX_FILES,
    MAX_INDEX_BYTES,
    MAX_TENSORS,
    PICKLE_SUFFIXES,
    ShardIndex,
    read_safetensors_index,
)
from whatfits.sizing.sources.file_kinds import (
    HEAD_BYTES,
    other_kind,
    pickle_reason,
)
from whatfits.sizing.sources.folders import Folder, LocalFolder
from whatfits.sizing.sources.paths import is_folder
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import dataclass, field

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Final, TypeVar

    from whatfits.sizing.readers.byte_source import ByteSource
    from whatfits.sizing.readers.safetensors import StoredTensor

    _T = TypeVar("_T")

__all__ = ["CONFIG", "Checkpoint", "read_checkpoint", "read_checkpoint_in"]


CONFIG: Final = "config.json"
_SUFFIX: Final = ".safetensors"
_INDEX: Final = ".index.json"
_INDEX_SUFFIX: Final = f"{_SUFFIX}{_INDEX}"
_ADAPTER: Final = "adapter_"
_SHARD: Final = re.compile(r"(?P<prefix>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.safetensors")
_SHOWN: Final = 5
# Where AutoGPTQ, AutoAWQ and ModelOpt put what later versions write into config.json.
_BESIDE: Final = (
    ("quantize_config.json", "gptq"),
    ("quant_config.json", "awq"),
    ("hf_quant_config.json", "modelopt"),
)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What was found under a path.

    Attributes:
        folder: where it lies.
        config: its configuration; None without one.
        tensors: of every file that was read.
        n_files: safetensors files that were read.
        file_bytes: their lengths together.
        missing: names of files that are not there yet.
        total_bytes: of all tensors by the index; None when there is none or it does not say.
        findings: what is odd but harmless, one printable line each.
    """

    folder: str
    config: HfConfig | None
    tensors: tuple[StoredTensor, ...] = ()
    n_files: int = 0
    file_bytes: int = 0
    missing: tuple[str, ...] = ()
    total_bytes: int | None = None
    findings: tuple[str, ...] = field(default=())


def read_checkpoint(path: str) -> Checkpoint:
    """Return the checkpoint at `path`: a folder, a .safetensors file, an index or a config.json.

    Raises:
        UnreadableFileError: missing, not permitted, not a checkpoint, or several of them.
        MalformedFileError: the bytes contradict the format.
    """
    if is_folder(path):
        return read_checkpoint_in(LocalFolder(path))
    folder, name = os.path.split(path)
    named = name if name.lower().endswith(".json") else None
    return read_checkpoint_in(LocalFolder(folder, named=named), name)


def read_checkpoint_in(folder: Folder, name: str | None = None) -> Checkpoint:
    """Return the checkpoint in a folder, or the one that a file in it belongs to.

    Raises:
        UnreadableFileError: missing, not permitted, not a checkpoint, or several of them.
        MalformedFileError: the bytes contradict the format.
    """
    if name is None:
        return _from_folder(folder)
    lower = name.lower()
    if lower.endswith(_INDEX_SUFFIX):
        return _from_index(folder, name, _config(folder))
    if lower.removesuffix(_INDEX).endswith(PICKLE_SUFFIXES):
        raise _pickles("the file is the index of pickles:", folder.shown(name))
    if lower.endswith(".json"):
        return Checkpoint(folder.place, _read_config(folder, name))
    return _from_files(folder, _siblings(name), _config(folder))


def _from_folder(folder: Folder) -> Checkpoint:
    names = folder.names()
    config = _config(folder) if CONFIG in names else None
    indexes = [name for name in names if name.lower().endswith(_INDEX_SUFFIX)]
    if indexes:
        usual = f"model{_INDEX_SUFFIX}"
        if len(indexes) > 1 and usual not in indexes:
            raise _several(folder.place, indexes)
        (index,) = [usual] if usual in indexes else indexes
        return _from_index(folder, index, config)
    files = [name for name in names if name.lower().endswith(_SUFFIX)]
    if not files:
        pickles = [
            name for name in names if name.lower().removesuffix(_INDEX).endswith(PICKLE_SUFFIXES)
        ]
        if config is None:
            raise (
                _pickles("the weights in the folder are pickles:", folder.place)
                if pickles
                else UnreadableFileError(
                    what=f"no safetensors file and no {CONFIG} in the folder:", got=folder.place
                )
            )
        said = (f"the weights in the folder are pickles: {pickle_reason()}",) if pickles else ()
        return Checkpoint(folder.place, config, findings=said)
    return _from_files(folder, _chosen(folder.place, files), config)


def _pickles(what: str, path: str) -> UnreadableFileError:
    return UnreadableFileError(what=what, got=path, next_step=pickle_reason())


def _chosen(folder: str, files: list[str]) -> tuple[str, ...]:
    """Return the files of the only model among them, or of the first with the usual name.

    Raises:
        UnreadableFileError: there are several, or nothing but an adapter.
    """
    models = [name for name in files if not name.startswith(_ADAPTER)]
    if not models:
        raise UnreadableFileError(
            what="the folder holds an adapter (LoRA), not a model:",
            got=folder,
            next_step="name the model that it goes with",
        )
    sets = sorted({_siblings(name) for name in models})
    usual = [one for one in sets if one[0].startswith("model")]
    if len(sets) > 1 and not usual:
        raise _several(folder, [one[0] for one in sets])
    return (usual or sets)[0]


def _several(folder: str, names: list[str]) -> UnreadableFileError:
    shown = ", ".join(printable(name) for name in names[:_SHOWN])
    return UnreadableFileError(
        what=f"the folder holds {len(names):,} models:",
        got=folder,
        allowed=shown + (", …" if len(names) > _SHOWN else ""),
        next_step="name one of the files",
    )


def _siblings(name: str) -> tuple[str, ...]:
    """Return the names of all files of the set a file belongs to, from its own name."""
    found = _SHARD.fullmatch(name)
    if found is None:
        return (name,)
    count = int(found["count"])
    if not 1 <= int(found["number"]) <= count <= MAX_FILES:
        return (name,)
    return tuple(f"{found['prefix']}-{n:05d}-of-{count:05d}{_SUFFIX}" for n in range(1, count + 1))


def _from_index(folder: Folder, name: str, config: HfConfig | None) -> Checkpoint:
    index = _named(folder, name, MAX_INDEX_BYTES, read_safetensors_index)
    found = _from_files(folder, index.files, config, index)
    findings = (*found.findings, *index.findings, *_differences(found, index))
    return Checkpoint(
        folder.place,
        config,
        found.tensors,
        found.n_files,
        found.file_bytes,
        found.missing,
        index.total_bytes,
        findings,
    )


def _differences(found: Checkpoint, index: ShardIndex) -> Iterator[str]:
    """Yield how an index and the files it names contradict each other; the files count."""
    if found.missing:
        return
    names = {tensor.name for tensor in found.tensors}
    lost = len(index.file_of.keys() - names)
    if lost:
        yield f"the index names {lost:,} tensors that no file holds"
    total = sum(tensor.n_bytes for tensor in found.tensors)
    if index.total_bytes is not None and index.total_bytes != total:
        yield f"the index claims {index.total_bytes:,} bytes of tensors, the files hold {total:,}"


def _from_files(
    folder: Folder,
    names: tuple[str, ...],
    config: HfConfig | None,
    index: ShardIndex | None = None,
) -> Checkpoint:
    """Return the tensors of a set of files; those that are not there yet are named.

    Raises:
        UnreadableFileError: none of them is there, or one leads out of the folder.
        MalformedFileError: two of them hold the same tensor, one is malformed, or it is too many.
    """
    present = [name for name in names if folder.has(name)]
    if not present:
        raise UnreadableFileError(
            what="no file of the checkpoint is there:",
            got=folder.shown(names[0]),
            next_step="download it, or name its config.json",
        )
    folder.expect(present)
    tensors: list[StoredTensor] = []
    seen: set[str] = set()
    findings: dict[str, None] = {}
    file_bytes = 0
    for name in present:
        header = _read_file(folder, name)
        file_bytes += header.file_bytes
        findings |= dict.fromkeys(header.findings)
        for tensor in header.tensors:
            if index is not None and index.file_of.get(tensor.name, name) != name:
                continue  # the index takes it from another file
            if tensor.name in seen:
                raise MalformedFileError(
                    file_format="safetensors",
                    field=f"tensor {tensor.name!r}",
                    reason=f"is in {name!r} and in a file before it",
                    allowed="in one file only",
                )
            seen.add(tensor.name)
            tensors.append(tensor)
        if len(tensors) > MAX_TENSORS:
            raise MalformedFileError(
                file_format="safetensors",
                field="tensors of all files",
                reason=f"are {len(tensors):,} up to {name!r}",
                allowed=f"up to {MAX_TENSORS:,}",
            )
    missing = tuple(name for name in names if name not in present)
    return Checkpoint(
        folder.place,
        config,
        tuple(tensors),
        len(present),
        file_bytes,
        missing,
        None,
        tuple(findings),
    )


def _read_file(folder: Folder, name: str) -> SafetensorsHeader:
    """Return the header of one file.

    Raises:
        UnreadableFileError: it is something else, or leads out of the folder.
        MalformedFileError: it contradicts the format.
    """
    path = folder.shown(name)
    with folder.open(name) as source:
        kind, next_step = other_kind(source.read(0, HEAD_BYTES), name=name)
        if kind != "a safetensors file":
            raise UnreadableFileError(
                what=f"the file is {kind}:",
                got=path,
                allowed="a safetensors file",
                next_step=next_step,
            )
        return _with_path(path, lambda: read_safetensors_header(source, allow_missing_data=True))


def _config(folder: Folder) -> HfConfig | None:
    """Return the configuration in a folder; None when there is none."""
    return _read_config(folder, CONFIG) if folder.has(CONFIG) else None


def _read_config(folder: Folder, name: str) -> HfConfig:
    """Return a configuration, with the quantisation that older tools wrote beside it."""
    config = _named(folder, name, MAX_CONFIG_BYTES, read_hf_config)
    if quantisation_block(config.values) is not None:
        return config
    for beside, method in _BESIDE:
        if folder.has(beside):
            block = _named(folder, beside, MAX_CONFIG_BYTES, read_json_object)
            said = f"{CONFIG} does not say how the weights are quantised; {beside} does"
            values = {**config.values, "quantization_config": {"quant_method": method, **block}}
            return HfConfig(values, (*config.findings, said))
    return config


def _named(folder: Folder, name: str, max_bytes: int, read: Callable[[bytes], _T]) -> _T:
    """Return what `read` makes of a file's bytes, one more than allowed at the most."""
    with folder.open(name) as source:
        data = _beginning(source, max_bytes)
    return _with_path(folder.shown(name), lambda: read(data))


def _beginning(source: ByteSource, max_bytes: int) -> bytes:
    return source.read(0, min(source.size_bytes, max_bytes) + 1)


def _with_path(path: str, read: Callable[[], _T]) -> _T:
    """Return what `read` returns; its refusals get the name of the file.

    Raises:
        MalformedFileError: with the path.
    """
    try:
        return read()
    except MalformedFileError as error:
        raise error.in_file(path) from error
