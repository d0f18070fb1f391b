"""Paths that are no regular file are refused at once, whatever lies behind them."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from whatfits.sizing.errors import UnreadableFileError
from whatfits.sizing.sources import regular_file
from whatfits.sizing.sources.regular_file import FileSource, open_regular_file

if TYPE_CHECKING:
    from collections.abc import Iterator

posix = pytest.mark.skipif(os.name != "posix", reason="pipes, sockets and devices of POSIX")


@pytest.fixture(autouse=True)
def no_waiting() -> Iterator[None]:
    """End a test that blocks, as opening a pipe the plain way would."""
    if not hasattr(signal, "SIGALRM"):
        yield
        return

    def stop(_signal: int, _frame: object) -> None:
        raise TimeoutError("blocked")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(5)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def refusal(path: str | Path) -> UnreadableFileError:
    with pytest.raises(UnreadableFileError) as caught, open_regular_file(str(path)):
        pass
    assert str(caught.value).isprintable()
    return caught.value


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else 0  # noqa: PTH208 - names are enough


def test_a_file_is_read_at_any_place_and_ends_where_it_ends(tmp_path: Path) -> None:
    path = tmp_path / "m"
    path.write_bytes(bytes(range(100)))
    before = open_descriptors()
    with open_regular_file(str(path)) as source:
        assert source.size_bytes == 100
        assert source.read(90, 20) == bytes(range(90, 100))
        assert source.read(0, 3) == b"\0\1\2"
        assert source.read(500, 3) == b""
    assert open_descriptors() == before


@posix
@pytest.mark.parametrize("kind", ["a folder", "a named pipe", "a socket", "a character device"])
def test_what_is_no_regular_file_is_refused_by_its_kind(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    bound = None
    match kind:
        case "a folder":
            path.mkdir()
        case "a named pipe":
            os.mkfifo(path)
        case "a socket":
            bound = socket.socket(socket.AF_UNIX)
            bound.bind(str(path))
        case _:
            path.symlink_to("/dev/zero")
    before = open_descriptors()
    assert f"the path is {kind}" in str(refusal(path))
    assert open_descriptors() == before
    if bound is not None:
        bound.close()


@posix
def test_a_pipe_put_in_place_of_the_file_after_the_first_look_neither_blocks_nor_leaks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(b"GGUF")
    real_open = os.open

    def swap(name: str, flags: int) -> int:
        Path(name).unlink()
        os.mkfifo(name)
        return real_open(name, flags)

    monkeypatch.setattr(regular_file.os, "open", swap)
    before = open_descriptors()
    assert "a named pipe" in str(refusal(path))
    assert open_descriptors() == before


@posix
def test_links_that_lead_nowhere_or_in_a_circle_are_named(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    assert "leads back to itself" in str(refusal(tmp_path / "a"))
    (tmp_path / "c").symlink_to(tmp_path / "gone")
    assert "does not exist" in str(refusal(tmp_path / "c"))


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read all")
def test_a_file_without_permission_is_named_so(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(b"GGUF")
    path.chmod(0)
    assert "permission denied" in str(refusal(path))


@pytest.mark.parametrize("call", ["stat", "open", "fstat", "fdopen"])
@pytest.mark.parametrize(
    ("error", "says"),
    [
        (PermissionError(13, "Permission denied"), "permission denied"),
        (OSError(5, "Input/output error"), "Input/output error"),
    ],
)
def test_whatever_call_fails_is_told_and_nothing_stays_open(
    call: str, error: OSError, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(b"GGUF")
    before = open_descriptors()

    def fail(*_arguments: object, **_keywords: object) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(regular_file.os, call, fail)
        said = str(refusal(path))
    assert says in said
    assert open_descriptors() == before


def test_names_no_system_allows_are_refused(tmp_path: Path) -> None:
    assert "longer than the system allows" in str(refusal("x" * 5_000))
    assert "is no file name" in str(refusal("a\0b"))
    assert "part of the path is no folder" in str(refusal(Path(__file__) / "m.gguf"))
    assert "does not exist" in str(refusal(""))


@posix
def test_a_name_of_bytes_that_are_no_text_is_opened_and_shown(tmp_path: Path) -> None:
    path = os.fsdecode(os.fsencode(tmp_path) + b"/m\xff\x1b.gguf")
    try:
        with open(path, "wb") as file:  # noqa: PTH123 - the name is no text
            file.write(b"GGUF")
    except OSError:
        pytest.skip("this file system takes text only")
    with open_regular_file(path) as source:
        assert source.read(0, 4) == b"GGUF"
    os.unlink(path)  # noqa: PTH108 - the name is no text
    assert "does not exist" in str(refusal(path))


@posix
def test_a_file_of_the_kernel_that_claims_no_length_is_empty() -> None:
    if not Path("/proc/self/maps").exists():
        pytest.skip("no /proc here")
    with open_regular_file("/proc/self/maps") as source:
        assert source.size_bytes == 0


def test_an_error_while_reading_is_told_and_the_file_closed(tmp_path: Path) -> None:
    path = tmp_path / "m"
    path.write_bytes(b"GGUF" * 10)
    before = open_descriptors()
    with (
        pytest.raises(UnreadableFileError, match="cannot be read"),
        open_regular_file(str(path)) as source,
    ):
        source.read(-1, 4)
    assert open_descriptors() == before


def test_reads_that_come_in_pieces_are_put_together(tmp_path: Path) -> None:
    path = tmp_path / "m"
    path.write_bytes(bytes(range(50)))

    class Halting:
        """A raw file gives what it has, not what was asked for."""

        def __init__(self, file: object) -> None:
            self.file = file

        def seek(self, place: int) -> None:
            self.file.seek(place)  # type: ignore[attr-defined]

        def read(self, n: int) -> bytes:
            return self.file.read(min(n, 7))  # type: ignore[attr-defined, no-any-return]

        def close(self) -> None:
            self.file.close()  # type: ignore[attr-defined]

    source = FileSource(str(path), os.open(path, os.O_RDONLY), size_bytes=50)
    source._file = Halting(source._file)  # type: ignore[assignment]
    assert source.read(10, 30) == bytes(range(10, 40))
    source.close()
