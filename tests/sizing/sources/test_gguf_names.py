"""Which file of a folder is the model, and what it is called: by names alone, rule by rule."""

from __future__ import annotations

import os
from contextlib import nullcontext
from types import SimpleNamespace
from typing import TYPE_CHECKING

import gguf_builder as b
import pytest

from whatfits.sizing.errors import MalformedFileError, UnreadableFileError
from whatfits.sizing.readers.gguf import read_gguf_header
from whatfits.sizing.sources.local_file import display_name, load_gguf, names_in

if TYPE_CHECKING:
    from pathlib import Path

PROJECTOR = "a vision projector (mmproj) lies in the folder; it is not counted"
DIGEST = "0123456789abcdef"


def titled(title: object, kind: int = b.STRING) -> bytes:
    return b.gguf([b.ARCHITECTURE, b.scalar("general.name", kind, title)])


def shard(index: int, count: int) -> bytes:
    pairs = [b.scalar("split.no", b.UINT16, index), b.scalar("split.count", b.UINT16, count)]
    return b.gguf([*pairs, b.ARCHITECTURE])


def fill(folder: Path, *names: str) -> None:
    """Write a model under each name; its own title is that name."""
    for name in names:
        (folder / name).write_bytes(titled(name))


def chosen(folder: Path) -> tuple[object, tuple[str, ...]]:
    """Return the title of the file that a folder stands for, and what is said of it."""
    header, _ = load_gguf(folder)
    return header.metadata["general.name"], header.findings


def said(folder: Path) -> str:
    with pytest.raises(UnreadableFileError) as caught:
        load_gguf(folder)
    return str(caught.value)


# what a model is called


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("m.gguf", "m"),
        ("m.GGUF", "m"),
        ("m.gguf.part", "m.gguf.part"),
        ("m", "m"),
        ("gguf", "gguf"),
        ("m-00002-of-00003.gguf", "m"),
        ("m-00004-of-00003.gguf", "m-00004-of-00003"),
        ("m\n.gguf", "m\N{REPLACEMENT CHARACTER}"),
        ("m\n-00001-of-00001.gguf", "m\N{REPLACEMENT CHARACTER}"),
    ],
)
def test_a_file_is_called_by_its_name_without_suffix_and_number(name: str, shown: str) -> None:
    assert display_name(name, read_gguf_header(titled("another"))) == shown


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        (titled("Tiny 1B"), "Tiny 1B"),
        (titled("a\tb"), "a\N{REPLACEMENT CHARACTER}b"),
        (titled(""), "sha256-0123456789ab"),
        (titled(7, b.UINT32), "sha256-0123456789ab"),
        (b.gguf([b.ARCHITECTURE]), "sha256-0123456789ab"),
    ],
)
def test_a_blob_is_called_by_its_title_or_by_its_first_digits(data: bytes, shown: str) -> None:
    assert display_name(f"sha256-{DIGEST}", read_gguf_header(data)) == shown


# which file it is


def test_one_file_of_any_spelling_of_the_suffix_is_the_model(tmp_path: Path) -> None:
    fill(tmp_path, "README.md", "model.GGuf", "gguf", "m.gguf.part")
    assert chosen(tmp_path) == ("model.GGuf", ())


@pytest.mark.parametrize("projector", ["mmproj-m.gguf", "MMPROJ.gguf", "mmprojector.gguf"])
def test_a_projector_is_the_model_only_where_it_is_alone(projector: str, tmp_path: Path) -> None:
    fill(tmp_path, projector)
    assert chosen(tmp_path) == (projector, ())
    fill(tmp_path, "z.gguf")
    assert chosen(tmp_path) == ("z.gguf", (PROJECTOR,))
    fill(tmp_path, "mmproj-2.gguf")
    assert chosen(tmp_path) == ("z.gguf", (PROJECTOR,))
    (tmp_path / "z.gguf").unlink()
    assert "the folder holds 2 models" in said(tmp_path)


