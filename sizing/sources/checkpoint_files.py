"""The files of a safetensors checkpoint: found, opened, read as far as their headers.

A folder comes from a stranger: names in it and in its index stay in it. A download cache keeps
links in `snapshots/…` and the files in `blobs`; no other link that leaves the folder is followed.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeVar

from whatfits.sizing.errors import MalformedFileError, UnreadableFileError, printable
from whatfits.sizing.readers.hf_config import MAX_CONFIG_BYTES, HfConfig, read_hf_config
from whatfits.sizing.readers.safetensors import SafetensorsHeader, read_safetensors_header
from whatfits.sizing.readers.safetensors_index import (
    MAX_FILES,
    MAX_INDEX_BYTES,
    MAX_TENSORS,
    ShardIndex,
    read_safetensors_index,
)
from whatfits.sizing.sources.file_kinds import (
    HEAD_BYTES,
    PICKLE_SUFFIXES,
    other_kind,
    pickle_reason,
)
from whatfits.sizing.sources.local_file import names_in
from whatfits.sizing.sources.paths import is_folder, is_link, lies_there, real_path
from whatfits.sizing.sources.regular_file import FileSource, open_regular_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from whatfits.sizing.readers.safetensors import StoredTensor

__all__ = ["Checkpoint", "read_checkpoint"]

_T = TypeVar("_T")

CONFIG: Final = "config.json"
_SUFFIX: Final = ".safetensors"
_INDEX_SUFFIX: Final = ".safetensors.index.json"
_ADAPTER: Final = "adapter_"
_SHARD: Final = re.compile(r"(?P<prefix>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.safetensors")
_BLOBS: Final = "blobs"
_SHOWN: Final = 5


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
        return _from_folder(path)
    folder, name = os.path.split(path)
    lower = name.lower()
    if lower.endswith(_INDEX_SUFFIX):
        return _from_index(folder, name, _config(folder))
    if lower.endswith(".json"):
        return Checkpoint(folder, _read_config(path))
    return _from_files(folder, _siblings(name), _config(folder))


def _from_folder(folder: str) -> Checkpoint:
    names = sorted(names_in(folder))
    config = _config(folder) if CONFIG in names else None
    indexes = [name for name in names if name.lower().endswith(_INDEX_SUFFIX)]
    if indexes:
        usual = f"model{_INDEX_SUFFIX}"
        if len(indexes) > 1 and usual not in indexes:
            raise _several(folder, indexes)
        return _from_index(folder, usual if usual in indexes else indexes[0], config)
    files = [name for name in names if name.lower().endswith(_SUFFIX)]
    if not files:
        pickles = [name for name in names if name.lower().endswith(PICKLE_SUFFIXES)]
        said = (f"the weights in the folder are pickles: {pickle_reason()}",) if pickles else ()
        return Checkpoint(folder, config, findings=said)
    return _from_files(folder, _chosen(folder, files), config)


def _chosen(folder: str, files: list[str]) -> tuple[str, ...]:
    """Return the files of the only model among them.

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
    sets = {_siblings(name) for name in models}
    usual = next((one for one in sets if one[0].startswith("model")), None)
    if len(sets) > 1 and usual is None:
        raise _several(folder, [one[0] for one in sorted(sets)])
    return usual or next(iter(sets))


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
    count = int(found["count"]) if found else 0
    if found is None or not 1 <= int(found["number"]) <= count <= MAX_FILES:
        return (name,)
    return tuple(f"{found['prefix']}-{n:05d}-of-{count:05d}{_SUFFIX}" for n in range(1, count + 1))


def _from_index(folder: str, name: str, config: HfConfig | None) -> Checkpoint:
    index = _named(_join(folder, name), MAX_INDEX_BYTES, read_safetensors_index)
    found = _from_files(folder, index.files, config, index)
    findings = (*found.findings, *index.findings, *_differences(found, index))
    return Checkpoint(
        folder,
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
    folder: str, names: tuple[str, ...], config: HfConfig | None, index: ShardIndex | None = None
) -> Checkpoint:
    """Return the tensors of a set of files; those that are not there yet are named.

    Raises:
        UnreadableFileError: none of them is there, or one leads out of the folder.
        MalformedFileError: two of them hold the same tensor, one is malformed, or it is too many.
    """
    present = [name for name in names if lies_there(_join(folder, name))]
    if not present:
        raise UnreadableFileError(
            what="no file of the checkpoint is there:",
            got=_join(folder, names[0]),
            next_step="download it, or name its config.json",
        )
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
        folder, config, tuple(tensors), len(present), file_bytes, missing, None, tuple(findings)
    )


def _read_file(folder: str, name: str) -> SafetensorsHeader:
    """Return the header of one file.

    Raises:
        UnreadableFileError: it is something else, or leads out of the folder.
        MalformedFileError: it contradicts the format.
    """
    path = _join(folder, name)
    _check_inside(folder, path)
    with open_regular_file(path) as source:
        kind, next_step = other_kind(source.read(0, HEAD_BYTES), name=name)
        if kind != "a safetensors file":
            raise UnreadableFileError(
                what=f"the file is {kind}:",
                got=path,
                allowed="a safetensors file",
                next_step=next_step,
            )
        return _with_path(path, lambda: read_safetensors_header(source, allow_missing_data=True))


def _check_inside(folder: str, path: str) -> None:
    """Refuse a link that leaves the folder for anything but the cache's own store."""
    if not is_link(path):
        return
    inside = real_path(folder)
    store = _join(os.path.dirname(os.path.dirname(inside)), _BLOBS)  # noqa: PTH120 - any bytes
    allowed = (inside, real_path(store) if lies_there(store) else inside)
    if os.path.dirname(real_path(path)) not in allowed:  # noqa: PTH120 - any bytes
        raise UnreadableFileError(
            what="a file of the checkpoint is a link that leaves the folder:",
            got=path,
            allowed="files in the folder, or in the cache it belongs to",
        )


def _config(folder: str) -> HfConfig | None:
    """Return the configuration in a folder; None when there is none."""
    path = _join(folder, CONFIG)
    if not lies_there(path):
        return None
    _check_inside(folder, path)
    return _read_config(path)


def _read_config(path: str) -> HfConfig:
    return _named(path, MAX_CONFIG_BYTES, read_hf_config)


def _named(path: str, max_bytes: int, read: Callable[[bytes], _T]) -> _T:
    """Return what `read` makes of a file's bytes, one more than allowed at the most."""
    with open_regular_file(path) as source:
        data = _beginning(source, max_bytes)
    return _with_path(path, lambda: read(data))


def _beginning(source: FileSource, max_bytes: int) -> bytes:
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


def _join(folder: str, name: str) -> str:
    return os.path.join(folder, name)  # noqa: PTH118 - paths may be any bytes
