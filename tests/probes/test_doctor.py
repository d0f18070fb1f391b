"""A recording that can be shown to others: replays alike, and says nothing of who owns it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whatfits.probes import detect
from whatfits.probes.doctor import record
from whatfits.probes.redact import redact
from whatfits.probes.replay import RECORDING_FORMAT, RECORDING_VERSION, ReplaySystem
from whatfits.probes.system import (
    SourceDeniedError,
    SourceGarbledError,
    SourceHungError,
    SourceMissingError,
)
from whatfits.sizing.errors import BadInputError

if TYPE_CHECKING:
    from whatfits.sizing.errors import ProbeError

HEAD = {"format": RECORDING_FORMAT, "version": RECORDING_VERSION, "platform": "linux"}
CONTAINER = "4f5d" * 16
GPU = "GPU-5a3c1e2f-1b2c-3d4e-5f60-718293a4b5c6"

PRIVATE = {
    **HEAD,
    "architecture": "aarch64",
    "environment": {
        "HOME": "/data/people/marlene",
        "HF_HOME": "/data/people/marlene/models",
        "CUDA_VISIBLE_DEVICES": GPU,
        "KUBERNETES_SERVICE_HOST": "10.11.12.13",
    },
    "files": {
        "/proc/version": "Linux version 6.8.0-45-generic (marlene@marlenes-pc) (gcc 13.2.0)\n",
        "/proc/meminfo": "MemTotal: 8000000 kB\nMemAvailable: 7000000 kB\n",
        "/proc/cpuinfo": "processor\t: 0\nSerial\t\t: 10000000a1b2c3d4\nModel\t\t: A Board\n",
        "/proc/self/cgroup": f"4:memory:/docker/{CONTAINER}\n",
        "/proc/self/mountinfo": "1 0 0:1 / / rw - ext4 /dev/mapper/marlenes-disk rw\n"
        "2 1 0:2 / /home rw - nfs 10.0.0.3:/export/marlene rw\n"
        f"3 1 0:3 /docker/{CONTAINER} /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n",
        "/proc/self/status": "Name:\tpython\nUid:\t1000\t1000\nCpus_allowed_list:\t0-3\n",
        "/sys/fs/cgroup/memory/memory.limit_in_bytes": "4294967296\n",
        "/sys/fs/cgroup/memory/memory.usage_in_bytes": "1073741824\n",
        "/sys/bus/pci/devices/0000:03:00.0/unique_id": "a1b2c3d4e5f60718\n",
        f"/var/lib/docker/{CONTAINER}/config": "de:ad:be:ef:00:01",
    },
    "queries": {
        "nvml": {
            "init": {"error": "LibraryNotFound"},
            "devices": [
                {
                    "uuid": GPU,
                    "serial": "serial: 0324217012345",
                    "processes": [
                        {"pid": 43210, "name": "/home/marlene/bin/train --secret-run x", "used": 5},
                        {"pid": 43211, "name": "C:\\Users\\marlene\\game.exe", "used": None},
                    ],
                }
            ],
        },
        "disk": {"home": {"free_bytes": 5, "total_bytes": 6}},
    },
    "commands": {"/usr/sbin/sysctl hw": "hw.model: Mac16,5\n/Users/marlene/x\n"},
}

SECRETS = (
    "marlene",
    "a1b2c3d4",
    CONTAINER,
    "5a3c1e2f",
    "0324217012345",
    "de:ad:be:ef",
    "43210",
    "secret-run",
    "10.11.12.13",
    "10.0.0.3",
    "1000\\t1000",
)


@pytest.mark.parametrize("secret", SECRETS)
def test_nothing_private_is_left(secret: str) -> None:
    assert secret in json.dumps(PRIVATE)
    assert secret not in json.dumps(redact(PRIVATE))


def test_names_of_programs_stay_without_folder_and_arguments() -> None:
    processes = redact(PRIVATE)["queries"]["nvml"]["devices"][0]["processes"]
    assert [process["name"] for process in processes] == ["train", "game.exe"]


def test_the_same_id_is_the_same_placeholder_everywhere() -> None:
    shown = redact(PRIVATE)
    uuid = shown["queries"]["nvml"]["devices"][0]["uuid"]
    assert uuid.startswith("GPU-0000")
    assert shown["environment"]["CUDA_VISIBLE_DEVICES"] == uuid
    container = shown["files"]["/proc/self/cgroup"].strip().rpartition("/")[2]
    assert f"/var/lib/docker/{container}/config" in shown["files"]


def test_redacting_twice_changes_nothing() -> None:
    assert redact(redact(PRIVATE)) == redact(PRIVATE)


def test_the_report_is_the_same_after_redaction() -> None:
    before, after = (detect(ReplaySystem(one)) for one in (PRIVATE, redact(PRIVATE)))
    assert before.machine == after.machine
    assert [e for e in before.evidence if not e.key.startswith("environment")] == [
        e for e in after.evidence if not e.key.startswith("environment")
    ]


@given(st.text(max_size=200))
def test_any_text_is_redacted_without_an_error_and_stays_so(text: str) -> None:
    shown = redact({**HEAD, "files": {"/proc/version": text}})
    assert redact(shown) == shown


@pytest.mark.parametrize(
    "kept",
    [
        "0000:01:00.0",
        "driver 570.133.20",
        "10.0.26100.1",
        "0-7,16-23",
        "9223372036854771712",
        "/sys/fs/cgroup/user.slice/user-1000.slice",
    ],
)
def test_what_the_probes_read_stays(kept: str) -> None:
    assert redact({**HEAD, "files": {"/x": kept}})["files"]["/x"] == kept


def test_what_failed_is_recorded_with_its_kind_and_replays_so() -> None:
    recording = {**HEAD, "architecture": "x86_64", "files": {"/proc/meminfo": {"error": "denied"}}}
    again = record(ReplaySystem(recording))
    assert again["files"]["/proc/meminfo"]["error"] == "denied"
    assert detect(ReplaySystem(again)) == detect(ReplaySystem(recording))


def test_a_recording_of_this_machine_is_made_of_json() -> None:
    recording = record()
    assert json.loads(json.dumps(recording)) == recording
    assert recording["provenance"].startswith("recorded on a real machine")


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("missing", SourceMissingError),
        ("denied", SourceDeniedError),
        ("hung", SourceHungError),
        ("garbled", SourceGarbledError),
        ("of no kind", SourceGarbledError),
    ],
)
def test_recorded_failures_are_raised_again(kind: str, error: type[ProbeError]) -> None:
    answer = {"error": kind, "text": "why"}
    system = ReplaySystem(
        {
            **HEAD,
            "files": {"/a": answer},
            "directories": {"/b": answer},
            "links": {"/c": answer},
            "commands": {"/d e": answer},
            "queries": {"f": answer},
        }
    )
    for ask, what in (
        (system.read_text, "/a"),
        (system.list_dir, "/b"),
        (system.read_link, "/c"),
        (system.run, ("/d", "e")),
        (system.query, "f"),
    ):
        with pytest.raises(error, match="why"):
            ask(what)


def test_what_is_not_recorded_is_missing() -> None:
    system = ReplaySystem(HEAD)
    for ask, what in (
        (system.read_text, "/a"),
        (system.list_dir, "/b"),
        (system.read_link, "/c"),
        (system.run, ("/d", "e")),
        (system.query, "f"),
    ):
        with pytest.raises(SourceMissingError):
            ask(what)


def test_a_directory_is_built_from_the_paths_below_it() -> None:
    system = ReplaySystem({**HEAD, "files": {"/a/b/c": "", "/a/d": ""}, "links": {"/a/e": "x"}})
    assert system.list_dir("/a") == ("b", "d", "e")
    assert system.list_dir("/a/b") == ("c",)


def test_lines_are_joined_to_the_text_they_were() -> None:
    system = ReplaySystem({**HEAD, "files": {"/a": ["one", "two", ""]}})
    assert system.read_text("/a") == "one\ntwo\n"


@pytest.mark.parametrize(
    "recording",
    [
        {},
        {"format": "other"},
        {**HEAD, "version": 2},
        {**HEAD, "files": []},
        {**HEAD, "queries": 1},
    ],
)
def test_what_is_no_recording_is_refused_in_one_line(recording: dict[str, Any]) -> None:
    with pytest.raises(BadInputError) as error:
        ReplaySystem(recording)
    assert "\n" not in str(error.value)
