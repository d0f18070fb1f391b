"""What this system runs in: a container, a virtual machine, WSL, or the bare machine."""

from __future__ import annotations

from whatfits.probes.drafts import read_text_or_none
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import dataclass

if TYPE_CHECKING:
    from typing import Final

    from whatfits.probes.system import System

__all__ = ["HostKind", "how_to_raise_cpu", "how_to_raise_memory", "read_host_kind"]

# gVisor answers with one fixed text, whatever kernel is below it.
# Source: google/gvisor, pkg/sentry/kernel/version.go.
_GVISOR_VERSION: Final = "Linux version 4.4.0 #1 SMP Sun Jan 10 15:06:54 PST 2016"
# Sources: systemd, src/basic/virt.c (the names in DMI); Apple's Virtualization framework.
_HYPERVISORS: Final = (
    ("QEMU", "QEMU/KVM"),
    ("KVM", "KVM"),
    ("VMware", "VMware"),
    ("innotek", "VirtualBox"),
    ("VirtualBox", "VirtualBox"),
    ("Xen", "Xen"),
    ("Virtual Machine", "Hyper-V"),
    ("Amazon EC2", "Amazon EC2"),
    ("Google Compute", "Google Compute Engine"),
    ("Parallels", "Parallels"),
    ("Apple Virtualization", "Apple Virtualization"),
    ("OpenStack", "OpenStack"),
    ("BHYVE", "bhyve"),
)


@dataclass(frozen=True, slots=True)
class HostKind:
    """What stands between this process and the machine.

    Attributes:
        container: `docker`, `kubernetes`, `podman`, `lxc`, `slurm`, `systemd`, or None.
        has_lxcfs: `/proc/meminfo` is the container's own view of its limit.
        wsl: 1 or 2, the version of the Windows Subsystem for Linux; None outside.
        is_gvisor: the kernel is gVisor's.
        is_docker_desktop: the kernel is that of Docker Desktop's virtual machine.
        is_on_mac: a Linux virtual machine on Apple's Virtualization framework.
        hypervisor: name of the virtual machine's maker; None on bare metal or when not told.
    """

    container: str | None = None
    has_lxcfs: bool = False
    wsl: int | None = None
    is_gvisor: bool = False
    is_docker_desktop: bool = False
    is_on_mac: bool = False
    hypervisor: str | None = None


def read_host_kind(system: System) -> HostKind:
    """Return what this Linux system runs in."""
    version = read_text_or_none(system, "/proc/version") or ""
    mounts = read_text_or_none(system, "/proc/self/mountinfo") or ""
    vendor = read_text_or_none(system, "/sys/class/dmi/id/sys_vendor")
    product = read_text_or_none(system, "/sys/class/dmi/id/product_name")
    on_apple = "Apple Virtualization" in (product or "")
    linuxkit = "linuxkit" in version
    return HostKind(
        container=_container(system),
        has_lxcfs=any("lxcfs" in line and "/proc/meminfo" in line for line in mounts.splitlines()),
        wsl=_wsl(version),
        is_gvisor=version.startswith(_GVISOR_VERSION),
        is_docker_desktop=linuxkit,
        is_on_mac=on_apple or (linuxkit and system.architecture == "aarch64"),
        hypervisor=_hypervisor(vendor, product),
    )


def _wsl(version: str) -> int | None:
    """Return 2 for `…-microsoft-standard-WSL2`, 1 for the translated kernel of WSL 1."""
    if "microsoft" not in version.lower():
        return None
    return 1 if "-Microsoft" in version and "WSL2" not in version else 2


def _hypervisor(vendor: str | None, product: str | None) -> str | None:
    # Amazon's bare-metal instances carry the same vendor: their product ends in `.metal`.
    if vendor == "Amazon EC2" and (product is None or ".metal" in product):
        return None
    both = f"{vendor or ''} {product or ''}"
    return next((name for sign, name in _HYPERVISORS if sign in both), None)


def _container(system: System) -> str | None:
    groups = read_text_or_none(system, "/proc/self/cgroup") or ""
    environment = system.environment
    if "KUBERNETES_SERVICE_HOST" in environment or "kubepods" in groups:
        return "kubernetes"
    if "docker" in groups or read_text_or_none(system, "/.dockerenv") is not None:
        return "docker"
    if "libpod" in groups or read_text_or_none(system, "/run/.containerenv") is not None:
        return "podman"
    if "/lxc" in groups or environment.get("container") == "lxc":
        return "lxc"
    if "SLURM_JOB_ID" in environment or "/slurm" in groups:
        return "slurm"
    return "systemd" if ".slice" in groups or ".service" in groups else None


def how_to_raise_memory(kind: HostKind, *, limit_file: str) -> str:
    """Return how to raise a memory limit, by what set it."""
    match kind.container:
        case "docker" | "podman" as program:
            return f"start the container with a larger '{program} run --memory' or none"
        case "kubernetes":
            return "raise resources.limits.memory of the pod"
        case "lxc":
            return "on the host: 'lxc config set NAME limits.memory 32GiB'"
        case "slurm":
            return "ask for more with 'sbatch --mem'"
        case "systemd":
            unit = limit_file.rsplit("/", 2)[-2]
            return f"'systemctl set-property {unit} MemoryMax=infinity' (or MemoryHigh)"
        case _:
            return f"write a larger number to {limit_file}"


def how_to_raise_cpu(kind: HostKind, *, quota_file: str) -> str:
    """Return how to raise a processor quota, by what set it."""
    match kind.container:
        case "docker" | "podman" as program:
            return f"start the container with a larger '{program} run --cpus' or none"
        case "kubernetes":
            return "raise resources.limits.cpu of the pod"
        case "lxc":
            return "on the host: 'lxc config set NAME limits.cpu.allowance 100%'"
        case "systemd":
            return f"'systemctl set-property {quota_file.rsplit('/', 2)[-2]} CPUQuota='"
        case _:
            return f"write a larger quota to {quota_file}"
