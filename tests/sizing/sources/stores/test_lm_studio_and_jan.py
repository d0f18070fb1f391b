"""What lies in the folders of LM Studio and Jan, in the layout that each program writes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import gguf_builder as b
from checkpoints import LLAMA, llama_tensors, write_config, write_safetensors
from store_builder import Ollama, by_name, only, write

from whatfits.sizing.sources.stores import STORES, read_stores
from whatfits.sizing.sources.stores.surroundings import Surroundings

if TYPE_CHECKING:
    from pathlib import Path

MODEL = b.small_model()


def test_a_machine_without_any_store_has_none(linux: Surroundings) -> None:
    assert read_stores(linux) == ()
    assert read_stores(Surroundings({}, "linux")) == ()
    assert len(STORES) == 5


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
