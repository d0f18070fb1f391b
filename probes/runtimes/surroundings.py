"""Where runtimes and apps are looked for, and the limits under which programs are asked.

Nothing is ever taken from the current directory: only absolute folders count, and of the search
path only those that no other user can write to.
"""

from __future__ import annotations

import os
import stat
import sys
import time

from whatfits.probes.files import list_names, read_small_text
from whatfits.sizing.errors import ProbeError
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Final

__all__ = ["Surroundings"]

_VERSION_DEADLINE_S: Final = 1.5
_SYSTEM_FOLDERS: Final = (
    "/usr/local/bin",
    "/usr/bin",
    "/bin",
    "/opt/homebrew/bin",
    "/home/linuxbrew/.linuxbrew/bin",
    "/opt/local/bin",
    "/snap/bin",
    "/run/current-system/sw/bin",
)
_HOME_FOLDERS: Final = (".local/bin", ".nix-profile/bin", ".lmstudio/bin", "go/bin")
_LOCAL_FOLDERS: Final = ("Microsoft/WinGet/Links", "Programs/Ollama")
_HANDED_ON: Final = ("HOME", "USERPROFILE", "XDG_CONFIG_HOME", "OLLAMA_HOST")


class Surroundings:
    """This machine, as far as runtimes and apps are concerned.

    Args:
        environment: the variables; those of this process when None.
        platform: as `sys.platform`.
        root: stands before every folder of the system, for a machine laid out below a folder.
        packages: versions of Python packages by name; those of this Python when None.
        deadline_s: the longest that all programs together may take.
    """

    def __init__(
        self,
        environment: Mapping[str, str] | None = None,
        *,
        platform: str = sys.platform,
        root: str = "",
        packages: Mapping[str, str] | None = None,
        deadline_s: float = _VERSION_DEADLINE_S,
    ) -> None:
        self.environment = dict(os.environ if environment is None else environment)
        self.platform = platform
        self.root = root
        self._packages = packages
        self._ends_s = time.monotonic() + deadline_s

    @property
    def home(self) -> str | None:
        """The user's folder; None when no variable tells an absolute one."""
        name = "USERPROFILE" if self.platform == "win32" else "HOME"
        folder = self.environment.get(name, "")
        return folder if os.path.isabs(folder) else None  # noqa: PTH117 - strings throughout

    def below_home(self, path: str) -> str | None:
        """Return a path below the user's folder; None when there is no such folder."""
        return None if self.home is None else os.path.join(self.home, path)  # noqa: PTH118 - same

    def below_local(self, path: str) -> str | None:
        """Return a path below the folder that Windows keeps a user's programs in; else None."""
        folder = self.environment.get("LOCALAPPDATA", "")
        return os.path.join(folder, path) if os.path.isabs(folder) else None  # noqa: PTH117, PTH118 - same

    def of_system(self, path: str) -> str:
        """Return a path of the system, below the root."""
        return self.root + path

    def first_there(self, *paths: str | None) -> str | None:
        """Return the first path at which there is something."""
        return next((path for path in paths if path and os.path.lexists(path)), None)

    def names_in(self, folder: str) -> tuple[str, ...]:
        """Return the names in a folder; none when it cannot be listed."""
        try:
            return list_names(folder)
        except ProbeError:
            return ()

    def read_text(self, path: str) -> str:
        """Return a small file; empty when it cannot be read."""
        try:
            return read_small_text(path)
        except ProbeError:
            return ""

    def program(self, *names: str) -> str | None:
        """Return the absolute path of the first program of these names that can be run."""
        suffix = ".exe" if self.platform == "win32" else ""
        for name in names:
            for folder in self._folders():
                path = os.path.join(folder, name + suffix)  # noqa: PTH118 - strings throughout
                if os.path.isfile(path) and os.access(path, os.X_OK):  # noqa: PTH113 - same
                    return path
        return None

    def say(self, program: str, *arguments: str) -> str:
        """Return what a program of an absolute path prints on either stream; empty when nothing.

        It has 1.5 s at most, and is not started on Windows, where it could not be given up.
        """
        deadline_s = min(_VERSION_DEADLINE_S, self._ends_s - time.monotonic())
        if self.platform == "win32" or deadline_s <= 0 or not os.path.isabs(program):  # noqa: PTH117 - same
            return ""
        from whatfits.probes.commands import run_command  # noqa: PLC0415 - where there is a program

        handed = {k: v for k, v in self.environment.items() if k in _HANDED_ON}
        try:
            return run_command(
                (program, *arguments),
                deadline_s=deadline_s,
                more_environment=handed,
                with_errors=True,
            )
        except ProbeError:
            return ""

    def package_version(self, name: str) -> str | None:
        """Return the version of a package of this Python; None when it is not installed."""
        if self._packages is not None:
            return self._packages.get(name)
        from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415 - slow

        try:
            return version(name)
        except PackageNotFoundError:
            return None

    def _folders(self) -> Iterator[str]:
        for folder in self.environment.get("PATH", "").split(os.pathsep):
            if _is_trusted(folder):
                yield folder
        if self.platform == "win32":
            known = [self.below_local(path) for path in _LOCAL_FOLDERS]
        else:
            known = [self.of_system(path) for path in _SYSTEM_FOLDERS]
            known += [self.below_home(path) for path in _HOME_FOLDERS]
        yield from (folder for folder in known if folder)


def _is_trusted(folder: str) -> bool:
    """Return whether a folder of the search path is absolute, not here, and not for all to write.

    A folder that is not there is none either.
    """
    if not os.path.isabs(folder):  # noqa: PTH117 - strings throughout
        return False
    try:
        found = os.stat(folder)  # noqa: PTH116 - same
        here = os.stat(".")  # noqa: PTH116 - same
    except OSError:
        return False
    is_here = (found.st_dev, found.st_ino) == (here.st_dev, here.st_ino) and found.st_ino != 0
    return not is_here and not found.st_mode & stat.S_IWOTH
