"""Linux inside something else: WSL, Docker Desktop, a Mac's virtual machine, gVisor, lxcfs.

The figures there are those of the virtual machine or container; the host may have more.
"""

from __future__ import annotations

from whatfits.probes.drafts import Draft
from whatfits.probes.host_kind import HostKind, read_host_kind
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from whatfits.probes.report import Partial
    from whatfits.probes.system import System

__all__ = ["probe"]


def probe(system: System) -> Partial:
    """Return what this Linux runs in, and how to give it more of the host."""
    draft = Draft()
    kind = read_host_kind(system)
    for key, value, source in (
        ("container", kind.container, "/proc/self/cgroup, /.dockerenv, the environment"),
        ("hypervisor", kind.hypervisor, "/sys/class/dmi/id"),
    ):
        if value is not None:
            draft.know(f"host.{key}", value, unit="text", source=source)
    if kind.wsl is not None:
        draft.know("host.wsl_version", kind.wsl, unit="count", source="/proc/version")
    _say_host(draft, kind)
    if kind.has_lxcfs:
        draft.say(
            "lxcfs",
            "The memory figures are the container's own (lxcfs); the host may have more.",
            next_step="on the host: 'lxc config set NAME limits.memory 32GiB'",
        )
    if kind.is_gvisor:
        draft.say(
            "gvisor",
            "This sandbox (gVisor) shows simulated figures for memory and processors.",
            next_step="name the machine, as '--machine 64gb', when they look wrong",
            warn=True,
        )
    return draft.partial()


def _say_host(draft: Draft, kind: HostKind) -> None:
    """Say which virtual machine this is; the most particular one wins."""
    if kind.wsl == 1:
        draft.say(
            "wsl1",
            "This is WSL 1: it shows the RAM of Windows and reaches no GPU.",
            next_step="'wsl --set-version DISTRO 2', or run whatfits on Windows itself",
        )
    elif kind.wsl:
        draft.say(
            "wsl2",
            "This is WSL 2: the RAM shown is its virtual machine's, half of the host's unless "
            "set otherwise; the host may have more.",
            next_step="set 'memory=' under [wsl2] in %UserProfile%\\.wslconfig, then "
            "'wsl --shutdown'; keep models out of /mnt/c, which is slow",
        )
    elif kind.is_on_mac:
        draft.say(
            "linux_on_mac",
            "This Linux runs in a virtual machine on a Mac: its RAM is a part of the Mac's, and "
            "Metal is not reachable from here.",
            next_step="run whatfits and the runtime on macOS itself",
        )
    elif kind.is_docker_desktop:
        draft.say(
            "docker_desktop",
            "This container runs in Docker Desktop's virtual machine: its RAM is a part of the "
            "host's.",
            next_step="Docker Desktop, Settings, Resources: raise the memory limit",
        )
    elif kind.hypervisor:
        draft.say(
            "virtual_machine",
            f"This is a virtual machine ({kind.hypervisor}): the host has more, and shares its "
            "memory bandwidth among guests.",
        )
