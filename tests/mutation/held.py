"""A pytest session that has collected its tests and waits; mutants are judged in forks of it."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import pytest
from groups import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

OPTIONS: Final = (
    *("-q", "-s", "-x", "-p", "no:cacheprovider"),
    *(
        "-m",
        "not slow and not browser",
        "-W",
        "ignore::pytest.PytestAssertRewriteWarning",
    ),
)
_NOTICED: Final = 1
_UNREADY: Final = "unready"  # what the child notes before the name of a test
_UNCHANGED: Final = "unchanged"
_ADDRESS_SPACE: Final = 12 << 30  # a mutant that asks for more has gone astray
_WAITING: Final = 10  # how many times its seconds of CPU a child may take on a busy machine
_LOOK_AGAIN_SECONDS: Final = 0.005


class Ending(NamedTuple):
    """How a fork ended: whether a test failed in it, or it had to be ended; the test's name."""

    noticed: bool
    by: str


class Held:
    """The plugin that takes pytest's loop over."""

    def __init__(self, work: Callable[[Held], None]) -> None:
        self._work: Final = work
        self._items: dict[str, pytest.Item] = {}
        self._failed = False
        self._folder: Final = Path(tempfile.mkdtemp(prefix="mutation-"))

    @pytest.hookimpl
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Do the work instead of running the tests."""
        self._items = {item.nodeid: item for item in session.items}
        try:
            self._work(self)
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)
        return True

    @pytest.hookimpl
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note a test that fails."""
        self._failed |= report.failed

    @property
    def names(self) -> list[str]:
        """The names of the collected tests, as they stand."""
        return list(self._items)

    def run(self, name: str) -> bool:
        """Run one test here, in a child; return whether it passed."""
        self._failed = False
        item = self._items[name]
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=None)
        return not self._failed

    def fork(
        self, change: Callable[[], bool], names: Sequence[str], seconds: float
    ) -> Ending | None:
        """Run tests in a child that was changed, until one fails; None if it cannot be changed.

        A child that takes more than so many seconds of CPU is ended, and that counts as noticed.
        """
        note = self._folder / "note"
        note.write_text(_UNREADY, "utf-8")
        child = os.fork()
        if child == 0:
            self._be_the_child(change, names, note, seconds)
        status = _status(child, time.monotonic() + _WAITING * seconds)
        shutil.rmtree(self._folder / "tests", ignore_errors=True)
        by = note.read_text("utf-8")
        if by == _UNREADY:
            raise RuntimeError("the change could not be made")
        return None if by == _UNCHANGED else Ending(status != 0, by)

    def _be_the_child(
        self, change: Callable[[], bool], names: Iterable[str], note: Path, seconds: float
    ) -> None:
        status = _NOTICED
        try:
            _be_silent()
            resource.setrlimit(resource.RLIMIT_AS, (_ADDRESS_SPACE, _ADDRESS_SPACE))
            spent = time.process_time() + seconds
            resource.setrlimit(resource.RLIMIT_CPU, (int(spent), int(spent) + 1))
            factory = next(iter(self._items.values())).config._tmp_path_factory  # type: ignore[attr-defined]
            factory._given_basetemp, factory._basetemp = self._folder / "tests", None
            if not change():
                note.write_text(_UNCHANGED, "utf-8")
                os._exit(0)
            for name in names:
                note.write_text(name, "utf-8")
                if not self.run(name):
                    os._exit(_NOTICED)
            status = 0
        finally:
            os._exit(status)


def hold(tests: Sequence[str], work: Callable[[Held], None]) -> int:
    """Collect tests, then do the work with them; return pytest's status."""
    os.chdir(ROOT)
    return int(pytest.main([*tests, *OPTIONS], plugins=[Held(work)]))


def _be_silent() -> None:
    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, 1)
    os.dup2(silent, 2)


def _status(child: int, deadline: float) -> int:
    """Return how a child ended; one that takes too long is ended, and that counts as noticed."""
    while time.monotonic() < deadline:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return status
        time.sleep(_LOOK_AGAIN_SECONDS)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return signal.SIGKILL
