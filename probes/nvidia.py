"""NVIDIA cards: what NVML says, made into pools, devices, links and advice.

Three things are kept apart: a card that works (its memory is a pool), a part that shares the
system's memory (GB10, Jetson: known names only, so that a lost card is never taken for one), and a
card that is there but cannot be used now (listed as `unusable`, memory unknown, models go to the
CPU).
"""

from __future__ import annotations

from whatfits.probes.drafts import Draft, count, error_name, items, mapping, text
from whatfits.probes.nvidia_card import (
    Card,
    Speed,
    add_device,
    add_holders,
    add_vram,
    card_speed,
    nvlinks,
    pci_address,
    total_bytes,
)
from whatfits.probes.nvidia_context import read_context
from whatfits.probes.nvidia_driver import read_snapshot, snapshot_trouble, unusable
from whatfits.probes.nvml import read_nvml
from whatfits.probes.unified import held_of
from whatfits.probes.visibility import parse_visibility
from whatfits.sizing.machine import Pool
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Final

    from whatfits.probes.meminfo import HostRam
    from whatfits.probes.pci import GpuFunction
    from whatfits.probes.report import Partial
    from whatfits.probes.system import System

__all__ = ["is_integrated_name", "parse_nvml", "probe", "read_nvml"]

# Parts without memory of their own; everything else that answers "not supported" is in trouble.
_INTEGRATED: Final = frozenset({"gb10", "orin", "xavier", "thor", "tegra", "nvgpu", "jetson"})
_MAX_MIG_COMPUTE_SLICES: Final = 7


def is_integrated_name(name: str) -> bool:
    """Return whether a part of this name shares the system's memory."""
    words = name.lower().replace("(", " ").replace(")", " ").replace("-", " ").split()
    return not _INTEGRATED.isdisjoint(words)


def probe(system: System, functions: tuple[GpuFunction, ...] | None = None) -> Partial:
    """Return the NVIDIA GPUs of this machine; empty where there is no sign of one.

    Args:
        system: the machine.
        functions: its PCI graphics functions, if they were read already.
    """
    context = read_context(system, functions)
    if not context.worth_asking:
        return Draft().partial()
    snapshot = read_snapshot(system)
    trouble = snapshot_trouble(snapshot)
    if trouble is not None:
        return unusable(context, trouble)
    return parse_nvml(
        snapshot,
        host=context.host,
        functions=context.functions,
        environment=system.environment,
        is_wsl=context.is_wsl,
    )


def parse_nvml(
    snapshot: Mapping[str, object],
    *,
    host: HostRam | None = None,
    functions: Sequence[GpuFunction] = (),
    environment: Mapping[str, str] | None = None,
    is_wsl: bool = False,
) -> Partial:
    """Return what a snapshot says.

    Args:
        snapshot: as `read_nvml` gives it, with `init` None.
        host: the system's memory, for parts that share it.
        functions: NVIDIA functions on the bus; one that NVML does not answer for is lost.
        environment: for `CUDA_VISIBLE_DEVICES`.
        is_wsl: whether this is a Linux inside Windows, where NVML knows no processes.
    """
    draft = Draft()
    _know_driver(draft, snapshot)
    cards: list[Card] = []
    rows = [mapping(row) for row in items(snapshot.get("devices"), at_most=64)]
    for row in rows:
        trouble = error_name(row.get("handle"))
        if trouble is not None:
            _say_lost(draft, row, trouble)
        else:
            cards += _add_card(draft, row, first=len(cards), host=host, is_wsl=is_wsl)
    _say_missing(draft, rows, functions)
    draft.links += nvlinks(cards)
    uuids = {card.device_id: uuid for card in cards if (uuid := text(card.raw.get("uuid")))}
    draft.add(parse_visibility(environment or {}, draft.devices, uuids=uuids))
    return draft.partial()


def _know_driver(draft: Draft, snapshot: Mapping[str, object]) -> None:
    version = text(snapshot.get("driver_version"))
    draft.know("nvidia.driver_version", version, unit="text", source="NVML")
    cuda = count(snapshot.get("cuda_version"))
    shown = None if cuda is None else f"{cuda // 1000}.{cuda % 1000 // 10}"
    draft.know("nvidia.cuda_version", shown, unit="text", source="NVML")
    for pair in items(mapping(snapshot.get("library")).get("tried"), at_most=16):
        name, reason = ([text(part) for part in items(pair, at_most=2)] + [None, None])[:2]
        if name:
            draft.say(
                "nvidia_library_skipped",
                f"{name} could not be loaded ({reason or 'no reason given'}); another copy of the "
                "driver library was used.",
            )


def _say_lost(draft: Draft, row: Mapping[str, object], trouble: str) -> None:
    where = pci_address(row.get("pci_bus_id")) or f"number {count(row.get('index'))}"
    is_lost = trouble == "GpuIsLost"
    draft.say(
        "nvidia_gpu_lost" if is_lost else "nvidia_gpu_unreachable",
        f"The NVIDIA GPU {where} is lost: reboot."
        if is_lost
        else f"The NVIDIA GPU {where} does not answer ({trouble}).",
        next_step="reboot the machine; 'dmesg | grep -i xid' shows why it was lost",
        warn=True,
    )


