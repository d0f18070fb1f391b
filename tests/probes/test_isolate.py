"""A driver that hangs, crashes or floods costs its deadline and nothing else."""

from __future__ import annotations

import gc
import importlib
import importlib.util
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from whatfits.probes import isolate
from whatfits.probes.isolate import Worker, run_isolated
from whatfits.probes.system import (
    SourceDeniedError,
    SourceGarbledError,
    SourceHungError,
    SourceMissingError,
)

if TYPE_CHECKING:
    from whatfits.sizing.errors import ProbeError

HERE = Path(__file__).parent
FUNCTIONS = "isolated_functions"


@pytest.fixture(autouse=True)
def functions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes the misbehaving functions importable, in this process and in ones started from it."""
    monkeypatch.syspath_prepend(str(HERE))
    monkeypatch.setenv("PYTHONPATH", str(HERE))
    assert importlib.util.find_spec(FUNCTIONS)


@pytest.fixture(params=["fork", "spawn"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each way to make a child: the quick one, and the one used beside other threads."""
    if request.param == "spawn":
        monkeypatch.setattr(isolate, "_may_fork", lambda: False)
    return request.param


def run(name: str, *, deadline_s: float = 10.0) -> dict[str, Any]:
    return run_isolated(f"{FUNCTIONS}:{name}", deadline_s=deadline_s)


def children() -> list[str]:
    """Return the children of this process, the dead ones that nobody collected too."""
    return Path(f"/proc/self/task/{os.getpid()}/children").read_text("utf-8").split()


def test_the_answer_comes_from_another_process(way: str) -> None:
    answer = run("answer")
    assert answer["text"] == "ä"
    assert answer["pid"] != os.getpid()
    assert not children()


def test_a_function_can_be_given_itself() -> None:
    module = importlib.import_module(FUNCTIONS)
    assert run_isolated(module.answer, deadline_s=10)["text"] == "ä"


@pytest.mark.parametrize("name", ["sleep", "sleep_deaf"])
def test_one_that_hangs_is_abandoned_at_the_deadline(way: str, name: str) -> None:
    started_s = time.monotonic()
    with pytest.raises(SourceHungError):
        run(name, deadline_s=1.0)
    assert time.monotonic() - started_s < 1.5
    assert not children()


def test_one_that_crashes_says_by_which_signal(way: str) -> None:
    with pytest.raises(SourceGarbledError, match="signal 11"):
        run("crash")
    assert not children()


@pytest.mark.parametrize(
    "name", ["leave", "answer_with_a_list", "answer_with_an_object", "nothing"]
)
def test_one_that_gives_no_mapping_is_garbled(way: str, name: str) -> None:
    with pytest.raises(SourceGarbledError):
        run(name)
    assert not children()


def test_one_that_floods_is_cut_off(way: str) -> None:
    with pytest.raises(SourceGarbledError, match="more than"):
        run("answer_with_much")
    assert not children()


def test_a_defect_is_named(way: str) -> None:
    with pytest.raises(SourceGarbledError, match="ZeroDivisionError: a defect"):
        run("fail")


def test_an_error_of_ours_keeps_its_kind(way: str) -> None:
    with pytest.raises(SourceDeniedError, match="this user may not"):
        run("refuse")


def test_noise_of_a_library_reaches_nobody(way: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert run("talk") == {"ok": True}
    assert capfd.readouterr() == ("", "")


def test_the_child_holds_none_of_our_descriptors(way: str) -> None:
    # Else whoever reads our output would wait for a child that hangs.
    with Path("/dev/null").open("rb"):
        held = run("descriptors")["open"]
    assert [fd for fd in held if fd > 4] == []  # 4: the listing itself


def test_a_process_with_threads_does_not_fork() -> None:
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait)
    thread.start()
    try:
        assert not isolate._may_fork()
        assert run("answer")["text"] == "ä"
    finally:
        stop.set()
        thread.join()


@pytest.mark.parametrize(
    ("name", "error"),
    [("nap", SourceHungError), ("fail", SourceGarbledError), ("refuse", SourceDeniedError)],
)
def test_a_thread_serves_where_there_is_no_fork(name: str, error: type[ProbeError]) -> None:
    function = f"{FUNCTIONS}:{name}"
    with pytest.raises(error):
        isolate._call_in_thread(function, deadline_s=0.2)
    assert isolate._call_in_thread(f"{FUNCTIONS}:talk", deadline_s=5) == {"ok": True}


def test_a_program_that_ignores_its_children_is_no_trouble() -> None:
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        assert run("answer")["text"] == "ä"
        with pytest.raises(SourceHungError):
            run("sleep", deadline_s=0.2)
    finally:
        signal.signal(signal.SIGCHLD, before)


def test_a_worker_reads_files_one_after_the_other(tmp_path: Path, way: str) -> None:
    (tmp_path / "a").write_text("first")
    worker = Worker()
    try:
        assert worker.ask("read_text", str(tmp_path / "a"), deadline_s=5) == "first"
        assert worker.ask("list_dir", str(tmp_path), deadline_s=5) == ["a"]
        assert worker.ask("free_disk", str(tmp_path), deadline_s=5)["free_bytes"] > 0
        with pytest.raises(SourceMissingError):
            worker.ask("read_text", str(tmp_path / "b"), deadline_s=5)
        assert worker.ask("read_text", str(tmp_path / "a"), deadline_s=5) == "first"
    finally:
        worker.stop()
    assert not children()


def test_a_frozen_program_starts_no_copy_of_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolate, "_may_fork", lambda: False)
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    with pytest.raises(SourceMissingError):
        run("answer")


def test_many_calls_leave_no_descriptor_and_no_child() -> None:
    gc.collect()  # what earlier tests left open is closed now, not while this one counts
    before = open_descriptors()
    for _ in range(100 if isolate._may_fork() else 5):
        run("answer")
    assert open_descriptors() == before
    assert not collected_children()


def collected_children() -> list[str]:
    """Return the children left once a busy machine had time to end the abandoned ones."""
    ends_s = time.monotonic() + 5
    while children() and time.monotonic() < ends_s:
        isolate._reap_abandoned()
        time.sleep(0.01)
    return children()


def open_descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())
