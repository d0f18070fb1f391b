"""A `System` that asks each thing once: probes share files, and the first answer is everyone's."""

from __future__ import annotations

from whatfits.sizing.errors import ProbeError
from whatfits.sizing.typed import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import TypeVar

    from whatfits.probes.system import System

    _K = TypeVar("_K", str, tuple[str, ...])
    _T = TypeVar("_T")

__all__ = ["OnceSystem"]


class OnceSystem:
    """Another system's answers, and failures, kept.

    Args:
        system: the one that is asked.
    """

    def __init__(self, system: System) -> None:
        self._system = system
        self.platform = system.platform
        self.architecture = system.architecture
        self.environment = system.environment
        self.answers: dict[tuple[str, str | tuple[str, ...]], object] = {}

    def read_text(self, path: str) -> str:
        """Return a small text file, read once."""
        return self._once("files", path, self._system.read_text)

    def list_dir(self, path: str) -> tuple[str, ...]:
        """Return the sorted names in a directory, listed once."""
        return self._once("directories", path, self._system.list_dir)

    def read_link(self, path: str) -> str:
        """Return the target of a symbolic link, read once."""
        return self._once("links", path, self._system.read_link)

    def run(self, command: tuple[str, ...]) -> str:
        """Return what a program prints, started once."""
        return self._once("commands", command, self._system.run)

    def query(self, name: str) -> Mapping[str, object]:
        """Return a raw snapshot, taken once; one whose driver did not start is taken anew."""
        kept = self.answers.get(("queries", name))
        if isinstance(kept, dict) and kept.get("init") is not None:
            del self.answers["queries", name]  # such troubles may pass: nothing is held against it
        return self._once("queries", name, self._system.query)

    def _once(self, kind: str, key: _K, ask: Callable[[_K], _T]) -> _T:
        try:
            answer = self.answers[kind, key]
        except KeyError:
            try:
                answer = ask(key)
            except ProbeError as error:
                answer = error
            self.answers[kind, key] = answer
        if isinstance(answer, ProbeError):
            raise answer
        return cast("_T", answer)