def _say_missing(
    draft: Draft, rows: Sequence[Mapping[str, object]], functions: Sequence[GpuFunction]
) -> None:
    """Say which cards are on the bus but not in NVML's list.

    A lost card keeps its place on the bus; where NVML gave its number only, this names it.
    """
    answered = {pci_address(row.get("pci_bus_id")) for row in rows} - {None}
    for function in functions if answered else ():
        if function.address not in answered:
            bound = f", bound to '{function.driver}'" if function.driver != "nvidia" else ""
            draft.say(
                "nvidia_gpu_missing",
                f"The NVIDIA GPU at {function.address} is on the bus, but its driver gives no "
                f"answer for it{bound}.",
                next_step="reboot; if it stays away, reseat the card and check its power",
                warn=True,
            )


def _add_card(
    draft: Draft, row: Mapping[str, object], *, first: int, host: HostRam | None, is_wsl: bool
) -> list[Card]:
    """Add one card, or the instances it is split into; return them with their ids."""
    name = text(row.get("name")) or "unknown NVIDIA GPU"
    address = pci_address(row.get("pci_bus_id"))
    if is_integrated_name(name):
        card = Card(row, name, address, f"cuda{first}", "unified")
        _add_integrated(draft, card, host)
        return [card]
    # a card that lists instances is split, also where its mode cannot be read
    if count(row.get("mig_mode")) == 1 or items(row.get("mig")):
        return _add_instances(draft, row, name=name, address=address, first=first)
    card = Card(row, name, address, f"cuda{first}", f"vram{first}")
    add_vram(draft, card)
    add_device(draft, card, card_speed(name, row, is_integrated=False))
    add_holders(draft, card, is_wsl=is_wsl)
    return [card]


def _add_integrated(draft: Draft, card: Card, host: HostRam | None) -> None:
    """A part that shares the system's memory: its pool is the RAM, whatever NVML says.

    NVML answers "not supported" or the system's own figures, by driver version; CUDA counts the
    page cache as used. MemAvailable is what can be had.
    """
    total = None if host is None else host.total_bytes
    used = None
    if total is not None and host is not None:
        used = held_of(total, available_bytes=host.available_bytes)
    speed = card_speed(card.name, {"memory": {"total": total}}, is_integrated=True)
    if not any(pool.id == "unified" for pool in draft.pools):
        draft.pools.append(Pool("unified", "unified", total, used_bytes=used))
        for key, value, field in (("total", total, "MemTotal"), ("used", used, "MemAvailable")):
            source = f"/proc/meminfo {field}: the GPU shares the system's memory"
            draft.know(f"pools.unified.{key}_bytes", value, unit="bytes", source=source)
    draft.say(
        "unified_memory",
        f"{card.name} has no memory of its own: it shares the system's, and page cache that CUDA "
        "counts as used is available.",
    )
    add_device(draft, card, speed, extra=("integrated",))
    add_holders(draft, card, is_wsl=False)


def _add_instances(
    draft: Draft, row: Mapping[str, object], *, name: str, address: str | None, first: int
) -> list[Card]:
    """A card in MIG mode: its instances are the devices, the card itself is not counted."""
    cards: list[Card] = []
    trouble = error_name(row.get("mig"))
    if trouble is not None:
        draft.say(
            "nvidia_mig_unread",
            f"{name} is in MIG mode, but its instances could not be read ({trouble}).",
            next_step="'nvidia-smi -L' lists them",
            warn=True,
        )
        return cards
    listed = items(row.get("mig"), at_most=16)
    instances = [mapping(entry) for entry in listed if mapping(entry)]
    if len(instances) < len(listed):
        draft.say(
            "nvidia_mig_unread",
            f"{name} is in MIG mode, but not every instance could be read.",
            next_step="'nvidia-smi -L' lists them",
            warn=True,
        )
    if listed and not instances:
        return cards
    for instance in instances:
        number = first + len(cards)
        # what is the card's own is not its instance's
        own: dict[str, object] = {**row, "memory": None, "nvlink": [], "uuid": None, **instance}
        label = text(instance.get("name")) or f"{name} MIG"
        card = Card(own, label, address, f"cuda{number}", f"vram{number}")
        add_vram(draft, card)
        add_device(draft, card, _share(name, row, own), extra=("mig",))
        add_holders(draft, card, is_wsl=False)
        cards.append(card)
    draft.say(
        "nvidia_mig",
        f"{name} is split into {len(cards)} MIG instances; the card itself is not counted."
        if cards
        else f"{name} is in MIG mode and has no instance: it cannot run anything.",
        next_step="a CUDA process sees one instance: CUDA_VISIBLE_DEVICES=MIG-<uuid>"
        if cards
        else "create one ('nvidia-smi mig -cgi …'), or leave MIG mode ('nvidia-smi -mig 0')",
        warn=not cards,
    )
    return cards


def _share(name: str, row: Mapping[str, object], own: Mapping[str, object]) -> Speed:
    """Return an instance's part of its card: by memory for bandwidth, by slices for compute."""
    whole = card_speed(name, row, is_integrated=False)
    card_bytes, own_bytes = total_bytes(row), total_bytes(own)
    bandwidth, flops = whole.bandwidth_bytes_per_s, whole.fp16_flops_per_s
    part = None
    if bandwidth and card_bytes and own_bytes:
        part = bandwidth * min(own_bytes, card_bytes) // card_bytes
    slices = count(own.get("compute_slices"))
    return Speed(
        part,
        flops * min(slices, _MAX_MIG_COMPUTE_SLICES) // _MAX_MIG_COMPUTE_SLICES
        if flops and slices
        else None,
        is_derived=True,
        source="the card's, by the instance's share of its memory",
    )
