"""G16: what is no file, or not for long, under every name a person or another file may give it.

Each kind is put in the place of a GGUF file, of a file of a split set, of a safetensors file, of a
file of a checkpoint, of its index and of its configuration. The answer comes at once.
"""

from __future__ import annotations

import itertools
import os
import signal
import socket
import sys
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING

import gguf_builder
import pytest
import safetensors_builder
import split_cases
from checkpoint_cases import config, index

from whatfits.sizing.errors import BadInputError, MalformedFileError, UnreadableFileError
from whatfits.sizing.sources import load, regular_file
from whatfits.sizing.sources.checkpoint_files import read_checkpoint
from whatfits.sizing.sources.local_file import load_gguf

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.skipif(os.name != "posix", reason="pipes, sockets and devices of POSIX")

MODEL = gguf_builder.small_model()
TENSORS = safetensors_builder.safetensors({"a": ("F32", (2,))})
SHARDS = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
SPARSE_BYTES = 16 * 10**12


@pytest.fixture(autouse=True)
def no_waiting() -> Iterator[None]:
    """End a test that blocks, as opening a pipe the plain way would."""

    def stop(_signal: int, _frame: object) -> None:
        raise TimeoutError("blocked")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(20)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def _gguf(folder: Path) -> tuple[Path, Callable[[], object]]:
    return folder / "m.gguf", lambda: load_gguf(folder / "m.gguf")


def _gguf_part(folder: Path) -> tuple[Path, Callable[[], object]]:
    for name, data in split_cases.sound().items():
        (folder / name).write_bytes(data)
    return folder / split_cases.name(2), lambda: load_gguf(folder / split_cases.name(1))


def _safetensors(folder: Path) -> tuple[Path, Callable[[], object]]:
    (folder / "config.json").write_bytes(config())
    path = folder / "model.safetensors"
    return path, lambda: read_checkpoint(str(path))


def _safetensors_part(folder: Path) -> tuple[Path, Callable[[], object]]:
    (folder / SHARDS[0]).write_bytes(safetensors_builder.safetensors({"b": ("U8", (1,))}))
    return folder / SHARDS[1], lambda: read_checkpoint(str(folder))


def _index(folder: Path) -> tuple[Path, Callable[[], object]]:
    (folder / "model.safetensors").write_bytes(TENSORS)
    return folder / "model.safetensors.index.json", lambda: read_checkpoint(str(folder))


def _config(folder: Path) -> tuple[Path, Callable[[], object]]:
    return folder / "config.json", lambda: load(str(folder / "config.json"))


def _config_beside(folder: Path) -> tuple[Path, Callable[[], object]]:
    (folder / "model.safetensors").write_bytes(TENSORS)
    return folder / "config.json", lambda: read_checkpoint(str(folder))


PLACES = {
    "GGUF": _gguf,
    "GGUF of a set": _gguf_part,
    "safetensors": _safetensors,
    "safetensors of a set": _safetensors_part,
    "index": _index,
    "config": _config,
    "config beside": _config_beside,
}
# kind → what the answer says. A link is refused for leading out before its end is looked at.
KINDS = {
    "pipe": "a named pipe",
    "socket": "a socket",
    "folder": "a folder|no .gguf|does not exist",
    "link to /dev/zero": "a character device|leaves the folder",
    "link to /dev/full": "a character device|leaves the folder",
    "link to /proc": "unknown kind|leaves the folder|no JSON|allowed: '{'",
    "link to itself": "leads back to itself|leaves the folder",
    "link to nothing": "does not exist|no file of",
    "empty": "empty|ends after|no JSON|is the end",
    "random": "unknown kind|header length|no JSON|is no JSON|UTF-8|starts with|index|nested|parts",
}


def put(kind: str, path: Path) -> socket.socket | None:
    """Put something of this kind at `path`."""
    match kind:
        case "pipe":
            os.mkfifo(path)
        case "socket":
            bound = socket.socket(socket.AF_UNIX)
            here = Path.cwd()
            os.chdir(path.parent)  # the names of sockets are short
            bound.bind(path.name)
            os.chdir(here)
            return bound
        case "folder":
            path.mkdir()
        case "link to /proc":
            path.symlink_to("/proc/self/maps")
        case "link to itself":
            path.symlink_to(path.name)
        case "link to nothing":
            path.symlink_to("gone")
        case "empty":
            path.touch()
        case "random":
            path.write_bytes(bytes((i * 167 + 13) % 256 for i in range(4_000)))
        case _:
            path.symlink_to(kind.removeprefix("link to "))
    return None


