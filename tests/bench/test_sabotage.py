"""Whatever the child of a real load does, the parent says what it was and leaves nothing behind."""

from __future__ import annotations

import json
import os
import random
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from sabotage import CASES, LONG_S, WRONG, WRONG_LOADED, Sabotage, command

from whatfits.bench.child_process import _MARK
from whatfits.bench.loads import LoadLimits, LoadOutcome, load_for_real
from whatfits.bench.run_settings import RunSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="a load needs POSIX processes")

MEASURED = "tell(LOADING); tell(LOADED); tell(DECODED)"


def _load(body: str, *, seconds: float = LONG_S, path: str = "model.gguf") -> LoadOutcome:
    return load_for_real(
        Path(path), RunSettings(512), limits=LoadLimits(seconds=seconds), command=command(body)
    )


def _descriptors() -> int | None:
    folder = Path("/proc/self/fd")
    return len(list(folder.iterdir())) if folder.exists() else None


def _marked() -> list[int]:
    """Return the children of this process that still run, theirs included; not those of others."""
    own = f"{os.getpid()}-"
    return [
        process.pid
        for process in psutil.process_iter(["environ", "status"])
        if (process.info["environ"] or {}).get(_MARK, "").startswith(own)
        and process.info["status"] not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
    ]


@pytest.fixture(autouse=True)
def nothing_is_left(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Hold after each test: no child, no zombie, no stray, no open descriptor."""
    monkeypatch.setattr("whatfits.bench.child_process._REAP_S", 0.5)
    before = _descriptors()
    yield
    assert not psutil.Process().children()
    psutil.wait_procs([psutil.Process(pid) for pid in _marked()], timeout=2)
    assert not _marked()
    assert _descriptors() == before


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_child_is_reported_as_what_it_was(case: Sabotage) -> None:
    outcome = _load(case.body, seconds=case.seconds)
    assert (outcome.kind, case.says in outcome.reason) == (case.kind, True), outcome
    assert (outcome.reason == "") == (outcome.kind == "measured")
    assert outcome.reason.isprintable()
    assert outcome.seconds < case.seconds + 3


def test_at_least_thirty_behaviours_are_tried() -> None:
    assert len(CASES) >= 30


def test_what_was_measured_is_the_growth_since_before() -> None:
    outcome = _load(MEASURED)
    assert outcome.loaded == {"resident_bytes": 4000, "anonymous_bytes": 3900, "file_bytes": 100}
    assert outcome.decoded == outcome.loaded
    assert outcome.buffers == {"CPU": {"model": 3000, "context": 800, "compute": 200}}
    assert outcome.n_ctx == 256


@pytest.mark.parametrize("lines", WRONG.values(), ids=WRONG)
def test_a_value_of_the_wrong_kind_is_no_answer(lines: tuple[dict[str, Any], ...]) -> None:
    body = "".join(f"write({(json.dumps(line) + chr(10)).encode()!r})\n" for line in lines)
    outcome = _load(body + "tell(LOADED); tell(DECODED)")
    assert outcome.kind == "no_answer", outcome


@pytest.mark.parametrize("change", WRONG_LOADED.values(), ids=WRONG_LOADED)
def test_a_loaded_stage_with_a_wrong_value_is_no_answer(change: dict[str, Any]) -> None:
    outcome = _load(f"tell(LOADING); tell({{**LOADED, **{change!r}}}); tell(DECODED)")
    assert outcome.kind == "no_answer", outcome
    assert outcome.buffers == {}


def test_a_program_that_is_not_there_is_an_answer_too() -> None:
    outcome = load_for_real(Path("model.gguf"), RunSettings(512), command=("/nowhere/to/be/found",))
    assert outcome.kind == "no_answer"
    assert "could not be started" in outcome.reason


def test_progress_is_told_each_stage_once() -> None:
    stages: list[str] = []
    load_for_real(
        Path("model.gguf"), RunSettings(512), command=command(MEASURED), progress=stages.append
    )
    assert stages == ["loading", "loaded", "decoded"]


def test_a_listener_that_fails_leaves_no_child() -> None:
    def fails(_stage: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load_for_real(
            Path("model.gguf"),
            RunSettings(512),
            command=command("tell(LOADING); time.sleep(99)"),
            progress=fails,
        )


def test_the_child_knows_no_token_no_home_and_nobody_elses_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    secrets = ("HF_TOKEN", "AWS_SECRET_ACCESS_KEY", "SSH_AUTH_SOCK", "LD_PRELOAD_X", "HOME", "USER")
    for name in secrets:
        monkeypatch.setenv(name, "secret-value")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    told = tmp_path / "told.json"
    body = (
        "known = json.dumps([dict(os.environ), os.getcwd(), os.listdir('.'), sys.stdin.read(), "
        f"os.listdir('/proc/self/fd')]); open({str(told)!r}, 'w').write(known);" + MEASURED
    )
    assert _load(body).kind == "measured"
    environment, folder, contents, stdin, descriptors = json.loads(told.read_text())
    assert not set(secrets) & set(environment)
    assert "secret-value" not in environment.values()
    assert environment["CUDA_VISIBLE_DEVICES"] == "0"
    assert environment["GGML_NO_BACKTRACE"] == "1"
    assert contents == []
    assert not Path(folder).exists()
    assert stdin == ""
    assert len(descriptors) == 5  # three streams, the pipe, and the listing itself


def test_a_folder_the_child_has_filled_goes_with_it(tmp_path: Path) -> None:
    told = tmp_path / "told"
    body = (
        f"open({str(told)!r}, 'w').write(os.getcwd()); os.makedirs('a/b'); open('a/b/c', 'w');"
        + MEASURED
    )
    assert _load(body).kind == "measured"
    assert not Path(told.read_text()).exists()


@pytest.mark.parametrize("moment", range(20))
def test_a_child_that_is_killed_at_any_moment_was_killed(moment: int) -> None:
    """What it had told by then makes no measurement of it."""
    after_s = random.Random(moment).uniform(0, 0.25)  # noqa: S311 - a moment to be killed at
    body = (
        f"import threading\nthreading.Timer({after_s}, os.kill, (os.getpid(), 9)).start()\n"
        "tell(LOADING)\ntime.sleep(0.1)\ntell(LOADED)\ntime.sleep(30)"
    )
    outcome = _load(body)
    assert outcome.kind in ("killed", "out_of_memory")
    assert "SIGKILL" in outcome.reason or outcome.kind == "out_of_memory"
    assert outcome.decoded == {}


def test_the_system_that_ends_a_child_for_want_of_memory_is_told_from_another_hand(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    counts = iter((7, 8))
    monkeypatch.setattr("whatfits.bench.loads._oom_kills", lambda: next(counts))
    body = "tell(LOADING); os.kill(os.getpid(), signal.SIGKILL); time.sleep(30)"
    assert _load(body).kind == "out_of_memory"
    counts = iter((8, 8))
    assert _load(body).kind == "killed"


def test_the_parent_keeps_its_threads_and_its_folder() -> None:
    before = (threading.active_count(), Path.cwd())
    for body in (MEASURED, "os.chdir('/')", "die(signal.SIGSEGV)", "write(b'{}\\n' * 9)"):
        _load(body)
    assert (threading.active_count(), Path.cwd()) == before


def test_hundred_children_leave_as_many_descriptors_as_before() -> None:
    for _ in range(100):
        assert _load("os._exit(0)").kind == "no_answer"
