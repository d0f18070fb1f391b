"""Where nothing can be written, what needs a file for a while says so in one line."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from whatfits.bench.loads import load_for_real
from whatfits.bench.micro import Target, run_trials
from whatfits.bench.run_settings import RunSettings
from whatfits.bench.temporary import put_down, temporary_folder
from whatfits.sizing.errors import InvalidRequestError


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> str:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(tempfile, "mkdtemp", refuse)


def test_a_folder_is_gone_after_its_block() -> None:
    with temporary_folder() as folder:
        (folder / "x").write_bytes(b"x")
    assert not folder.exists()


@pytest.mark.usefixtures("full_disk")
def test_no_room_is_told_with_what_to_do() -> None:
    with pytest.raises(InvalidRequestError, match=r"No space left.*TMPDIR"), temporary_folder():
        pytest.fail("there is no folder")


def test_what_a_block_of_its_own_meets_is_not_put_on_the_folder() -> None:
    with pytest.raises(BrokenPipeError), temporary_folder():
        raise BrokenPipeError
    with pytest.raises(InvalidRequestError, match="Read-only"), put_down():
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))


@pytest.mark.usefixtures("full_disk")
def test_a_load_without_a_folder_is_an_outcome() -> None:
    outcome = load_for_real(Path("m.gguf"), RunSettings(512), command=("true",))
    assert (outcome.kind, "TMPDIR" in outcome.reason) == ("no_answer", True)


@pytest.mark.usefixtures("full_disk")
def test_a_measurement_without_a_folder_leaves_a_note() -> None:
    target = Target("cpu", "a processor", None, 1)
    measured, notes = run_trials(target, (), ends_s=0.0, free_bytes=None)
    assert not measured
    assert "No space left" in notes[0]


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGINT"])
def test_a_request_to_end_takes_the_folder_away(name: str, tmp_path: Path) -> None:
    number = getattr(signal, name)
    body = (
        "import signal, time\n"
        # as a terminal starts programs; `nohup` and the background ignore some
        "signal.signal(signal.SIGHUP, signal.SIG_DFL)\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from whatfits.bench.temporary import temporary_folder\n"
        "with temporary_folder() as folder:\n"
        "  (folder / 'x').write_bytes(b'x'); print(folder, flush=True); time.sleep(60)\n"
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, "-c", body],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
        text=True,
    ) as child:
        try:
            assert child.stdout is not None
            folder = Path(child.stdout.readline().strip())
            assert folder.parent == tmp_path
            child.send_signal(number)
            child.communicate(timeout=20)
        finally:
            child.kill()
    assert not folder.exists()
    assert child.returncode == -number


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_what_was_started_to_outlive_its_terminal_does() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with temporary_folder() as folder:
            os.kill(os.getpid(), signal.SIGHUP)
            assert folder.is_dir()
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_program_that_answers_such_requests_itself_goes_on_doing_so() -> None:
    mine = signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        answered = signal.getsignal(signal.SIGTERM)
        with temporary_folder():
            assert signal.getsignal(signal.SIGTERM) is answered
    finally:
        signal.signal(signal.SIGTERM, mine)
    with temporary_folder():
        assert signal.getsignal(signal.SIGTERM) is not mine
    assert signal.getsignal(signal.SIGTERM) is mine
