"""The slow ways are asked last, once, and free disk is told folder by folder."""

from __future__ import annotations

import json
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from whatfits.probes import detect, disk, fallbacks
from whatfits.probes.host_kind import read_host_kind
from whatfits.probes.once import OnceSystem
from whatfits.probes.replay import ReplaySystem
from whatfits.probes.system import MAX_TEXT_BYTES, SourceHungError, SourceMissingError
from whatfits.sizing.sources.kept_file import KeptFile

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    SystemOf = Callable[..., ReplaySystem]


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    file = tmp_path / "whatfits" / "cpu.json"
    monkeypatch.setattr(fallbacks, "_cache_file", lambda: file)
    return file


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    times = []

    def get_cpu_info() -> dict[str, object]:
        times.append(1)
        return {"brand_raw": "A CPU", "flags": ["avx", "avx2"]}

    monkeypatch.setitem(sys.modules, "cpuinfo", SimpleNamespace(get_cpu_info=get_cpu_info))
    return times


def test_py_cpuinfo_is_asked_once_and_its_answer_kept(cache: Path, asked: list[int]) -> None:
    first = fallbacks.read_cpuinfo()
    assert fallbacks.read_cpuinfo() == first == {"brand": "A CPU", "features": ["avx", "avx2"]}
    assert len(asked) == 1
    assert json.loads(cache.read_text("utf-8")) == first
    assert {path.name for path in cache.parent.iterdir()} == {"cpu.json", "cpu.lock"}


BROKEN = (
    b"",
    b"{",
    b"[]",
    b"null",
    b"\xff\xfe",
    b"[" * 100_000,
    b'{"brand": null}',
    b'{"brand": 5, "features": []}',
    b'{"brand": "A CPU", "features": "avx"}',
    b'{"brand": "A CPU", "features": [1]}',
    b'{"brand": "A CPU", "features": [], "more": 1}',
    b'{"brand": "A CPU", "features": []}' + b" " * MAX_TEXT_BYTES + b"x",
)


@pytest.mark.parametrize("content", BROKEN)
def test_a_broken_cache_is_set_aside_and_named_and_written_anew(
    cache: Path, asked: list[int], content: bytes
) -> None:
    cache.parent.mkdir()
    cache.write_bytes(content)
    told = fallbacks.read_cpuinfo()
    assert told["brand"] == "A CPU"
    aside = cache.with_name("cpu.broken.json")
    assert aside.read_bytes() == content
    assert told["damaged_cache"] == f"was moved to {aside}"
    assert fallbacks.read_cpuinfo() == {"brand": "A CPU", "features": ["avx", "avx2"]}
    assert len(asked) == 1


def test_a_cache_without_a_name_is_asked_anew_and_is_not_broken(
    cache: Path, asked: list[int]
) -> None:
    cache.parent.mkdir()
    cache.write_text('{"brand": null, "features": []}')
    assert "damaged_cache" not in fallbacks.read_cpuinfo()
    assert len(asked) == 1


