"""Options that choose or change the machine, and what they become."""

from __future__ import annotations

from whatfits.sizing.cli.parser import parsed
from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.units import parse_bytes
from whatfits.sizing.values import replace

if TYPE_CHECKING:
    import argparse
    from typing import Final

    from whatfits.sizing.cli.parser import Parser
    from whatfits.sizing.machine import Machine

__all__ = [
    "add_device_option",
    "add_disk_option",
    "add_machine_options",
    "devices_of",
    "machine_of",
    "machine_words",
    "with_chosen_devices",
    "with_disk",
]

_SLOWEST_DISK: Final = 10**6  # bytes a second


def add_machine_options(parser: Parser) -> None:
    """Add the options that choose or change the machine."""
    parser.add_argument(
        "--machine",
        metavar="NAME|FILE",
        help="another machine: 'rtx-4090 + 64gb', 'm4 max 64gb', '64gb', or a saved report",
    )
    parser.add_argument(
        "--idle", action="store_true", help="as after a restart: nothing held by other programs"
    )
    parser.add_argument(
        "--reserve",
        action="append",
        default=[],
        metavar="SIZE|POOL=SIZE",
        help="memory to keep free, of the host's pool or of a named one",
    )
    parser.add_argument(
        "--no-calibration",
        action="store_true",
        help="speeds as if 'whatfits bench' had never run",
    )


def add_device_option(parser: argparse._ActionsContainer) -> None:
    """Add the option that leaves some accelerators out."""
    parser.add_argument("--device", metavar="ID,…|none", help="accelerators to use")


def add_disk_option(parser: Parser) -> None:
    """Add the option that says how fast the disk is."""
    parser.add_argument(
        "--disk-bandwidth",
        action=parsed(_bandwidth),
        metavar="SIZE/s",
        help="read bandwidth of the disk with the model, as 3.5GB/s: for the time of a load",
    )


def machine_of(options: argparse.Namespace) -> Machine:
    """Return the machine that the options name, idle and with other reserves when asked."""
    from whatfits.sizing.api import load_machine

    machine = load_machine(options.machine)
    if options.no_calibration:
        machine = replace(machine, calibration=None)
    if not (options.idle or options.reserve):
        return machine
    from whatfits.sizing.machine_changes import idle_machine, with_reserves

    if options.idle:
        machine = idle_machine(machine)
    return with_reserves(machine, options.reserve)


def machine_words(options: argparse.Namespace) -> str:
    """Return what names the machine again in a command to type, with a space before it."""
    if not options.machine:
        return ""
    import shlex

    return f" --machine {shlex.quote(options.machine)}"


def devices_of(options: argparse.Namespace) -> tuple[str, ...] | None:
    """Return the ids of the accelerators that may be used; None for all, empty for none."""
    if options.device is None:
        return None
    none = options.device.lower() in ("none", "cpu", "")
    return () if none else tuple(options.device.split(","))


def with_chosen_devices(machine: Machine, options: argparse.Namespace) -> Machine:
    """Return the machine with the accelerators that may be used, and their pools, alone.

    Raises:
        InvalidRequestError: it has no accelerator of a name.
    """
    chosen = devices_of(options)
    if chosen is None:
        return machine
    names = {device.id.lower() for device in machine.accelerators}
    for name in chosen:
        if name.lower() not in names:
            allowed = ", ".join(sorted(names)) or "none: there is no accelerator"
            raise InvalidRequestError(what="device", got=name, allowed=allowed)
    wanted = {name.lower() for name in chosen}
    kept = tuple(d for d in machine.devices if d.kind == "cpu" or d.id.lower() in wanted)
    pools = {device.pool for device in kept}
    return replace(
        machine,
        devices=kept,
        pools=tuple(p for p in machine.pools if p.kind != "vram" or p.id in pools),
    )


def with_disk(machine: Machine, options: argparse.Namespace) -> Machine:
    """Return the machine with the disk's speed that was given."""
    given = options.disk_bandwidth
    return machine if given is None else replace(machine, disk_bandwidth_bytes_per_s=given)


def _bandwidth(text: str) -> int:
    n_bytes = parse_bytes(text.removesuffix("/s"))
    if n_bytes < _SLOWEST_DISK:  # `500`: of what?
        raise InvalidRequestError(
            what="bandwidth", got=text, allowed="1 MB/s or more with its unit, as '3.5GB/s'"
        )
    return n_bytes
