"""A model in Ollama's registry, or another of the same kind: its manifest, and its headers.

`https://HOST/v2/NAMESPACE/MODEL/manifests/TAG`, then `…/blobs/sha256:HEX`, which redirects to
storage and is read by ranges. Source: ollama server/images.go, server/download.go; OCI
distribution specification (the paths).
"""

from __future__ import annotations

import os
from functools import partial

from whatfits.sizing.errors import (
    BadInputError,
    MalformedFileError,
    RemoteAnswerError,
    UnknownModelError,
    UnreachableError,
    UnsupportedArchitectureError,
)
from whatfits.sizing.readers.strict_json import parse_json
from whatfits.sizing.sources.direct_url import rules_for
from whatfits.sizing.sources.gguf_model import spec_of_header
from whatfits.sizing.sources.http import Client
from whatfits.sizing.sources.local_file import display_name
from whatfits.sizing.sources.ollama_layers import (
    EXTRA_LAYERS,
    cloud_refusal,
    parameter_notes,
    tensor_refusal,
)
from whatfits.sizing.sources.ollama_manifest import (
    MANIFEST_TYPE,
    MAX_MANIFEST_BYTES,
    blob_name,
    parse_manifest,
)
from whatfits.sizing.sources.remote_gguf import read_remote_header
from whatfits.sizing.sources.stores.loading import companion_of, with_companions_read
from whatfits.sizing.sources.stores.ollama import folders
from whatfits.sizing.sources.stores.surroundings import here
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.units import format_bytes
from whatfits.sizing.values import replace

if TYPE_CHECKING:
    from typing import Any, Final

    from whatfits.sizing.extras import Companion
    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.readers.gguf import GgufHeader
    from whatfits.sizing.sources.ollama_manifest import Layer, Manifest
    from whatfits.sizing.sources.ollama_name import OllamaName
    from whatfits.sizing.sources.stores.stored import ExtraKind

__all__ = ["load_from_registry", "load_registry_model"]

_MAX_JSON_BYTES: Final = 64 * 2**10
_FORBIDDEN: Final = (401, 403)
_NOT_FOUND: Final = 404


def load_from_registry(name: OllamaName, *, file_type: str | None = None) -> ModelSpec:
    """Return a model of a public registry, or of one that this user trusts.

    Raises:
        UnreachableError: no connection; says when the catalog knows the model without one.
        BadInputError: as `load_registry_model`.
    """
    try:
        with Client(rules_for(f"https://{name.host}/", os.environ)) as client:
            return load_registry_model(name, client, file_type=file_type)
    except UnreachableError as error:
        known = _catalog_name(name)
        if known is None:
            raise
        raise UnreachableError(
            str(error.got),
            reason=error.what.removeprefix("the address ").rstrip(":"),
            next_step=f"the catalog knows it without the network: whatfits check {known}",
        ) from error


def _catalog_name(name: OllamaName) -> str | None:
    """Return the catalog's name of a model, if it has that very one."""
    from whatfits.sizing.catalog.lookup import find_model  # noqa: PLC0415 - only after an error

    try:
        return find_model(f"{name.repository}:{name.tag}").id
    except UnknownModelError:
        return None


def load_registry_model(
    name: OllamaName, client: Client, *, file_type: str | None = None, scheme: str = "https"
) -> ModelSpec:
    """Return a model of a registry with what Ollama loads beside it; only headers are read.

    Raises:
        UnknownModelError: the registry has none of that name, or does not show it.
        UnsupportedArchitectureError: it runs elsewhere, or has no GGUF.
        MalformedFileError: manifest or header contradict their format.
        BadInputError: the registry may not be asked, cannot be reached, or misbehaves.
    """
    registry = _Registry(name, client, scheme)
    manifest = registry.manifest()
    main = manifest.last("model")
    if main is None:
        refusal = (
            tensor_refusal()
            if manifest.all("tensor")
            else cloud_refusal(registry.json_of(manifest.last("config")))
        )
        raise UnsupportedArchitectureError(what=f"{refusal}:", got=str(name))
    header = registry.header(main)
    spec = spec_of_header(
        header, name=str(name), source=registry.blob_url(main.digest), file_type=file_type
    )
    download = format_bytes(sum(layer.n_bytes for layer in manifest.layers))
    notes = (
        *spec.notes,
        f"Read from {name.host}: 'ollama pull {name}' would download {download}.",
        *(f"{line}." for line in manifest.findings),
        *(f"{line}." for line in parameter_notes(registry.json_of(manifest.last("params")))),
    )
    spec = replace(spec, notes=notes, file=_pulled_file(main))
    return with_companions_read(
        spec,
        (
            (kind, partial(registry.companion, kind, layer))
            for kind in EXTRA_LAYERS
            for layer in manifest.all(kind)
        ),
    )


