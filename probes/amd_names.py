"""Names of AMD GPUs by PCI device and revision, for systems that carry no list of their own.

Facts from libdrm's public list of ids (data/amdgpu.ids), cut down to chips that models run on.
A device that is not here is looked up in the system's own copy, else shown by its number.
"""

from __future__ import annotations

from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Final

__all__ = ["APU_DEVICES", "CHIPS", "amd_name", "parse_amdgpu_ids"]

# device -> {revision: name}; revision None: any.
CHIPS: Final[dict[int, dict[int | None, str]]] = {
    0x1114: {0xC3: "AMD Radeon 840M Graphics", None: "AMD Radeon 860M Graphics"},
    0x150E: {
        0xC4: "AMD Radeon 880M Graphics",
        0xD2: "AMD Radeon 880M Graphics",
        None: "AMD Radeon 890M Graphics",
    },
    0x1586: {
        0xC2: "AMD Radeon 8050S Graphics",
        0xC4: "AMD Radeon 8050S Graphics",
        0xD2: "AMD Radeon 8050S Graphics",
        0xD4: "AMD Radeon 8050S Graphics",
        0xD5: "AMD Radeon 8040S Graphics",
        None: "AMD Radeon 8060S Graphics",
    },
    0x15BF: {0xC3: "AMD Radeon 760M Graphics", None: "AMD Radeon 780M Graphics"},
    0x15C8: {None: "AMD Radeon 740M Graphics"},
    0x163F: {None: "AMD Custom GPU 0405"},
    0x164E: {None: "AMD Radeon 610M"},
    0x1681: {
        0x07: "AMD Radeon 660M",
        0x0B: "AMD Radeon 660M",
        0xC9: "AMD Radeon 660M",
        None: "AMD Radeon 680M",
    },
    0x1900: {0xC1: "AMD Radeon 760M Graphics", None: "AMD Radeon 780M Graphics"},
    0x66A1: {0x06: "AMD Radeon Pro VII", None: "AMD Instinct MI60 / MI50"},
    0x66AF: {None: "AMD Radeon VII"},
    0x67C0: {0x00: "AMD Radeon Pro WX 7100 Graphics"},
    0x67C4: {0x00: "AMD Radeon Pro WX 7100 Graphics"},
    0x67C7: {0x00: "AMD Radeon Pro WX 5100 Graphics"},
    0x67DF: {
        0xC1: "AMD Radeon RX 580 Series",
        0xC2: "AMD Radeon RX 570 Series",
        0xC3: "AMD Radeon RX 580 Series",
        0xC4: "AMD Radeon RX 480 Graphics",
        0xC5: "AMD Radeon RX 470 Graphics",
        0xC6: "AMD Radeon RX 570 Series",
        0xC7: "AMD Radeon RX 480 Graphics",
        0xCF: "AMD Radeon RX 470 Graphics",
        0xD7: "AMD Radeon RX 470 Graphics",
        0xE0: "AMD Radeon RX 470 Series",
        0xE1: "AMD Radeon RX 590 Series",
        0xE7: "AMD Radeon RX 580 Series",
        0xEF: "AMD Radeon RX 570 Series",
        0xFF: "AMD Radeon RX 470 Series",
    },
    0x6860: {
        0x00: "AMD Radeon Instinct MI25",
        0x01: "AMD Radeon Instinct MI25",
        0x02: "AMD Radeon Instinct MI25",
    },
    0x6861: {None: "AMD Radeon Pro WX 9100"},
    0x6863: {None: "AMD Radeon Vega Frontier Edition"},
    0x6868: {None: "AMD Radeon Pro WX 8200"},
    0x687F: {None: "AMD Radeon RX Vega"},
    0x6FDF: {0xEF: "AMD Radeon RX 580 2048SP"},
    0x7312: {None: "AMD Radeon Pro W5700"},
    0x731F: {
        0xC1: "AMD Radeon RX 5700 XT",
        0xC4: "AMD Radeon RX 5700",
        0xC5: "AMD Radeon RX 5700 XT",
        0xCA: "AMD Radeon RX 5600 XT",
    },
    0x7340: {0xC5: "AMD Radeon RX 5500 XT"},
    0x738C: {None: "AMD Instinct MI100"},
    0x73A1: {None: "AMD Radeon Pro V620"},
    0x73A3: {None: "AMD Radeon Pro W6800"},
    0x73A5: {None: "AMD Radeon RX 6950 XT"},
    0x73AF: {None: "AMD Radeon RX 6900 XT"},
    0x73BF: {
        0xC0: "AMD Radeon RX 6900 XT",
        0xC1: "AMD Radeon RX 6800 XT",
        0xC3: "AMD Radeon RX 6800",
    },
    0x73DF: {
        0xC0: "AMD Radeon RX 6750 XT",
        0xC1: "AMD Radeon RX 6700 XT",
        0xC2: "AMD Radeon RX 6800M",
        0xC3: "AMD Radeon RX 6800M",
        0xC5: "AMD Radeon RX 6700 XT",
        0xCF: "AMD Radeon RX 6700M",
        0xD5: "AMD Radeon RX 6750 GRE 12GB",
        0xDF: "AMD Radeon RX 6700",
        0xE5: "AMD Radeon RX 6750 GRE 12GB",
        0xFF: "AMD Radeon RX 6700",
    },
    0x73E3: {None: "AMD Radeon Pro W6600"},
    0x73EF: {
        0xC0: "AMD Radeon RX 6800S",
        0xC1: "AMD Radeon RX 6650 XT",
        0xC2: "AMD Radeon RX 6700S",
        0xC3: "AMD Radeon RX 6650M",
    },
    0x73FF: {
        0xC1: "AMD Radeon RX 6600 XT",
        0xC3: "AMD Radeon RX 6600M",
        0xC7: "AMD Radeon RX 6600",
        0xDF: "AMD Radeon RX 6750 GRE 10GB",
    },
    0x7408: {None: "AMD Instinct MI250X"},
    0x740C: {None: "AMD Instinct MI250X / MI250"},
    0x740F: {None: "AMD Instinct MI210"},
    0x7422: {None: "AMD Radeon Pro W6400"},
    0x743F: {0xC1: "AMD Radeon RX 6500 XT", 0xC7: "AMD Radeon RX 6400"},
    0x7448: {None: "AMD Radeon Pro W7900"},
    0x7449: {None: "AMD Radeon Pro W7800 48GB"},
    0x744A: {None: "AMD Radeon Pro W7900 Dual Slot"},
    0x744B: {None: "AMD Radeon Pro W7900D"},
    0x744C: {
        0xC8: "AMD Radeon RX 7900 XTX",
        0xCC: "AMD Radeon RX 7900 XT",
        0xCE: "AMD Radeon RX 7900 GRE",
        0xCF: "AMD Radeon RX 7900M",
    },
    0x745E: {None: "AMD Radeon Pro W7800"},
    0x7470: {None: "AMD Radeon Pro W7700"},
    0x747E: {
        0xC8: "AMD Radeon RX 7800 XT",
        0xD8: "AMD Radeon RX 7800M",
        0xDB: "AMD Radeon RX 7700",
        0xFF: "AMD Radeon RX 7700 XT",
    },
    0x7480: {
        0x00: "AMD Radeon Pro W7600",
        0xC0: "AMD Radeon RX 7600 XT",
        0xC1: "AMD Radeon RX 7700S",
        0xC2: "AMD Radeon RX 7650 GRE",
        0xC3: "AMD Radeon RX 7600S",
        0xC7: "AMD Radeon RX 7600M XT",
        0xCF: "AMD Radeon RX 7600",
    },
    0x7483: {0xCF: "AMD Radeon RX 7600M"},
    0x7489: {None: "AMD Radeon Pro W7500"},
    0x74A0: {None: "AMD Instinct MI300A"},
    0x74A1: {None: "AMD Instinct MI300X"},
    0x74A5: {None: "AMD Instinct MI325X"},
    0x7550: {
        0xC0: "AMD Radeon RX 9070 XT",
        0xC2: "AMD Radeon RX 9070 GRE",
        0xC3: "AMD Radeon RX 9070",
    },
    0x7551: {0xC0: "AMD Radeon AI PRO R9700", 0xC8: "AMD Radeon AI PRO R9600D"},
    0x7590: {0xC0: "AMD Radeon RX 9060 XT", 0xC7: "AMD Radeon RX 9060"},
    0x75A0: {None: "AMD Instinct MI350X"},
    0x75A3: {None: "AMD Instinct MI355X"},
}

