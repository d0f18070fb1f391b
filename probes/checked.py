"""A `System` whose files are held to their form, and which remembers every source that failed.

A source that is there and gives no answer costs values, some of them without a trace. Whatever a
probe makes of it, one finding names the source.
"""

from __future__ import annotations

from whatfits.probes.answers import error_kind
from whatfits.probes.forms import has_its_form
from whatfits.probes.ram_limits import is_ram_limit
from whatfits.probes.report import Finding, Partial
from whatfits.probes.system import SourceGarbledError, SourceMissingError
from whatfits.sizing.errors import ProbeError, printable
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Final, TypeVar

    from whatfits.probes.system import System

    _K = TypeVar("_K", str, tuple[str, ...])
    _T = TypeVar("_T")

__all__ = ["CheckedSystem"]

_MOST_NAMED: Final = 4
_CUT: Final = "cut"
_WORDS: Final = {
    "denied": "may not be read",
    "hung": "did not answer in time",
    "garbled": "gave no usable answer",
    _CUT: "ended in the middle of a line",
}
_ENDS_ITS_LINES: Final = ("/proc/meminfo", "/usr/sbin/sysctl")


class CheckedSystem:
    """Another system's answers, as far as they have the form they must have.

    Args:
        system: the one that is asked.
    """

    def __init__(self, system: System) -> None:
        self._system = system
        self.platform = system.platform
        self.architecture = system.architecture
        self.environment = system.environment
        self._failed: dict[str, str] = {}

    def read_text(self, path: str) -> str:
        """Return a small text file.

        Raises:
            ProbeError: it cannot be read, or has not the form of such a file.
        """
        return self._noted(path, self._read_text)

    def _read_text(self, path: str) -> str:
        text = self._system.read_text(path)
        if not has_its_form(path, text):
            raise SourceGarbledError(f"{path} holds something else than such a file does")
        if path in _ENDS_ITS_LINES and not text.endswith("\n"):
            self._failed[path] = _CUT  # what its whole lines tell holds
        return text

    def list_dir(self, path: str) -> tuple[str, ...]:
        """Return the sorted names in a directory."""
        return self._noted(path, self._system.list_dir)

    def read_link(self, path: str) -> str:
        """Return the target of a symbolic link."""
        return self._noted(path, self._system.read_link)

    def run(self, command: tuple[str, ...]) -> str:
        """Return what a program prints."""
        printed = self._noted(command, self._system.run)
        if command[0] in _ENDS_ITS_LINES and not printed.endswith("\n"):
            self._failed[command[0]] = _CUT
        return printed

    def query(self, name: str) -> Mapping[str, object]:
        """Return a raw snapshot."""
        return self._noted(name, self._system.query)

    def _noted(self, key: _K, ask: Callable[[_K], _T]) -> _T:
        try:
            return ask(key)
        except SourceMissingError:
            raise  # a system that says so is believed: this machine has no such thing
        except ProbeError as error:
            self._failed[key if isinstance(key, str) else key[0]] = error_kind(error)
            raise

    def failures(self, said: Iterable[Finding]) -> Partial:
        """Return a finding on the sources that failed and that no finding so far has named."""
        texts = " ".join(finding.text for finding in said)
        left = {k: kind for k, kind in self._failed.items() if kind == _CUT or k not in texts}
        findings = []
        for kind, words in _WORDS.items():
            keys = [key for key, failed in left.items() if failed == kind]
            limits = [key for key in keys if is_ram_limit(key)]
            others = [key for key in keys if key not in limits]
            if limits:  # every figure of this machine may be too high
                text = f"{_named(limits)}: {words}; a limit on RAM that stands there is unknown."
                step = "set what may be used with '--machine', as in '--machine 16gb'"
                findings.append(Finding("ram_limit_unread", "warning", text, step))
            if others:
                text = f"{_named(others)}: {words}; what it alone tells is unknown or derived."
                findings.append(Finding("source_unread", "info", text))
        return Partial(findings=tuple(findings))


def _named(keys: Sequence[str]) -> str:
    more = len(keys) - _MOST_NAMED
    named = ", ".join(printable(key) for key in keys[:_MOST_NAMED])
    return named + (f" and {more} more" if more > 0 else "")
