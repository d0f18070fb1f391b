"""The calibration of this machine on disk: whole or not at all, for this machine only."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from whatfits.probes import calibration as stored
from whatfits.probes.calibration import (
    CalibrationStore,
    default_calibration_path,
    with_calibration,
)
from whatfits.probes.kept_paths import CALIBRATION, is_kept
from whatfits.probes.measurements import fingerprint
from whatfits.sizing import load_machine
from whatfits.sizing.calibration import (
    Calibration,
    DeviceCalibration,
    MeasuredDecode,
    MeasuredPrefill,
)

FULL = DeviceCalibration(
    device="cpu",
    name="a processor",
    read_bytes_per_s=30e9,
    read_threads=4,
    cpu_share=0.98,
    matrix_flops_per_s=1e11,
    decode=(MeasuredDecode("k", 28e9, 0.03),),
    prefill=(MeasuredPrefill("k", 3e11, 0.02),),
    layer_seconds=5e-5,
    token_seconds=0.0,
    cache_bytes_per_s=6e9,
    attention_flops_per_s=6e10,
    warnings=("a warning",),
)


def calibration(machine: str = "here", *devices: DeviceCalibration) -> Calibration:
    return Calibration(
        "1.0", "2026-02-03T04:05:06+00:00", machine, (("numpy", "2"),), devices or (FULL,)
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "calibration.json"


def changed(path: Path, **changes: Any) -> None:  # noqa: ANN401 - JSON is untyped
    """Store a calibration whose device is changed."""
    CalibrationStore(path).keep(calibration())
    document = json.loads(path.read_text())
    document["machines"][0]["devices"][0].update(changes)
    path.write_text(json.dumps(document))


def test_what_is_kept_is_read_back_to_the_last_digit(path: Path) -> None:
    bare = DeviceCalibration("cuda0", "a card")
    kept = calibration("here", FULL, bare)
    CalibrationStore(path).keep(kept)
    assert CalibrationStore(path).calibration("here") == kept


def test_no_file_is_no_calibration(path: Path) -> None:
    store = CalibrationStore(path)
    assert store.calibration("here") is None
    assert store.unreadable == ""


def test_machines_that_share_a_folder_keep_theirs_apart(path: Path) -> None:
    store = CalibrationStore(path)
    store.keep(calibration("here"))
    store.keep(calibration("there"))
    newer = replace(calibration("here"), measured_at="2026-05-05T00:00:00+00:00")
    store.keep(newer)
    assert store.calibration("here") == newer
    assert store.others == 1
    assert store.calibration("there") == calibration("there")
    assert store.calibration("elsewhere") is None
    assert store.others == 2


def test_the_oldest_machine_goes_when_there_are_too_many(path: Path) -> None:
    store = CalibrationStore(path)
    for number in range(17):
        store.keep(calibration(str(number)))
    assert store.calibration("0") is None
    assert store.calibration("1") is not None
    assert store.calibration("16") is not None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "garbage",
        "[]",
        "{}",
        '{"version": 1}',
        '{"version": 2, "machines": []}',
        '{"version": 1, "machines": {}}',
        '{"version": 1, "machines": [1]}',
        '{"version": 1, "machines": [{}]}',
        '{"version": 1, "mach',
        "[" * 100_000,
        " " * 1_100_000,
    ],
)
def test_a_file_that_cannot_be_understood_is_set_aside_by_the_next_writer(
    path: Path, text: str
) -> None:
    path.parent.mkdir()
    path.write_text(text)
    store = CalibrationStore(path)
    assert store.calibration("here") is None
    assert store.unreadable
    assert path.read_text() == text  # a reader moves nothing
    store.keep(calibration())
    assert store.set_aside is not None
    assert store.set_aside.read_text() == text
    assert store.calibration("here") == calibration()


@pytest.mark.parametrize(
    "changes",
    [
        {"read_bytes_per_s": -1.0},
        {"read_bytes_per_s": 0},
        {"read_bytes_per_s": float("nan")},
        {"read_bytes_per_s": float("inf")},
        {"read_bytes_per_s": "30e9"},
        {"read_bytes_per_s": True},
        {"read_threads": 1.5},
        {"cpu_share": 7.0},
        {"layer_seconds": -1e-5},
        {"layer_seconds": 1e9},
        {"decode": [{"quant_kind": "odd", "bytes_per_s": 1e9, "spread": 0.1}]},
        {"decode": [{"quant_kind": "k", "bytes_per_s": 0, "spread": 0.1}]},
        {"decode": [{"quant_kind": "k", "bytes_per_s": 1e9, "spread": -1}]},
        {"decode": [{"quant_kind": "k", "bytes_per_s": 1e9}]},
        {"decode": {}},
        {"prefill": [1]},
        {"warnings": [1]},
        {"name": None},
        {"device": 1},
    ],
)
def test_a_figure_that_cannot_be_is_not_used(path: Path, changes: dict[str, Any]) -> None:
    changed(path, **changes)
    store = CalibrationStore(path)
    assert store.calibration("here") is None
    assert store.unreadable


def test_a_machine_gets_its_own_calibration_and_no_other(path: Path) -> None:
    machine = load_machine("rtx-4090 + 64gb")
    other = load_machine("64gb")
    CalibrationStore(path).keep(calibration(fingerprint(machine)))
    found = with_calibration(machine, path)
    assert found.calibration == calibration(fingerprint(machine))
    assert with_calibration(other, path) == other


def test_a_calibration_of_a_device_that_is_gone_is_not_used(path: Path) -> None:
    machine = load_machine("64gb")
    gone = replace(FULL, device="cuda0")
    CalibrationStore(path).keep(calibration(fingerprint(machine), gone))
    assert with_calibration(machine, path) == machine


def test_the_file_lies_in_the_users_data_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("XDG_DATA_HOME", "LOCALAPPDATA", "HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    assert not is_kept(CALIBRATION)
    CalibrationStore(default_calibration_path()).keep(calibration())
    assert is_kept(CALIBRATION)
    assert default_calibration_path().is_relative_to(tmp_path)


WRITER = """
import sys, time
from pathlib import Path
sys.path[:0] = sys.argv[2:]
from test_calibration import calibration
from whatfits.probes.calibration import CalibrationStore
store = CalibrationStore(Path(sys.argv[1]))
print("ready", flush=True)
while True:
    store.keep(calibration("here"))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX's")
def test_a_writer_that_is_ended_at_any_moment_leaves_a_whole_file(path: Path) -> None:
    CalibrationStore(path).keep(calibration("here"))
    for number in range(10):
        command = [sys.executable, "-c", WRITER, str(path), str(Path(__file__).parent)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as writer:
            assert writer.stdout is not None
            assert writer.stdout.readline() == b"ready\n"
            time.sleep(0.01 + 0.003 * number)
            os.kill(writer.pid, signal.SIGKILL)
        store = CalibrationStore(path)
        assert store.calibration("here") == calibration("here"), store.unreadable


def test_an_interruption_while_writing_leaves_what_was_there(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = CalibrationStore(path)
    store.keep(calibration())
    before = path.read_bytes()

    def interrupted(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        store.keep(calibration("there"))
    assert path.read_bytes() == before
    assert sorted(p.suffix for p in path.parent.iterdir()) == [".json", ".lock"]


def test_the_parser_knows_every_field_there_is() -> None:
    names = {field.name for field in fields(DeviceCalibration)}
    parsed = {"device", "name", "read_threads", "decode", "prefill", "warnings"}
    parsed |= {*stored._RATES, *stored._LATER_RATES}
    assert parsed == names
