"""Environment variables that hide GPUs from runtimes."""

from __future__ import annotations

import pytest

from whatfits.probes.visibility import parse_selections, parse_visibility, visible_indices
from whatfits.sizing.machine import Device

UUIDS = ("GPU-aaaa1111", "GPU-aaaa2222", "GPU-bbbb0000", None)


@pytest.mark.parametrize(
    ("value", "visible"),
    [
        ("0,1,2,3", (0, 1, 2, 3)),
        ("2,0", (2, 0)),
        (" 1 , 3 ", (1, 3)),
        ("", ()),
        ("-1", ()),
        ("0,2,-1,1", (0, 2)),
        ("0,9,1", (0,)),
        ("1,1", (1,)),
        ("GPU-bbbb", (2,)),
        ("gpu-BBBB0000,0", (2, 0)),
        ("GPU-aaaa", ()),
        ("NoDevFiles", ()),
        ("²", ()),
        ("1" * 9000, ()),
        ("MIG-12345678", ()),
    ],
)
def test_a_list_ends_at_the_first_entry_that_names_no_device(
    value: str, visible: tuple[int, ...]
) -> None:
    assert visible_indices(value, UUIDS) == visible


def cards(kind: str, *names: str) -> list[Device]:
    return [Device(f"{kind}{i}", kind, name, f"vram{i}") for i, name in enumerate(names)]


def seen(environment: dict[str, str], devices: list[Device]) -> dict[str, object]:
    found = parse_visibility(environment, devices)
    return {e.key.split(".")[1]: e.value for e in found.evidence}


def test_without_a_variable_every_device_is_visible() -> None:
    assert seen({}, cards("cuda", "A", "A")) == {"cuda0": True, "cuda1": True}


def test_hip_counts_what_rocr_left() -> None:
    environment = {"ROCR_VISIBLE_DEVICES": "1,2", "HIP_VISIBLE_DEVICES": "1"}
    assert seen(environment, cards("rocm", "A", "A", "A")) == {
        "rocm0": False,
        "rocm1": False,
        "rocm2": True,
    }


def test_a_variable_of_cuda_hides_no_vulkan_device() -> None:
    assert seen({"CUDA_VISIBLE_DEVICES": ""}, cards("vulkan", "A")) == {}


def test_a_hidden_device_is_said_with_the_way_to_show_it() -> None:
    found = parse_visibility({"CUDA_VISIBLE_DEVICES": "0"}, cards("cuda", "A", "A"))
    (finding,) = found.findings
    assert finding.code == "device_hidden"
    assert "cuda1" in finding.text
    assert finding.next_step == "unset CUDA_VISIBLE_DEVICES to use it"


@pytest.mark.parametrize(
    ("environment", "names", "warned"),
    [
        ({"CUDA_VISIBLE_DEVICES": "0,1"}, ("A", "B"), True),
        ({"CUDA_VISIBLE_DEVICES": "0,1", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}, ("A", "B"), False),
        ({"CUDA_VISIBLE_DEVICES": "0,1"}, ("A", "A"), False),
    ],
)
def test_numbers_of_unlike_cards_are_uncertain_unless_counted_by_bus(
    environment: dict[str, str], names: tuple[str, ...], warned: bool
) -> None:
    found = parse_visibility(environment, cards("cuda", *names))
    assert ("cuda_order_uncertain" in {f.code for f in found.findings}) is warned


def test_what_only_a_runtime_can_apply_is_said() -> None:
    found = parse_selections({"GGML_VK_VISIBLE_DEVICES": "1", "NVIDIA_VISIBLE_DEVICES": "all"})
    assert [f.code for f in found.findings] == ["device_selection_set"]
    assert {e.key for e in found.evidence} == {
        "environment.GGML_VK_VISIBLE_DEVICES",
        "environment.NVIDIA_VISIBLE_DEVICES",
    }


@pytest.mark.parametrize("value", ["0", "none", "GPU-1"])
def test_what_a_container_was_given_is_no_setting_of_the_program(value: str) -> None:
    (finding,) = parse_selections({"NVIDIA_VISIBLE_DEVICES": value}).findings
    assert finding.code == "container_device_selection"
    assert "start the container" in finding.next_step


@pytest.mark.parametrize("value", ["all", ""])
def test_a_container_that_was_given_all_cards_has_nothing_to_say(value: str) -> None:
    assert parse_selections({"NVIDIA_VISIBLE_DEVICES": value}).findings == ()
