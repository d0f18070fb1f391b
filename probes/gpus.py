"""Every GPU of this machine: the vendors' probes together, each card once, ids that do not clash.

    from whatfits.probes import gpus
    found = gpus.probe(system)

`found` holds pools `vram0`… and, where CPU and GPU share the memory, `unified`; an integrated GPU
computes out of the pool `ram`, which the memory probe brings. Where there is a `unified` pool it
takes the place of `ram` (`whatfits.probes.unified.join_ram`), and the CPU computes out of it, too.
"""

from __future__ import annotations

from functools import partial

from whatfits.probes.drafts import Draft
from whatfits.probes.gpu_signs import NVIDIA_NODES
from whatfits.sizing.errors import ProbeError, printable
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import replace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from whatfits.probes.report import Partial
    from whatfits.probes.system import System
    from whatfits.sizing.machine import Device

__all__ = ["merge", "probe"]


def probe(system: System) -> Partial:
    """Return every GPU, and which of them the environment leaves visible; nothing is raised."""
    found = merge([_safely(part) for part in _parts(system)])
    if not found.devices:
        return found
    from whatfits.probes import visibility  # noqa: PLC0415 - nothing to hide without a GPU

    return merge([found, visibility.probe(system)])


def _parts(system: System) -> Iterator[Callable[[], Partial]]:
    """Yield the probes that can find anything on this system; each is imported when it is due."""
    if system.platform == "darwin":
        from whatfits.probes import apple  # noqa: PLC0415 - only on a Mac

        yield partial(apple.probe, system)
    elif system.platform == "win32":
        yield partial(_windows, system)
    else:
        yield from _linux_parts(system)


def _linux_parts(system: System) -> Iterator[Callable[[], Partial]]:
    from whatfits.probes import pci  # noqa: PLC0415 - only here

    functions = pci.read_gpu_functions(system)
    makers = {function.vendor_id for function in functions or ()}
    if functions is None or pci.NVIDIA in makers or _has_nvidia_nodes(system):
        from whatfits.probes import nvidia  # noqa: PLC0415 - only with a sign of such a GPU

        yield partial(nvidia.probe, system, functions)
    if pci.AMD in makers:
        from whatfits.probes import amd  # noqa: PLC0415 - same

        yield partial(amd.probe, system, functions)
    if pci.INTEL in makers:
        from whatfits.probes import intel  # noqa: PLC0415 - same

        yield partial(intel.probe, system, functions)
    if not makers:
        from whatfits.probes import soc  # noqa: PLC0415 - same

        yield partial(soc.probe, system)
    if functions:
        yield partial(pci.parse_gpu_functions, functions)


def _has_nvidia_nodes(system: System) -> bool:
    """Return whether `/dev` shows NVIDIA's driver, a Jetson's, or that of WSL."""
    try:
        names = system.list_dir("/dev")
    except ProbeError:
        return True  # not seen is not the same as not there
    return any(name.startswith(NVIDIA_NODES) for name in names)


def _windows(system: System) -> Partial:
    from whatfits.probes import adapters, nvidia  # noqa: PLC0415 - only on Windows

    cards = nvidia.probe(system, ())
    others = adapters.probe(system, has_nvml=bool(cards.devices))
    return merge([cards, others])


def _safely(part: Callable[[], Partial]) -> Partial:
    try:
        return part()
    except Exception as error:  # noqa: BLE001 - a probe's own defect must not cost the report
        draft = Draft()
        draft.say(
            "gpu_probe_failed",
            f"A GPU probe failed: {type(error).__name__}: {printable(error)}.",
            next_step="report it with the output of 'whatfits hardware --doctor'",
            warn=True,
        )
        return draft.partial()


def merge(parts: Sequence[Partial]) -> Partial:
    """Return the parts as one: a card that two sources list is kept once, ids are numbered anew.

    The first source wins: a vendor's own library before what the operating system says.
    """
    draft = Draft()
    for part in parts:
        kept = _without_known(part, draft.devices)
        names = _new_names(kept, draft)
        draft.pools += [replace(pool, id=names.get(pool.id, pool.id)) for pool in kept.pools]
        draft.devices += [
            replace(d, id=names.get(d.id, d.id), pool=names.get(d.pool, d.pool))
            for d in kept.devices
        ]
        draft.links += [
            replace(link, from_=names.get(link.from_, link.from_), to=names.get(link.to, link.to))
            for link in kept.links
        ]
        draft.evidence += [replace(e, key=_renamed(e.key, names)) for e in kept.evidence]
        draft.holders += [replace(h, pool=names.get(h.pool, h.pool)) for h in kept.holders]
        draft.findings += part.findings
    return draft.partial()


def _without_known(part: Partial, devices: Sequence[Device]) -> Partial:
    """Return a part without devices whose PCI address an earlier part has listed."""
    known = {address for device in devices for address in _addresses(device)}
    dropped = {d.id for d in part.devices if known.intersection(_addresses(d))}
    if not dropped:
        return part
    kept = tuple(device for device in part.devices if device.id not in dropped)
    pools = {device.pool for device in kept}
    gone = dropped | {pool.id for pool in part.pools if pool.id not in pools}
    return replace(
        part,
        devices=kept,
        pools=tuple(pool for pool in part.pools if pool.id in pools),
        links=tuple(x for x in part.links if not dropped.intersection((x.from_, x.to))),
        evidence=tuple(e for e in part.evidence if gone.isdisjoint(e.key.split("."))),
        holders=tuple(holder for holder in part.holders if holder.pool in pools),
    )


def _addresses(device: Device) -> tuple[str, ...]:
    return tuple(feature for feature in device.features if feature.startswith("pci:"))


def _new_names(part: Partial, draft: Draft) -> dict[str, str]:
    """Return new ids for a part's numbered pools and devices: each kind counts on from `draft`."""
    names: dict[str, str] = {}
    taken = sum(pool.kind == "vram" for pool in draft.pools)
    for pool in part.pools:
        if pool.kind == "vram":
            names[pool.id] = f"vram{taken}"
            taken += 1
    counts: dict[str, int] = {}
    for device in part.devices:
        if device.id == device.kind:
            continue  # the only one of its kind, as `metal`
        number = counts.get(device.kind, sum(d.kind == device.kind for d in draft.devices))
        names[device.id] = f"{device.kind}{number}"
        counts[device.kind] = number + 1
    return names


def _renamed(key: str, names: dict[str, str]) -> str:
    return ".".join(names.get(part, part) for part in key.split("."))
