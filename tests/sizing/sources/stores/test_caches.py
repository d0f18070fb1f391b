"""What lies in the caches of llama.cpp and Hugging Face, by repository, revision and file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import gguf_builder as b
from store_builder import Hub, by_name, only, write

from whatfits.sizing.sources.stores.surroundings import Surroundings

if TYPE_CHECKING:
    from pathlib import Path

MODEL = b.small_model()
MB = 2**20


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
