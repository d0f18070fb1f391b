"""Intel GPUs: in the processor or on a card, and where a card's size is written."""

from __future__ import annotations

import pytest

from whatfits.probes.intel import intel_name, is_discrete_intel, parse_gpus, probe, read_gpus
from whatfits.probes.replay import ReplaySystem
from whatfits.sizing.units import GIB

CARD = "/sys/bus/pci/devices/0000:03:00.0"


def system(path: str, device: str, files: dict[str, str], *, driver: str = "xe") -> ReplaySystem:
    return ReplaySystem(
        {
            "format": "whatfits-machine-recording",
            "version": 1,
            "platform": "linux",
            "files": {
                f"{path}/class": "0x030000",
                f"{path}/vendor": "0x8086",
                f"{path}/device": device,
                **{f"{path}/{name}": value for name, value in files.items()},
            },
            "links": {f"{path}/driver": f"../drivers/{driver}"},
            "directories": {f"{path}/drm": ["card1", "renderD129"]},
        }
    )


@pytest.mark.parametrize(
    ("files", "driver"),
    [
        ({"tile0/physical_vram_size_bytes": "0x300000000"}, "xe"),
        ({"tile0/physical_vram_size_bytes": "12884901888\n"}, "xe"),
        ({"tile0/memory/physical_vram_size_bytes": "12884901888"}, "xe"),
        (
            {
                "tile0/physical_vram_size_bytes": "6442450944",
                "tile1/physical_vram_size_bytes": "6442450944",
            },
            "xe",
        ),
        ({"drm/card1/lmem_total_bytes": "12884901888"}, "i915"),
        ({"lmem_total_bytes": "12884901888"}, "i915"),
    ],
)
def test_every_layout_of_the_drivers_tells_the_same_size(
    files: dict[str, str], driver: str
) -> None:
    (gpu,) = read_gpus(system(CARD, "0xe20b", files, driver=driver))
    assert gpu.memory_bytes == 12 * GIB


@pytest.mark.parametrize(
    "size", ["", "0", "-1", "many", "0x", "0xzz", "1" * 40, "1" * 9000, "0x" + "f" * 30]
)
def test_a_card_that_does_not_tell_its_size_is_of_unknown_size_never_guessed(size: str) -> None:
    found = probe(system(CARD, "0x56a0", {"tile0/physical_vram_size_bytes": size}))
    assert found.pools[0].total_bytes is None
    assert {finding.code for finding in found.findings} == {"intel_memory_unknown"}


def test_the_physical_size_is_an_upper_end_the_driver_keeps_some() -> None:
    """8,192 MiB physical, 8,128 MiB managed on an Arc A750: MangoHud#1936."""
    found = probe(system(CARD, "0x56a1", {"tile0/physical_vram_size_bytes": str(8 * GIB)}))
    (pool,) = found.pools
    assert pool.total_bytes == 8 * GIB
    assert pool.limit_low_bytes is not None
    assert pool.limit_low_bytes <= 8_522_825_728 <= 8 * GIB


def test_graphics_at_bus_0_device_2_add_no_memory() -> None:
    found = probe(system("/sys/bus/pci/devices/0000:00:02.0", "0xffff", {}))
    assert found.pools == ()
    assert (found.devices[0].pool, "integrated" in found.devices[0].features) == ("ram", True)
    assert {finding.code for finding in found.findings} == {"integrated_gpu"}


def test_a_card_handed_to_a_guest_as_device_2_is_still_a_card() -> None:
    files = {"tile0/physical_vram_size_bytes": str(12 * GIB)}
    found = probe(system("/sys/bus/pci/devices/0000:00:02.0", "0xe20b", files))
    assert found.pools[0].total_bytes == 12 * GIB


def test_a_card_without_a_graphics_driver_cannot_be_used() -> None:
    found = probe(system(CARD, "0xe20b", {}, driver="vfio-pci"))
    assert "unusable" in found.devices[0].features
    assert {finding.code for finding in found.findings} == {"intel_no_driver"}


@pytest.mark.parametrize(
    ("device", "name", "is_discrete"),
    [
        (0x56A0, "Intel(R) Arc(TM) A770 Graphics", True),
        (0xE20B, "Intel(R) Arc(TM) B580 Graphics", True),
        (0xE2FF, "unknown Intel GPU (0xe2ff)", True),
        (0x9A49, "Intel(R) Iris(R) Xe Graphics", False),
        (0x1234, "Intel(R) Graphics (0x1234)", False),
    ],
)
def test_names_and_kinds_are_by_number(device: int, name: str, is_discrete: bool) -> None:
    assert (intel_name(device), is_discrete_intel(device)) == (name, is_discrete)


def test_no_gpu_is_no_finding() -> None:
    assert parse_gpus(()).findings == ()
