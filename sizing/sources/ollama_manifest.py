"""Reading an Ollama manifest: which blobs a model is made of, and what each is for.

A manifest comes from a stranger: digests are the only names in it that are used, and only in the
one form there is. Format: ollama manifest/manifest.go, server/images.go (media types; of several
layers of the model the last counts; lists of manifests, one for each runner).
"""

from __future__ import annotations

import re

from whatfits.sizing.errors import MalformedFileError, printable
from whatfits.sizing.readers.strict_json import parse_json
from whatfits.sizing.typed import TYPE_CHECKING, Literal
from whatfits.sizing.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final

__all__ = [
    "MANIFEST_TYPE",
    "MAX_MANIFEST_BYTES",
    "Layer",
    "LayerKind",
    "Manifest",
    "blob_name",
    "parse_manifest",
]

LayerKind = Literal[
    "model", "projector", "adapter", "draft", "params", "tensor", "json", "config", "other"
]

MANIFEST_TYPE: Final = "application/vnd.docker.distribution.manifest.v2+json"
MAX_MANIFEST_BYTES: Final = 4 * 2**20  # a layer a tensor: 300 bytes each, thousands of them
_LIST_TYPE: Final = "application/vnd.ollama.manifest.list.v2+json"
_FILE_FORMAT: Final = "Ollama manifest"
_MEDIA_TYPE: Final = "application/vnd.ollama.image."
_KINDS: Final[dict[str, LayerKind]] = {
    "model": "model",
    "projector": "projector",
    "adapter": "adapter",
    "draft": "draft",
    "params": "params",
    "tensor": "tensor",
    "json": "json",
}
_DIGEST: Final = re.compile(r"sha256[:-]([0-9a-fA-F]{64})")
_MAX_LAYERS: Final = 16_384
_MAX_MANIFESTS: Final = 64
_MAX_LAYER_BYTES: Final = 2**48
# What llama.cpp can load goes first; Ollama's own order depends on the system.
_RUNNERS: Final = ("ollama", "llamacpp", "", "mlx")


@dataclass(frozen=True, slots=True)
class Layer:
    """One blob of a model.

    Attributes:
        kind: what it is for.
        digest: 64 hexadecimal digits, in lower case.
        n_bytes: its length as the manifest claims it.
    """

    kind: LayerKind
    digest: str
    n_bytes: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a model is made of.

    Attributes:
        layers: in the manifest's order, `config` last.
        reference: digest of the manifest that counts, when this one only points at it.
        findings: what is odd but harmless, one printable line each.
    """

    layers: tuple[Layer, ...]
    reference: str | None = None
    findings: tuple[str, ...] = ()

    def last(self, kind: LayerKind) -> Layer | None:
        """Return the last layer of a kind: the one that counts where there is to be one."""
        return next((layer for layer in reversed(self.layers) if layer.kind == kind), None)

    def all(self, kind: LayerKind) -> tuple[Layer, ...]:
        """Return all layers of a kind."""
        return tuple(layer for layer in self.layers if layer.kind == kind)


def blob_name(digest: str) -> str:
    """Return what the file of a blob is called in the store."""
    return f"sha256-{digest}"


def parse_manifest(data: bytes) -> Manifest:
    """Return a manifest; of a list of them, the one whose files llama.cpp can load.

    Raises:
        MalformedFileError: no manifest, or one with more than is allowed of anything.
    """
    if len(data) > MAX_MANIFEST_BYTES:
        raise _error("file", f"is {len(data):,} bytes long", f"up to {MAX_MANIFEST_BYTES:,}")
    value = parse_json(data, _FILE_FORMAT)
    if not isinstance(value, dict):
        raise _error("file", "is no JSON object")
    if value.get("mediaType") == _LIST_TYPE:
        return _chosen(value.get("manifests"))
    return _manifest(value)


def _chosen(manifests: object) -> Manifest:
    """Return the manifest of a list that goes first by its runner."""
    if not isinstance(manifests, list) or not 0 < len(manifests) <= _MAX_MANIFESTS:
        raise _error("manifests", "is no list of manifests", f"1 to {_MAX_MANIFESTS}")
    known = [one for one in manifests if isinstance(one, dict) and _runner(one) in _RUNNERS]
    if not known:
        raise _error("manifests", "names no runner that is known", ", ".join(_RUNNERS))
    first = min(known, key=lambda one: _RUNNERS.index(_runner(one)))
    if "layers" not in first and "digest" in first:
        return Manifest((), reference=_digest(first["digest"], "digest of the manifest"))
    if first.get("mediaType") == _LIST_TYPE:
        raise _error("manifests", "is a list in a list")
    return _manifest(first)


def _runner(manifest: Mapping[str, object]) -> str:
    return str(manifest.get("runner") or "").lower()


def _manifest(value: Mapping[str, object]) -> Manifest:
    layers = value.get("layers")
    if layers is None:
        layers = []  # what runs elsewhere has a configuration alone
    if not isinstance(layers, list) or len(layers) > _MAX_LAYERS:
        raise _error("layers", "is no list of layers", f"up to {_MAX_LAYERS:,}")
    found = [_layer(layer, f"layer {number}") for number, layer in enumerate(layers)]
    config = value.get("config")
    if isinstance(config, dict) and config.get("digest"):
        found.append(_layer(config, "config", kind="config"))
    if not found:
        raise _error("layers", "is missing or empty")
    n_models = sum(layer.kind == "model" for layer in found)
    said = (f"{n_models} layers claim to be the model; the last counts",) if n_models > 1 else ()
    return Manifest(tuple(found), findings=said)


def _layer(value: object, field: str, *, kind: LayerKind | None = None) -> Layer:
    if not isinstance(value, dict):
        raise _error(field, "is no JSON object")
    n_bytes = value.get("size", 0)
    if type(n_bytes) is not int or not 0 <= n_bytes <= _MAX_LAYER_BYTES:
        raise _error(f"size of {field}", f"is {n_bytes!r}", f"0 to {_MAX_LAYER_BYTES:,} bytes")
    media_type = value.get("mediaType", "")
    if not isinstance(media_type, str):
        raise _error(f"mediaType of {field}", "is no text")
    name = media_type.partition(";")[0].strip()
    known = _KINDS.get(name.removeprefix(_MEDIA_TYPE)) if name.startswith(_MEDIA_TYPE) else None
    digest = _digest(value.get("digest"), f"digest of {field}")
    return Layer(kind or known or "other", digest, n_bytes)


def _digest(value: object, field: str) -> str:
    found = _DIGEST.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise _error(field, f"is {printable(value)!r}", "sha256: and 64 hexadecimal digits")
    return found[1].lower()


def _error(field: str, reason: str, allowed: str = "") -> MalformedFileError:
    return MalformedFileError(file_format=_FILE_FORMAT, field=field, reason=reason, allowed=allowed)