def refusal(ask: Callable[[], object]) -> str:
    with pytest.raises(BadInputError) as caught:
        ask()
    said = str(caught.value)
    assert said.isprintable()
    assert isinstance(caught.value, (UnreadableFileError, MalformedFileError))
    return said


@pytest.mark.parametrize(
    ("place", "kind"),
    # A folder named like a safetensors file is a folder to look for a checkpoint in.
    [pair for pair in itertools.product(PLACES, KINDS) if pair != ("safetensors", "folder")],
)
def test_what_is_no_file_is_refused_at_once_and_by_its_kind(
    place: str, kind: str, tmp_path: Path
) -> None:
    path, ask = PLACES[place](tmp_path)
    path.unlink(missing_ok=True)
    held = put(kind, path)
    before = len(os.listdir("/proc/self/fd")) if sys.platform == "linux" else 0  # noqa: PTH208
    said = refusal(ask)
    assert any(part in said for part in KINDS[kind].split("|")), said
    if sys.platform == "linux":
        assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208 - names are enough
    if held is not None:
        held.close()


@pytest.mark.parametrize("path", ["/dev/zero", "/dev/null", "/dev/tty", "/proc/self/mem", "/proc"])
def test_devices_and_files_of_the_kernel_are_refused_by_their_own_names(path: str) -> None:
    if not os.path.lexists(path):
        pytest.skip("there is none here")
    refusal(lambda: load_gguf(path))


