"""What is kept on disk is the old or the new, never half: whatever fails, whoever is killed."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest
from failing_disk import FAULTS, FailingDisk, on

from whatfits.probes import fallbacks
from whatfits.probes.calibration import CalibrationStore
from whatfits.probes.measurements import LoadRecord, MeasurementStore
from whatfits.sizing.calibration import CALIBRATION_SCHEMA_VERSION, Calibration
from whatfits.sizing.sources.http.header_cache import HeaderCache, KeptHeader
from whatfits.sizing.sources.kept_file import KeptFile

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.skipif(os.name != "posix", reason="locks and signals are those of POSIX")

LOAD = LoadRecord("2026-11-20", "here", "llama.cpp", "m", "llama", "Q4_K_M", "cpu", "cpu", 10, 11)
CALIBRATED = Calibration(CALIBRATION_SCHEMA_VERSION, "2026-11-20T00:00:00+00:00", "here")
HEADER = KeptHeader((b"old" * 900,), 9000, '"a"', None, "2026-11-20")
URL = "https://example.org/m.gguf"


class Kept(NamedTuple):
    """A thing that is kept: how its old and its new state are written, and how it is read."""

    put_old: Callable[[], object]
    put_new: Callable[[], object]
    read: Callable[[], object]


def _loads(folder: Path) -> Kept:
    path = folder / "measurements.json"
    return Kept(
        lambda: MeasurementStore(path).add([LOAD]),
        lambda: MeasurementStore(path).add([replace(LOAD, model="new")]),
        lambda: [record.model for record in MeasurementStore(path).loads(machine="here")],
    )


def _calibration(folder: Path) -> Kept:
    path = folder / "calibration.json"
    newer = replace(CALIBRATED, measured_at="2026-11-21T00:00:00+00:00")
    return Kept(
        lambda: CalibrationStore(path).keep(CALIBRATED),
        lambda: CalibrationStore(path).keep(newer),
        lambda: CalibrationStore(path).calibration("here"),
    )


def _header(folder: Path) -> Kept:
    cache = HeaderCache(folder / "headers")
    return Kept(
        lambda: cache.keep(URL, {}, HEADER),
        lambda: cache.keep(URL, {}, replace(HEADER, parts=(b"new" * 900,), etag='"b"')),
        lambda: cache.find(URL, {}),
    )


def _cpu(folder: Path) -> Kept:
    path = folder / "cpu.json"
    kept = KeptFile(path, most_bytes=1 << 20)
    return Kept(
        lambda: fallbacks._write(kept, {"brand": "old", "features": []}),
        lambda: fallbacks._write(kept, {"brand": "new", "features": ["avx"]}),
        lambda: json.loads(path.read_text("utf-8")),
    )


KEPT = {"measurements": _loads, "calibration": _calibration, "headers": _header, "cpu": _cpu}


def _descriptors() -> int:
    return len(os.listdir("/proc/self/fd")) if sys.platform == "linux" else 0  # noqa: PTH208


def _tried(write: Callable[[], object], disk: FailingDisk) -> None:
    """Write on a failing disk; that it failed may be said, as an error of the system."""
    before = _descriptors()
    try:
        with on(disk):
            write()
    except (OSError, MemoryError):
        assert disk.injected
    assert _descriptors() == before


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("name", KEPT)
def test_a_write_that_fails_anywhere_leaves_the_old_or_the_new(
    name: str, fault: str, tmp_path: Path
) -> None:
    (tmp_path / "counted").mkdir()
    kept = KEPT[name](tmp_path / "counted")
    kept.put_old()
    old = kept.read()
    disk = FailingDisk()
    _tried(kept.put_new, disk)
    new = kept.read()
    assert old != new
    assert disk.calls >= 4
    for wrong in range(disk.calls):
        folder = tmp_path / str(wrong)
        folder.mkdir()
        kept = KEPT[name](folder)
        kept.put_old()
        _tried(kept.put_new, FailingDisk(wrong, fault))
        assert kept.read() in (old, new), wrong
        assert not [path for path in folder.rglob("*") if ".broken" in path.name], wrong
        kept.put_new()  # nothing that was left behind stands in the way
        assert kept.read() in (new, [*old, "new", "new"] if isinstance(old, list) else new), wrong


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("name", ["measurements", "calibration", "headers"])
def test_a_read_that_fails_anywhere_gives_nothing_or_what_is_there(
    name: str, fault: str, tmp_path: Path
) -> None:
    kept = KEPT[name](tmp_path)
    kept.put_old()
    true = kept.read()
    disk = FailingDisk()
    with on(disk):
        assert kept.read() == true
    content = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    for wrong in range(disk.calls):
        before = _descriptors()
        failing = FailingDisk(wrong, fault)
        try:
            with on(failing):
                got = kept.read()
        except MemoryError:
            assert failing.injected
            got = None
        assert got in (true, None, []), wrong
        assert _descriptors() == before
    assert content == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}


WRITER = """
import json, sys
from dataclasses import replace
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from test_kept_files import KEPT
kept = KEPT[sys.argv[1]](Path(sys.argv[2]))
print("ready", flush=True)
while True:
    kept.put_new()
    kept.put_old()
