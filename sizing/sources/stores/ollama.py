"""Ollama's store: manifests by name, blobs by digest.

`MODELS/manifests-v2/HOST/NAMESPACE/MODEL/TAG` (a link to a blob) or `MODELS/manifests/…` (a file),
and `MODELS/blobs/sha256-HEX`. Source: ollama manifest/paths.go, manifest/manifest.go,
server/images.go (what a layer is for), server/download.go (`-partial`), envconfig/config.go.
"""

from __future__ import annotations

import os

from whatfits.sizing.errors import (
    BadInputError,
    InvalidRequestError,
    MalformedFileError,
    UnreadableFileError,
    printable,
)
from whatfits.sizing.readers.strict_json import parse_json
from whatfits.sizing.sources.local_file import names_in
from whatfits.sizing.sources.ollama_layers import (
    EXTRA_LAYERS,
    cloud_refusal,
    parameter_notes,
    tensor_refusal,
)
from whatfits.sizing.sources.ollama_manifest import (
    MAX_MANIFEST_BYTES,
    Manifest,
    blob_name,
    parse_manifest,
)
from whatfits.sizing.sources.ollama_name import OllamaName, parse_ollama_name
from whatfits.sizing.sources.stores.grouping import UNFINISHED
from whatfits.sizing.sources.stores.stored import StoreContents, StoredExtra, StoredModel
from whatfits.sizing.sources.stores.walk import Walk, find_file, read_small_file
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any, Final

    from whatfits.sizing.sources.ollama_manifest import Layer
    from whatfits.sizing.sources.stores.surroundings import Surroundings
    from whatfits.sizing.sources.stores.walk import FoundFile

__all__ = ["NAME", "SERVICE_FOLDERS", "find_model", "folders", "read"]

NAME: Final = "Ollama"
# Where the packages for Linux keep models: the service has a user of its own.
SERVICE_FOLDERS: Final = (
    "/usr/share/ollama/.ollama/models",
    "/var/lib/ollama/models",
    "/var/snap/ollama/common/models",
)
_ROOTS: Final = ("manifests-v2", "manifests")
_BLOBS: Final = "blobs"
_PARTS: Final = 4
_PORT: Final = "%3A"
_PARTIAL: Final = "-partial"
_MAX_JSON_BYTES: Final = 64 * 2**10
_LEAST_PARTIAL_BYTES: Final = 2**20  # below it, a licence or a template
_SHOWN: Final = len("sha256-") + 12


def folders(surroundings: Surroundings) -> tuple[str, ...]:
    """Return where models may lie: the user's folder, then the service's on Linux."""
    own = surroundings.variable("OLLAMA_MODELS") or surroundings.below_home(".ollama", "models")
    service = SERVICE_FOLDERS if surroundings.platform.startswith("linux") else ()
    return tuple(dict.fromkeys(folder for folder in (own, *service) if folder))


def read(surroundings: Surroundings) -> tuple[StoreContents, ...]:
    """Return what lies in each folder that is there; the service's may be closed to its user."""
    found = []
    for folder in folders(surroundings):
        try:
            names_in(folder)
        except UnreadableFileError as error:
            if isinstance(error.__cause__, PermissionError):
                found.append(StoreContents(NAME, folder, findings=(str(error),)))
            continue
        found.append(_read_folder(folder))
    return tuple(found)


def find_model(name: OllamaName, surroundings: Surroundings) -> StoredModel | None:
    """Return the model of that name, or None when no folder has it.

    Raises:
        BadInputError: its manifest is there and cannot be read.
    """
    for folder in folders(surroundings):
        for root in _ROOTS:
            for host in name.hosts:
                parts = (root, host.replace(":", _PORT), name.namespace, name.model, name.tag)
                path = os.path.join(folder, *parts)  # noqa: PTH118 - paths may be any bytes
                if _may_be_there(path):
                    find_file(path, relative="", within=_allowed(folder, root))
                    return _stored_model(folder, name, _manifest(folder, path))
    return None


def _may_be_there(path: str) -> bool:
    """Return whether a path exists; True where that cannot be told: opening it says why."""
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return False
    except OSError:
        return True
    return True


def _read_folder(folder: str) -> StoreContents:
    models: dict[str, StoredModel] = {}
    findings: list[str] = []
    for root in _ROOTS:
        walk = Walk(
            _below(folder, root),
            depth=_PARTS - 1,
            wanted=lambda name: not name.startswith("."),
            within=_allowed(folder, root),
        )
        findings += walk.findings
        for file in walk.files:
            try:
                name = _name_of(file)
                if str(name) not in models:
                    models[str(name)] = _stored_model(folder, name, _manifest(folder, file.path))
            except BadInputError as error:
                findings.append(f"{printable(f'{root}/{file.relative}')}: {error}")
    found = [models[name] for name in sorted(models)]
    found += _unfinished(folder)
    return StoreContents(NAME, folder, tuple(found), tuple(findings))


def _below(folder: str, name: str) -> str:
    return os.path.join(folder, name)  # noqa: PTH118 - paths may be any bytes


def _allowed(folder: str, root: str) -> tuple[str, ...]:
    """Return where links of manifests may lead: each part of the store may lie on another disk."""
    return _below(folder, root), _below(folder, _BLOBS)


