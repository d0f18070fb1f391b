"""Macs: what the GPU may have of the memory, and GPUs that runtimes do not use."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whatfits.probes.apple import (
    AppleFacts,
    MacGpu,
    parse_apple,
    parse_displays,
    probe,
)
from whatfits.probes.replay import ReplaySystem
from whatfits.sizing.reserve import raised_limit_bytes
from whatfits.sizing.units import GIB, MIB

if TYPE_CHECKING:
    from whatfits.probes.report import Partial

M4_MAX = AppleFacts(
    chip="Apple M4 Max",
    memory_bytes=64 * GIB,
    available_bytes=50 * GIB,
    wired_limit_mb=0,
    os_version="26.1",
    is_arm=True,
    is_translated=False,
    is_virtual=False,
    gpus=(MacGpu("Apple M4 Max", 40, "sppci_vendor_Apple", "spdisplays_metal4"),),
)


def codes(found: Partial) -> set[str]:
    return {finding.code for finding in found.findings}


@pytest.mark.parametrize(
    ("total_gib", "os_version", "answered_mib"),
    [(16, "26.0", 12_124), (128, "26.1", 110_100), (64, "14.5", 49_152), (32, "14.6", 21_845)],
)
def test_without_a_set_limit_what_metal_answers_lies_in_the_pools_interval(
    total_gib: int, os_version: str, answered_mib: int
) -> None:
    """recommendedMaxWorkingSetSize: llmfit pull 754 (16), ds4 pull 893 (128), older logs."""
    facts = replace(M4_MAX, memory_bytes=total_gib * GIB, os_version=os_version)
    (pool,) = parse_apple(facts).pools
    assert pool.limit_bytes is not None
    assert pool.limit_low_bytes is not None
    assert pool.limit_low_bytes <= answered_mib * MIB + MIB
    assert answered_mib * MIB <= pool.limit_bytes + MIB


def test_a_set_limit_is_exact() -> None:
    (pool,) = parse_apple(replace(M4_MAX, wired_limit_mb=57_344)).pools
    assert (pool.limit_bytes, pool.limit_low_bytes) == (57_344 * MIB, None)
    assert pool.limit_source == "sysctl iogpu.wired_limit_mb"


def test_a_set_limit_above_the_memory_is_the_memory() -> None:
    (pool,) = parse_apple(replace(M4_MAX, wired_limit_mb=10**9)).pools
    assert pool.limit_bytes == 64 * GIB


def test_a_limit_of_zero_and_one_that_is_not_told_are_the_rule() -> None:
    zero = parse_apple(M4_MAX).pools
    assert zero == parse_apple(replace(M4_MAX, wired_limit_mb=None)).pools
    (evidence,) = [e for e in parse_apple(M4_MAX).evidence if e.key == "pools.unified.limit_bytes"]
    assert evidence.kind == "derived"


def test_what_is_free_is_the_lesser_of_the_limit_and_what_is_available() -> None:
    roomy = parse_apple(replace(M4_MAX, wired_limit_mb=40_960)).pools[0]
    assert roomy.free_bytes == 40 * GIB
    tight = parse_apple(replace(M4_MAX, wired_limit_mb=40_960, available_bytes=9 * GIB)).pools[0]
    assert tight.free_bytes == 9 * GIB


def test_the_command_that_raises_the_limit_is_given_once_it_helps() -> None:
    (finding,) = [f for f in parse_apple(M4_MAX).findings if f.code == "metal_limit"]
    assert f"iogpu.wired_limit_mb={56 * 1024}" in finding.next_step
    assert "metal_limit" not in codes(parse_apple(replace(M4_MAX, wired_limit_mb=57_344)))


@given(st.integers(min_value=8 * GIB, max_value=2048 * GIB))
def test_the_proposed_limit_leaves_macos_at_least_four_gib_and_the_gpu_half(total: int) -> None:
    limit = raised_limit_bytes(total)
    assert total - limit >= 4 * GIB
    assert limit >= total // 2


def test_memory_does_not_depend_on_system_profiler() -> None:
    found = parse_apple(replace(M4_MAX, gpus=None, profiler_trouble="did not answer in time"))
    assert found.pools[0].total_bytes == 64 * GIB
    assert found.devices[0].name == "Apple M4 Max"
    assert "system_profiler_silent" in codes(found)


@pytest.mark.parametrize("changes", [{"is_arm": False}, {"is_virtual": True}])
def test_gpus_that_runtimes_do_not_use_are_said_and_not_counted(changes: dict[str, bool]) -> None:
    found = parse_apple(replace(M4_MAX, **changes))  # type: ignore[arg-type]
    assert (found.pools, found.devices) == ((), ())
    assert "mac_gpu_unsupported" in codes(found)


def test_a_card_beside_apples_gpu_is_said_and_not_counted() -> None:
    card = MacGpu("AMD Radeon RX 580", None, "sppci_vendor_amd", None)
    found = parse_apple(replace(M4_MAX, gpus=(*(M4_MAX.gpus or ()), card)))
    assert [device.id for device in found.devices] == ["metal"]
    assert "mac_gpu_unsupported" in codes(found)


def test_a_translated_interpreter_is_said() -> None:
    found = parse_apple(replace(M4_MAX, is_translated=True))
    assert "interpreter_translated" in codes(found)


def test_nothing_known_is_a_mac_of_unknown_memory() -> None:
    nothing = AppleFacts(
        chip=None,
        memory_bytes=None,
        available_bytes=None,
        wired_limit_mb=None,
        os_version=None,
        is_arm=True,
        is_translated=False,
        is_virtual=False,
        gpus=None,
    )
    found = parse_apple(nothing)
    assert (found.pools[0].total_bytes, found.devices[0].name) == (None, "Apple GPU")


def test_displays_are_read_by_their_keys() -> None:
    document = {
        "SPDisplaysDataType": [
            {"_name": "kHW_AppleM3Item", "sppci_model": "Apple M3", "sppci_cores": "10"},
            {"_name": "Radeon Pro 560X", "sppci_cores": "many"},
            "junk",
        ]
    }
    gpus = parse_displays(json.dumps(document))
    assert gpus is not None
    assert [(gpu.name, gpu.cores) for gpu in gpus] == [("Apple M3", 10), ("Radeon Pro 560X", None)]


@pytest.mark.parametrize("output", ["", "{", "Graphics/Displays:\n", "[" * 100_000])
def test_output_that_is_no_json_is_no_answer(output: str) -> None:
    assert parse_displays(output) is None


@pytest.mark.parametrize("output", ["[]", "{}", "7", '{"SPDisplaysDataType": 7}'])
def test_json_of_another_shape_lists_no_gpu(output: str) -> None:
    assert parse_displays(output) == ()


def test_other_systems_are_not_asked() -> None:
    recording = {"format": "whatfits-machine-recording", "version": 1, "platform": "linux"}
    assert probe(ReplaySystem(recording)).devices == ()
