"""What `hardware` says of a calibration: its age, its figures, and why it is not used."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from whatfits.probes.calibrated_report import age_in_words, calibrated_report
from whatfits.probes.calibration import CalibrationStore
from whatfits.probes.measurements import fingerprint
from whatfits.probes.report import Evidence, ProbeReport
from whatfits.sizing import load_machine
from whatfits.sizing.calibration import Calibration, DeviceCalibration, MeasuredDecode

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2026, 6, 1, tzinfo=UTC)
REPORT = ProbeReport(load_machine("64gb"))
HOST = DeviceCalibration(
    "cpu",
    "x",
    read_bytes_per_s=30e9,
    read_threads=4,
    decode=(MeasuredDecode("k", 28e9, 0.03),),
    warnings=("other programs were running",),
)


def stored(path: Path, *, days: int = 0, machine: str | None = None) -> Calibration:
    when = (NOW - timedelta(days=days)).isoformat()
    kept = Calibration("1.0", when, machine or fingerprint(REPORT.machine), (), (HOST,))
    CalibrationStore(path).keep(kept)
    return kept


def test_the_machine_carries_it_and_a_finding_says_how_old_it_is(tmp_path: Path) -> None:
    kept = stored(tmp_path / "c.json", days=12)
    found = calibrated_report(REPORT, tmp_path / "c.json", now=NOW)
    assert found.machine.calibration == kept
    first, second = found.findings
    assert first.code == "machine_calibrated"
    assert "12 days old" in first.text
    assert "reads 30.0 GB/s with 4 threads" in first.text
    assert "k 28.0 GB/s" in first.text
    assert first.next_step == ""
    assert second.code == "calibration_disturbed"
    assert "other programs were running" in second.text


def test_an_old_one_is_used_and_a_new_one_proposed(tmp_path: Path) -> None:
    stored(tmp_path / "c.json", days=400)
    found = calibrated_report(REPORT, tmp_path / "c.json", now=NOW)
    assert found.machine.calibration is not None
    assert "whatfits bench" in found.findings[0].next_step


def test_one_of_another_machine_is_not_used(tmp_path: Path) -> None:
    stored(tmp_path / "c.json", machine="another")
    found = calibrated_report(REPORT, tmp_path / "c.json", now=NOW)
    assert found.machine.calibration is None
    assert [f.code for f in found.findings] == ["calibration_of_another_machine"]


def test_one_whose_device_is_gone_is_not_used(tmp_path: Path) -> None:
    gone = replace(HOST, device="cuda0")
    kept = Calibration("1.0", NOW.isoformat(), fingerprint(REPORT.machine), (), (gone,))
    CalibrationStore(tmp_path / "c.json").keep(kept)
    found = calibrated_report(REPORT, tmp_path / "c.json", now=NOW)
    assert found.machine.calibration is None
    assert [f.code for f in found.findings] == ["calibration_not_fitting"]


def test_a_file_that_is_not_understood_is_named(tmp_path: Path) -> None:
    (tmp_path / "c.json").write_text("{")
    found = calibrated_report(REPORT, tmp_path / "c.json", now=NOW)
    assert found.machine.calibration is None
    (finding,) = found.findings
    assert finding.code == "calibration_not_understood"
    assert str(tmp_path / "c.json") in finding.text


@pytest.mark.parametrize(
    ("days", "words"),
    [(None, "age unknown"), (0, "today"), (1, "1 day old"), (1200, "1,200 days old")],
)
def test_an_age_in_words(days: int | None, words: str) -> None:
    assert age_in_words(days) == words


@pytest.mark.parametrize("when", ["garbage", "2026-02-30", "2026-05-01", ""])
def test_a_day_that_cannot_be_or_lacks_its_zone_has_no_age(tmp_path: Path, when: str) -> None:
    kept = Calibration("1.0", when, fingerprint(REPORT.machine), (), (HOST,))
    CalibrationStore(tmp_path / "c.json").keep(kept)
    found = calibrated_report(REPORT, tmp_path / "c.json", now=NOW)
    assert "age unknown" in found.findings[0].text


@pytest.mark.parametrize(("now", "told"), [("580.1", True), ("575.2", False), (None, False)])
def test_another_driver_than_it_was_measured_with_is_told(
    tmp_path: Path, now: str | None, *, told: bool
) -> None:
    key = "nvidia.driver_version"
    versions = (("whatfits", "0.0.1"), (key, "575.2"))
    kept = Calibration("1.0", NOW.isoformat(), fingerprint(REPORT.machine), versions, (HOST,))
    CalibrationStore(tmp_path / "c.json").keep(kept)
    report = replace(REPORT, evidence=(Evidence(key, now, "text", "NVML", "reported"),))
    found = calibrated_report(report, tmp_path / "c.json", now=NOW)
    assert found.machine.calibration == kept
    codes = {finding.code for finding in found.findings}
    assert ("calibration_of_another_driver" in codes) is told