def test_a_name_that_only_has_the_word_in_it_is_no_projector(tmp_path: Path) -> None:
    fill(tmp_path, "a-mmproj.gguf", "b.gguf")
    assert "allowed: a-mmproj.gguf, b.gguf; name one of the files" in said(tmp_path)


def test_the_files_of_a_set_are_one_model_and_of_another_number_another(tmp_path: Path) -> None:
    for index in range(2):
        (tmp_path / f"m-0000{index + 1}-of-00002.gguf").write_bytes(shard(index, 2))
    header, name = load_gguf(tmp_path)
    assert (name, header.findings) == ("m", ())
    (tmp_path / "m-00003-of-00003.gguf").write_bytes(shard(2, 3))
    listed = "m-00001-of-00002.gguf, m-00003-of-00003.gguf; name one"
    assert f"holds 2 models: {str(tmp_path)!r}; allowed: {listed}" in said(tmp_path)


@pytest.mark.parametrize(("count", "more"), [(10, ""), (11, ", …")])
def test_ten_models_are_listed_in_the_order_of_their_names(
    count: int, more: str, tmp_path: Path
) -> None:
    fill(tmp_path, *(f"m{index:02d}.gguf" for index in reversed(range(count))))
    listed = ", ".join(f"m{index:02d}.gguf" for index in range(10))
    assert f"holds {count} models: " in said(tmp_path)
    assert f"allowed: {listed}{more}; name one of the files" in said(tmp_path)


@pytest.mark.parametrize(("count", "listed"), [(20_000, True), (20_001, False)])
def test_a_folder_of_twenty_thousand_files_is_listed_and_no_larger_one(
    count: int, listed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = [SimpleNamespace(name=str(number)) for number in range(count)]
    monkeypatch.setattr(os, "scandir", lambda _: nullcontext(iter(entries)))
    if listed:
        assert [*names_in("many")] == [entry.name for entry in entries]
        return
    with pytest.raises(UnreadableFileError) as caught:
        names_in("many")
    assert "too many files: 'many'; allowed: up to 20,000; name the file" in str(caught.value)


# a name that is not there


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4])
def test_up_to_three_names_near_a_missing_one_are_suggested(count: int, tmp_path: Path) -> None:
    fill(tmp_path, "quite-another.txt", *(f"model-{number}.gguf" for number in range(count)))
    text = said(tmp_path / "model-x.gguf")
    assert text.count("'model-") == min(count, 3)
    assert text.count(" or ") == max(0, min(count, 3) - 1)
    assert ("did you mean 'model-" in text) is (count > 0)
    assert text.endswith("?" if count else f"{str(tmp_path / 'model-x.gguf')!r}")


def test_where_there_is_no_folder_no_name_is_suggested(tmp_path: Path) -> None:
    path = tmp_path / "none" / "m.gguf"
    assert said(path) == f"the path does not exist: {str(path)!r}"


# a set of one


@pytest.mark.parametrize(
    ("name", "findings"),
    [
        ("m-00001-of-00001.gguf", ()),
        ("m-00001-of-00002.gguf", ("named as file 1 of 2, but the file is whole",)),
        ("m-00002-of-00003.gguf", ("named as file 2 of 3, but the file is whole",)),
    ],
)
def test_a_whole_file_that_is_named_as_a_part_says_so(
    name: str, findings: tuple[str, ...], tmp_path: Path
) -> None:
    fill(tmp_path, name)
    assert load_gguf(tmp_path / name)[0].findings == findings
    fill(tmp_path, "mmproj.gguf")
    assert load_gguf(tmp_path)[0].findings == (PROJECTOR, *findings)
    assert load_gguf(tmp_path / name)[0].findings == findings


@pytest.mark.parametrize("head", [b"", b"G", b"GGU"])
def test_a_file_that_begins_like_a_gguf_is_taken_for_one_that_is_cut(
    head: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(head)
    if head:
        with pytest.raises(MalformedFileError, match="magic"):
            load_gguf(path)
    else:
        assert "the file is empty" in said(path)
    path.write_bytes(b"GGUX" + bytes(60))
    assert "the file is of an unknown kind" in said(path)
