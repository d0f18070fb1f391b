"""Split models: any file of the set may be named; what does not belong together is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import gguf_builder as b
import pytest

from whatfits.sizing.errors import MalformedFileError, UnreadableFileError
from whatfits.sizing.sources import split_gguf
from whatfits.sizing.sources.local_file import load_gguf
from whatfits.sizing.sources.split_gguf import SplitName, parse_split_name

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

COUNT = 3
BYTES = 128


def shard(
    index: int,
    *,
    no: object = None,
    count: object = COUNT,
    total: object = COUNT,
    kind: int = b.UINT16,
    more: Sequence[bytes] = (),
    tensor: str | None = None,
) -> bytes:
    """File `index` of a set of three with one tensor of 128 bytes each; arguments make it lie."""
    pairs = [b.scalar("split.no", b.UINT16, index if no is None else no)]
    pairs.append(b.scalar("split.count", kind, count))
    if total is not None:
        pairs.append(b.scalar("split.tensors.count", b.INT32, total))
    if index == 0:
        pairs += [b.ARCHITECTURE, b.scalar("llama.block_count", b.UINT32, 2)]
    row = b.tensor(tensor or f"t{index}", (32,), b.F32)
    return b.gguf([*pairs, *more], [row], data_bytes=BYTES)


def names(count: int = COUNT, prefix: str = "model-Q4_K_M") -> list[str]:
    return [f"{prefix}-{number:05d}-of-{count:05d}.gguf" for number in range(1, count + 1)]


def write(folder: Path, files: Sequence[bytes] | None = None) -> list[Path]:
    contents = [shard(index) for index in range(COUNT)] if files is None else files
    paths = [folder / name for name in names()]
    for path, data in zip(paths, contents, strict=False):
        path.write_bytes(data)
    return paths


def refusal(path: Path, kind: type[Exception] = MalformedFileError) -> str:
    with pytest.raises(kind) as caught:
        load_gguf(path)
    assert str(caught.value).isprintable()
    return str(caught.value)


@pytest.mark.parametrize("named", range(COUNT))
def test_any_file_of_the_set_may_be_named(named: int, tmp_path: Path) -> None:
    paths = write(tmp_path)
    header, name = load_gguf(paths[named])
    assert name == "model-Q4_K_M"
    assert header.metadata["llama.block_count"] == 2
    assert [(t.name, t.file_index, t.n_bytes) for t in header.tensors] == [
        ("t0", 0, BYTES),
        ("t1", 1, BYTES),
        ("t2", 2, BYTES),
    ]
    assert header.file_bytes == sum(path.stat().st_size for path in paths)
    assert header.findings == ()


def test_a_folder_with_one_set_is_that_set(tmp_path: Path) -> None:
    paths = write(tmp_path)
    assert load_gguf(tmp_path) == load_gguf(paths[0])


def test_two_sets_in_a_folder_are_two_models(tmp_path: Path) -> None:
    write(tmp_path)
    for index, name in enumerate(names(prefix="other")):
        (tmp_path / name).write_bytes(shard(index))
    assert "the folder holds 2 models" in refusal(tmp_path, UnreadableFileError)


def test_missing_files_are_named(tmp_path: Path) -> None:
    paths = write(tmp_path)
    paths[1].unlink()
    said = refusal(paths[2], UnreadableFileError)
    assert "1 of 3 files are missing" in said
    assert paths[1].name in said
    paths[0].unlink()
    assert "2 of 3 files" in refusal(paths[2], UnreadableFileError)


@pytest.mark.parametrize(
    ("name", "parsed"),
    [
        ("m-00001-of-00003.gguf", SplitName("m", 1, 3)),
        ("a-00002-of-00009-00001-of-00001.gguf", SplitName("a-00002-of-00009", 1, 1)),
        ("m-00004-of-00003.gguf", None),
        ("m-00000-of-00003.gguf", None),
        ("m-0001-of-0003.gguf", None),
        ("m-00001-of-00003.GGUF", None),
        ("-00001-of-00003.gguf", None),
        ("m-0000\N{ARABIC-INDIC DIGIT ONE}-of-00003.gguf", None),
        ("m-+0001-of-00003.gguf", None),
        ("m.gguf", None),
        ("", None),
    ],
)
def test_names_of_sets_are_told_from_other_names(name: str, parsed: SplitName | None) -> None:
    assert parse_split_name(name) == parsed
    if parsed is not None:
        assert parsed.sibling(parsed.number) == name


def test_a_file_of_a_set_under_another_name_cannot_be_completed(tmp_path: Path) -> None:
    path = tmp_path / "renamed.gguf"
    path.write_bytes(shard(0))
    assert "restore the name" in refusal(path)
    path = tmp_path / "m-00001-of-00002.gguf"
    path.write_bytes(shard(0))
    assert "-of-00003.gguf" in refusal(path)


def test_a_whole_file_named_like_one_of_a_set_is_read_alone(tmp_path: Path) -> None:
    path = tmp_path / names()[0]
    path.write_bytes(b.small_model())
    header, _ = load_gguf(path)
    assert header.findings == ("named as file 1 of 3, but the file is whole",)


@pytest.mark.parametrize("count", [0, 1])
def test_a_set_of_one_is_one_file(count: int, tmp_path: Path) -> None:
    path = tmp_path / "m-00001-of-00001.gguf"
    path.write_bytes(shard(0, count=count, total=1))
    header, name = load_gguf(path)
    assert (name, len(header.tensors), header.findings) == ("m", 1, ())


@pytest.mark.parametrize(
    ("kind", "count"),
    [
        (b.UINT16, 4_097),
        (b.UINT16, 65_535),
        (b.INT32, -1),
        (b.UINT64, 2**64 - 1),
        (b.BOOL, True),
        (b.STRING, "3"),
        (b.FLOAT32, 3.0),
        (b.FLOAT64, float("nan")),
    ],
)
def test_a_count_that_is_none_is_refused(kind: int, count: object, tmp_path: Path) -> None:
    path = write(tmp_path, [shard(0, kind=kind, count=count)])[0]
    assert "allowed: 1 to 4,096" in refusal(path)


def test_a_count_of_4096_only_lacks_its_files(tmp_path: Path) -> None:
    path = tmp_path / "m-00001-of-04096.gguf"
    path.write_bytes(shard(0, count=4_096))
    said = refusal(path, UnreadableFileError)
    assert "4,095 of 4,096 files are missing" in said
    assert len(said) < 1_000


@pytest.mark.parametrize(("count", "more"), [(11, False), (12, True)])
def test_up_to_ten_missing_files_are_listed(count: int, more: bool, tmp_path: Path) -> None:
    path = tmp_path / f"m-00001-of-{count:05d}.gguf"
    path.write_bytes(shard(0, count=count))
    listed = refusal(path, UnreadableFileError).split("folder: ")[1].split(", ")
    assert listed == [f"m-{n:05d}-of-{count:05d}.gguf" for n in range(2, 12)] + ["…"] * more


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"no": 0}, "split.no: is 0; allowed: 1"),
        ({"no": 2}, "split.no: is 2; allowed: 1"),
        ({"no": 65_535}, "split.no: is 65535"),
        ({"count": 2}, "split.count: is 2"),
        ({"count": 4}, "split.count: is 4"),
        ({"total": 2}, "split.tensors.count: is 2"),
        ({"total": -1}, "split.tensors.count: is -1"),
        ({"tensor": "t0"}, "tensor: is 't0'"),
        ({"more": [b.scalar("general.architecture", b.STRING, "gemma3")]}, "'gemma3'"),
    ],
)
def test_a_file_that_does_not_belong_is_refused_by_name(
    change: dict[str, object], says: str, tmp_path: Path
) -> None:
    files = [shard(0), shard(1, **change), shard(2)]  # type: ignore[arg-type]
    paths = write(tmp_path, files)
    said = refusal(paths[0])
    assert says in said
    assert said.endswith(f"file: {paths[1].name}")


def test_numbers_that_are_truth_values_are_no_numbers(tmp_path: Path) -> None:
    files = [shard(0), shard(1), shard(2)]
    one = b.scalar("split.no", b.UINT16, 1)
    files[1] = files[1].replace(one + b"", b.scalar("split.no", b.BOOL, True) + b"")
    # The value is a byte shorter, so the padding must be a byte longer.
    files[1] = b.padded(files[1][:-BYTES].rstrip(b"\0") + bytes(8)) + bytes(BYTES)
    assert "split.no: is True" in refusal(write(tmp_path, files)[0])


def test_other_contradictions_are_told_and_the_first_file_counts(tmp_path: Path) -> None:
    other = [b.scalar("llama.block_count", b.UINT32, 99), b.scalar("new", b.UINT32, 1)]
    header, _ = load_gguf(write(tmp_path, [shard(0), shard(1, more=other), shard(2)])[0])
    assert header.metadata["llama.block_count"] == 2
    assert header.findings == (
        "llama.block_count differs between the files of the split; the first counts",
    )


def test_a_missing_total_of_tensors_is_not_missed(tmp_path: Path) -> None:
    files = [shard(index, total=None) for index in range(COUNT)]
    assert len(load_gguf(write(tmp_path, files)[0])[0].tensors) == COUNT


def test_a_malformed_file_of_the_set_is_named(tmp_path: Path) -> None:
    paths = write(tmp_path, [shard(0), shard(1)[:50], shard(2)])
    assert refusal(paths[0]).endswith(f"file: {paths[1]}")


def test_all_files_together_hold_no_more_tensors_than_one_may(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = write(tmp_path)
    monkeypatch.setattr(split_gguf, "MAX_TENSORS", COUNT)
    assert len(load_gguf(paths[0])[0].tensors) == COUNT
    paths[2].write_bytes(b"not even looked at")
    monkeypatch.setattr(split_gguf, "MAX_TENSORS", 1)
    said = refusal(paths[0])
    assert "tensors of all files: are 2 up to here; allowed: up to 1" in said
    assert said.endswith(f"file: {paths[1].name}")


def test_findings_of_all_files_are_kept_once(tmp_path: Path) -> None:
    odd = [b.scalar("ö", b.UINT8, 1)]
    header, _ = load_gguf(write(tmp_path, [shard(i, more=odd) for i in range(COUNT)])[0])
    assert header.findings == ("key with characters other than printable ASCII: 'ö'",)


def test_a_download_cache_of_links_is_followed(tmp_path: Path) -> None:
    snapshot, blobs = tmp_path / "snapshots" / "abc", tmp_path / "blobs"
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    for index, name in enumerate(names()):
        (blobs / f"{index}abc").write_bytes(shard(index))
        (snapshot / name).symlink_to(blobs / f"{index}abc")
    assert len(load_gguf(snapshot / names()[1])[0].tensors) == COUNT
    assert len(load_gguf(snapshot)[0].tensors) == COUNT


def test_a_set_may_lie_partly_in_the_folder_and_partly_in_the_cache(tmp_path: Path) -> None:
    snapshot, blobs = tmp_path / "snapshots" / "abc", tmp_path / "blobs"
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    paths = write(snapshot)
    paths[0].rename(blobs / "0abc")
    paths[0].symlink_to(blobs / "0abc")
    assert len(load_gguf(paths[0])[0].tensors) == COUNT


def test_a_set_may_be_named_from_within_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert len(load_gguf(names()[1])[0].tensors) == COUNT
    assert len(load_gguf(".")[0].tensors) == COUNT


def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "model", tmp_path / "elsewhere"
    folder.mkdir()
    elsewhere.mkdir()
    paths = write(folder)
    secret = elsewhere / "file"
    secret.write_bytes(shard(1))
    paths[1].unlink()
    paths[1].symlink_to(secret)
    said = refusal(paths[0], UnreadableFileError)
    assert "leaves the folder" in said
    assert paths[1].name in said


def test_names_with_dots_stay_in_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    folder.mkdir()
    for index, name in enumerate(names(prefix="..")):
        (folder / name).write_bytes(shard(index))
    assert len(load_gguf(folder / names(prefix="..")[0])[0].tensors) == COUNT