def test_a_broken_cache_that_cannot_be_moved_is_named_all_the_same(
    cache: Path, asked: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(_self: object) -> None:
        raise PermissionError(13, "Permission denied")

    cache.parent.mkdir()
    cache.write_bytes(b"{")
    monkeypatch.setattr(KeptFile, "put_aside", denied)
    assert str(cache) in str(fallbacks.read_cpuinfo()["damaged_cache"])
    assert len(asked) == 1


def test_a_broken_cache_is_a_finding_of_the_processor() -> None:
    head = {"format": "whatfits-machine-recording", "version": 1, "platform": "freebsd14"}
    snapshot = {
        "brand": "A CPU",
        "features": [],
        "damaged_cache": "was moved to /c/cpu.broken.json",
    }
    for queries, expected in (({"cpuinfo": snapshot}, 1), ({"cpuinfo": {"brand": "A CPU"}}, 0)):
        report = detect(ReplaySystem({**head, "queries": queries}))
        found = [finding for finding in report.findings if finding.code == "cpu_cache_damaged"]
        assert len(found) == expected
        assert all(finding.severity == "warning" for finding in found)
        assert all("/c/cpu.broken.json" in finding.text for finding in found)


def test_a_cache_that_cannot_be_written_is_no_failure(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, asked: list[int]
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(fallbacks, "_cache_file", lambda: tmp_path / "file" / "cpu.json")
    assert fallbacks.read_cpuinfo()["brand"] == "A CPU"


def test_psutil_tells_ram_and_cores() -> None:
    told = fallbacks.read_psutil()
    assert 0 < told["available_bytes"] <= told["total_bytes"]
    assert told["logical_cores"] >= 1


def test_folders_of_models_follow_the_variables_of_their_programs() -> None:
    folders = disk.model_folders({"HOME": "/h", "OLLAMA_MODELS": "/m", "HF_HOME": "/f"})
    assert folders["home"] == "/h"
    assert folders["ollama"] == "/m"
    assert folders["hugging_face"] == "/f/hub"
    assert folders["llama.cpp"] == "/h/.cache/llama.cpp"
    assert disk.model_folders({}) == {}


def test_a_folder_that_hangs_leaves_the_others() -> None:
    def free(path: str, *, is_remote: bool) -> dict[str, object]:
        if path == "/m":
            raise SourceHungError("no answer")
        if path != "/h":
            raise SourceMissingError("not there")
        return {"free_bytes": 5, "total_bytes": 9}

    told = disk.read_disk({"HOME": "/h", "OLLAMA_MODELS": "/m"}, free=free)
    assert told["home"] == {"free_bytes": 5, "total_bytes": 9}
    assert told["ollama"]["error"] == "hung"
    assert set(told) == {"home", "ollama"}


def test_a_folder_across_a_network_is_known_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    mounts = (
        "1 0 0:1 / / rw - ext4 /dev/sda1 rw\n"
        "2 1 0:2 / /mnt rw - nfs4 server:/a rw\n"
        "3 2 0:3 / /mnt/local rw - xfs /dev/sdb1 rw\n"
    )
    monkeypatch.setattr(disk, "read_small_text", lambda _: mounts)
    asked = {}

    def free(path: str, *, is_remote: bool) -> dict[str, object]:
        asked[path] = is_remote
        return {}

    disk.read_disk({"HOME": "/mnt/h", "OLLAMA_MODELS": "/mnt/local/m", "HF_HOME": "/f"}, free=free)
    assert asked["/mnt/h"]
    assert not asked["/mnt/local/m"]
    assert not asked["/f/hub"]


class Counting(ReplaySystem):
    asked = 0

    def query(self, name: str) -> Mapping[str, object]:
        self.asked += 1
        return super().query(name)


@pytest.mark.parametrize(
    ("answer", "times"),
    [
        ({"init": None}, 1),
        ({"memory": {}}, 1),
        ({"error": "hung"}, 1),  # a second wait would cost a deadline more
        ({"init": {"error": "Timeout"}}, 2),  # may pass: asked anew
    ],
)
def test_a_passing_trouble_is_not_remembered(answer: dict[str, object], times: int) -> None:
    head = {"format": "whatfits-machine-recording", "version": 1}
    counting = Counting({**head, "queries": {"nvml": answer}})
    once = OnceSystem(counting)
    for _ in range(2):
        try:
            once.query("nvml")
        except SourceHungError:
            continue
    assert counting.asked == times


@pytest.mark.parametrize(
    ("vendor", "product", "hypervisor"),
    [
        ("QEMU", "Standard PC (Q35 + ICH9, 2009)", "QEMU/KVM"),
        ("Microsoft Corporation", "Virtual Machine", "Hyper-V"),
        ("Microsoft Corporation", "Surface Laptop 7", None),
        ("Amazon EC2", "m7i.large", "Amazon EC2"),
        ("Amazon EC2", "m7i.metal-24xl", None),
        ("Google", "Google Compute Engine", "Google Compute Engine"),
        ("innotek GmbH", "VirtualBox", "VirtualBox"),
        ("LENOVO", "21CBCTO1WW", None),
    ],
)
def test_virtual_machines_are_known_by_their_makers(
    system_of: SystemOf, vendor: str, product: str, hypervisor: str | None
) -> None:
    files = {"/sys/class/dmi/id/sys_vendor": vendor, "/sys/class/dmi/id/product_name": product}
    assert read_host_kind(system_of(files)).hypervisor == hypervisor
