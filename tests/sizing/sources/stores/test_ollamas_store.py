"""What lies in Ollama's store: models by their manifests, and downloads that are not whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

import gguf_builder as b
import pytest
from store_builder import Ollama, only, write

if TYPE_CHECKING:
    from pathlib import Path

    from whatfits.sizing.sources.stores.surroundings import Surroundings

MODEL = b.small_model()
MB = 2**20


def test_ollama_names_its_models_as_ollama_list_does(home: Path, linux: Surroundings) -> None:
    store = Ollama(home)
    store.model("llama3.2/3b", [("model", MODEL), ("template", b"{{ .Prompt }}")])
    store.model("tiny/latest", [("model", MODEL)])
    store.model("registry.ollama.ai/somebody/tiny/q8", [("model", MODEL)])
    store.model("hf.co/org/Tiny-GGUF/Q4_K_M", [("model", MODEL)])
    contents = only(linux)
    assert contents.store == "Ollama"
    assert contents.findings == ()
    names = ["hf.co/org/Tiny-GGUF:Q4_K_M", "llama3.2:3b", "somebody/tiny:q8", "tiny:latest"]
    assert [model.name for model in contents.models] == names
    for model in contents.models:
        assert model.format == "gguf"
        assert model.complete
        assert model.file_bytes == len(MODEL)
        assert model.identities == contents.models[0].identities


def test_ollamas_newer_folder_of_links_goes_first(home: Path, linux: Surroundings) -> None:
    store = Ollama(home)
    store.model("tiny/latest", [("model", b"old" * 9)])
    manifest = store.manifest_of([("model", MODEL)])
    blob = store.blob(repr(manifest).replace("'", '"').encode())
    link = store.path("ollama.com/library/tiny/latest", root="manifests-v2")
    link.symlink_to("../../../../blobs/" + blob["digest"].replace(":", "-"))
    (model,) = only(linux).models
    assert (model.name, model.file_bytes) == ("tiny:latest", len(MODEL))


def test_ollamas_port_in_a_host_is_understood(home: Path, linux: Surroundings) -> None:
    store = Ollama(home)
    manifest = store.manifest_of([("model", MODEL)])
    store.write("10.0.0.1%3A5000/ns/tiny/latest", manifest, root="manifests-v2")
    assert [model.name for model in only(linux).models] == ["10.0.0.1:5000/ns/tiny:latest"]


def test_ollamas_extra_layers_and_parameters_are_told(home: Path, linux: Surroundings) -> None:
    store = Ollama(home)
    layers = [("model", MODEL), ("projector", b"p" * 10), ("adapter", b"a" * 11)]
    layers += [("draft", b"d" * 12), ("params", b'{"num_ctx": 16384, "draft_num_predict": 4}')]
    store.model("eyes/latest", layers)
    (model,) = only(linux).models
    assert [(e.kind, e.file_bytes) for e in model.extras] == [
        ("projector", 10),
        ("adapter", 11),
        ("draft", 12),
    ]
    said = "Ollama loads it with num_ctx 16,384, draft_num_predict 4 of its own"
    assert model.findings == (said,)
    assert model.file_bytes == len(MODEL)


def test_a_model_that_runs_in_the_cloud_takes_nothing_here(home: Path, linux: Surroundings) -> None:
    config = {"remote_host": "https://ollama.com:443", "remote_model": "gpt-oss:120b"}
    Ollama(home).model("gpt-oss/120b-cloud", [], config)
    (model,) = only(linux).models
    assert model.format is None
    assert model.file_bytes == 0
    assert model.refusal.startswith("it runs on https://ollama.com:443;")


def test_a_model_of_one_blob_a_tensor_is_told_from_a_gguf(home: Path, linux: Surroundings) -> None:
    tensors = [("tensor", bytes([n]) * (100 + n)) for n in range(5)]
    Ollama(home).model("apple/latest", [*tensors, ("json", b"{}")], {"model_format": "safetensors"})
    (model,) = only(linux).models
    assert model.format == "mlx"
    assert model.file_bytes == sum(100 + n for n in range(5))
    assert len(model.paths) == 5
    assert "one blob a tensor" in model.refusal


@pytest.mark.parametrize("runner", ["ollama", "llamacpp"])
def test_of_a_list_of_manifests_the_one_for_llama_cpp_counts(
    home: Path, linux: Surroundings, runner: str
) -> None:
    store = Ollama(home)
    mlx = {**store.manifest_of([("tensor", b"t")]), "runner": "mlx", "format": "safetensors"}
    gguf = {**store.manifest_of([("model", MODEL)]), "runner": runner, "format": "gguf"}
    kind = "application/vnd.ollama.manifest.list.v2+json"
    store.write(
        "ollama.com/library/both/latest",
        {"schemaVersion": 2, "mediaType": kind, "manifests": [mlx, gguf]},
        root="manifests-v2",
    )
    (model,) = only(linux).models
    assert (model.format, model.file_bytes) == ("gguf", len(MODEL))


def test_a_list_may_point_at_a_manifest_by_digest(home: Path, linux: Surroundings) -> None:
    store = Ollama(home)
    child = repr(store.manifest_of([("model", MODEL)])).replace("'", '"').encode()
    entry = {"digest": store.blob(child)["digest"], "runner": "ollama"}
    kind = "application/vnd.ollama.manifest.list.v2+json"
    store.write("ollama.com/library/far/latest", {"mediaType": kind, "manifests": [entry]})
    (model,) = only(linux).models
    assert (model.name, model.file_bytes) == ("far:latest", len(MODEL))


def test_ollamas_unfinished_downloads_are_listed(home: Path, linux: Surroundings) -> None:
    store = Ollama(home)
    with (store.blobs / ("sha256-" + "c" * 64 + "-partial")).open("wb") as file:
        file.truncate(5 * MB)
    write(store.blobs / ("sha256-" + "d" * 64 + "-partial"), b"a licence")
    (model,) = only(linux).models
    assert model.name == "sha256-" + "c" * 12
    assert not model.complete
    assert model.refusal == "the download is not finished"
