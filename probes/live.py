"""The `System` of this machine: bounded in size and time, with nothing taken from the PATH."""

from __future__ import annotations

import os
import sys
import time

from whatfits.probes.cpuinfo import CPUINFO_BYTES
from whatfits.probes.files import list_names, read_free_disk, read_link, read_small_text
from whatfits.probes.system import (
    SourceDeniedError,
    SourceHungError,
    SourceMissingError,
)
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, Final, TypeVar

    from whatfits.probes.isolate import Worker

    _T = TypeVar("_T")

__all__ = ["CALL_DEADLINE_S", "LiveSystem"]

CALL_DEADLINE_S: Final = 1.5

_NAMES: Final = frozenset(
    (
        "HOME",
        "USERPROFILE",
        "LOCALAPPDATA",
        "XDG_CACHE_HOME",
        "XDG_DATA_HOME",
        "HF_HOME",
        "HF_HUB_CACHE",
        "LLAMA_CACHE",
        "OLLAMA_MODELS",
        "WSL_DISTRO_NAME",
        "WSL_INTEROP",
        "KUBERNETES_SERVICE_HOST",
        "container",
        "SLURM_JOB_ID",
        "CUDA_DEVICE_ORDER",
        "HSA_OVERRIDE_GFX_VERSION",
        "ONEAPI_DEVICE_SELECTOR",
        "PROCESSOR_IDENTIFIER",
        "PROCESSOR_ARCHITECTURE",
        "PROCESSOR_ARCHITEW6432",
    )
)
_COMMAND_FOLDERS: Final = frozenset(
    (
        "/usr/bin",
        "/bin",
        "/usr/sbin",
        "/sbin",
        "/usr/lib/wsl/lib",
        "/opt/rocm/bin",
        "/run/current-system/sw/bin",
    )
)
_DRIVER_TREES: Final = ("/sys/class/drm/", "/sys/class/kfd/", "/sys/bus/pci/", "/proc/driver/")
# Kept by the PCI core or the DRM core: reading them never enters a GPU driver.
_CORE_FILES: Final = frozenset(
    (
        "vendor",
        "device",
        "class",
        "subsystem_vendor",
        "subsystem_device",
        "revision",
        "uevent",
        "modalias",
        "boot_vga",
        "numa_node",
        "dev",
        "enable",
        "power_state",
        "current_link_speed",
        "current_link_width",
        "max_link_speed",
        "max_link_width",
    )
)
_READ_BYTES: Final = {
    "/proc/cpuinfo": CPUINFO_BYTES,
}
_NVIDIA_SIGNS: Final = (
    "/proc/driver/nvidia",
    "/dev/nvidiactl",
    "/dev/nvidia0",
    "/dev/nvhost-gpu",
    "/dev/nvmap",
    "/usr/lib/wsl/lib/libnvidia-ml.so.1",
    "/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1",
    "/usr/lib/aarch64-linux-gnu/libnvidia-ml.so.1",
    "/usr/lib64/libnvidia-ml.so.1",
    "/usr/lib/libnvidia-ml.so.1",
    "/usr/local/nvidia/lib64/libnvidia-ml.so.1",
    "/run/opengl-driver/lib/libnvidia-ml.so.1",
)
_WINDOWS_NVML: Final = "C:\\Windows\\System32\\nvml.dll"
_ISOLATED: Final = {
    "nvml": "whatfits.probes.nvidia:read_nvml",
    "windows": "whatfits.probes.windows_api:read_windows",
    "psutil": "whatfits.probes.fallbacks:read_psutil",
    "cpuinfo": "whatfits.probes.fallbacks:read_cpuinfo",
}


