"""Where programs keep things for this user: environment, home and system, as plain values."""

from __future__ import annotations

import ntpath
import posixpath

from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Surroundings", "here"]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What decides where a program keeps its files.

    Attributes:
        environment: the environment variables.
        platform: as `sys.platform` names it.
    """

    environment: Mapping[str, str]
    platform: str

    @property
    def home(self) -> str | None:
        """The home folder; None when no variable names one."""
        return self.variable("USERPROFILE" if self.platform == "win32" else "HOME")

    @property
    def user_cache(self) -> str | None:
        """The folder of caches: `~/.cache`, `~/Library/Caches`, `%LOCALAPPDATA%`."""
        if self.platform == "win32":
            return self.variable("LOCALAPPDATA")
        if self.platform == "darwin":
            return self.below_home("Library", "Caches")
        return self.variable("XDG_CACHE_HOME") or self.below_home(".cache")

    @property
    def user_data(self) -> str | None:
        """The folder of data: `~/.local/share`, `~/Library/Application Support`, `%APPDATA%`."""
        if self.platform == "win32":
            return self.variable("APPDATA")
        if self.platform == "darwin":
            return self.below_home("Library", "Application Support")
        return self.variable("XDG_DATA_HOME") or self.below_home(".local", "share")

    def variable(self, name: str) -> str | None:
        """Return an environment variable; None when it is unset, empty or no path."""
        value = self.environment.get(name, "")
        return value if value and "\0" not in value else None

    def below_home(self, *names: str) -> str | None:
        """Return a path below the home folder; None without one."""
        return None if self.home is None else self.join(self.home, *names)

    def expanded(self, path: str) -> str:
        """Return a path with a leading `~` replaced by the home folder."""
        if self.home is not None and (path == "~" or path.startswith(("~/", "~\\"))):
            return self.join(self.home, path[2:]) if len(path) > 1 else self.home
        return path

    def join(self, *parts: str) -> str:
        """Return parts joined as this system joins them."""
        if self.platform == "win32":
            return ntpath.join(*parts)
        return posixpath.join(*parts)

    def is_absolute(self, path: str) -> bool:
        """Return whether a path begins at a root (and, on Windows, on a drive)."""
        if self.platform == "win32":
            return bool(ntpath.splitdrive(path)[0]) and ntpath.isabs(path)
        return posixpath.isabs(path)


def here() -> Surroundings:
    """Return this process's own."""
    import os  # noqa: PLC0415 - the rest of this file is pure
    import sys  # noqa: PLC0415 - same

    return Surroundings(dict(os.environ), sys.platform)
