"""A registry of Ollama's on loopback that has one model."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from whatfits.sizing.sources.http import Client
from whatfits.sizing.sources.ollama_name import OllamaName
from whatfits.sizing.sources.ollama_registry import load_registry_model

if TYPE_CHECKING:
    from range_server import Handler, RangeServer
    from store_builder import Layers, Ollama

    from whatfits.sizing.model import ModelSpec

MANIFEST_PATH = "/v2/library/tiny/manifests/latest"


def published(
    store: Ollama, layers: Layers, config: dict[str, Any] | None = None
) -> dict[str, Any]:
    """What a registry would serve for a model: paths and bytes; blobs redirect to storage."""
    manifest = store.manifest_of(layers, config)
    files: dict[str, Any] = {MANIFEST_PATH: json.dumps(manifest).encode()}
    for layer in (*manifest["layers"], manifest["config"]):
        digest = layer["digest"]
        blob = store.blobs / digest.replace(":", "-")
        files[f"/storage/{digest}"] = blob.read_bytes()
        files[f"/v2/library/tiny/blobs/{digest}"] = redirect_to(f"/storage/{digest}")
        blob.unlink()
    return files


def redirect_to(path: str) -> Any:  # noqa: ANN401 - a reply of the server
    def reply(handler: Handler) -> None:
        handler.answer(307, Location=path)

    return reply


def from_registry(server: RangeServer, *, file_type: str | None = None) -> ModelSpec:
    name = OllamaName(server.host, "library", "tiny", "latest")
    with Client(server.rules) as client:
        return load_registry_model(name, client, scheme="http", file_type=file_type)
