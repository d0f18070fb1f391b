"""Every call of the system goes wrong once, in every way: never a traceback, never a wrong answer.

A model is read once to count the calls; then again and again, the n-th of them failing or, where
it reads, giving too little. The answer is a refusal, or what the sound disk would have given.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import gguf_builder
import pytest
import safetensors_builder
import split_cases
from checkpoint_cases import config, index

from whatfits.sizing.errors import BadInputError, InvalidRequestError
from whatfits.sizing.sources.checkpoint_files import read_checkpoint
from whatfits.sizing.sources.local_file import load_gguf
from whatfits.sizing.sources.ollama_name import parse_ollama_name
from whatfits.sizing.sources.stores import ollama
from whatfits.sizing.sources.stores.surroundings import Surroundings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the calls that POSIX systems get")

CALLS = ("open", "stat", "lstat", "fstat", "scandir", "readlink", "fdopen")
# Not ENOENT and ENOTDIR: a system that says so is believed, and the file is not there.
ERRORS = ("EIO", "EACCES", "EPERM", "EMFILE", "ENOMEM", "ESTALE", "ELOOP", "ETIMEDOUT")
SHORT, NOTHING = "one byte", "no byte"
MEMORY = "no memory"
FAULTS = (*ERRORS, SHORT, NOTHING, MEMORY)
SHARDS = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]


class Disk:
    """Passes calls of the system on, but for the one that goes wrong."""

    def __init__(self, wrong: int | None = None, fault: str = "") -> None:
        self.wrong = wrong
        self.fault = fault
        self.calls = 0
        self.injected = False

    def due(self, kind: str) -> bool:
        """Return whether this call, the next one, is to go wrong; raise when it fails outright.

        Raises:
            OSError: the fault is an error.
            MemoryError: it is want of memory.
        """
        self.calls += 1
        if self.calls - 1 != self.wrong or (self.fault in (SHORT, NOTHING) and kind != "read"):
            return False
        self.injected = True
        if self.fault == MEMORY:
            raise MemoryError
        if self.fault in ERRORS:
            code = getattr(errno, self.fault)
            raise OSError(code, os.strerror(code))
        return True

    def wrap(self, kind: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: object, **keywords: object) -> object:
            self.due(kind)
            result = real(*arguments, **keywords)
            return File(result, self) if kind == "fdopen" else result

        return call


class File:
    """An open file on such a disk."""

    def __init__(self, file: Any, disk: Disk) -> None:  # noqa: ANN401 - a raw file
        self.file = file
        self.disk = disk

    def seek(self, place: int) -> None:
        self.disk.due("seek")
        self.file.seek(place)

    def read(self, n: int) -> bytes:
        if self.disk.due("read"):
            return self.file.read(1) if self.disk.fault == SHORT else b""
        return self.file.read(n)  # type: ignore[no-any-return]

    def close(self) -> None:
        self.file.close()


@contextmanager
def on(disk: Disk) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for kind in CALLS:
            patch.setattr(os, kind, disk.wrap(kind, getattr(os, kind)))
        yield


def _gguf(folder: Path) -> Callable[[], object]:
    (folder / "m.gguf").write_bytes(gguf_builder.small_model())
    return lambda: load_gguf(folder / "m.gguf")


def _long_gguf(folder: Path) -> Callable[[], object]:
    tokens = [gguf_builder.array("t", gguf_builder.STRING, ["token"] * 120_000)]
    data = gguf_builder.gguf(tokens, gguf_builder.two_tensors(), data_bytes=162)
    (folder / "m.gguf").write_bytes(data)
    return lambda: load_gguf(folder / "m.gguf")


def _gguf_folder(folder: Path) -> Callable[[], object]:
    (folder / "m.gguf").write_bytes(gguf_builder.small_model())
    (folder / "mmproj-m.gguf").write_bytes(gguf_builder.small_model())
    return lambda: load_gguf(folder)


def _split(folder: Path) -> Callable[[], object]:
    for name, data in split_cases.sound().items():
        (folder / name).write_bytes(data)
    return lambda: load_gguf(folder / split_cases.name(2))


def _split_cache(folder: Path) -> Callable[[], object]:
    snapshot, blobs = folder / "snapshots" / "abc", folder / "blobs"
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    for number, (name, data) in enumerate(split_cases.sound().items()):
        (blobs / str(number)).write_bytes(data)
        (snapshot / name).symlink_to(f"../../blobs/{number}")
    return lambda: load_gguf(snapshot)


def _checkpoint(folder: Path) -> Callable[[], object]:
    tensors = {"a": ("F32", (2,)), "b": ("BF16", (3,))}
    for name, (tensor, row) in zip(SHARDS, tensors.items(), strict=True):
        (folder / name).write_bytes(safetensors_builder.safetensors({tensor: row}))
    names = dict(zip(tensors, SHARDS, strict=True))
    data = index(names, metadata={"total_size": 14})
    (folder / "model.safetensors.index.json").write_bytes(data)
    (folder / "config.json").write_bytes(config())
    return lambda: read_checkpoint(str(folder))


def _checkpoint_without_index(folder: Path) -> Callable[[], object]:
    _checkpoint(folder)
    (folder / "model.safetensors.index.json").unlink()
    return lambda: read_checkpoint(str(folder / SHARDS[1]))


def _checkpoint_cache(folder: Path) -> Callable[[], object]:
    snapshot, blobs = folder / "snapshots" / "abc", folder / "blobs"
    snapshot.mkdir(parents=True)
    _checkpoint(snapshot)
    blobs.mkdir()
    for number, path in enumerate(sorted(snapshot.iterdir())):
        path.rename(blobs / str(number))
        path.symlink_to(f"../../blobs/{number}")
    return lambda: read_checkpoint(str(snapshot))


def _config(folder: Path) -> Callable[[], object]:
    (folder / "config.json").write_bytes(config())
    return lambda: read_checkpoint(str(folder))


def _ollama(folder: Path) -> Callable[[], object]:
    data = gguf_builder.small_model()
    blobs = folder / ".ollama" / "models" / "blobs"
    blobs.mkdir(parents=True)

    def blob(content: bytes) -> dict[str, object]:
        digest = hashlib.sha256(content).hexdigest()
        (blobs / f"sha256-{digest}").write_bytes(content)
        return {"digest": f"sha256:{digest}", "size": len(content)}

    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "config": {
            "mediaType": "application/vnd.docker.container.image.v1+json",
            **blob(b'{"model_format": "gguf"}'),
        },
        "layers": [{"mediaType": "application/vnd.ollama.image.model", **blob(data)}],
    }
    path = blobs.parent.joinpath("manifests", "registry.ollama.ai", "library", "tiny", "latest")
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(manifest))
    surroundings = Surroundings({"HOME": str(folder)}, "darwin")
    name = parse_ollama_name("tiny")

    def ask() -> object:
        found = ollama.find_model(name, surroundings)
        assert found is not None
        if found.complete:
            return found
        assert found.findings  # a store that cannot be read in full says so in its list
        raise InvalidRequestError(what="model", got="tiny", allowed=found.findings[0])

    return ask


SOUND = {
    "a model in Ollama's store": _ollama,
    "a GGUF file": _gguf,
    "a GGUF file of several windows": _long_gguf,
    "a folder with a GGUF file": _gguf_folder,
    "a split set": _split,
    "a split set in a cache": _split_cache,
    "a checkpoint with index": _checkpoint,
    "a checkpoint without index": _checkpoint_without_index,
    "a checkpoint in a cache": _checkpoint_cache,
    "a configuration": _config,
}


def _link_out_of_a_set(folder: Path) -> Callable[[], object]:
    inside, outside = folder / "in", folder / "out"
    inside.mkdir()
    outside.mkdir()
    ask = _split(inside)
    (inside / split_cases.name(3)).rename(outside / "3")
    (inside / split_cases.name(3)).symlink_to("../out/3")
    return ask


def _link_out_of_a_checkpoint(folder: Path) -> Callable[[], object]:
    inside, outside = folder / "in", folder / "out"
    inside.mkdir()
    outside.mkdir()
    ask = _checkpoint(inside)
    (inside / SHARDS[1]).rename(outside / "2")
    (inside / SHARDS[1]).symlink_to("../out/2")
    return ask


def _configuration_elsewhere(folder: Path) -> Callable[[], object]:
    inside = folder / "in"
    inside.mkdir()
    ask = _checkpoint(inside)
    (inside / "config.json").rename(folder / "config.json")
    (inside / "config.json").symlink_to("../config.json")
    return ask


def _missing(folder: Path) -> Callable[[], object]:
    (folder / "model.gguf").write_bytes(gguf_builder.small_model())
    return lambda: load_gguf(folder / "modle.gguf")


REFUSED = {
    "a link out of a set": _link_out_of_a_set,
    "a link out of a checkpoint": _link_out_of_a_checkpoint,
    "a configuration elsewhere": _configuration_elsewhere,
    "a file that is not there": _missing,
}


def answer(ask: Callable[[], object], disk: Disk) -> object:
    """Return what is answered on such a disk, or the refusal."""
    before = descriptors()
    try:
        with on(disk):
            return ask()
    except BadInputError as error:
        refusal = error
    except MemoryError as error:  # the command line says so in a line
        assert disk.injected
        return InvalidRequestError(what="memory", got=str(error), allowed="more of it")
    finally:
        assert descriptors() == before
    assert str(refusal).isprintable()
    return refusal


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd")) if sys.platform == "linux" else 0  # noqa: PTH208


def calls_of(ask: Callable[[], object]) -> int:
    disk = Disk()
    answer(ask, disk)
    return disk.calls


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("name", SOUND)
def test_a_disk_that_fails_once_is_told_or_changes_nothing(
    name: str, fault: str, tmp_path: Path
) -> None:
    ask = SOUND[name](tmp_path)
    expected = ask()
    for wrong in range(calls_of(ask)):
        disk = Disk(wrong, fault)
        got = answer(ask, disk)
        if not isinstance(got, BadInputError):
            assert got == expected, wrong
        if fault == SHORT:
            assert got == expected, wrong


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("name", REFUSED)
def test_a_disk_that_fails_once_opens_no_way_out(name: str, fault: str, tmp_path: Path) -> None:
    ask = REFUSED[name](tmp_path)
    for wrong in range(calls_of(ask)):
        assert isinstance(answer(ask, Disk(wrong, fault)), BadInputError), wrong


def test_more_than_a_thousand_faults_are_injected(tmp_path: Path) -> None:
    injected = 0
    for name, put in {**SOUND, **REFUSED}.items():
        folder = tmp_path / name
        folder.mkdir()
        ask = put(folder)
        for wrong in range(calls_of(ask)):
            for fault in FAULTS:
                disk = Disk(wrong, fault)
                answer(ask, disk)
                injected += disk.injected
    assert injected >= 1_000
