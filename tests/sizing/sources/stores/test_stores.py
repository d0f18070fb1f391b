"""What lies in each store, in the layout that its program writes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import gguf_builder as b
import pytest
from checkpoints import LLAMA, llama_tensors, write_config, write_safetensors
from store_builder import Hub, Ollama, write

from whatfits.sizing.sources.stores import STORES, read_stores
from whatfits.sizing.sources.stores.surroundings import Surroundings

if TYPE_CHECKING:
    from pathlib import Path

    from whatfits.sizing.sources.stores.stored import StoreContents, StoredModel

MODEL = b.small_model()
MB = 2**20


def only(surroundings: Surroundings) -> StoreContents:
    found = read_stores(surroundings)
    assert len(found) == 1
    return found[0]


def by_name(contents: StoreContents) -> dict[str, StoredModel]:
    named = {model.name: model for model in contents.models}
    assert len(named) == len(contents.models)
    return named


def test_a_machine_without_any_store_has_none(linux: Surroundings) -> None:
    assert read_stores(linux) == ()
    assert read_stores(Surroundings({}, "linux")) == ()
    assert len(STORES) == 5


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
    layers += [("draft", b"d" * 12), ("params", b'{"num_ctx": 16384, "temperature": 0.7}')]
    store.model("eyes/latest", layers)
    (model,) = only(linux).models
    assert [(e.kind, e.file_bytes) for e in model.extras] == [
        ("projector", 10),
        ("adapter", 11),
        ("draft", 12),
    ]
    assert model.findings == ("Ollama loads it with num_ctx 16,384 of its own",)
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


def test_lm_studio_keeps_publishers_and_repositories(home: Path, linux: Surroundings) -> None:
    folder = home / ".lmstudio" / "models"
    write(folder / "org" / "Tiny-GGUF" / "Tiny-Q8_0.gguf", MODEL)
    write(folder / "org" / "Tiny-GGUF" / "Tiny-Q4_0.gguf", MODEL + b"\0" * 32)
    write(folder / "org" / "Tiny-GGUF" / "mmproj-Tiny-F16.gguf", b"x" * 7)
    write(folder / "org" / "Split" / "m-00001-of-00003.gguf", MODEL)
    write(folder / "org" / "Split" / "m-00003-of-00003.gguf", MODEL)
    write(folder / "org" / "Late" / "downloading_Late-Q8_0.gguf.part", MODEL[:50])
    write(folder / "org" / "Late" / "README.md", b"# Late")
    models = by_name(only(linux))
    assert set(models) == {
        *("org/Tiny-GGUF/Tiny-Q8_0", "org/Tiny-GGUF/Tiny-Q4_0"),
        *("org/Split/m", "org/Late/Late-Q8_0"),
    }
    assert [e.file_bytes for e in models["org/Tiny-GGUF/Tiny-Q8_0"].extras] == [7]
    split = models["org/Split/m"]
    assert not split.complete
    assert split.findings == ("1 of 3 files are missing",)
    assert split.file_bytes == 2 * len(MODEL)
    late = models["org/Late/Late-Q8_0"]
    assert not late.complete
    assert late.findings == ("the download is not finished",)


def test_lm_studio_is_found_where_its_pointer_and_settings_say(
    home: Path, tmp_path: Path, linux: Surroundings
) -> None:
    elsewhere, models = tmp_path / "lm", tmp_path / "big"
    write(home / ".lmstudio-home-pointer", str(elsewhere).encode())
    write(elsewhere / "settings.json", f'{{"downloadsFolder": "{models}"}}'.encode())
    write(models / "a" / "b" / "c.gguf", MODEL)
    contents = only(linux)
    assert contents.folder == str(models)
    assert [model.name for model in contents.models] == ["a/b/c"]


def test_what_lm_studio_came_with_is_found_too(home: Path, linux: Surroundings) -> None:
    bundled = home / ".lmstudio" / ".internal" / "bundled-models"
    write(bundled / "org" / "Embed-GGUF" / "embed.gguf", MODEL)
    write(home / ".lmstudio" / "models" / "a" / "b" / "c.gguf", MODEL)
    found = read_stores(linux)
    names = [(one.store, model.name) for one in found for model in one.models]
    assert names == [("LM Studio", "a/b/c"), ("LM Studio", "org/Embed-GGUF/embed")]


def test_mlx_folders_are_told_by_their_configuration_or_name(
    home: Path, linux: Surroundings
) -> None:
    folder = home / ".lmstudio" / "models" / "org"
    mlx = {**LLAMA, "quantization": {"group_size": 64, "bits": 4}}
    for name, config in (("Llama-4bit", mlx), ("Llama-bf16", LLAMA)):
        (folder / name).mkdir(parents=True)
        write_config(folder / name, config)
        write_safetensors(folder / name / "model.safetensors", llama_tensors())
    write_safetensors(write(folder / "Llama-MLX-6bit" / "model.safetensors"), llama_tensors())
    write(folder / "Llama-bf16" / "downloading_model-2.safetensors.part", b"x")
    models = by_name(only(linux))
    assert {name: model.format for name, model in models.items()} == {
        "org/Llama-4bit": "mlx",
        "org/Llama-MLX-6bit": "mlx",
        "org/Llama-bf16": "safetensors",
    }
    assert models["org/Llama-4bit"].paths == (str(folder / "Llama-4bit"),)
    assert [name for name, model in models.items() if not model.complete] == ["org/Llama-bf16"]


def test_jan_follows_its_model_yml(home: Path, tmp_path: Path, linux: Surroundings) -> None:
    data = home / ".local" / "share" / "Jan" / "data"
    models = data / "llamacpp" / "models"
    imported = write(tmp_path / "mine.gguf", MODEL)
    write(models / "org" / "Tiny" / "model.gguf", MODEL)
    write(models / "org" / "Tiny" / "mmproj.gguf", b"x" * 9)
    write(
        models / "org" / "Tiny" / "model.yml",
        b"embedding: false\nmmproj_path: llamacpp/models/org/Tiny/mmproj.gguf\n"
        b"model_path: llamacpp/models/org/Tiny/model.gguf\nname: org/Tiny\n"
        + f"size_bytes: {len(MODEL) + 9}\n".encode(),
    )
    write(models / "mine" / "model.yml", f'model_path: "{imported}"\nname: mine\n'.encode())
    found = by_name(only(linux))
    assert set(found) == {"org/Tiny", "mine"}
    assert [(e.kind, e.file_bytes) for e in found["org/Tiny"].extras] == [("projector", 9)]
    assert found["org/Tiny"].findings == ()
    assert found["mine"].paths == (str(imported),)


def test_jans_mlx_models_are_folders(home: Path, linux: Surroundings) -> None:
    folder = home / ".local" / "share" / "Jan" / "data" / "mlx" / "models" / "llama"
    folder.mkdir(parents=True)
    write_config(folder, {**LLAMA, "quantization": {"group_size": 64, "bits": 4}})
    write_safetensors(folder / "model.safetensors", llama_tensors())
    write(folder / "model.yml", b"model_path: mlx/models/llama/model.safetensors\n")
    (model,) = only(linux).models
    assert (model.format, model.paths) == ("mlx", (str(folder),))
    assert model.file_bytes == (folder / "model.safetensors").stat().st_size


def test_llama_cpps_cache_is_flat_and_pairs_projectors_by_name(
    home: Path, linux: Surroundings
) -> None:
    folder = home / ".cache" / "llama.cpp"
    write(folder / "org_Eyes-GGUF_Eyes-Q8_0.gguf", MODEL)
    write(folder / "org_Eyes-GGUF_mmproj-Eyes-F16.gguf", b"x" * 5)
    write(folder / "org_Eyes-GGUF_mmproj-Eyes-F32.gguf", b"x" * 6)
    write(folder / "org_Blind-GGUF_Blind-Q8_0.gguf", MODEL)
    write(folder / "org_Late-GGUF_Late-Q8_0.gguf.downloadInProgress", MODEL[:40])
    write(folder / "org_Eyes-GGUF_Eyes-Q8_0.gguf.json", b"{}")
    models = by_name(only(linux))
    assert len(models) == 3
    eyes = models["org_Eyes-GGUF_Eyes-Q8_0"].extras
    assert [extra.file_bytes for extra in eyes] == [6], "the largest projector is counted"
    assert models["org_Blind-GGUF_Blind-Q8_0"].extras == ()
    assert not models["org_Late-GGUF_Late-Q8_0"].complete


def test_llama_cpps_folder_may_have_hugging_faces_layout(home: Path, tmp_path: Path) -> None:
    Hub(tmp_path / "cache").file("org/Tiny-GGUF", "Tiny-Q8_0.gguf", MODEL)
    contents = only(
        Surroundings({"HOME": str(home), "LLAMA_CACHE": str(tmp_path / "cache")}, "linux")
    )
    assert contents.store == "llama.cpp"
    assert [model.name for model in contents.models] == ["org/Tiny-GGUF/Tiny-Q8_0"]


def test_the_hub_cache_names_models_by_repository(home: Path, linux: Surroundings) -> None:
    hub = Hub(home / ".cache" / "huggingface" / "hub")
    hub.file("org/Tiny-GGUF", "Tiny-Q8_0.gguf", MODEL)
    hub.file("org/Tiny-GGUF", "mmproj-F16.gguf", b"x" * 8)
    for number in (1, 2):
        hub.file("org/Tiny-GGUF", f"BF16/Tiny-0000{number}-of-00002.gguf", MODEL + bytes([number]))
    hub.file("gpt2", "config.json", b'{"model_type": "gpt2"}')
    hub.file("gpt2", "model.safetensors", b"x" * 100)
    write(hub.folder / "datasets--org--words" / "snapshots" / "1" / "a.gguf", MODEL)
    hub.file("org/words-only", "config.json", b"{}")
    models = by_name(only(linux))
    assert set(models) == {"org/Tiny-GGUF/Tiny-Q8_0", "org/Tiny-GGUF/BF16/Tiny", "gpt2"}
    assert len(models["org/Tiny-GGUF/BF16/Tiny"].paths) == 2
    for name in ("org/Tiny-GGUF/Tiny-Q8_0", "org/Tiny-GGUF/BF16/Tiny"):
        assert [extra.file_bytes for extra in models[name].extras] == [8]
    assert models["gpt2"].format == "safetensors"
    assert models["gpt2"].file_bytes == 100


def test_the_name_of_a_repository_gives_mlx_away(home: Path, linux: Surroundings) -> None:
    hub = Hub(home / ".cache" / "huggingface" / "hub")
    hub.file("mlx-community/Tiny-bf16", "model.safetensors", b"x" * 100)
    assert only(linux).models[0].format == "mlx"


def test_one_file_in_two_revisions_is_one_model(home: Path, linux: Surroundings) -> None:
    hub = Hub(home / ".cache" / "huggingface" / "hub")
    for commit in ("a" * 40, "b" * 40):
        hub.file("org/Tiny-GGUF", "Tiny.gguf", MODEL, commit=commit)
    assert len(only(linux).models) == 1


def test_what_only_an_older_revision_has_is_told(home: Path, linux: Surroundings) -> None:
    hub = Hub(home / ".cache" / "huggingface" / "hub")
    hub.file("org/Tiny-GGUF", "Tiny.gguf", MODEL + b"\0" * 32, commit="a" * 40)
    hub.file("org/Tiny-GGUF", "Tiny.gguf", MODEL, commit="b" * 40)
    newer, older = only(linux).models
    assert (newer.file_bytes, newer.findings) == (len(MODEL), ())
    assert older.findings == ("of revision aaaaaaa, which is not main",)


def test_unfinished_downloads_of_the_hub_are_known(home: Path, linux: Surroundings) -> None:
    hub = Hub(home / ".cache" / "huggingface" / "hub")
    hub.unfinished("org/Tiny-GGUF", 3 * MB)
    hub.file("org/Whole", "model.safetensors", b"x" * 100)
    hub.unfinished("org/Whole", 4 * MB)
    hub.file("org/Words", "model.gguf", MODEL)
    hub.unfinished("org/Words", 1_000)
    models = by_name(only(linux))
    assert models["org/Tiny-GGUF"].refusal == "the download is not finished"
    assert models["org/Tiny-GGUF"].file_bytes == 3 * MB
    assert not models["org/Whole"].complete
    assert models["org/Words/model"].complete, "a tokenizer that is missing leaves a model whole"


def test_links_into_lm_studio_are_the_same_file_as_ollamas(home: Path, linux: Surroundings) -> None:
    store = Ollama(home)
    store.model("tiny/latest", [("model", MODEL)])
    (blob,) = (p for p in store.blobs.iterdir() if p.stat().st_size == len(MODEL))
    link = write(home / ".lmstudio" / "models" / "ollama" / "tiny" / "tiny.gguf")
    link.unlink()
    link.symlink_to(blob)
    os.link(blob, link.with_name("hard.gguf"))
    first, second = read_stores(linux)
    assert [model.name for model in second.models] == ["ollama/tiny/hard", "ollama/tiny/tiny"]
    assert {m.identities for m in (*first.models, *second.models)} == {first.models[0].identities}