def _name_of(file: FoundFile) -> OllamaName:
    """Return the name that a manifest's path stands for.

    Raises:
        InvalidRequestError: it stands for none.
    """
    *before, tag = file.relative.split("/")
    if len(before) != _PARTS - 1:
        raise InvalidRequestError(
            what="place of an Ollama manifest",
            got=file.relative,
            allowed="HOST/NAMESPACE/MODEL/TAG",
        )
    return parse_ollama_name(f"{'/'.join(before).replace(_PORT, ':', 1)}:{tag}")


def _manifest(folder: str, path: str) -> Manifest:
    """Return the manifest at a path; one that only points at another is followed once."""
    manifest = parse_manifest(read_small_file(path, most_bytes=MAX_MANIFEST_BYTES))
    if manifest.reference is None:
        return manifest
    blob = _blob(folder, manifest.reference)
    manifest = parse_manifest(read_small_file(blob.path, most_bytes=MAX_MANIFEST_BYTES))
    if manifest.reference is not None:
        raise MalformedFileError(
            file_format="Ollama manifest", field="manifests", reason="points at a pointer"
        )
    return manifest


def _blob(folder: str, digest: str) -> FoundFile:
    blobs = _below(folder, _BLOBS)
    name = blob_name(digest)
    path = os.path.join(blobs, name)  # noqa: PTH118 - paths may be any bytes
    return find_file(path, relative=name, within=(blobs,))


def _stored_model(folder: str, name: OllamaName, manifest: Manifest) -> StoredModel:
    """Return the model of a manifest; blobs that are missing or too short make it incomplete."""
    main, tensors = manifest.last("model"), manifest.all("tensor")
    wanted = (main,) if main is not None else tensors
    findings = list(manifest.findings)
    files = [_checked(folder, layer, findings) for layer in wanted]
    present = [file for file in files if file is not None]
    extras = tuple(_extras(folder, manifest, findings))
    n_extras = sum(len(manifest.all(kind)) for kind in EXTRA_LAYERS)
    findings += parameter_notes(_json_of(folder, manifest.last("params")))
    return StoredModel(
        name=str(name),
        store=NAME,
        paths=tuple(file.path for file in present),
        file_bytes=sum(file.n_bytes for file in present),
        format="gguf" if main is not None else "mlx" if tensors else None,
        extras=extras,
        complete=_is_complete(wanted, files) and len(extras) == n_extras,
        findings=tuple(findings),
        identities=tuple(file.identity for file in present),
        refusal=_refusal(folder, manifest, present),
    )


def _checked(folder: str, layer: Layer, findings: list[str]) -> FoundFile | None:
    """Return the file of a layer, or None; what is wrong with it is added to `findings`."""
    try:
        file = _blob(folder, layer.digest)
    except BadInputError as error:
        findings.append(f"{layer.kind} layer: {error}")
        return None
    if layer.n_bytes and file.n_bytes != layer.n_bytes:
        findings.append(
            f"{layer.kind} layer: the file has {file.n_bytes:,} bytes, the manifest says "
            f"{layer.n_bytes:,}"
        )
    return file


def _is_complete(wanted: tuple[Layer, ...], files: list[FoundFile | None]) -> bool:
    return all(
        file is not None and layer.n_bytes in (0, file.n_bytes)
        for layer, file in zip(wanted, files, strict=True)
    )


def _extras(folder: str, manifest: Manifest, findings: list[str]) -> list[StoredExtra]:
    found = []
    for kind in EXTRA_LAYERS:
        for layer in manifest.all(kind):
            file = _checked(folder, layer, findings)
            if file is not None:
                found.append(StoredExtra(kind, file.path, file.n_bytes, file.identity))
    return found


def _refusal(folder: str, manifest: Manifest, present: list[FoundFile]) -> str:
    if manifest.last("model") is not None:
        return "" if present else "the file of the model is not in the store"
    if manifest.all("tensor"):
        return tensor_refusal()
    return cloud_refusal(_json_of(folder, manifest.last("config")))


def _json_of(folder: str, layer: Layer | None) -> dict[str, Any]:
    """Return the object in a small blob; empty when there is none that can be read."""
    if layer is None:
        return {}
    try:
        data = read_small_file(_blob(folder, layer.digest).path, most_bytes=_MAX_JSON_BYTES)
        value = parse_json(data, "Ollama configuration")
    except BadInputError:
        return {}
    return value if isinstance(value, dict) else {}


def _unfinished(folder: str) -> list[StoredModel]:
    """Return blobs whose download goes on or was given up; no manifest names them yet."""
    walk = Walk(
        _below(folder, _BLOBS),
        depth=0,
        wanted=lambda name: name.endswith(_PARTIAL),
        within=(_below(folder, _BLOBS),),
    )
    return [
        StoredModel(
            name=file.name[:_SHOWN],
            store=NAME,
            paths=(file.path,),
            file_bytes=file.n_bytes,
            format=None,
            complete=False,
            identities=(file.identity,),
            refusal=UNFINISHED,
        )
        for file in walk.files
        if file.n_bytes >= _LEAST_PARTIAL_BYTES
    ]
