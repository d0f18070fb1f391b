"""Which files make up a checkpoint, and how they and their index contradict each other."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from checkpoints import write_safetensors

from whatfits.sizing.errors import MalformedFileError, UnreadableFileError
from whatfits.sizing.sources import checkpoint_files
from whatfits.sizing.sources.checkpoint_files import read_checkpoint
from whatfits.sizing.sources.regular_file import FileSource

if TYPE_CHECKING:
    from pathlib import Path


def write(folder: Path, name: str, tensor: str = "a") -> Path:
    write_safetensors(folder / name, {tensor: ("F32", (2,))})
    return folder / name


def write_index(folder: Path, **values: object) -> None:
    index = {"weight_map": {"a": "m.safetensors"}, **values}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


@pytest.mark.parametrize(
    ("name", "n_files"),
    [
        ("m-00001-of-00003.safetensors", 3),
        ("m-00003-of-00003.safetensors", 3),
        ("m-00001-of-04096.safetensors", 4_096),
        ("m-00001-of-04097.safetensors", 1),
        ("m-00000-of-00003.safetensors", 1),
        ("m-00004-of-00003.safetensors", 1),
        ("m-00001-of-00000.safetensors", 1),
        ("m-0001-of-0003.safetensors", 1),
        ("m.safetensors", 1),
    ],
)
def test_the_name_of_a_file_says_how_many_there_are(
    name: str, n_files: int, tmp_path: Path
) -> None:
    found = read_checkpoint(str(write(tmp_path, name)))
    assert found.n_files == 1
    assert len(found.missing) == n_files - 1


def test_the_usual_name_is_chosen_among_many(tmp_path: Path) -> None:
    for number in range(40):
        write(tmp_path, f"other{number}.safetensors", f"t{number}")
    write(tmp_path, "model.safetensors", "usual")
    assert [tensor.name for tensor in read_checkpoint(str(tmp_path)).tensors] == ["usual"]


def test_the_only_model_of_a_folder_may_have_any_name(tmp_path: Path) -> None:
    write(tmp_path, "adapter_model.safetensors", "beside it")
    write(tmp_path, "any.safetensors", "only")
    assert [tensor.name for tensor in read_checkpoint(str(tmp_path)).tensors] == ["only"]


def test_of_two_usual_names_the_first_is_taken(tmp_path: Path) -> None:
    for name in ("aside", "model-b", "model-a"):
        write(tmp_path, f"{name}.safetensors", name)
    assert [tensor.name for tensor in read_checkpoint(str(tmp_path)).tensors] == ["model-a"]


def test_a_folder_with_nothing_but_an_adapter_holds_no_model(tmp_path: Path) -> None:
    write(tmp_path, "adapter_model.safetensors")
    with pytest.raises(UnreadableFileError, match="holds an adapter"):
        read_checkpoint(str(tmp_path))


@pytest.mark.parametrize(("count", "more"), [(5, False), (6, True)])
def test_up_to_five_models_are_listed(count: int, more: bool, tmp_path: Path) -> None:
    for number in range(count):
        write(tmp_path, f"other{number}.safetensors")
    with pytest.raises(UnreadableFileError, match=f"holds {count} models") as caught:
        read_checkpoint(str(tmp_path))
    assert ("…" in str(caught.value)) is more
    assert "other4.safetensors" in str(caught.value)
    assert "other5.safetensors" not in str(caught.value)


@pytest.mark.parametrize(
    ("metadata", "said"),
    [
        ({}, ()),
        ({"total_size": 8}, ()),
        ({"total_size": 9}, ("the index claims 9 bytes of tensors, the files hold 8",)),
    ],
)
def test_what_an_index_claims_is_held_against_the_files(
    metadata: dict[str, int], said: tuple[str, ...], tmp_path: Path
) -> None:
    write(tmp_path, "m.safetensors")
    write_index(tmp_path, metadata=metadata)
    assert read_checkpoint(str(tmp_path)).findings == said


@pytest.mark.parametrize(("size_bytes", "asked"), [(0, 1), (10, 11), (99, 100), (5_000, 101)])
def test_one_byte_more_than_a_file_has_or_may_have_is_asked_for(
    size_bytes: int, asked: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "config.json"
    path.write_bytes(b" " * size_bytes)
    reads: list[int] = []
    real = FileSource.read

    def counted(source: FileSource, offset: int, n: int) -> bytes:
        reads.append(n)
        return real(source, offset, n)

    monkeypatch.setattr(FileSource, "read", counted)
    monkeypatch.setattr(checkpoint_files, "MAX_CONFIG_BYTES", 100)
    with pytest.raises(MalformedFileError):
        read_checkpoint(str(path))
    assert reads == [asked]


def test_a_checkpoint_may_be_named_from_within_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "real.safetensors")
    (tmp_path / "model.safetensors").symlink_to("real.safetensors")
    monkeypatch.chdir(tmp_path)
    assert len(read_checkpoint("model.safetensors").tensors) == 1
    (tmp_path / "model.safetensors").unlink()
    (tmp_path / "model.safetensors").symlink_to("/etc/hostname")
    with pytest.raises(UnreadableFileError, match="leaves the folder"):
        read_checkpoint("model.safetensors")
