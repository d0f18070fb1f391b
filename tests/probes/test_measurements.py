"""What was measured is kept whole: through crashes, full disks, two writers and foreign files."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from recorded_load import RECORD

from whatfits.probes.kept_paths import MEASUREMENTS, is_kept
from whatfits.probes.measurements import MeasurementStore, default_measurements_path, fingerprint
from whatfits.sizing.machine import Device, Machine, Pool
from whatfits.sizing.sources import kept_file
from whatfits.sizing.units import GIB, MIB

BROKEN = {
    "empty": b"",
    "half": b'{"version": 1, "loads": [{"when": "2026',
    "a list": b"[]",
    "a number": b"7",
    "null": b"null",
    "no UTF-8": b"\xff\xfe\x00",
    "zeros": bytes(4096),
    "deep": b"[" * 100_000,
    "no version": b'{"loads": []}',
    "a later version": b'{"version": 2, "loads": []}',
    "no loads": b'{"version": 1}',
    "loads that are a number": b'{"version": 1, "loads": 3}',
    "a load that is a list": b'{"version": 1, "loads": [[1]]}',
    "a load with too little": b'{"version": 1, "loads": [{"when": "x"}]}',
    "too large": b'{"version": 1, "loads": [' + b" " * (5 << 20) + b"]}",
}


def _with(**changes: object) -> bytes:
    return json.dumps({"version": 1, "loads": [{**asdict(RECORD), **changes}]}).encode()


BROKEN |= {
    "a size that is text": _with(measured_bytes="1010"),
    "a size that is true": _with(predicted_bytes=True),
    "a size with a fraction": _with(measured_bytes=1.5),
    "a size beyond all memory": _with(measured_bytes=10**30),
    "a date that is a number": _with(when=20261120),
    "a device that is null": _with(device=None),
    "a field nobody knows": _with(colour="red"),
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "measurements.json"


def test_what_was_added_is_read_again_oldest_first(path: Path) -> None:
    store = MeasurementStore(path)
    later = replace(RECORD, when="2026-11-21T10:00:00+00:00", file_type=None)
    store.add([RECORD])
    store.add([later, replace(RECORD, machine="elsewhere")])
    assert MeasurementStore(path).loads(machine="here") == (RECORD, later)
    assert MeasurementStore(path).loads(machine="elsewhere") == (
        replace(RECORD, machine="elsewhere"),
    )
    assert (store.set_aside, store.unreadable) == (None, "")


def test_without_a_file_there_are_no_loads_and_nothing_is_made(path: Path) -> None:
    assert MeasurementStore(path).loads(machine="here") == ()
    assert not path.parent.exists()


def test_only_the_newest_are_kept(path: Path) -> None:
    store = MeasurementStore(path)
    many = [replace(RECORD, measured_bytes=n) for n in range(600)]
    store.add(many)
    assert MeasurementStore(path).loads(machine="here") == tuple(many[-500:])


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN)
def test_a_file_that_is_not_understood_is_named_and_set_aside_by_the_next_writer(
    path: Path, content: bytes
) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    store = MeasurementStore(path)
    assert store.loads(machine="here") == ()
    assert store.unreadable
    assert store.unreadable.isprintable()
    assert path.read_bytes() == content, "a reader moves nothing"
    store.add([RECORD])
    assert store.set_aside is not None
    assert store.set_aside.read_bytes() == content
    assert MeasurementStore(path).loads(machine="here") == (RECORD,)


def test_a_second_broken_file_does_not_replace_the_first(path: Path) -> None:
    path.parent.mkdir()
    aside = []
    for content in (b"one", b"two", b"three"):
        path.write_bytes(content)
        store = MeasurementStore(path)
        store.add([RECORD])
        assert store.set_aside is not None
        aside.append(store.set_aside)
    assert [file.read_bytes() for file in aside] == [b"one", b"two", b"three"]


def test_a_full_disk_leaves_what_was_there(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    MeasurementStore(path).add([RECORD])
    before = path.read_bytes()
    for call in ("fsync", "replace"):
        with monkeypatch.context() as patch:
            target: Any = os if call == "fsync" else Path
            patch.setattr(target, call, _no_space)
            with pytest.raises(OSError, match="No space"):
                MeasurementStore(path).add([RECORD])
        assert path.read_bytes() == before
        assert sorted(p.suffix for p in path.parent.iterdir()) == [".json", ".lock"]


def _no_space(*_arguments: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_device_that_is_full_is_said_and_nothing_is_lost(path: Path) -> None:
    MeasurementStore(path).add([RECORD])
    before = path.read_bytes()
    path.with_suffix(".half").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space"):
        MeasurementStore(path).add([RECORD])
    assert path.read_bytes() == before


def test_a_file_that_cannot_be_read_is_never_replaced(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    MeasurementStore(path).add([RECORD])
    before = path.read_bytes()

    def denied(self: Path, *arguments: Any, **named: Any) -> Any:  # noqa: ANN401 - as Path.open
        if self == path:
            raise PermissionError(errno.EACCES, "Permission denied")
        return open(self, *arguments, **named)  # noqa: PTH123 - Path.open is what is replaced

    monkeypatch.setattr(Path, "open", denied)
    store = MeasurementStore(path)
    assert store.loads(machine="here") == ()
    assert "Permission denied" in store.unreadable
    with pytest.raises(PermissionError):
        store.add([RECORD])
    monkeypatch.undo()
    assert path.read_bytes() == before


def test_a_folder_in_its_place_is_said(path: Path) -> None:
    path.mkdir(parents=True)
    store = MeasurementStore(path)
    assert store.loads(machine="here") == ()
    assert store.unreadable
    with pytest.raises(OSError, match="directory"):
        store.add([RECORD])


WRITER = """
import sys
from dataclasses import replace
from pathlib import Path
from recorded_load import RECORD
from whatfits.probes.kept_paths import MEASUREMENTS, is_kept
from whatfits.probes.measurements import MeasurementStore
for number in range(int(sys.argv[3])):
    MeasurementStore(Path(sys.argv[1])).add([replace(RECORD, model=f"{sys.argv[2]}-{number}")])
