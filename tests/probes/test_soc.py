"""GPUs of a system on a chip: by kernel driver, on the platform bus."""

from __future__ import annotations

import pytest

from whatfits.probes.soc import parse_platform_cards


@pytest.mark.parametrize(
    ("driver", "kind"),
    [("msm_dpu", "opencl"), ("asahi", "vulkan"), ("panthor", "vulkan"), ("v3d", "vulkan")],
)
def test_a_known_driver_is_a_gpu_on_the_ram(driver: str, kind: str) -> None:
    found = parse_platform_cards({"card0": f"DRIVER={driver}\nOF_NAME=gpu\n"})
    (device,) = found.devices
    assert (device.kind, device.pool) == (kind, "ram")
    assert "integrated" in device.features


@pytest.mark.parametrize(
    "uevent",
    [
        "",
        "DRIVER=simple-framebuffer\n",
        "DRIVER=vkms\n",
        "DRIVER=msm_dpu\nPCI_SLOT_NAME=0000:01:00.0\n",
        "\x00DRIVER",
    ],
)
def test_displays_and_cards_on_the_bus_are_not_listed_here(uevent: str) -> None:
    assert parse_platform_cards({"card0": uevent}).devices == ()


def test_the_display_and_the_render_side_of_one_gpu_are_one_device() -> None:
    uevents = {"card0": "DRIVER=msm_dpu\n", "card1": "DRIVER=adreno\n"}
    assert len(parse_platform_cards(uevents).devices) == 1
