"""Which files of a folder are one model: split sets, projectors, checkpoints, partial downloads.

By names and lengths alone. A projector is known by `mmproj` in its name and belongs to the models
whose names begin with what stands before that (nothing does for `mmproj-F16.gguf`: to all).
Source: llama.cpp common/download.cpp (mmproj by name, `.downloadInProgress`), huggingface_hub
(`.incomplete`), LM Studio (`downloading_NAME.part`), Jan (`.tmp`).
"""

from __future__ import annotations

from whatfits.sizing.errors import printable
from whatfits.sizing.named_tuples import NamedTuple
from whatfits.sizing.sources.split_gguf import parse_split_name
from whatfits.sizing.sources.stores.stored import StoredExtra, StoredModel
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import replace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Final

    from whatfits.sizing.sources.stores.stored import Format
    from whatfits.sizing.sources.stores.walk import FoundFile

__all__ = ["UNFINISHED", "group_models", "is_model_file", "projector_of"]

UNFINISHED: Final = "the download is not finished"
_GGUF: Final = ".gguf"
_SAFETENSORS: Final = ".safetensors"
_INDEX: Final = ".safetensors.index.json"
_PARTIAL: Final = (".part", ".downloadinprogress", ".incomplete", ".partial", ".tmp")
_DOWNLOADING: Final = "downloading_"
_PROJECTOR: Final = "mmproj"
_ADAPTER: Final = "adapter_"


class _GgufSet(NamedTuple):
    """The files of one model, and how many there ought to be."""

    name: str
    files: list[FoundFile]
    n_files: int


def is_model_file(name: str) -> bool:
    """Return whether a file can be (part of) a model, by its name."""
    lower = _whole_name(name).lower()
    return lower.endswith((_GGUF, _SAFETENSORS, _INDEX)) or lower == "config.json"


def group_models(
    files: Sequence[FoundFile],
    *,
    store: str,
    checkpoint: Callable[[str], Format],
    prefix: str = "",
) -> tuple[tuple[StoredModel, ...], tuple[str, ...]]:
    """Return the models that files make up, and one line for each file that belongs to none.

    Models are named by their place, below `prefix`. `checkpoint` tells the format of the
    safetensors in the folder at a path.
    """
    whole = [file for file in files if file.name == _whole_name(file.name)]
    partial = [file for file in files if file.name != _whole_name(file.name)]
    ggufs = [file for file in whole if file.name.lower().endswith(_GGUF)]
    projectors = [file for file in ggufs if _PROJECTOR in file.name.lower()]
    models = [
        _gguf_model(found, projectors, store=store)
        for found in _gguf_sets(file for file in ggufs if file not in projectors)
    ]
    models += _checkpoints(whole, partial, store=store, checkpoint=checkpoint)
    folders = {model.name for model in models if model.format != "gguf"}
    models += [
        _partial_model(file, store=store)
        for file in partial
        if _is_weights(file) and file.folder not in folders
    ]
    alone = [] if models else projectors
    findings = tuple(f"a projector without its model: {printable(f.relative)}" for f in alone)
    named = [replace(model, name=_below(prefix, model.name)) for model in models]
    return tuple(sorted(named, key=lambda model: model.name)), findings


def _below(prefix: str, name: str) -> str:
    return "/".join(part for part in (prefix, name) if part)


def _is_weights(partial: FoundFile) -> bool:
    """Return whether what is being downloaded will be a model, or part of one."""
    lower = _whole_name(partial.name).lower()
    return lower.endswith((_GGUF, _SAFETENSORS)) and _PROJECTOR not in lower


def projector_of(name: str, folder: str, projectors: Sequence[FoundFile]) -> FoundFile | None:
    """Return the projector of the model in a file of this name; the largest when several are.

    One in the model's own folder goes before one elsewhere.
    """
    lower = name.lower()
    fitting = [
        file
        for file in projectors
        if lower.startswith(file.name.lower().partition(_PROJECTOR)[0])
        and (not file.folder or f"{folder}/".startswith(f"{file.folder}/"))
    ]
    return max(fitting, key=lambda file: (file.folder, file.n_bytes, file.name), default=None)


def _whole_name(name: str) -> str:
    """Return what a file will be called when its download is finished."""
    lower = name.lower()
    suffix = next((suffix for suffix in _PARTIAL if lower.endswith(suffix)), None)
    if suffix is None:
        return name
    return name[: -len(suffix)].removeprefix(_DOWNLOADING)


def _gguf_sets(files: Iterable[FoundFile]) -> list[_GgufSet]:
    sets: dict[tuple[str, str, int], _GgufSet] = {}
    for file in files:
        split = parse_split_name(file.name)
        name, count = (split.prefix, split.n_files) if split else (file.name[: -len(_GGUF)], 1)
        key = (file.folder, name if split else file.name, count)
        place = _below(file.folder, name)
        sets.setdefault(key, _GgufSet(place, [], count)).files.append(file)
    return list(sets.values())


def _gguf_model(found: _GgufSet, projectors: Sequence[FoundFile], *, store: str) -> StoredModel:
    first = found.files[0]
    missing = found.n_files - len(found.files)
    projector = projector_of(first.name, first.folder, projectors)
    extras = (
        ()
        if projector is None
        else (StoredExtra("projector", projector.path, projector.n_bytes, projector.identity),)
    )
    said = (f"{missing:,} of {found.n_files:,} files are missing",) if missing else ()
    return StoredModel(
        name=found.name,
        store=store,
        paths=tuple(file.path for file in found.files),
        file_bytes=sum(file.n_bytes for file in found.files),
        format="gguf",
        extras=extras,
        complete=not missing,
        findings=said,
        identities=tuple(file.identity for file in found.files),
    )


def _checkpoints(
    whole: Sequence[FoundFile],
    partial: Sequence[FoundFile],
    *,
    store: str,
    checkpoint: Callable[[str], Format],
) -> list[StoredModel]:
    """Return one model for each folder with safetensors that are no adapter."""
    by_folder: dict[str, list[FoundFile]] = {}
    for file in whole:
        if file.name.lower().endswith(_SAFETENSORS) and not file.name.startswith(_ADAPTER):
            by_folder.setdefault(file.folder, []).append(file)
    waiting = {
        file.folder for file in partial if _whole_name(file.name).lower().endswith(_SAFETENSORS)
    }
    models = []
    for folder, files in by_folder.items():
        path = files[0].path[: -len(files[0].name) - 1]
        models.append(
            StoredModel(
                name=folder,
                store=store,
                paths=(path,),
                file_bytes=sum(file.n_bytes for file in files),
                format=checkpoint(path),
                complete=folder not in waiting,
                findings=(UNFINISHED,) if folder in waiting else (),
                identities=tuple(file.identity for file in files),
            )
        )
    return models


def _partial_model(file: FoundFile, *, store: str) -> StoredModel:
    """Return a file whose download is not finished as a model of its own."""
    name = _whole_name(file.name)
    lower = name.lower()
    shown = name[: -len(_GGUF)] if lower.endswith(_GGUF) else name
    return StoredModel(
        name=_below(file.folder, shown),
        store=store,
        paths=(file.path,),
        file_bytes=file.n_bytes,
        format="gguf" if lower.endswith(_GGUF) else None,
        complete=False,
        findings=(UNFINISHED,),
        identities=(file.identity,),
        refusal="" if lower.endswith(_GGUF) else UNFINISHED,
    )
