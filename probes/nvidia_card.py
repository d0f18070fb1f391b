"""One NVIDIA card of a snapshot made into a pool, a device, its links and who holds its memory."""

from __future__ import annotations

from binascii import crc32

from whatfits.probes.drafts import catalog_rates, count, error_name, items, mapping, size, text
from whatfits.probes.pci_links import link_bytes_per_s
from whatfits.probes.report import Holder
from whatfits.sizing.machine import Device, Link, Pool
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.units import format_bytes
from whatfits.sizing.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from collections.abc import Set as AbstractSet
    from typing import Final

    from whatfits.probes.drafts import Draft

__all__ = [
    "Card",
    "Speed",
    "add_device",
    "add_holders",
    "add_vram",
    "card_speed",
    "nvlinks",
    "pci_address",
    "total_bytes",
]

_VENDOR: Final = "NVIDIA"
_ADDRESSING: Final = {1: "hmm", 2: "ats"}
_VGPU_GUEST: Final = 2
_TCC: Final = 1
# NVLink-C2C between a Grace CPU and its GPU: 900 GB/s both ways together (GH200, GB200).
_C2C_BYTES_PER_S: Final = 450_000_000_000
# One NVLink, one way, by version; GeForce bridges are slower and say so themselves.
# NVIDIA Ampere GA102 whitepaper: four links of 14.0625 GB/s in each direction.
_GA102_NVLINK_MB_PER_S: Final = 14_062
_NVLINK_MB_PER_S: Final = {1: 20_000, 2: 25_000, 3: 25_000, 4: 25_000, 5: 50_000}
_NVSWITCH: Final = 2


@dataclass(frozen=True, slots=True)
class Card:
    """One entry of the snapshot that answered, and the ids it got.

    Attributes:
        raw: its answers; a MIG instance's own take the place of its card's.
        name: what the driver calls it.
        address: PCI address; None when not told.
        device_id: id of its device.
        pool_id: id of its pool.
    """

    raw: Mapping[str, object]
    name: str
    address: str | None
    device_id: str
    pool_id: str


@dataclass(frozen=True, slots=True)
class Speed:
    """Peak rates and where the first comes from."""

    bandwidth_bytes_per_s: int | None
    fp16_flops_per_s: int | None
    is_derived: bool
    source: str


def pci_address(value: object) -> str | None:
    """Return `domain:bus:device.function` with a four-digit domain, as sysfs writes it."""
    shown = (text(value) or "").lower()
    domain, _, rest = shown.partition(":")
    if rest.count(":") != 1 or not domain:
        return None
    return f"{domain[-4:].rjust(4, '0')}:{rest}"


def total_bytes(raw: Mapping[str, object]) -> int | None:
    """Return the size of a card's memory; None when unknown or 0, which is no size."""
    return size(mapping(raw.get("memory")).get("total")) or None


def card_speed(name: str, raw: Mapping[str, object], *, is_integrated: bool) -> Speed:
    """Return what the catalog knows, else what clock and bus width give.

    An integrated part's bus is the processor's, and NVML does not tell its width.
    """
    known = catalog_rates(name, vendor=_VENDOR, memory_bytes=total_bytes(raw))
    flops = known.fp16_flops_per_s
    if known.bandwidth_bytes_per_s is not None:
        return Speed(known.bandwidth_bytes_per_s, flops, is_derived=False, source="catalog")
    clock, bits = count(raw.get("max_memory_clock_mhz")), count(raw.get("bus_width_bits"))
    # Two transfers a clock as NVML counts it, for GDDR and HBM alike.
    rate = 2 * clock * 1_000_000 * bits // 8 if clock and bits and not is_integrated else None
    return Speed(rate, flops, is_derived=True, source="2 × memory clock × bus width / 8")


def add_vram(draft: Draft, card: Card) -> None:
    """Add the pool of a card or instance: total, what the driver reserves, what others hold."""
    memory = mapping(card.raw.get("memory"))
    total, reserved, used = (size(memory.get(key)) for key in ("total", "reserved", "used"))
    if not total:
        total = reserved = used = None
        trouble = error_name(card.raw.get("memory")) or "the driver says 0"
        draft.say(
            "nvidia_memory_unknown",
            f"{card.name}: its memory could not be read ({trouble}).",
            next_step="reboot; if it stays so, reinstall the driver",
            warn=True,
        )
    elif used is not None and used > total:
        used = None
    limit = total - reserved if total is not None and reserved and reserved < total else None
    source = None if limit is None else f"the driver reserves {format_bytes(reserved or 0)}"
    draft.pools.append(
        Pool(card.pool_id, "vram", total, limit_bytes=limit, used_bytes=used, limit_source=source)
    )
    version = f"NVML memory info v{count(memory.get('version')) or 1}"
    for key, value in (("total", total), ("limit", limit), ("used", used)):
        if key != "limit" or value is not None:
            draft.know(f"pools.{card.pool_id}.{key}_bytes", value, unit="bytes", source=version)


def add_device(draft: Draft, card: Card, speed: Speed, *, extra: tuple[str, ...] = ()) -> None:
    """Add the device of a card or instance, and its link to the host."""
    features = (*_features(card), *extra)
    draft.devices.append(
        Device(
            card.device_id,
            "cuda",
            card.name,
            card.pool_id,
            bandwidth_bytes_per_s=speed.bandwidth_bytes_per_s,
            fp16_flops_per_s=speed.fp16_flops_per_s,
            features=features,
        )
    )
    draft.know(
        f"devices.{card.device_id}.bandwidth_bytes_per_s",
        speed.bandwidth_bytes_per_s,
        unit="bytes/s",
        source=speed.source,
        kind="derived" if speed.is_derived else "reported",
    )
    milliwatts = count(card.raw.get("power_limit_mw"))
    watts = None if milliwatts is None else milliwatts // 1000
    draft.know(f"devices.{card.device_id}.power_limit_watts", watts, unit="W", source="NVML")
    _say_features(draft, card, features)
    if "integrated" not in features:
        _add_host_link(draft, card)


