"""Asking NVML: every call answers with a value or the name of its error, whatever the driver."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest

from whatfits.probes import nvml

Ask = Callable[..., dict[str, Any]]


class NVMLError(Exception):
    pass


class NVMLError_NotSupported(NVMLError):  # noqa: N801, N818 - named as in the bindings
    pass


class NVMLError_FunctionNotFound(NVMLError):  # noqa: N801, N818 - named as in the bindings
    pass


class NVMLError_GpuIsLost(NVMLError):  # noqa: N801, N818 - named as in the bindings
    pass


def raises(error: type[Exception]) -> Callable[..., NoReturn]:
    def call(*_arguments: object) -> NoReturn:
        raise error

    return call


def driver(**changes: object) -> SimpleNamespace:
    """A driver's bindings of our own making, with one card."""
    calls: dict[str, object] = {
        "nvmlInit": lambda: None,
        "nvmlShutdown": lambda: None,
        "nvmlDeviceGetCount": lambda: 1,
        "nvmlDeviceGetHandleByIndex": lambda index: index,
        "nvmlSystemGetDriverVersion": lambda: b"580.1",
        "nvmlSystemGetNVMLVersion": lambda: "13.580.1",
        "nvmlSystemGetCudaDriverVersion": lambda: 13000,
        "nvmlSystemGetProcessName": lambda _pid: b"/usr/bin/game",
        "nvmlDeviceGetName": lambda _handle: b"NVIDIA Imaginary 1",
        "nvmlDeviceGetPciInfo": lambda _handle: SimpleNamespace(
            busId=b"00000000:01:00.0", pciDeviceId=1
        ),
        "nvmlDeviceGetMemoryInfo": lambda _handle, version=None: SimpleNamespace(
            total=100, used=30, free=60, **({"reserved": 10} if version else {})
        ),
        "nvmlMemory_v2": 2,
        "NVML_CLOCK_MEM": 2,
        "NVML_FI_DEV_NVLINK_SPEED_MBPS_COMMON": 90,
        "nvmlDeviceGetMaxMigDeviceCount": lambda _handle: 0,
        "nvmlDeviceGetNvLinkState": raises(NVMLError_NotSupported),
    }
    calls |= changes

    class Bindings(SimpleNamespace):
        def __getattr__(self, name: str) -> object:
            if name.startswith("nvml"):
                return raises(NVMLError_NotSupported)
            raise AttributeError(name)

    return Bindings(**calls)


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch) -> Ask:
    def ask(**changes: object) -> dict[str, Any]:
        monkeypatch.setitem(sys.modules, "pynvml", driver(**changes))
        monkeypatch.setattr(
            nvml, "_load", lambda _pynvml: {"tried": [], "loaded": "libnvidia-ml.so.1"}
        )
        snapshot: dict[str, Any] = json.loads(json.dumps(nvml.read_nvml()))
        return snapshot

    return ask


def test_a_snapshot_is_plain_json_with_the_error_of_each_call_in_its_place(ask: Ask) -> None:
    (card,) = ask()["devices"]
    assert card["name"] == "NVIDIA Imaginary 1"
    assert card["memory"] == {"version": 2, "total": 100, "reserved": 10, "used": 30, "free": 60}
    assert card["compute_capability"] == {"error": "NotSupported"}
    assert card["addressing_mode"] == {"error": "NotSupported"}


def test_an_old_driver_without_version_2_is_asked_for_version_1(ask: Ask) -> None:
    def memory(handle: object, version: int | None = None) -> SimpleNamespace:
        if version:
            raise NVMLError_FunctionNotFound
        return SimpleNamespace(total=100, used=40, free=60)

    (card,) = ask(nvmlDeviceGetMemoryInfo=memory)["devices"]
    assert card["memory"] == {"version": 1, "total": 100, "used": 40, "free": 60}


def test_an_old_driver_without_the_newest_process_list_is_asked_for_the_one_before(
    ask: Ask,
) -> None:
    process = SimpleNamespace(pid=7, usedGpuMemory=5)
    (card,) = ask(
        nvmlDeviceGetComputeRunningProcesses_v3=raises(NVMLError_FunctionNotFound),
        nvmlDeviceGetComputeRunningProcesses_v2=lambda _handle: [process],
    )["devices"]
    assert card["processes"] == [{"pid": 7, "name": "/usr/bin/game", "used": 5}]


def test_a_process_on_both_lists_is_one_that_holds_the_larger_figure(ask: Ask) -> None:
    (card,) = ask(
        nvmlDeviceGetComputeRunningProcesses_v3=lambda _h: [
            SimpleNamespace(pid=7, usedGpuMemory=5)
        ],
        nvmlDeviceGetGraphicsRunningProcesses_v3=lambda _h: [
            SimpleNamespace(pid=7, usedGpuMemory=9),
            SimpleNamespace(pid=8, usedGpuMemory=None),
        ],
    )["devices"]
    assert [(row["pid"], row["used"]) for row in card["processes"]] == [(7, 9), (8, None)]


def test_a_card_that_gives_no_handle_is_an_error_in_its_place(ask: Ask) -> None:
    def handle(index: int) -> int:
        if index == 1:
            raise NVMLError_GpuIsLost
        return index

    cards = ask(nvmlDeviceGetCount=lambda: 3, nvmlDeviceGetHandleByIndex=handle)["devices"]
    assert [card["handle"] for card in cards] == [None, {"error": "GpuIsLost"}, None]


def test_a_driver_that_claims_a_billion_cards_is_not_believed(ask: Ask) -> None:
    snapshot = ask(nvmlDeviceGetCount=lambda: 10**9)
    assert (snapshot["count"], len(snapshot["devices"])) == (10**9, 64)


def test_mig_slots_without_an_instance_are_passed_over(ask: Ask) -> None:
    def slot(handle: object, index: int) -> str:
        if index != 2:
            raise NVMLError_NotSupported
        return "instance"

    (card,) = ask(
        nvmlDeviceGetMaxMigDeviceCount=lambda _handle: 7,
        nvmlDeviceGetMigMode=lambda _handle: [1, 1],
        nvmlDeviceGetMigDeviceHandleByIndex=slot,
        nvmlDeviceGetAttributes=lambda _handle: SimpleNamespace(computeInstanceSliceCount=2),
    )["devices"]
    assert card["mig_mode"] == 1
    assert [(m["index"], m["compute_slices"]) for m in card["mig"]] == [(2, 2)]


def test_a_driver_that_does_not_start_says_why(ask: Ask) -> None:
    class NVMLError_LibRmVersionMismatch(NVMLError):  # noqa: N801, N818 - named as in the bindings
        pass

    snapshot = ask(nvmlInit=raises(NVMLError_LibRmVersionMismatch))
    assert snapshot["init"] == {"error": "LibRmVersionMismatch"}
    assert "devices" not in snapshot


def test_the_snapshot_of_this_machine_is_plain_json_whether_or_not_there_is_a_driver() -> None:
    snapshot = json.loads(json.dumps(nvml.read_nvml()))
    assert "init" in snapshot
    assert snapshot["init"] is None or snapshot["init"]["error"]


def test_libraries_that_cannot_be_loaded_are_listed_with_the_reason() -> None:
    holder = SimpleNamespace()
    library = nvml._load(holder)
    assert library["loaded"] is not None or library["tried"]


def test_a_package_that_shadows_the_bindings_is_no_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert nvml.read_nvml()["init"] == {"error": "NoPynvml"}
