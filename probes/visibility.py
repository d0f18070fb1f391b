"""Which of the GPUs that are there the runtimes would be shown: environment variables.

The list of hardware stays complete; what is visible is said apart, so that a forgotten
`CUDA_VISIBLE_DEVICES=` is found instead of being taken for a machine without a GPU.
"""

from __future__ import annotations

from whatfits.probes.drafts import Draft, whole_number
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Final

    from whatfits.probes.report import Partial
    from whatfits.probes.system import System
    from whatfits.sizing.machine import Device

__all__ = ["VARIABLES", "parse_selections", "parse_visibility", "probe", "visible_indices"]

# Variable -> back ends whose devices it selects, in the order the back end applies them.
_CUDA: Final = ("CUDA_VISIBLE_DEVICES",)
_ROCM: Final = (
    "ROCR_VISIBLE_DEVICES",
    "HIP_VISIBLE_DEVICES",
    "CUDA_VISIBLE_DEVICES",
    "GPU_DEVICE_ORDINAL",
)
_BY_KIND: Final = {"cuda": _CUDA, "rocm": _ROCM}

# Selections by an order that only the runtime knows: said, not applied.
_BY_RUNTIME: Final = (
    "GGML_VK_VISIBLE_DEVICES",
    "ONEAPI_DEVICE_SELECTOR",
    "ZE_AFFINITY_MASK",
    "HSA_OVERRIDE_GFX_VERSION",
)
# Read by NVIDIA's container runtime as it starts a container (docs.nvidia.com, container toolkit,
# specialized configurations), not by CUDA.
_BY_CONTAINERS: Final = "NVIDIA_VISIBLE_DEVICES"
VARIABLES: Final = (
    *dict.fromkeys((*_CUDA, *_ROCM, *_BY_RUNTIME, _BY_CONTAINERS, "CUDA_DEVICE_ORDER")),
)
"""Every environment variable this probe looks at."""

_MAX_LIST: Final = 256


def visible_indices(value: str, uuids: Sequence[str | None]) -> tuple[int, ...]:
    """Return which devices a `*_VISIBLE_DEVICES` value leaves visible, in its order.

    A number counts from 0; a text is the start of a UUID that fits exactly one device. As in the
    CUDA driver, the list ends at the first entry that names no device: an empty value and `-1`
    hide everything.

    Args:
        value: the variable's text.
        uuids: the devices' UUIDs by index; None where unknown.
    """
    chosen: list[int] = []
    for entry in value.split(",")[:_MAX_LIST]:
        index = _index_of(entry.strip(), uuids)
        if index is None or index in chosen:
            break
        chosen.append(index)
    return tuple(chosen)


def _index_of(entry: str, uuids: Sequence[str | None]) -> int | None:
    index = whole_number(entry)
    if index is not None:
        return index if index < len(uuids) else None
    if not entry.upper().startswith(("GPU-", "MIG-")):
        return None
    found = [i for i, uuid in enumerate(uuids) if uuid and uuid.lower().startswith(entry.lower())]
    return found[0] if len(found) == 1 else None


def parse_visibility(
    environment: Mapping[str, str],
    devices: Sequence[Device],
    *,
    uuids: Mapping[str, str] | None = None,
) -> Partial:
    """Return what the environment leaves visible of these devices.

    Args:
        environment: the process's environment.
        devices: every GPU of the machine, in the runtimes' order.
        uuids: UUID by device id, where a driver gives one.
    """
    draft = Draft()
    known = uuids or {}
    for kind, variables in _BY_KIND.items():
        ours = [d for d in devices if d.kind == kind and d.is_usable]
        if ours:
            _apply(draft, environment, ours, variables, known)
    return draft.partial()


def parse_selections(environment: Mapping[str, str]) -> Partial:
    """Return the variables that are set, and those that only a runtime can apply."""
    draft = Draft()
    for name in VARIABLES:
        if name in environment:
            value = environment[name][:200]
            draft.know(f"environment.{name}", value, unit="text", source=name)
    for name in _BY_RUNTIME:
        if environment.get(name, "all") not in ("all", ""):
            draft.say(
                "device_selection_set",
                f"{name} is set to '{environment[name][:60]}': a runtime may not use every device.",
                next_step=f"unset {name} to use all of them",
            )
    given = environment.get(_BY_CONTAINERS, "all")
    if given not in ("all", ""):
        draft.say(
            "container_device_selection",
            f"{_BY_CONTAINERS} is '{given[:60]}': a container that was started so is given these "
            "GPUs alone; programs in it do not look at it.",
            next_step=f"start the container with {_BY_CONTAINERS}=all for any others",
        )
    return draft.partial()


def _apply(
    draft: Draft,
    environment: Mapping[str, str],
    devices: Sequence[Device],
    variables: Sequence[str],
    uuids: Mapping[str, str],
) -> None:
    visible = list(devices)
    for name in variables:
        value = environment.get(name)
        if value is None:
            continue
        indices = visible_indices(value, [uuids.get(device.id) for device in visible])
        shown = [visible[index] for index in indices]
        for hidden in (device for device in visible if device not in shown):
            draft.say(
                "device_hidden",
                f"{name}='{value[:60]}' hides {hidden.id} ({hidden.name}) from runtimes.",
                next_step=f"unset {name} to use it",
                warn=True,
            )
        visible = shown
        _warn_of_order(draft, environment, devices, name=name, value=value)
    for device in devices:
        draft.know(
            f"devices.{device.id}.visible_to_runtimes",
            device in visible,
            unit="flag",
            source="environment",
            kind="derived",
        )


def _warn_of_order(
    draft: Draft,
    environment: Mapping[str, str],
    devices: Sequence[Device],
    *,
    name: str,
    value: str,
) -> None:
    """CUDA counts the fastest card first unless told to count by bus address as the driver does."""
    by_number = any(entry.strip().isdecimal() for entry in value.split(","))
    mixed = len({device.name for device in devices}) > 1
    is_cuda = name == "CUDA_VISIBLE_DEVICES" and devices[0].kind == "cuda"
    by_bus = environment.get("CUDA_DEVICE_ORDER") == "PCI_BUS_ID"
    if is_cuda and by_number and mixed and not by_bus:
        draft.say(
            "cuda_order_uncertain",
            "CUDA numbers unlike cards fastest first, the driver by bus address: "
            f"{name}='{value[:60]}' may mean other cards than shown here.",
            next_step="set CUDA_DEVICE_ORDER=PCI_BUS_ID, or select by UUID",
            warn=True,
        )


def probe(system: System) -> Partial:
    """Return what the environment selects; each vendor's probe applies it to its own devices."""
    return parse_selections(system.environment)
