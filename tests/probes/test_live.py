"""This machine: bounded in size and time, nothing from the PATH, and light on its feet."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Never

import pytest

from whatfits.probes import commands, detect, live
from whatfits.probes.doctor import recording_of
from whatfits.probes.live import LiveSystem
from whatfits.probes.once import OnceSystem
from whatfits.probes.redact import redact
from whatfits.probes.replay import ReplaySystem
from whatfits.probes.system import (
    MAX_TEXT_BYTES,
    SourceDeniedError,
    SourceGarbledError,
    SourceHungError,
    SourceMissingError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc and /usr/bin")


@pytest.fixture
def system() -> Iterator[LiveSystem]:
    with_end = LiveSystem()
    yield with_end
    with_end.close()


def test_a_file_is_cut_at_the_cap(system: LiveSystem, tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(b"x" * (MAX_TEXT_BYTES + 5))
    assert len(system.read_text(str(tmp_path / "large"))) == MAX_TEXT_BYTES


def test_endless_devices_and_pipes_without_a_writer_do_not_hold_us_up(
    system: LiveSystem, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "pipe")
    started_s = time.monotonic()
    assert len(system.read_text("/dev/zero")) == MAX_TEXT_BYTES
    assert system.read_text(str(tmp_path / "pipe")) == ""
    assert time.monotonic() - started_s < 1


def test_bytes_that_are_no_text_are_replaced(system: LiveSystem, tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfea")
    assert system.read_text(str(tmp_path / "binary")) == "\ufffd\ufffda"


def test_what_is_not_there_is_missing(system: LiveSystem, tmp_path: Path) -> None:
    for ask in (system.read_text, system.list_dir, system.read_link):
        with pytest.raises(SourceMissingError):
            ask(str(tmp_path / "nothing"))
    with pytest.raises(SourceMissingError):
        system.read_text("/proc/cpuinfo/below")


def test_a_directory_is_no_text(system: LiveSystem, tmp_path: Path) -> None:
    with pytest.raises(SourceGarbledError):
        system.read_text(str(tmp_path))


@pytest.mark.skipif(os.geteuid() == 0, reason="the administrator may read everything")
def test_what_is_forbidden_is_denied(system: LiveSystem, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    (tmp_path / "secret").chmod(0)
    with pytest.raises(SourceDeniedError):
        system.read_text(str(tmp_path / "secret"))


def test_links_and_names_are_read(system: LiveSystem, tmp_path: Path) -> None:
    (tmp_path / "b").symlink_to("elsewhere")
    (tmp_path / "a").write_text("")
    assert system.list_dir(str(tmp_path)) == ("a", "b")
    assert system.read_link(str(tmp_path / "b")) == "elsewhere"


def test_a_program_of_the_system_runs_with_the_c_locale_and_little_else(system: LiveSystem) -> None:
    printed = dict(line.split("=", 1) for line in system.run(("/usr/bin/env",)).splitlines())
    assert printed["LC_ALL"] == "C"
    assert "HOME" not in printed


@pytest.mark.parametrize(
    "name", ["nvidia-smi", "./nvidia-smi", "bin/nvidia-smi", "/opt/nvidia-smi"]
)
def test_a_fake_program_in_the_current_folder_or_the_path_is_not_run(
    system: LiveSystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    fake = tmp_path / "nvidia-smi"
    fake.write_text("#!/bin/sh\necho fake\n")
    fake.chmod(fake.stat().st_mode | stat.S_IXUSR)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises((SourceDeniedError, SourceMissingError)):
        system.run((name,))


def test_a_program_that_does_not_end_is_killed_with_its_group(system: LiveSystem) -> None:
    started_s = time.monotonic()
    with pytest.raises(SourceHungError):
        LiveSystem(call_deadline_s=0.3).run(("/bin/sh", "-c", "sleep 61.25 & sleep 61.25"))
    assert time.monotonic() - started_s < 1
    time.sleep(0.05)
    assert "61.25" not in LiveSystem().run(("/bin/sh", "-c", "cat /proc/[0-9]*/cmdline 2>&1; :"))


def test_a_program_that_says_too_much_is_cut_off(system: LiveSystem) -> None:
    assert len(system.run(("/usr/bin/yes",))) == MAX_TEXT_BYTES


def test_a_program_that_fails_without_a_word_is_garbled(system: LiveSystem) -> None:
    with pytest.raises(SourceGarbledError):
        system.run(("/usr/bin/false",))


def test_what_a_failing_program_printed_is_kept() -> None:
    # macOS's sysctl fails when one of many names is unknown.
    assert commands.run_command(("/bin/sh", "-c", "echo a; exit 1"), deadline_s=5) == "a\n"


def test_all_waiting_together_has_an_end() -> None:
    impatient = LiveSystem(call_deadline_s=0.2, total_s=0.3)
    started_s = time.monotonic()
    for _ in range(20):
        with pytest.raises(SourceHungError):
            impatient.run(("/usr/bin/sleep", "60"))
    assert time.monotonic() - started_s < 1


def test_a_hung_driver_file_costs_one_deadline_and_not_one_a_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A file of a GPU's driver whose reading sleeps in the kernel, played by a pipe's reader."""
    asked = []

    class Sleeper:
        def ask(self, _: str, path: str, *, deadline_s: float) -> Never:
            asked.append(path)
            time.sleep(deadline_s)
            raise SourceHungError(path)

        def stop(self) -> None:
            pass

    from whatfits.probes import isolate

    monkeypatch.setattr(isolate, "Worker", Sleeper)
    monkeypatch.setattr(live, "_DRIVER_TREES", (str(tmp_path),))
    device = tmp_path / "class" / "drm" / "card0" / "device"
    device.mkdir(parents=True)
    for name in ("mem_info_vram_total", "mem_info_vram_used", "mem_info_gtt_total"):
        (device / name).write_text("1")
    system = LiveSystem(call_deadline_s=0.1)
    for name in ("mem_info_vram_total", "mem_info_vram_used", "mem_info_gtt_total"):
        with pytest.raises(SourceHungError):
            system.read_text(str(device / name))
    assert len(asked) == 1