def _pulled_file(layer: Layer) -> str:
    """Return where Ollama will keep a layer once it is pulled."""
    name = blob_name(layer.digest)
    own = folders(here())
    return os.path.join(own[0], "blobs", name) if own else name  # noqa: PTH118 - any bytes


class _Registry:
    """One model's place in a registry."""

    def __init__(self, name: OllamaName, client: Client, scheme: str) -> None:
        self._name = name
        self._client = client
        self._base = f"{scheme}://{name.host}/v2/{name.namespace}/{name.model}"

    def blob_url(self, digest: str) -> str:
        """Return where a blob is asked for."""
        return f"{self._base}/blobs/sha256:{digest}"

    def manifest(self) -> Manifest:
        """Return the manifest; one that only points at another is followed once.

        Raises:
            UnknownModelError: there is none, or it is not shown.
        """
        url = f"{self._base}/manifests/{self._name.tag}"
        try:
            data = self._document(url, MAX_MANIFEST_BYTES, accept=MANIFEST_TYPE)
        except RemoteAnswerError as error:
            if error.status == _NOT_FOUND:
                raise self._unknown("has no model of that name:") from error
            if error.status in _FORBIDDEN:
                raise self._unknown("does not show it without an account:") from error
            raise
        manifest = parse_manifest(data)
        if manifest.reference is None:
            return manifest
        manifest = parse_manifest(
            self._document(self.blob_url(manifest.reference), MAX_MANIFEST_BYTES)
        )
        if manifest.reference is not None:
            raise MalformedFileError(
                file_format="Ollama manifest", field="manifests", reason="points at a pointer"
            )
        return manifest

    def header(self, layer: Layer) -> GgufHeader:
        """Return the header of the GGUF in a layer.

        Raises:
            RemoteAnswerError: the file has another length than the manifest says.
            BadInputError: it is no GGUF, or contradicts the format.
        """
        url = self.blob_url(layer.digest)
        file = self._client.file(url)
        if layer.n_bytes not in (0, file.size_bytes):
            raise RemoteAnswerError(
                url,
                reason=f"sends a file of {file.size_bytes:,} bytes where the manifest says "
                f"{layer.n_bytes:,}",
            )
        return read_remote_header(file)

    def companion(self, kind: ExtraKind, layer: Layer, model: ModelSpec) -> Companion:
        """Return a layer as what it is to the model.

        Raises:
            BadInputError: it cannot be read, or is something else.
        """
        header = self.header(layer)
        name = display_name(blob_name(layer.digest), header)
        return companion_of(kind, header, model, name=name, file=_pulled_file(layer))

    def json_of(self, layer: Layer | None) -> dict[str, Any]:
        """Return the object in a small layer; empty when there is none that can be read."""
        if layer is None:
            return {}
        try:
            data = self._document(self.blob_url(layer.digest), _MAX_JSON_BYTES)
            value = parse_json(data, "Ollama configuration")
        except BadInputError:
            return {}
        return value if isinstance(value, dict) else {}

    def _document(self, url: str, most_bytes: int, *, accept: str | None = None) -> bytes:
        return self._client.document(url, most_bytes=most_bytes, accept=accept).body

    def _unknown(self, reason: str) -> UnknownModelError:
        return UnknownModelError(
            what=f"the registry {self._name.host} {reason}",
            got=str(self._name),
            next_step="see https://ollama.com/library, or name the model without 'ollama:'",
        )
