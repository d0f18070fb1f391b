"""The cache of Hugging Face, which transformers, vLLM, mlx-lm and newer llama.cpp share.

`CACHE/models--ORG--REPO/snapshots/COMMIT/…` are links to `…/blobs/HASH`; what is being downloaded
is `…/blobs/HASH.incomplete`. The same on every system. Source: huggingface_hub constants.py and
file_download.py; llama.cpp common/hf-cache.cpp.
"""

from __future__ import annotations

import os
from functools import partial

from whatfits.sizing.errors import UnreadableFileError, printable
from whatfits.sizing.sources.local_file import names_in
from whatfits.sizing.sources.stores.checkpoint_format import checkpoint_format
from whatfits.sizing.sources.stores.grouping import UNFINISHED, group_models, is_model_file
from whatfits.sizing.sources.stores.stored import StoreContents, StoredModel
from whatfits.sizing.sources.stores.walk import Walk, is_inside, read_small_file
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import replace

if TYPE_CHECKING:
    from typing import Final

    from whatfits.sizing.sources.stores.surroundings import Surroundings
    from whatfits.sizing.sources.stores.walk import FoundFile

__all__ = ["NAME", "folders", "read", "read_hub_folder", "repository_of"]

NAME: Final = "Hugging Face"
_PREFIX: Final = "models--"
_SNAPSHOTS: Final = "snapshots"
_INCOMPLETE: Final = ".incomplete"
_DEPTH: Final = 4  # repositories keep their file types in folders
_SHOWN: Final = 7
_MAX_REF_BYTES: Final = 256
_LEAST_PARTIAL_BYTES: Final = 2**20  # below it, a tokenizer or a configuration


def folders(surroundings: Surroundings) -> tuple[str, ...]:
    """Return the folder of the cache, by the first variable that is set."""
    named = surroundings.variable("HF_HUB_CACHE") or surroundings.variable("HUGGINGFACE_HUB_CACHE")
    home = surroundings.variable("HF_HOME")
    cache = surroundings.variable("XDG_CACHE_HOME") or surroundings.below_home(".cache")
    if named is None and home is not None:
        named = surroundings.join(home, "hub")
    if named is None and cache is not None:
        named = surroundings.join(cache, "huggingface", "hub")
    return () if named is None else (surroundings.expanded(named),)


def read(surroundings: Surroundings) -> tuple[StoreContents, ...]:
    """Return what lies in the cache, when it is there."""
    return tuple(
        read_hub_folder(folder, store=NAME)
        for folder in folders(surroundings)
        if os.path.isdir(folder)  # noqa: PTH112 - paths may be any bytes
    )


def repository_of(folder_name: str) -> str | None:
    """Return `ORG/REPO` of a folder's name; None when it is not that of a model."""
    name = folder_name.removeprefix(_PREFIX)
    if name == folder_name or not name:
        return None
    return name.replace("--", "/")


def read_hub_folder(folder: str, *, store: str) -> StoreContents:
    """Return the models of every repository in a folder with the cache's layout."""
    models: list[StoredModel] = []
    findings: list[str] = []
    try:
        names = sorted(names_in(folder))
    except UnreadableFileError as error:
        return StoreContents(store, folder, findings=(str(error),))
    for name in names:
        repository = repository_of(name)
        path = os.path.join(folder, name)  # noqa: PTH118 - paths may be any bytes
        if repository is None or not os.path.isdir(path):  # noqa: PTH112 - same
            continue
        if not is_inside(path, folder):
            findings.append(f"{printable(name)} is a link that leaves the store")
            continue
        found, said = _repository(path, repository, store=store)
        models += found
        findings += said
    return StoreContents(store, folder, tuple(models), tuple(findings))


def _repository(path: str, repository: str, *, store: str) -> tuple[list[StoredModel], list[str]]:
    """Return the models of one repository: of every revision, the same files once."""
    walk = Walk(
        os.path.join(path, _SNAPSHOTS),  # noqa: PTH118 - paths may be any bytes
        depth=_DEPTH + 1,
        wanted=is_model_file,
        within=(path,),
    )
    by_revision: dict[str, list[FoundFile]] = {}
    for file in walk.files:
        revision, _, below = file.relative.partition("/")
        if below:
            by_revision.setdefault(revision, []).append(file._replace(relative=below))
    models: dict[object, StoredModel] = {}
    findings = [f"{repository}: {line}" for line in walk.findings]
    main = _main_revision(path)
    # the files of the main revision are named first, and what only others have is told apart
    for revision in sorted(by_revision, key=lambda one: (one != main, one)):
        files = by_revision[revision]
        grouped, said = group_models(
            files,
            store=store,
            checkpoint=partial(checkpoint_format, repository=repository),
            prefix=repository,
        )
        findings += said
        for model in grouped:
            if main is not None and revision != main:
                said_of = f"of revision {printable(revision[:_SHOWN])}, which is not main"
                model = replace(model, findings=(*model.findings, said_of))  # noqa: PLW2901 - same
            models.setdefault(model.identities, model)
    return _with_unfinished(path, repository, list(models.values()), store=store), findings


def _main_revision(path: str) -> str | None:
    """Return the commit that `main` of a repository was when it was last downloaded."""
    try:
        data = read_small_file(os.path.join(path, "refs", "main"), most_bytes=_MAX_REF_BYTES)  # noqa: PTH118 - paths may be any bytes
    except UnreadableFileError:
        return None
    return data.decode(errors="replace").strip() or None


def _with_unfinished(
    path: str, repository: str, models: list[StoredModel], *, store: str
) -> list[StoredModel]:
    """Return models with what is still being downloaded.

    The name of such a file is not known: a checkpoint is taken to wait for it; else it is a row of
    its own.
    """
    walk = Walk(
        os.path.join(path, "blobs"),  # noqa: PTH118 - paths may be any bytes
        depth=0,
        wanted=lambda name: name.endswith(_INCOMPLETE),
        within=(path,),
    )
    waiting = [file for file in walk.files if file.n_bytes >= _LEAST_PARTIAL_BYTES]
    if not waiting:
        return models
    if any(model.format != "gguf" for model in models):
        return [
            model
            if model.format == "gguf"
            else replace(model, complete=False, findings=(*model.findings, UNFINISHED))
            for model in models
        ]
    return models + [
        StoredModel(
            name=repository,
            store=store,
            paths=(file.path,),
            file_bytes=file.n_bytes,
            format=None,
            complete=False,
            identities=(file.identity,),
            refusal=UNFINISHED,
        )
        for file in waiting
    ]
