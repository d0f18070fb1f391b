"""What is a GPU on the PCI bus, and how fast its link is."""

from __future__ import annotations

import pytest

from whatfits.probes.pci import (
    GpuFunction,
    hexadecimal,
    parse_gpu_functions,
    read_gpu_functions,
)
from whatfits.probes.pci_links import link_bytes_per_s, read_link_bytes_per_s
from whatfits.probes.replay import ReplaySystem

BUS = "/sys/bus/pci/devices"


def system(files: dict[str, str], **sections: object) -> ReplaySystem:
    return ReplaySystem(
        {
            "format": "whatfits-machine-recording",
            "version": 1,
            "platform": "linux",
            "files": files,
            **sections,
        }
    )


def ids(address: str, class_code: str, vendor: str, device: str) -> dict[str, str]:
    path = f"{BUS}/{address}"
    return {
        f"{path}/class": f"{class_code}\n",
        f"{path}/vendor": f"{vendor}\n",
        f"{path}/device": f"{device}\n",
    }


def function(vendor: int, *, class_code: int = 0x030000, driver: str | None = None) -> GpuFunction:
    return GpuFunction("0000:01:00.0", class_code, vendor, 0x1234, None, driver, "", ())


@pytest.mark.parametrize(
    "vendor", [0x1A03, 0x102B, 0x1AF4, 0x1B36, 0x1414, 0x15AD, 0x1234, 0x1D0F], ids=hex
)
def test_consoles_and_virtual_displays_are_no_gpus(vendor: int) -> None:
    assert not function(vendor).is_gpu
    (finding,) = parse_gpu_functions((function(vendor),)).findings
    assert finding.code == "display_adapter_is_no_gpu"


@pytest.mark.parametrize("vendor", [0x10DE, 0x1002, 0x8086], ids=hex)
def test_the_three_makers_functions_are_gpus(vendor: int) -> None:
    assert function(vendor).is_gpu
    assert parse_gpu_functions((function(vendor),)).findings == ()


def test_an_accelerator_is_a_gpu_only_under_amds_gpu_driver() -> None:
    """Instinct cards and NPUs (Intel's, AMD's) share the class 0x12."""
    assert function(0x1002, class_code=0x120000, driver="amdgpu").is_gpu
    assert not function(0x8086, class_code=0x120000, driver="intel_vpu").is_gpu
    assert not function(0x1002, class_code=0x120000, driver=None).is_gpu


def test_a_gpu_of_an_unknown_maker_is_said_and_not_counted() -> None:
    (finding,) = parse_gpu_functions((function(0x1ED5),)).findings
    assert (finding.code, finding.severity) == ("gpu_of_unknown_vendor", "warning")


def test_functions_are_found_by_class_in_order_of_address() -> None:
    files = {
        **ids("0000:0a:00.0", "0x030200", "0x10de", "0x20b2"),
        **ids("0000:01:00.0", "0x030000", "0x10de", "0x2684"),
        **ids("0000:01:00.1", "0x040300", "0x10de", "0x22ba"),
        **ids("0000:02:00.0", "0x010802", "0x144d", "0xa80c"),
    }
    found = read_gpu_functions(system(files)) or ()
    assert [(f.address, f.ids) for f in found] == [
        ("0000:01:00.0", "10de:2684"),
        ("0000:0a:00.0", "10de:20b2"),
    ]


def test_a_card_and_its_render_node_are_one_function() -> None:
    files: dict[str, str] = {}
    for node in ("card1", "renderD128"):
        path = f"/sys/class/drm/{node}/device"
        files |= {
            f"{path}/class": "0x030000",
            f"{path}/vendor": "0x1002",
            f"{path}/device": "0x744c",
            f"{path}/uevent": "DRIVER=amdgpu\nPCI_SLOT_NAME=0000:03:00.0\n",
        }
    (found,) = read_gpu_functions(system(files)) or ()
    assert found.address == "0000:03:00.0"


def test_without_a_bus_nothing_is_known_which_is_not_the_same_as_nothing_there() -> None:
    assert read_gpu_functions(system({})) is None
    assert read_gpu_functions(system(ids("0000:00:00.0", "0x060000", "0x8086", "0x1"))) == ()


@pytest.mark.parametrize("text", ["", "030000", "0x", "0xzz", "-0x1", "0x03 0000"])
def test_broken_files_hold_no_number(text: str) -> None:
    assert hexadecimal(text) is None


@pytest.mark.parametrize(
    ("speed", "lanes", "rate"),
    [
        ("2.5 GT/s PCIe", 1, 250_000_000),
        ("8.0 GT/s PCIe", 16, 15_753_600_000),
        ("16.0 GT/s PCIe", 16, 31_507_200_000),
        ("8 GT/s", 4, 3_938_400_000),
        (5, 16, 63_014_400_000),
        ("Unknown", 16, None),
        ("", 16, None),
        (4, 0, None),
        (4, 255, None),
        (9, 16, None),
        (None, 16, None),
        (4, None, None),
    ],
)
def test_link_rates_are_after_line_coding_and_one_way(
    speed: str | int | None, lanes: int | None, rate: int | None
) -> None:
    """PCIe base specification: 16 GT/s × 16 lanes × 128/130 / 8 = 31.5 GB/s."""
    assert link_bytes_per_s(speed=speed, lanes=lanes) == rate


def chain(*hops: tuple[str, str, str, str]) -> tuple[ReplaySystem, GpuFunction]:
    """A way from the root port to the card: address, vendor, speed, lanes."""
    files: dict[str, str] = {}
    for address, vendor, speed, lanes in hops:
        path = f"{BUS}/{address}"
        files |= {
            f"{path}/vendor": vendor,
            f"{path}/max_link_speed": speed,
            f"{path}/max_link_width": lanes,
        }
    card = hops[-1]
    way = "/".join(hop[0] for hop in hops)
    links = {f"{BUS}/{card[0]}": f"../../../devices/pci0000:00/{way}"}
    made = GpuFunction(card[0], 0x030000, int(card[1], 16), 1, None, None, f"{BUS}/{card[0]}", ())
    return system(files, links=links), made


def test_the_narrowest_hop_bounds_the_link() -> None:
    way = chain(
        ("0000:00:01.0", "0x8086", "16.0 GT/s PCIe", "4"),
        ("0000:01:00.0", "0x10de", "16.0 GT/s PCIe", "16"),
    )
    assert read_link_bytes_per_s(*way) == 4 * 1_969_200_000


def test_the_link_inside_a_card_says_nothing() -> None:
    """Arc cards state 2.5 GT/s and one lane behind their own switch."""
    way = chain(
        ("0000:00:01.0", "0x8086", "16.0 GT/s PCIe", "16"),
        ("0000:01:00.0", "0x8086", "16.0 GT/s PCIe", "8"),
        ("0000:02:01.0", "0x8086", "2.5 GT/s PCIe", "1"),
        ("0000:03:00.0", "0x8086", "2.5 GT/s PCIe", "1"),
    )
    assert read_link_bytes_per_s(*way) == 8 * 1_969_200_000


def test_a_port_that_a_virtual_machine_makes_up_says_nothing() -> None:
    way = chain(
        ("0000:00:02.0", "0x1b36", "2.5 GT/s PCIe", "1"),
        ("0000:01:00.0", "0x1002", "16.0 GT/s PCIe", "16"),
    )
    assert read_link_bytes_per_s(*way) == 16 * 1_969_200_000
