"""The one door to the outside: files, directories, commands and drivers, live or replayed.

A probe never opens a file or starts a program itself; it asks a `System`. The live one reads this
machine, within limits of size and time; a replayed one answers from a recording, so that every
machine ever reported can be a test.
"""

from __future__ import annotations

from whatfits.sizing.errors import ProbeError
from whatfits.sizing.typed import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final

__all__ = [
    "MAX_TEXT_BYTES",
    "SourceDeniedError",
    "SourceGarbledError",
    "SourceHungError",
    "SourceMissingError",
    "System",
]

MAX_TEXT_BYTES: Final = 1_000_000


class SourceMissingError(ProbeError):
    """The file, directory, program or driver is not there."""


class SourceDeniedError(ProbeError):
    """It is there, but this user may not read it."""


class SourceHungError(ProbeError):
    """It did not answer within its deadline."""


class SourceGarbledError(ProbeError):
    """It answered with something that cannot be what it should be."""


class System(Protocol):
    """What a probe may ask of a machine; no answer is a `ProbeError`."""

    @property
    def platform(self) -> str:
        """`sys.platform` of the machine: `linux`, `darwin`, `win32`, …."""
        ...

    @property
    def architecture(self) -> str:
        """`platform.machine()` of the machine: `x86_64`, `arm64`, `aarch64`, …."""
        ...

    @property
    def environment(self) -> Mapping[str, str]:
        """The environment variables that probes may look at."""
        ...

    def read_text(self, path: str) -> str:
        """Return a small text file, at most `MAX_TEXT_BYTES`."""
        ...

    def list_dir(self, path: str) -> tuple[str, ...]:
        """Return the sorted names in a directory."""
        ...

    def read_link(self, path: str) -> str:
        """Return the target of a symbolic link."""
        ...

    def run(self, command: tuple[str, ...]) -> str:
        """Return what a program of the operating system prints (C locale, absolute path)."""
        ...

    def query(self, name: str) -> Mapping[str, object]:
        """Return a raw snapshot of a driver or OS interface: `nvml`, `windows`, `psutil`, …."""
        ...
