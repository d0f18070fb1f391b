"""Stores as the programs lay them out, built of the bytes a test gives, and what they hold."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from whatfits.sizing.sources.stores import read_stores

if TYPE_CHECKING:
    from pathlib import Path

    from whatfits.sizing.sources.stores.stored import StoreContents, StoredModel
    from whatfits.sizing.sources.stores.surroundings import Surroundings

IMAGE = "application/vnd.ollama.image."
MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
MANIFEST_LIST = "application/vnd.ollama.manifest.list.v2+json"
HEX = "ab" * 32
NAME = "registry.ollama.ai/library/bad/latest"
Layers = list[tuple[str, bytes]]


class Ollama:
    """Ollama's folder of models."""

    def __init__(self, home: Path, *, folder: Path | None = None) -> None:
        self.folder = folder or home / ".ollama" / "models"
        self.blobs = self.folder / "blobs"
        self.blobs.mkdir(parents=True, exist_ok=True)

    def blob(self, data: bytes) -> dict[str, Any]:
        """Store a blob; return digest and size as a manifest has them."""
        digest = hashlib.sha256(data).hexdigest()
        (self.blobs / f"sha256-{digest}").write_bytes(data)
        return {"digest": f"sha256:{digest}", "size": len(data)}

    def manifest_of(self, layers: Layers, config: dict[str, Any] | None = None) -> dict[str, Any]:
        """Store the blobs of a model; return its manifest."""
        return {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {
                "mediaType": "application/vnd.docker.container.image.v1+json",
                **self.blob(json.dumps(config or {"model_format": "gguf"}).encode()),
            },
            "layers": [{"mediaType": IMAGE + kind, **self.blob(data)} for kind, data in layers],
        }

    def path(self, name: str, *, root: str = "manifests") -> Path:
        """Return where the manifest of `HOST/NAMESPACE/MODEL/TAG` lies, its folder made."""
        path = self.folder.joinpath(root, *name.split("/"))
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def write(self, name: str, manifest: object, *, root: str = "manifests") -> Path:
        """Write a manifest, as JSON or as the bytes it is given as."""
        path = self.path(name, root=root)
        data = manifest if isinstance(manifest, bytes) else json.dumps(manifest).encode()
        path.write_bytes(data)
        return path

    def model(self, name: str, layers: Layers, config: dict[str, Any] | None = None) -> Path:
        """Store a model under `HOST/NAMESPACE/MODEL/TAG`, or `MODEL/TAG` of Ollama's own."""
        full = name if name.count("/") > 1 else f"registry.ollama.ai/library/{name}"
        return self.write(full, self.manifest_of(layers, config))


class Hub:
    """Hugging Face's cache."""

    COMMIT = "0123456789abcdef0123456789abcdef01234567"

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def repository(self, name: str) -> Path:
        """Return the folder of a repository."""
        return self.folder / f"models--{name.replace('/', '--')}"

    def file(self, name: str, below: str, data: bytes, *, commit: str = COMMIT) -> Path:
        """Store a file of a repository's revision: a blob, and a link to it."""
        repository = self.repository(name)
        blob = repository / "blobs" / hashlib.sha256(data).hexdigest()
        blob.parent.mkdir(parents=True, exist_ok=True)
        blob.write_bytes(data)
        link = repository / "snapshots" / commit / below
        link.parent.mkdir(parents=True, exist_ok=True)
        up = "../" * (2 + below.count("/"))
        link.symlink_to(f"{up}blobs/{blob.name}")
        refs = repository / "refs" / "main"
        refs.parent.mkdir(exist_ok=True)
        refs.write_text(commit)
        return link

    def unfinished(self, name: str, n_bytes: int) -> Path:
        """Leave a download of `n_bytes` so far."""
        blob = self.repository(name) / "blobs" / ("f" * 64 + ".incomplete")
        blob.parent.mkdir(parents=True, exist_ok=True)
        with blob.open("wb") as file:
            file.truncate(n_bytes)
        return blob


def layer(**changes: object) -> dict[str, Any]:
    """Return a layer of a manifest: one that there is not, but for what is given."""
    known = {"mediaType": "application/vnd.ollama.image.model", "digest": f"sha256:{HEX}"}
    return {**known, "size": 10, **changes}


def text(*layers: dict[str, Any]) -> bytes:
    """Return a manifest of these layers."""
    return json.dumps({"schemaVersion": 2, "layers": list(layers)}).encode()


def listed(*manifests: object) -> bytes:
    """Return a list of manifests."""
    return json.dumps({"mediaType": MANIFEST_LIST, "manifests": list(manifests)}).encode()


def write(path: Path, data: bytes = b"") -> Path:
    """Write a file and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def only(surroundings: Surroundings) -> StoreContents:
    """Return what lies in the one store there is."""
    found = read_stores(surroundings)
    assert len(found) == 1
    return found[0]


def by_name(contents: StoreContents) -> dict[str, StoredModel]:
    """Return the models of a store by their names, which differ."""
    named = {model.name: model for model in contents.models}
    assert len(named) == len(contents.models)
    return named
