"""`ollama:NAME`: one model is one model, from a path, the store or a registry."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from range_server import Handler, RangeServer, serving
from store_builder import MANIFEST_LIST, Layers, Ollama

from whatfits.bench.synthetic import write_catalog_model, write_synthetic_gguf
from whatfits.sizing import check
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
from whatfits.sizing.model import ModelSpec, TensorSpec
from whatfits.sizing.sources import load
from whatfits.sizing.sources.http import Client
from whatfits.sizing.sources.ollama_name import OllamaName
from whatfits.sizing.sources.ollama_registry import load_registry_model

if TYPE_CHECKING:
    from pathlib import Path

    from whatfits.sizing.estimate import Memory, Plan

MACHINE = "12gb"
MANIFEST_PATH = "/v2/library/tiny/manifests/latest"

ELSEWHERE = "check the network, or name a file on this disk or a model of the catalog"


@pytest.fixture(autouse=True)
def store(home: Path, monkeypatch: pytest.MonkeyPatch) -> Ollama:
    """An empty store of this process's user."""
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("OLLAMA_MODELS", raising=False)
    return Ollama(home)


@pytest.fixture(scope="module")
def gguf(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A whole small model: header and hole."""
    path = tmp_path_factory.mktemp("model") / "m.gguf"
    write_catalog_model(path, "smollm2-135m", file_type="Q4_K_M")
    return path.read_bytes()


def matrix(name: str, *shape: int, kind: str = "F16") -> TensorSpec:
    n_bytes = 2
    for length in shape:
        n_bytes *= length
    return TensorSpec(name, shape, kind, n_bytes, "layer", 0)


@pytest.fixture(scope="module")
def projector(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("projector") / "mmproj.gguf"
    metadata: dict[str, object] = {
        "general.architecture": "clip",
        "clip.has_vision_encoder": True,
        "clip.projector_type": "mlp",
        "clip.vision.image_size": 224,
        "clip.vision.patch_size": 14,
        "clip.vision.embedding_length": 64,
        "clip.vision.feed_forward_length": 128,
        "clip.vision.projection_dim": 64,
        "clip.vision.attention.head_count": 4,
        "clip.vision.block_count": 2,
    }
    write_synthetic_gguf(path, metadata=metadata, tensors=[matrix("mm.0.weight", 64, 576)])
    return path.read_bytes()


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("adapter") / "lora.gguf"
    metadata: dict[str, object] = {
        "general.architecture": "llama",
        "general.type": "adapter",
        "adapter.type": "lora",
        "adapter.lora.alpha": 16.0,
    }
    target = "blk.0.attn_q.weight"
    pair = [matrix(f"{target}.lora_a", 576, 8), matrix(f"{target}.lora_b", 8, 576)]
    write_synthetic_gguf(path, metadata=metadata, tensors=pair)
    return path.read_bytes()


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


def bytes_of(spec: ModelSpec) -> dict[str, Any]:
    """Everything of an answer that is bytes, but where the file lies."""
    plan = check(spec, machine=MACHINE, workload={"context_tokens": 4096})
    return {"memory": plan.memory, "verdict": plan.verdict, "speed": plan.speed}


def nameless(plan: Plan) -> Memory:
    """The memory of a plan, its parts without the names of their files."""
    parts = tuple(replace(part, name="") for part in plan.memory.parts)
    return replace(plan.memory, parts=parts)


def test_path_store_and_registry_give_the_same_memory(
    store: Ollama, tmp_path: Path, gguf: bytes
) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(gguf)
    by_path = bytes_of(load(str(path)))
    layers: Layers = [("model", gguf), ("params", b'{"num_ctx": 4096}')]
    with serving(published(store, layers)) as server:
        by_registry = from_registry(server)
    store.model("tiny/latest", layers)
    by_store = load("ollama:tiny")
    assert bytes_of(by_registry) == by_path
    assert bytes_of(by_store) == by_path
    assert by_store.file_bytes == by_registry.file_bytes == len(gguf)
    for spec in (by_store, by_registry):
        assert "Ollama loads it with num_ctx 4,096 of its own." in spec.notes


def test_extras_of_a_model_count_the_same_from_store_registry_and_options(
    store: Ollama, tmp_path: Path, gguf: bytes, projector: bytes, adapter: bytes
) -> None:
    layers: Layers = [("model", gguf), ("projector", projector), ("adapter", adapter)]
    for name, data in zip(("m", "p", "a"), (gguf, projector, adapter), strict=True):
        (tmp_path / f"{name}.gguf").write_bytes(data)
    options = {"mmproj": str(tmp_path / "p.gguf"), "lora": [str(tmp_path / "a.gguf")]}
    expected = check(str(tmp_path / "m.gguf"), machine=MACHINE, workload=options)
    assert {part.kind for part in expected.memory.parts} >= {"projector", "lora"}
    with serving(published(store, layers)) as server:
        registry = check(from_registry(server), machine=MACHINE)
    store.model("tiny/latest", layers)
    stored = check("ollama:tiny", machine=MACHINE)
    assert stored.memory == registry.memory
    assert nameless(stored) == nameless(expected)
    assert stored.workload.mmproj is not None
    assert f"--mmproj {stored.workload.mmproj}" in stored.commands["llama.cpp"][0]
    assert os.path.dirname(stored.workload.lora[0]) == str(store.blobs)  # noqa: PTH120 - text
    # what the registry has is named as it will lie here once it is pulled
    assert registry.workload.mmproj == stored.workload.mmproj
    assert registry.commands == stored.commands


def test_a_projector_that_is_asked_for_takes_the_place_of_the_models_own(
    store: Ollama, tmp_path: Path, gguf: bytes, projector: bytes
) -> None:
    store.model("tiny/latest", [("model", gguf), ("projector", projector)])
    own = tmp_path / "own.gguf"
    own.write_bytes(projector)
    plan = check("ollama:tiny", machine=MACHINE, workload={"mmproj": str(own)})
    assert plan.workload.mmproj == str(own)
    assert sum(part.kind == "projector" for part in plan.memory.parts) == 1


def test_a_draft_model_drafts_unless_told_otherwise(store: Ollama, gguf: bytes) -> None:
    store.model("tiny/latest", [("model", gguf), ("draft", gguf)])
    assert "draft" in {part.kind for part in check("ollama:tiny", machine=MACHINE).memory.parts}
    without = check("ollama:tiny", machine=MACHINE, workload={"spec_type": "none"})
    assert "draft" not in {part.kind for part in without.memory.parts}


def test_an_extra_layer_that_is_something_else_is_left_out_and_told(
    store: Ollama, gguf: bytes
) -> None:
    store.model("tiny/latest", [("model", gguf), ("projector", b"no GGUF at all" * 10)])
    plan = check("ollama:tiny", machine=MACHINE)
    assert any(note.startswith("Its projector is not counted: ") for note in plan.notes)
    assert plan.workload.mmproj is None


def test_another_file_type_is_planned_of_either(store: Ollama, gguf: bytes) -> None:
    with serving(published(store, [("model", gguf)])) as server:
        registry = from_registry(server, file_type="Q8_0")
    store.model("tiny/latest", [("model", gguf)])
    stored = load("ollama:tiny", file_type="Q8_0")
    assert stored.file_type == registry.file_type == "Q8_0"
    assert stored.tensors == registry.tensors


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