"""


def _writer(name: str, folder: Path) -> subprocess.Popen[bytes]:
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, name, str(folder), str(Path(__file__).parent)],
        stdout=subprocess.PIPE,
    )
    assert writer.stdout is not None
    assert writer.stdout.readline() == b"ready\n"
    return writer


@pytest.mark.parametrize("name", ["calibration", "headers", "cpu"])
def test_a_writer_killed_at_any_moment_leaves_the_old_or_the_new(name: str, tmp_path: Path) -> None:
    kept = KEPT[name](tmp_path)
    kept.put_new()
    new = kept.read()
    kept.put_old()
    old = kept.read()
    moments = random.Random(9)  # noqa: S311 - moments to kill at
    for _ in range(5):
        writer = _writer(name, tmp_path)
        time.sleep(moments.uniform(0.001, 0.05))
        writer.kill()
        writer.wait()
        assert writer.stdout is not None
        writer.stdout.close()
        assert kept.read() in (old, new)
    kept.put_new()
    assert kept.read() == new


@pytest.mark.parametrize("name", ["calibration", "headers", "cpu"])
def test_two_writers_at_once_and_a_reader_never_meet_half(name: str, tmp_path: Path) -> None:
    kept = KEPT[name](tmp_path)
    kept.put_new()
    new = kept.read()
    kept.put_old()
    old = kept.read()
    writers = [_writer(name, tmp_path) for _ in range(2)]
    ends_s = time.monotonic() + 1
    seen = set()
    while time.monotonic() < ends_s:
        got = kept.read()
        assert got in (old, new)
        seen.add(repr(got))
    for writer in writers:
        writer.kill()
        writer.wait()
        assert writer.stdout is not None
        writer.stdout.close()
    assert len(seen) == 2


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="root may write anywhere")
@pytest.mark.parametrize("name", KEPT)
def test_a_folder_that_may_not_be_written_keeps_what_is_there(name: str, tmp_path: Path) -> None:
    kept = KEPT[name](tmp_path)
    kept.put_old()
    old = kept.read()
    tmp_path.chmod(0o500)
    try:
        _tried(kept.put_new, FailingDisk())
    finally:
        tmp_path.chmod(0o700)
    assert kept.read() == old


def test_a_file_of_another_version_is_set_aside_and_named(tmp_path: Path) -> None:
    path = tmp_path / "calibration.json"
    path.write_text('{"version": 99, "machines": []}')
    store = CalibrationStore(path)
    assert store.calibration("here") is None
    assert "another version" in store.unreadable
    store.keep(CALIBRATED)
    assert store.set_aside is not None
    assert json.loads(store.set_aside.read_text("utf-8"))["version"] == 99