@pytest.mark.parametrize("place", PLACES)
def test_a_file_without_permission_is_named_so(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, ask = PLACES[place](tmp_path)
    path.write_bytes(b"GGUF")
    path.chmod(0)
    real_open = os.open

    def denied(name: str, flags: int) -> int:
        # For root, who may read everything, the system's answer is given in its place.
        if Path(name).samefile(path):
            raise PermissionError(13, "Permission denied")
        return real_open(name, flags)

    monkeypatch.setattr(regular_file.os, "open", denied)
    assert "permission denied" in refusal(ask)


@pytest.mark.parametrize("place", ["GGUF", "GGUF of a set", "safetensors", "safetensors of a set"])
def test_a_sparse_file_of_sixteen_terabytes_costs_no_more_than_its_header(
    place: str, tmp_path: Path
) -> None:
    path, ask = PLACES[place](tmp_path)
    sound = split_cases.shard(1) if "set" in place else MODEL
    data = TENSORS if path.suffix == ".safetensors" else sound
    with path.open("wb") as file:
        file.write(data)
        try:
            file.truncate(SPARSE_BYTES)
        except OSError:
            pytest.skip("this file system has no holes of that size")
    ask()
    with path.open("r+b") as file:
        file.write(bytes(64))
    refusal(ask)


@pytest.mark.parametrize(("place", "data"), [("index", index({"a": "m"})), ("config", config())])
def test_a_sparse_text_of_sixteen_terabytes_is_refused_by_its_length(
    place: str, data: bytes, tmp_path: Path
) -> None:
    path, ask = PLACES[place](tmp_path)
    with path.open("wb") as file:
        file.write(data)
        try:
            file.truncate(SPARSE_BYTES)
        except OSError:
            pytest.skip("this file system has no holes of that size")
    assert "bytes long" in refusal(ask)


@pytest.mark.parametrize("place", ["GGUF", "safetensors"])
@pytest.mark.parametrize("keep", [0, 4, 7, 9, 40, 60])
def test_a_file_that_shrinks_after_it_was_opened_is_refused(
    place: str, keep: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, ask = PLACES[place](tmp_path)
    path.write_bytes(gguf_builder.large_seeds()["long table"] if place == "GGUF" else TENSORS)
    real = regular_file.FileSource

    def shrunk(name: str, descriptor: int, *, size_bytes: int) -> regular_file.FileSource:
        if name == str(path):
            os.truncate(path, keep)
        return real(name, descriptor, size_bytes=size_bytes)

    monkeypatch.setattr(regular_file, "FileSource", shrunk)
    said = refusal(ask)
    assert "shrank" in said or "ends" in said or "empty" in said, said


@pytest.mark.parametrize("place", ["GGUF", "safetensors"])
def test_a_file_replaced_after_it_was_opened_is_read_as_it_was(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, ask = PLACES[place](tmp_path)
    path.write_bytes(MODEL if place == "GGUF" else TENSORS)
    expected = ask()
    real = regular_file.FileSource

    def replaced(name: str, descriptor: int, *, size_bytes: int) -> regular_file.FileSource:
        if name == str(path):
            (tmp_path / "other").write_bytes(b"\x80\4 something else")
            (tmp_path / "other").replace(path)
        return real(name, descriptor, size_bytes=size_bytes)

    monkeypatch.setattr(regular_file, "FileSource", replaced)
    assert ask() == expected


@pytest.mark.parametrize("letter", ["NFC", "NFD"])
def test_a_name_is_opened_as_it_is_spelt(letter: str, tmp_path: Path) -> None:
    name = unicodedata.normalize(letter, "modèle-ü-한.gguf")  # type: ignore[arg-type]
    (tmp_path / name).write_bytes(MODEL)
    assert load_gguf(tmp_path / name)[1] == name.removesuffix(".gguf")
    assert load_gguf(tmp_path)[1] == name.removesuffix(".gguf")


@pytest.mark.skipif(sys.platform == "darwin", reason="names there are text")
@pytest.mark.parametrize("place", ["GGUF", "GGUF of a set", "safetensors"])
def test_a_name_of_bytes_that_are_no_text_is_read_and_shown(place: str, tmp_path: Path) -> None:
    folder = os.fsdecode(os.fsencode(tmp_path) + b"/f\xff\x1b")
    os.mkdir(folder)  # noqa: PTH102 - the name is no text
    names = {
        "GGUF": {os.fsdecode(b"m\xfe.gguf"): MODEL},
        "GGUF of a set": {
            split_cases.name(i + 1, prefix=os.fsdecode(b"\xff")): split_cases.shard(i)
            for i in range(split_cases.COUNT)
        },
        "safetensors": {os.fsdecode(b"m\xfe.safetensors"): TENSORS},
    }[place]
    for name, data in names.items():
        with open(os.path.join(folder, name), "wb") as file:  # noqa: PTH118, PTH123 - as above
            file.write(data)
    path = os.path.join(folder, next(iter(names)))  # noqa: PTH118 - as above
    if place == "safetensors":
        assert len(read_checkpoint(path).tensors) == 1
        assert len(read_checkpoint(folder).tensors) == 1
    else:
        assert load_gguf(path)[1].isprintable()
        assert load_gguf(folder)[1].isprintable()
    os.truncate(path, 5)
    assert "\ufffd" in refusal(lambda: load(path))


def test_a_path_of_4096_letters_is_refused_by_its_length() -> None:
    for path in ("/" + "x/" * 2_048 + "m.gguf", "x" * 4_096, "x" * 4_091 + ".gguf"):
        said = refusal(lambda path=path: load_gguf(path))
        assert "longer than the system allows" in said
        assert len(said) < 300


def test_an_index_cannot_name_a_path_that_leaves_its_folder(tmp_path: Path) -> None:
    inside, outside = tmp_path / "in", tmp_path / "out"
    inside.mkdir()
    outside.mkdir()
    (outside / "m.safetensors").write_bytes(TENSORS)
    index_path = inside / "model.safetensors.index.json"
    for name in ("../out/m.safetensors", str(outside / "m.safetensors")):
        index_path.write_bytes(index({"a": name}))
        assert "plain name" in refusal(lambda: read_checkpoint(str(inside)))
    (inside / "m.safetensors").symlink_to(outside / "m.safetensors")
    index_path.write_bytes(index({"a": "m.safetensors"}))
    assert "leaves the folder" in refusal(lambda: read_checkpoint(str(inside)))