class LiveSystem:
    """This machine.

    Args:
        call_deadline_s: the longest a single program or driver may take to answer.
        total_s: the longest to wait for all of them together.
    """

    def __init__(self, *, call_deadline_s: float = CALL_DEADLINE_S, total_s: float = 2.7) -> None:
        self._call_deadline_s = call_deadline_s
        self._left_s = total_s
        self._worker: Worker | None = None
        self._hung: set[str] = set()

    @property
    def platform(self) -> str:
        """`sys.platform`."""
        return sys.platform

    @property
    def architecture(self) -> str:
        """What the kernel calls the processor, as `platform.machine()` would."""
        if sys.platform == "win32":
            wow = os.environ.get("PROCESSOR_ARCHITEW6432")
            return wow or os.environ.get("PROCESSOR_ARCHITECTURE", "")
        return os.uname().machine

    @property
    def environment(self) -> Mapping[str, str]:
        """The variables probes may look at: folders of models, and which devices are visible."""
        return {
            name: value
            for name, value in os.environ.items()
            if name in _NAMES or name.endswith("VISIBLE_DEVICES")
        }

    def read_text(self, path: str) -> str:
        """Return the first part of a text file, at most `MAX_TEXT_BYTES`.

        Raises:
            ProbeError: it is not there, not permitted, unreadable, or its driver does not answer.
        """
        if path.startswith(_DRIVER_TREES) and path.rpartition("/")[2] not in _CORE_FILES:
            if not os.path.lexists(path):  # a look at names enters no driver and costs no process
                raise SourceMissingError(f"{path} is not there")
            return str(self._ask_worker("read_text", path))
        cap = _READ_BYTES.get(path)
        if cap is None:
            return read_small_text(path)
        return _whole_lines(read_small_text(path, max_bytes=cap), cap=cap)

    def list_dir(self, path: str) -> tuple[str, ...]:
        """Return the sorted names in a directory.

        Raises:
            ProbeError: it is not there, not permitted, or too full.
        """
        return list_names(path)

    def read_link(self, path: str) -> str:
        """Return the target of a symbolic link.

        Raises:
            ProbeError: it is not there, or no link.
        """
        return read_link(path)

    def run(self, command: tuple[str, ...]) -> str:
        """Return what a program of the operating system prints.

        The program is named by its absolute path in a folder of the system; it runs with the C
        locale, no input, in a group of its own that is killed at the deadline.

        Raises:
            SourceMissingError: there is no such program.
            SourceDeniedError: it lies outside the folders of the system, or may not be run.
            SourceHungError: it did not end in time.
            SourceGarbledError: it failed and printed nothing.
        """
        folder, _, name = command[0].rpartition("/")
        if sys.platform == "win32":
            raise SourceMissingError(f"{name} is not run on Windows")
        if folder not in _COMMAND_FOLDERS:
            raise SourceDeniedError(f"{command[0]} is outside the folders of the system")
        if not os.path.lexists(command[0]):
            raise SourceMissingError(f"{command[0]} is not there")
        from whatfits.probes.commands import run_command  # noqa: PLC0415 - where programs are

        return self._patiently(
            command[0], lambda deadline_s: run_command(command, deadline_s=deadline_s)
        )

    def query(self, name: str) -> Mapping[str, object]:
        """Return a raw snapshot: `nvml`, `disk`, `sysconf`, `windows`, `psutil` or `cpuinfo`.

        Raises:
            SourceMissingError: this machine has no such interface.
            ProbeError: it is there, but gave no answer.
        """
        if name == "disk":
            from whatfits.probes.disk import read_disk  # noqa: PLC0415 - asked last

            return read_disk(self.environment, free=self._free_disk)
        if name == "sysconf":
            from whatfits.probes.memory import read_sysconf  # noqa: PLC0415 - last resort

            return read_sysconf()
        function = _ISOLATED.get(name)
        if function is None or not _is_here(name):
            raise SourceMissingError(f"{name} is not on this machine")
        from whatfits.probes.isolate import run_isolated  # noqa: PLC0415 - where there is a driver

        return self._patiently(
            name, lambda deadline_s: run_isolated(function, deadline_s=deadline_s)
        )

    def close(self) -> None:
        """End the helper process, if one was needed."""
        if self._worker is not None:
            self._worker.stop()
            self._worker = None

    def _free_disk(self, path: str, *, is_remote: bool) -> Mapping[str, object]:
        """Return free and total bytes; a file system over the network may hang: asked from afar."""
        if is_remote:
            answer: dict[str, object] = self._ask_worker("free_disk", path)
            return answer
        return read_free_disk(path)

    def _ask_worker(self, what: str, path: str) -> Any:  # noqa: ANN401 - JSON
        # One hung file speaks for its device: each of the others would cost a deadline more.
        device = "/".join(path.split("/")[:6])
        if device in self._hung:
            raise SourceHungError(f"{path}: its driver did not answer before")
        from whatfits.probes.isolate import Worker  # noqa: PLC0415 - where there is a driver

        worker = self._worker = self._worker or Worker()
        try:
            return self._patiently(
                path, lambda deadline_s: worker.ask(what, path, deadline_s=deadline_s)
            )
        except SourceHungError:
            self._hung.add(device)
            self.close()
            raise

    def _patiently(self, what: str, call: Callable[[float], _T]) -> _T:
        """Return what `call` returns, given the deadline of one call or what is left of all."""
        deadline_s = min(self._call_deadline_s, self._left_s)
        if deadline_s <= 0:
            raise SourceHungError(f"{what} was not asked: other sources used up the time")
        started_s = time.monotonic()
        try:
            return call(deadline_s)
        finally:
            self._left_s -= time.monotonic() - started_s


def _whole_lines(text: str, *, cap: int) -> str:
    """Return a text that reached its cap without the line that the cap cut."""
    return text if len(text) < cap else text[: text.rfind("\n") + 1]


def _is_here(name: str) -> bool:
    """Return whether asking could lead to anything: a look at file names, nothing is loaded."""
    match name:
        case "nvml" if sys.platform == "linux":
            return any(map(os.path.lexists, _NVIDIA_SIGNS))
        case "nvml":
            return sys.platform == "win32" and os.path.lexists(_WINDOWS_NVML)
        case "windows":
            return sys.platform == "win32"
        case "psutil":
            return sys.platform != "linux"  # it reads /proc, as the memory probe did before it
        case _:
            return True