def _features(card: Card) -> tuple[str, ...]:
    raw = card.raw
    capability = [count(part) for part in items(raw.get("compute_capability"), at_most=2)]
    found: list[str] = []
    if len(capability) == 2 and None not in capability:  # noqa: PLR2004 - major, minor
        found.append(f"cc{capability[0]}.{capability[1]}")
    if card.address:
        found.append(f"pci:{card.address}")
    uuid = text(raw.get("uuid"))
    if uuid:
        # Enough to tell two cards apart, too little to tell which they are.
        found.append(f"uuid:{crc32(uuid.encode()):08x}")
    # a H200 without any output says that a display is attached, but none is active
    shows = count(raw.get("display_active"))
    if count(raw.get("display_attached")) if shows is None else shows:
        found.append("display")
    model = count(raw.get("driver_model"))
    if model is not None:
        found.append("tcc" if model == _TCC else "wddm")
    mode = _ADDRESSING.get(count(raw.get("addressing_mode")) or 0)
    if mode:
        found.append(mode)
    if count(raw.get("virtualization_mode")) == _VGPU_GUEST:
        found.append("vgpu")
    return tuple(found)


def _say_features(draft: Draft, card: Card, features: Sequence[str]) -> None:
    if "vgpu" in features:
        draft.say(
            "nvidia_vgpu",
            f"{card.name} is a share of a card (vGPU): its memory is the profile's, its speed "
            "depends on the neighbours.",
        )
    if "wddm" in features:
        draft.say(
            "wddm_spills",
            f"{card.name} runs under WDDM: Windows may move what does not fit into shared memory "
            "without an error, and then it is slow.",
            next_step="NVIDIA control panel, 'CUDA - Sysmem Fallback Policy': no fallback",
        )


def _add_host_link(draft: Draft, card: Card) -> None:
    """Idle links slow down but keep their width, and a slot may be narrower than its card."""
    generation = count(card.raw.get("pcie_generation"))
    widths = (count(card.raw.get("pcie_lanes")), count(card.raw.get("pcie_lanes_now")))
    lanes = min((width for width in widths if width), default=None)
    rate = link_bytes_per_s(speed=generation, lanes=lanes)
    source = f"PCIe generation {generation} at most, {lanes} lanes"
    if card.raw.get("c2c") is True:
        rate, source = _C2C_BYTES_PER_S, "NVLink-C2C, 900 GB/s both ways together"
    if rate is not None:
        draft.links.append(Link("cpu", card.device_id, rate))
        draft.know(
            f"links.cpu.{card.device_id}", rate, unit="bytes/s", source=source, kind="derived"
        )


def add_holders(draft: Draft, card: Card, *, is_wsl: bool) -> None:
    """Add the processes that hold memory of a card, most first."""
    found: list[Holder] = []
    for process in map(mapping, items(card.raw.get("processes"), at_most=256)):
        held, pid = size(process.get("used")), count(process.get("pid"))
        path = (text(process.get("name")) or "").partition(" -")[0].replace("\\", "/")
        name = path.rpartition("/")[2] or f"process {pid}"
        if held:
            found.append(Holder(card.pool_id, name, pid, held))
    draft.holders += sorted(found, key=lambda holder: -(holder.held_bytes or 0))
    trouble = error_name(card.raw.get("processes"))
    if trouble is not None:
        why = "NVML inside WSL does not say" if is_wsl else f"NVML: {trouble}"
        key = f"pools.{card.pool_id}.holders"
        draft.know(key, None, unit="text", source=f"who holds memory: {why}")


def nvlinks(cards: Sequence[Card]) -> list[Link]:
    """Return the links between cards: direct ones, and through NVSwitch to every card on it."""
    addresses = {card.address for card in cards if card.address}
    ways = {card.device_id: _ways(card, addresses) for card in cards}
    links: list[Link] = []
    for index, one in enumerate(cards):
        for other in cards[index + 1 :]:
            here, there = ways[one.device_id], ways[other.device_id]
            rate = here.get(other.address) if other.address else None
            if rate is None and None in here and None in there:
                rate = min(here[None], there[None])
            if rate:
                links.append(Link(one.device_id, other.device_id, rate))
    return links


def _nominal_mb_per_s(card: Card, version: int | None) -> int | None:
    """Return the rate of one link that states none, by its version; GA102's are half as wide."""
    if items(card.raw.get("compute_capability")) == [8, 6]:
        return _GA102_NVLINK_MB_PER_S
    return _NVLINK_MB_PER_S.get(version or 0)


def _ways(card: Card, addresses: AbstractSet[str]) -> dict[str | None, int]:
    """Return the one-way rate to each neighbour by address; None is the switch.

    Empty when one of the links cannot be read: the sum of the others would be too small.
    """
    ways: dict[str | None, int] = {}
    stated = count(card.raw.get("nvlink_mb_per_s"))
    for link in map(mapping, items(card.raw.get("nvlink"), at_most=64)):
        is_switch = count(link.get("remote_type")) == _NVSWITCH
        remote = None if is_switch else pci_address(link.get("remote"))
        rate = stated or _nominal_mb_per_s(card, count(link.get("version")))
        is_told = is_switch or remote in addresses or count(link.get("remote_type")) is not None
        if not rate or not is_told:
            return {}
        if is_switch or remote:
            ways[remote] = ways.get(remote, 0) + rate * 1_000_000
    return ways
