"""`ollama:NAME` that the store has not: what a registry is asked, and what of it is refused."""

from __future__ import annotations

import json

import pytest
from range_server import Handler, serving
from small_registry import MANIFEST_PATH, from_registry, published
from store_builder import MANIFEST_LIST, Layers, Ollama

from whatfits.sizing.errors import (
    BadInputError,
    InvalidRequestError,
    MalformedFileError,
    RemoteAnswerError,
    UnknownModelError,
    UnreachableError,
    UnreadableFileError,
    UnsupportedArchitectureError,
)
from whatfits.sizing.sources import load
from whatfits.sizing.sources.http import Client
from whatfits.sizing.sources.ollama_name import OllamaName
from whatfits.sizing.sources.ollama_registry import load_registry_model

pytestmark = pytest.mark.usefixtures("store")

ELSEWHERE = "check the network, or name a file on this disk or a model of the catalog"


def test_only_the_header_is_downloaded(store: Ollama, gguf: bytes) -> None:
    with serving(published(store, [("model", gguf)])) as server:
        name = OllamaName(server.host, "library", "tiny", "latest")
        with Client(server.rules) as client:
            load_registry_model(name, client, scheme="http")
            assert client.received_bytes < len(gguf) / 100
    assert MANIFEST_PATH in [seen.target for seen in server.seen]
    asked = next(seen for seen in server.seen if seen.target == MANIFEST_PATH)
    assert asked.headers["accept"] == "application/vnd.docker.distribution.manifest.v2+json"


def test_a_list_of_manifests_is_followed(store: Ollama, gguf: bytes) -> None:
    files = published(store, [("model", gguf)])
    child = json.loads(files[MANIFEST_PATH])
    inline = {"mediaType": MANIFEST_LIST, "manifests": [{**child, "runner": "ollama"}]}
    files[MANIFEST_PATH] = json.dumps(inline).encode()
    with serving(files) as server:
        assert from_registry(server).file_bytes == len(gguf)
    digest = "e" * 64
    pointer = {"digest": f"sha256:{digest}", "runner": "llamacpp"}
    files[MANIFEST_PATH] = json.dumps({**inline, "manifests": [pointer]}).encode()
    files[f"/v2/library/tiny/blobs/sha256:{digest}"] = json.dumps(child).encode()
    with serving(files) as server:
        assert from_registry(server).file_bytes == len(gguf)
    files[f"/v2/library/tiny/blobs/sha256:{digest}"] = files[MANIFEST_PATH]
    with serving(files) as server, pytest.raises(MalformedFileError, match="pointer"):
        from_registry(server)


@pytest.mark.parametrize(
    ("status", "says"), [(404, "has no model of that name"), (401, "without an account")]
)
def test_a_model_that_the_registry_does_not_show_is_unknown(status: int, says: str) -> None:
    def reply(handler: Handler) -> None:
        handler.answer(status)

    with serving({MANIFEST_PATH: reply}) as server, pytest.raises(UnknownModelError, match=says):
        from_registry(server)


def test_a_model_without_weights_is_refused_with_the_reason(store: Ollama) -> None:
    config = {"remote_host": "https://ollama.com:443", "model_format": ""}
    with (
        serving(published(store, [], config)) as server,
        pytest.raises(UnsupportedArchitectureError, match="nothing of it lies here"),
    ):
        from_registry(server)
    store.model("cloudy/latest", [], config)
    with pytest.raises(UnsupportedArchitectureError, match=r"it runs on https://ollama\.com"):
        load("ollama:cloudy")


def test_a_model_of_one_blob_a_tensor_is_refused_with_the_reason(store: Ollama) -> None:
    layers: Layers = [("tensor", bytes([n]) * 50) for n in range(3)]
    with (
        serving(published(store, layers)) as server,
        pytest.raises(UnsupportedArchitectureError, match="one blob a tensor"),
    ):
        from_registry(server)
    store.model("apple/latest", layers)
    with pytest.raises(UnsupportedArchitectureError, match="one blob a tensor"):
        load("ollama:apple")


@pytest.mark.parametrize(
    "manifest",
    [b"", b"<html>", b"[]", b'{"layers": [{"digest": "sha256:../../x"}]}', b"x" * 5_000_000],
)
def test_a_manifest_that_is_none_is_refused_in_one_line(manifest: bytes) -> None:
    with serving({MANIFEST_PATH: manifest}) as server, pytest.raises(BadInputError) as caught:
        from_registry(server)
    assert str(caught.value).isprintable()


def test_a_blob_of_another_length_or_kind_is_refused(store: Ollama, gguf: bytes) -> None:
    files = published(store, [("model", gguf)])
    manifest = json.loads(files[MANIFEST_PATH])
    manifest["layers"][0]["size"] += 1
    with (
        serving({**files, MANIFEST_PATH: json.dumps(manifest).encode()}) as server,
        pytest.raises(RemoteAnswerError, match="where the manifest says"),
    ):
        from_registry(server)
    with (
        serving(published(store, [("model", b"<html>no model</html>" * 9)])) as server,
        pytest.raises(UnreadableFileError, match="a web page"),
    ):
        from_registry(server)


@pytest.mark.parametrize(
    "name",
    ["127.0.0.1/library/m", "localhost/library/m", "10.0.0.1:5000/n/m", "169.254.169.254/a/b"],
)
def test_no_registry_of_a_private_network_is_asked(name: str) -> None:
    with pytest.raises(InvalidRequestError, match="public host"):
        load(f"ollama:{name}")


def test_a_model_in_the_store_asks_nobody(
    store: Ollama, gguf: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")  # nobody would answer there
    store.model("127.0.0.1/library/tiny/latest", [("model", gguf)])
    assert load("ollama:127.0.0.1/library/tiny").name == "127.0.0.1/library/tiny:latest"


@pytest.fixture
def cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """No network: a proxy at which nobody listens."""
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)


@pytest.mark.usefixtures("cut_off")
@pytest.mark.parametrize(
    ("name", "known"), [("qwen2.5:0.5b", "qwen2.5-0.5b"), ("nobody/nothing:1b", None)]
)
def test_without_the_network_the_catalogs_own_name_is_offered(name: str, known: str | None) -> None:
    with pytest.raises(UnreachableError) as caught:
        load(f"ollama:{name}")
    offer = f"the catalog knows it without the network: whatfits check {known}"
    assert caught.value.next_step == (ELSEWHERE if known is None else offer)
    assert str(caught.value).count("the address") == 1


def test_a_registry_that_a_person_trusts_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving({}) as server:
        monkeypatch.setenv("WHATFITS_TRUSTED_HOSTS", server.host)
        # it does not speak TLS: that it was asked at all is what the trust changes
        with pytest.raises((UnreachableError, RemoteAnswerError)):
            load(f"ollama:{server.host}/library/tiny")
        monkeypatch.delenv("WHATFITS_TRUSTED_HOSTS")
        with pytest.raises(InvalidRequestError):
            load(f"ollama:{server.host}/library/tiny")
