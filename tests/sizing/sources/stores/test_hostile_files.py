"""Files of a store that are missing, others, or lead away: nothing outside is read, all is told."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import gguf_builder as b
import pytest
from store_builder import HEX, NAME, Hub, Ollama, layer, text, write

from whatfits.sizing.errors import BadInputError
from whatfits.sizing.sources.ollama_name import parse_ollama_name
from whatfits.sizing.sources.stores import read_stores
from whatfits.sizing.sources.stores.ollama import find_model

if TYPE_CHECKING:
    from pathlib import Path

    from whatfits.sizing.sources.stores.surroundings import Surroundings

MODEL = b.small_model()


def test_a_missing_blob_makes_a_model_incomplete(home: Path, linux: Surroundings) -> None:
    Ollama(home).write(NAME, text(layer()))
    (model,) = read_stores(linux)[0].models
    assert not model.complete
    assert model.paths == ()
    assert model.refusal == "the file of the model is not in the store"


@pytest.mark.parametrize("n_bytes", [len(MODEL) - 1, len(MODEL) + 1])
def test_a_blob_of_another_length_is_told(n_bytes: int, home: Path, linux: Surroundings) -> None:
    store = Ollama(home)
    store.write(NAME, text(layer(**{**store.blob(MODEL), "size": n_bytes})))
    (model,) = read_stores(linux)[0].models
    assert not model.complete
    assert f"the manifest says {n_bytes:,}" in model.findings[0]


def test_a_folder_in_place_of_a_blob_is_no_model(home: Path, linux: Surroundings) -> None:
    store = Ollama(home)
    (store.blobs / f"sha256-{HEX}").mkdir()
    store.write(NAME, text(layer()))
    (model,) = read_stores(linux)[0].models
    assert not model.complete
    assert "a folder" in model.findings[0]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no such files there")
def test_a_pipe_in_place_of_a_blob_or_manifest_blocks_nothing(
    home: Path, linux: Surroundings
) -> None:
    store = Ollama(home)
    os.mkfifo(store.blobs / f"sha256-{HEX}")
    store.write(NAME, text(layer()))
    os.mkfifo(store.path("registry.ollama.ai/library/pipe/latest"))
    (contents,) = read_stores(linux)
    assert not contents.models[0].complete
    assert "no regular file" in contents.findings[0]


@pytest.mark.parametrize("target", ["/etc/hostname", "/dev/zero", "outside"])
def test_a_blob_that_links_out_of_the_store_is_not_followed(
    target: str, home: Path, tmp_path: Path, linux: Surroundings
) -> None:
    outside = write(tmp_path / "outside", MODEL)
    store = Ollama(home)
    (store.blobs / f"sha256-{HEX}").symlink_to(outside if target == "outside" else target)
    store.write(NAME, text(layer()))
    (model,) = read_stores(linux)[0].models
    assert model.paths == ()
    assert not model.complete


def test_a_manifest_that_links_out_of_the_store_is_not_read(
    home: Path, tmp_path: Path, linux: Surroundings
) -> None:
    secret = write(tmp_path / "secret", text(layer()))
    store = Ollama(home)
    store.path(NAME).symlink_to(secret)
    (contents,) = read_stores(linux)
    assert contents.models == ()
    assert "leaves the store" in contents.findings[0]
    with pytest.raises(BadInputError, match="leaves the store"):
        find_model(parse_ollama_name("bad"), linux)


def test_the_store_itself_may_be_a_link(home: Path, tmp_path: Path, linux: Surroundings) -> None:
    Ollama(home, folder=tmp_path / "big").model("good/latest", [("model", MODEL)])
    (home / ".ollama").mkdir()
    (home / ".ollama" / "models").symlink_to(tmp_path / "big")
    (contents,) = read_stores(linux)
    assert contents.findings == ()
    assert contents.models[0].complete


@pytest.mark.parametrize("part", ["blobs", "manifests"])
def test_a_part_of_the_store_may_lie_on_another_disk(
    part: str, home: Path, tmp_path: Path, linux: Surroundings
) -> None:
    store = Ollama(home)
    store.model("good/latest", [("model", MODEL)])
    (store.folder / part).rename(tmp_path / "elsewhere")
    (store.folder / part).symlink_to(tmp_path / "elsewhere")
    (contents,) = read_stores(linux)
    assert contents.findings == ()
    assert contents.models[0].complete
    assert find_model(parse_ollama_name("good"), linux) == contents.models[0]


def test_links_in_a_circle_end(home: Path, linux: Surroundings) -> None:
    store = Ollama(home)
    store.model("good/latest", [("model", MODEL)])
    manifests = store.folder / "manifests"
    (manifests / "registry.ollama.ai" / "library" / "again").symlink_to(manifests)
    (manifests / "self").symlink_to("self")
    studio = home / ".lmstudio" / "models"
    write(studio / "org" / "repo" / "m.gguf", MODEL)
    (studio / "org" / "repo" / "up").symlink_to(studio)
    found = read_stores(linux)
    assert [model.name for one in found for model in one.models] == ["good:latest", "org/repo/m"]


def test_links_of_the_hub_stay_in_their_repository(
    home: Path, tmp_path: Path, linux: Surroundings
) -> None:
    hub = Hub(home / ".cache" / "huggingface" / "hub")
    good = hub.file("org/Tiny", "good.gguf", MODEL)
    outside = write(tmp_path / "outside.gguf", MODEL)
    good.with_name("bad.gguf").symlink_to(outside)
    good.with_name("gone.gguf").symlink_to("../../blobs/nothing")
    (hub.folder / "models--org--Away").symlink_to(tmp_path)
    (contents,) = read_stores(linux)
    assert [model.name for model in contents.models] == ["org/Tiny/good"]
    assert len(contents.findings) == 3


def test_a_folder_that_cannot_be_listed_is_a_line(home: Path, linux: Surroundings) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may list everything")
    folder = home / ".lmstudio" / "models" / "org"
    folder.mkdir(parents=True)
    folder.chmod(0)
    try:
        (contents,) = read_stores(linux)
    finally:
        folder.chmod(0o700)
    assert "permission denied" in contents.findings[0]


def test_a_file_in_place_of_a_store_is_no_store(home: Path, linux: Surroundings) -> None:
    write(home / ".ollama" / "models", b"x")
    write(home / ".lmstudio" / "models", b"x")
    write(home / ".cache" / "llama.cpp", b"x")
    write(home / ".cache" / "huggingface" / "hub", b"x")
    write(home / ".local" / "share" / "Jan" / "data", b"x")
    assert read_stores(linux) == ()


def test_names_of_any_bytes_are_taken(home: Path, linux: Surroundings) -> None:
    name = os.fsdecode(b"caf\xe9\x1b[31m.gguf")
    path = write(home / ".lmstudio" / "models" / "org" / name, MODEL)
    (model,) = read_stores(linux)[0].models
    assert model.file_bytes == len(MODEL)
    assert model.paths == (str(path),)