def test_a_driver_file_is_read_by_a_helper_process(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(live, "_DRIVER_TREES", (str(tmp_path),))
    (tmp_path / "mem_info_vram_total").write_text("123\n")
    (tmp_path / "vendor").write_text("0x1002\n")
    system = LiveSystem()
    assert system.read_text(str(tmp_path / "vendor")) == "0x1002\n"
    assert system._worker is None
    assert system.read_text(str(tmp_path / "mem_info_vram_total")) == "123\n"
    assert system._worker is not None
    system.close()
    assert system._worker is None


class WithDriver(LiveSystem):
    """This machine with the signs of an NVIDIA driver."""

    def list_dir(self, path: str) -> tuple[str, ...]:
        return (*super().list_dir(path), *(("nvidia0",) if path == "/dev" else ()))


@pytest.mark.parametrize(
    ("function", "code"), [("sleep_deaf", "nvidia_driver_hung"), ("crash", "nvidia_driver_failed")]
)
def test_a_driver_that_hangs_or_crashes_leaves_a_report_in_time(
    monkeypatch: pytest.MonkeyPatch, function: str, code: str
) -> None:
    here = str(Path(__file__).parent)
    monkeypatch.syspath_prepend(here)
    # Beside threads (numpy starts some) the child is started afresh, and finds modules by this.
    paths = (here, os.environ.get("PYTHONPATH"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
    monkeypatch.setattr(live, "_NVIDIA_SIGNS", ("/dev/null",))
    monkeypatch.setitem(live._ISOLATED, "nvml", f"isolated_functions:{function}")
    started_s = time.monotonic()
    report = detect(WithDriver())
    assert time.monotonic() - started_s < 3
    assert report.machine.pool("ram").total_bytes is not None
    assert code in {finding.code for finding in report.findings}


def test_absent_drivers_cost_nothing() -> None:
    started_s = time.perf_counter()
    system = LiveSystem()
    for name in ("windows", "nothing of that name"):
        with pytest.raises(SourceMissingError):
            system.query(name)
    assert time.perf_counter() - started_s < 0.05


def test_free_disk_is_that_of_the_home_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    free = detect().free_disk_bytes
    usage = os.statvfs(tmp_path)
    assert free == pytest.approx(usage.f_bavail * usage.f_frsize, rel=0.05)


def test_only_variables_that_are_about_devices_and_models_are_seen(
    system: LiveSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "a secret")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    assert "HF_TOKEN" not in system.environment
    assert system.environment["CUDA_VISIBLE_DEVICES"] == "0"


def test_this_machine_replays_to_the_same_report() -> None:
    asked = OnceSystem(LiveSystem())
    report = detect(asked)
    recording = recording_of(asked)
    assert detect(ReplaySystem(json.loads(json.dumps(recording)))) == report
    assert detect(ReplaySystem(redact(recording))) == report


COLD = """
import sys, time, threading
import whatfits.probes
started = time.perf_counter()
whatfits.probes.detect()
took_s = time.perf_counter() - started
started = time.perf_counter()
whatfits.probes.detect()
again_s = time.perf_counter() - started
modules = list(sys.modules)
import json
peak = open("/proc/self/status").read().partition("VmHWM:")[2].split()[0]
print(json.dumps({"modules": sorted(modules), "took_s": took_s, "again_s": again_s,
    "threads": threading.active_count(), "rss_mb": int(peak) / 1024}))
"""
HEAVY = {
    "psutil",
    "numpy",
    "pydantic",
    "rich",
    "httpx",
    "pynvml",
    "cpuinfo",
    "subprocess",
    "tomllib",
}


@pytest.fixture(scope="module")
def cold() -> dict[str, Any]:
    printed = subprocess.run(
        [sys.executable, "-c", COLD], check=True, capture_output=True, text=True
    )
    return json.loads(printed.stdout)


has_driver = any(map(os.path.lexists, live._NVIDIA_SIGNS)) or Path("/sys/class/drm").exists()


@pytest.mark.skipif(has_driver, reason="a GPU's driver is asked in a child")
def test_without_a_driver_no_heavy_module_is_loaded_and_no_program_started(
    cold: dict[str, Any],
) -> None:
    assert HEAVY.isdisjoint(module.partition(".")[0] for module in cold["modules"])
    assert "whatfits.probes.isolate" not in cold["modules"]
    assert cold["threads"] == 1


def test_memory_stays_small(cold: dict[str, Any]) -> None:
    assert cold["rss_mb"] <= 25


@pytest.mark.skipif(has_driver, reason="the driver's own time counts")
def test_a_second_look_takes_milliseconds(cold: dict[str, Any]) -> None:
    assert cold["again_s"] <= 0.020
