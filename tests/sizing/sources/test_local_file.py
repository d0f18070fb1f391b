"""What a person may name: a file under any name, a folder, something else, something missing."""

from __future__ import annotations

import os
import unicodedata
from typing import TYPE_CHECKING

import gguf_builder as b
import pytest

from whatfits.sizing.errors import MalformedFileError, UnreadableFileError
from whatfits.sizing.sources import local_file
from whatfits.sizing.sources.local_file import load_gguf

if TYPE_CHECKING:
    from pathlib import Path

MODEL = b.small_model()


def refusal(path: Path | str) -> str:
    with pytest.raises(UnreadableFileError) as caught:
        load_gguf(path)
    assert str(caught.value).isprintable()
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Llama-3.1-8B-Q4_K_M.gguf", "Llama-3.1-8B-Q4_K_M"),
        ("MODEL.GGUF", "MODEL"),
        ("model.bin", "model.bin"),
        ("sha256-0123456789abcdef0123", "sha256-0123456789ab"),
        ("x.gguf.incomplete", "x.gguf.incomplete"),
        ("a\x1b[31m.gguf", "a\N{REPLACEMENT CHARACTER}[31m"),
    ],
)
def test_the_first_bytes_count_not_the_name(name: str, shown: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(MODEL)
    header, display = load_gguf(tmp_path / name)
    assert display == shown
    assert header.metadata["llama.block_count"] == 2
    assert len(header.tensors) == 2
    assert header.file_bytes == len(MODEL)
    assert load_gguf(str(tmp_path / name)) == (header, display)


def test_a_blob_is_called_what_its_header_calls_it(tmp_path: Path) -> None:
    path = tmp_path / ("sha256-" + "0" * 64)
    path.write_bytes(b.gguf([b.ARCHITECTURE, b.scalar("general.name", b.STRING, "Tiny\n1B")]))
    assert load_gguf(path)[1] == "Tiny\N{REPLACEMENT CHARACTER}1B"
    for unnamed in (b.scalar("general.name", b.STRING, ""), b.scalar("general.name", b.UINT8, 1)):
        path.write_bytes(b.gguf([b.ARCHITECTURE, unnamed]))
        assert load_gguf(path)[1] == "sha256-000000000000"


def test_a_download_that_is_not_finished_is_understood(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(MODEL[:-100])
    header, _ = load_gguf(path)
    assert header.tensor_bytes == b.TWO_TENSORS_BYTES
    assert header.findings == ("tensor data incomplete: 100 bytes missing at the end of the file",)


def test_a_file_that_ends_in_its_header_is_refused_with_place_and_name(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(MODEL[:60])
    with pytest.raises(MalformedFileError) as caught:
        load_gguf(path)
    assert str(caught.value).endswith(f"perhaps the download did not finish; file: {path}")
    assert caught.value.offset_bytes is not None
    path.write_bytes(b"GG")
    with pytest.raises(MalformedFileError, match="magic"):
        load_gguf(path)


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("model.safetensors", b"\x10\0\0\0\0\0\0\0{}", "a safetensors file"),
        ("model.gguf", b'\x10\0\0\0\0\0\0\0{"a": 1}', "a safetensors file"),
        ("model.safetensors", b"\x10\0\0\0", "a safetensors file"),
        ("config.json", b'{"architectures": []}', "llama.cpp loads GGUF files only"),
        ("pytorch_model.bin", b"PK\x03\x04rest", "a pickle runs code"),
        ("model.gguf", b"\x80\x02}q\x00.", "a Python pickle"),
        ("model.gguf", b"\x80\x02\0\0\0\0\0\0{", "a safetensors file"),
        ("model.pt", b"anything", "perhaps a pickle"),
        ("model.pth", b"\x80\x05.", "runs code when it is opened"),
        ("m.gguf", b"version https://git-lfs.github.com/spec/v1\n", "run 'git lfs pull'"),
        ("m.gguf", b"<!DOCTYPE html><html>", "a web page"),
        ("ggml-model.bin", b"tjgg\3\0\0\0", "from before GGUF"),
        ("m.gguf", b"", "the file is empty"),
        ("m.gguf", b"\x1b[31m and more", "of an unknown kind"),
    ],
)
def test_other_files_are_recognised_and_refused_in_one_line(
    name: str, data: bytes, says: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(data)
    assert says.replace("a pickle runs", "a PyTorch pickle runs") in refusal(tmp_path / name)


def test_a_missing_file_brings_the_names_near_it(tmp_path: Path) -> None:
    (tmp_path / "Llama-3.1-8B-Q4_K_M.gguf").write_bytes(MODEL)
    (tmp_path / "notes.txt").write_text("x")
    said = refusal(tmp_path / "Llama-3.1-8b-Q4_K_S.gguf")
    assert "does not exist" in said
    assert "did you mean 'Llama-3.1-8B-Q4_K_M.gguf'?" in said
    assert "did you mean" not in refusal(tmp_path / "zzz")
    assert "does not exist" in refusal(tmp_path / "no" / "such" / "folder.gguf")


def test_a_name_spelt_with_other_code_points_is_suggested(tmp_path: Path) -> None:
    composed = unicodedata.normalize("NFC", "modèle.gguf")
    decomposed = unicodedata.normalize("NFD", "modèle.gguf")
    (tmp_path / composed).write_bytes(MODEL)
    if (tmp_path / decomposed).exists():
        pytest.skip("this file system takes both for one")
    assert "did you mean" in refusal(tmp_path / decomposed)


def test_a_name_spelt_with_other_code_points_all_through_is_suggested(tmp_path: Path) -> None:
    composed = unicodedata.normalize("NFC", "éèêëàâäùûü.gguf")
    decomposed = unicodedata.normalize("NFD", composed)
    (tmp_path / composed).write_bytes(MODEL)
    if (tmp_path / decomposed).exists():
        pytest.skip("this file system takes both for one")
    assert f"did you mean {composed!r}" in refusal(tmp_path / decomposed)


def test_names_near_it_are_suggested_within_its_folder_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "Llama-3.1-8B-Q4_K_M.gguf").write_bytes(MODEL)
    monkeypatch.chdir(tmp_path)
    assert "did you mean 'Llama-3.1-8B-Q4_K_M.gguf'?" in refusal("Llama-3.1-8B-Q4_K_S.gguf")


def test_a_link_to_nothing_is_said_to_be_one(tmp_path: Path) -> None:
    (tmp_path / "m.gguf").symlink_to(tmp_path / "blobs" / "gone")
    assert "a link to something that does not exist" in refusal(tmp_path / "m.gguf")


def test_a_folder_with_one_model_is_that_model(tmp_path: Path) -> None:
    (tmp_path / "m.gguf").write_bytes(MODEL)
    (tmp_path / "README.md").write_text("x")
    assert load_gguf(tmp_path) == load_gguf(tmp_path / "m.gguf")


def test_a_vision_projector_in_the_folder_is_no_second_model(tmp_path: Path) -> None:
    (tmp_path / "m.gguf").write_bytes(MODEL)
    (tmp_path / "mmproj-m-f16.gguf").write_bytes(MODEL)
    header, name = load_gguf(tmp_path)
    assert name == "m"
    assert header.findings == ("a vision projector (mmproj) lies in the folder; it is not counted",)
    (tmp_path / "m.gguf").unlink()
    header, name = load_gguf(tmp_path)
    assert name == "mmproj-m-f16"
    assert header.findings == ()


def test_a_folder_with_several_models_lists_up_to_ten_of_them(tmp_path: Path) -> None:
    for index in range(10):
        (tmp_path / f"m{index:02d}.gguf").write_bytes(MODEL)
    assert "m09.gguf; name one of the files" in refusal(tmp_path)
    for index in range(10, 12):
        (tmp_path / f"m{index:02d}.gguf").write_bytes(MODEL)
    said = refusal(tmp_path)
    assert "the folder holds 12 models" in said
    assert "m09.gguf, …; name one of the files" in said
    assert "m10" not in said


@pytest.mark.parametrize(
    ("names", "says"),
    [
        ([], "name a .gguf file"),
        (
            ["config.json", "model.safetensors"],
            "it looks like a safetensors model: llama.cpp loads",
        ),
        (["pytorch_model.bin"], "runs code when it is opened"),
    ],
)
def test_a_folder_without_gguf_says_what_it_seems_to_be(
    names: list[str], says: str, tmp_path: Path
) -> None:
    for name in names:
        (tmp_path / name).write_bytes(b"x")
    said = refusal(tmp_path)
    assert "no .gguf file in the folder" in said
    assert says in said


def test_a_folder_with_more_files_than_anyone_puts_there_is_not_listed_to_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_file, "_MAX_FOLDER_ENTRIES", 5)
    for index in range(5):
        (tmp_path / f"{index}.txt").touch()
    assert "no .gguf file" in refusal(tmp_path)
    (tmp_path / "m.gguf").write_bytes(MODEL)
    assert "too many files" in refusal(tmp_path)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read all")
def test_a_folder_without_permission_is_named_so(tmp_path: Path) -> None:
    folder = tmp_path / "locked"
    folder.mkdir()
    folder.chmod(0)
    assert "permission denied" in refusal(folder)
    folder.chmod(0o700)


def test_reading_a_huge_sparse_file_costs_nothing(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    rows = [b.tensor("a", (2**40,), b.I8)]
    with path.open("wb") as file:
        file.write(b.gguf([b.ARCHITECTURE], rows))
        try:
            file.truncate(len(b.gguf([b.ARCHITECTURE], rows)) + 2**40)
        except OSError:
            pytest.skip("this file system has no holes of that size")
    header, _ = load_gguf(path)
    assert header.tensor_bytes == 2**40
    assert header.findings == ()