"""


def _writer(path: Path, name: str, count: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), name, str(count)],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(
                [str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
            ),
        },
    )


@pytest.mark.skipif(sys.platform == "win32", reason="locks are those of POSIX")
def test_writers_at_once_lose_nothing_and_a_reader_never_sees_half(path: Path) -> None:
    writers = [_writer(path, name, 40) for name in ("a", "b", "c")]
    seen = 0
    while any(writer.poll() is None for writer in writers):
        store = MeasurementStore(path)
        found = len(store.loads(machine="here"))
        assert store.unreadable == ""
        assert found >= seen
        seen = found
    assert [writer.wait() for writer in writers] == [0, 0, 0]
    models = [record.model for record in MeasurementStore(path).loads(machine="here")]
    assert len(models) == len(set(models)) == 120


@pytest.mark.skipif(sys.platform == "win32", reason="locks are those of POSIX")
def test_a_writer_that_is_killed_leaves_a_whole_file_and_no_lock(path: Path) -> None:
    MeasurementStore(path).add([RECORD])
    for delay in (0.4, 0.5, 0.6, 0.7):
        writer = _writer(path, "killed", 100_000)
        with pytest.raises(subprocess.TimeoutExpired):
            writer.wait(delay)
        writer.kill()
        writer.wait()
        store = MeasurementStore(path)
        store.add([replace(RECORD, model="next")])
        assert store.set_aside is None
        assert store.loads(machine="here")[-1].model == "next"


def test_a_writer_that_never_ends_is_not_waited_for(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fcntl = pytest.importorskip("fcntl")
    MeasurementStore(path).add([RECORD])
    monkeypatch.setattr(kept_file, "_LONGEST_WAIT_S", 0.1)
    with path.with_suffix(".lock").open("wb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(TimeoutError, match="another process"):
            MeasurementStore(path).add([RECORD])
    assert MeasurementStore(path).loads(machine="here") == (RECORD,)


def test_the_file_lies_where_the_user_keeps_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if sys.platform != "linux":
        pytest.skip("the variable is that of Linux")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert default_measurements_path() == tmp_path / "whatfits" / "measurements.json"


@pytest.mark.parametrize("variable", ["XDG_DATA_HOME", "HOME"])
def test_what_is_stored_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    if sys.platform != "linux":
        pytest.skip("the variables are those of Linux")
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv(variable, str(tmp_path))
    assert not is_kept(MEASUREMENTS)
    MeasurementStore(default_measurements_path()).add([RECORD])
    assert is_kept(MEASUREMENTS)


def _machine(*, total: int = 64 * GIB, card: str = "RTX 4090", used: int = 0) -> Machine:
    return Machine(
        pools=(
            Pool("vram0", "vram", 24 * GIB, used_bytes=used),
            Pool("ram", "ram", total, used_bytes=used),
        ),
        devices=(Device("cuda0", "cuda", card, "vram0"), Device("cpu", "cpu", "x", "ram")),
    )


def test_a_machine_is_known_again_whatever_it_holds_and_another_is_not() -> None:
    known = fingerprint(_machine())
    assert fingerprint(_machine(used=5 * GIB)) == known
    assert fingerprint(_machine(total=64 * GIB - 40 * MIB)) == known
    assert fingerprint(_machine(total=128 * GIB)) != known
    assert fingerprint(_machine(card="RTX 3090")) != known