APU_DEVICES: Final = (range(0x1300, 0x1A00), range(0x1100, 0x1200), range(0x9600, 0x9A00))
"""Device numbers of graphics inside a processor; cards lie at 0x6000-0x7fff."""

_INSTINCT_APU: Final = 0x74A0
_FIELDS: Final = 3


def amd_name(device_id: int, revision: int | None) -> str | None:
    """Return what a chip is sold as; None when this list does not know it."""
    names = CHIPS.get(device_id, {})
    return names.get(revision) or names.get(None)


def is_apu(device_id: int) -> bool:
    """Return whether a device number belongs to graphics inside a processor."""
    return device_id == _INSTINCT_APU or any(device_id in numbers for numbers in APU_DEVICES)


def parse_amdgpu_ids(ids: str, *, device_id: int, revision: int | None) -> str | None:
    """Return the name in the text of an `amdgpu.ids` file, `744C,<tab>C8,<tab>AMD Radeon …`."""
    for line in ids.splitlines():
        parts = [part.strip() for part in line.split(",", 2)]
        if len(parts) != _FIELDS or line.startswith("#"):
            continue
        try:
            numbers = int(parts[0], 16), int(parts[1], 16)
        except ValueError:
            continue
        if numbers == (device_id, revision):
            return parts[2] or None
    return None
