"""The child that times a model: what it may answer, and what becomes of one that misbehaves."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict
from typing import TYPE_CHECKING

import pytest
from llama_cpp_here import needs_llama_cpp

from whatfits.bench.micro import Target, Trial, run_trials, settled
from whatfits.bench.shapes import Shape, draw, write_shape
from whatfits.bench.speed_child import Stopwatch
from whatfits.bench.speed_process import LoadedModel, Step, parse_opened, parse_repeats
from whatfits.bench.timing import Repeat
from whatfits.sizing.errors import ProbeError

if TYPE_CHECKING:
    from pathlib import Path

TINY = Shape("tiny", 256, 2, 512, 4, 2, vocabulary=512)
STEP = Step("decode", 4, 0, 1, repeats=2)
TARGET = Target("cpu", "a processor", None, 1)
OPENED = '{"opened": {"context_tokens": 3072, "seconds": 0.5}}'


def test_repeats_as_agreed_are_taken() -> None:
    found = parse_repeats(b'{"repeats": [[1.5, 3], [2, 0]]}', most=2)
    assert found == (Repeat(1.5, 3.0), Repeat(2.0, 0.0))


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"no JSON",
        b"[]",
        b"{}",
        b'{"repeats": []}',
        b'{"repeats": {}}',
        b'{"repeats": [[1, 2], [1, 2], [1, 2]]}',
        b'{"repeats": [[1]]}',
        b'{"repeats": [[1, 2, 3]]}',
        b'{"repeats": [[0, 1]]}',
        b'{"repeats": [[-1, 1]]}',
        b'{"repeats": [[1, -1]]}',
        b'{"repeats": [[true, 1]]}',
        b'{"repeats": [["1", 1]]}',
        b'{"repeats": [[NaN, 1]]}',
        b'{"repeats": [[Infinity, 1]]}',
        b'{"repeats": [[1e300, 1]]}',
        b'{"repeats": [null]}',
        b"[" * 100_000,
    ],
)
def test_anything_else_is_no_timing(line: bytes) -> None:
    with pytest.raises(ProbeError, match="no timing"):
        parse_repeats(line, most=2)


@pytest.mark.parametrize("line", [b"{}", b'{"opened": 1}', b'{"opened": {"seconds": -1}}', b"x"])
def test_an_opening_that_is_not_as_agreed_is_none(line: bytes) -> None:
    with pytest.raises(ProbeError, match="no timing"):
        parse_opened(line)


def test_what_llama_cpp_complains_of_is_shown_without_control_characters() -> None:
    with pytest.raises(ProbeError) as error:
        parse_opened(json.dumps({"error": "bad \x1b[31m model"}).encode())
    assert "\x1b" not in str(error.value)
    assert "model" in str(error.value)


def loaded(path: Path, script: str, *, longest_s: float = 5.0) -> LoadedModel:
    """Return a model whose child is a script of ours."""
    command = (sys.executable, "-c", f"import sys, time, os\n{script}")
    return LoadedModel(path, TARGET.settings, longest_s=longest_s, command=command)


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("pass", "ended its process"),
        ("os.kill(os.getpid(), 6)", "ended its process"),
        ("time.sleep(60)", "not done in 1 s"),
        ("print('x' * 3_000_000, flush=True); time.sleep(60)", "no timing"),
        ("print('garbage', flush=True)", "no timing"),
        ("""print('{"error": "no such model"}', flush=True)""", "no such model"),
    ],
)
def test_a_child_that_does_not_open_is_an_error_and_ends(
    tmp_path: Path, script: str, reason: str
) -> None:
    started = time.monotonic()
    with pytest.raises(ProbeError, match=reason), loaded(tmp_path, script, longest_s=1.0):
        pass
    assert time.monotonic() - started < 15


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("input()", "ended its process"),
        ("input(); os.kill(os.getpid(), 11)", "ended its process"),
        ("input(); time.sleep(60)", "not done in 1 s"),
        ("input(); print('[1]', flush=True)", "no timing"),
        ("""input(); print('{"repeats": [[1,1],[1,1],[1,1]]}', flush=True)""", "no timing"),
    ],
)
def test_a_child_that_fails_while_timing_is_an_error(
    tmp_path: Path, script: str, reason: str
) -> None:
    opened = f"print('{OPENED}', flush=True)\n{script}"
    with loaded(tmp_path, opened, longest_s=1.0) as model, pytest.raises(ProbeError, match=reason):
        model.time(STEP)


def test_a_model_that_was_closed_is_not_timed(tmp_path: Path) -> None:
    with loaded(tmp_path, f"print('{OPENED}', flush=True)\ninput()") as model:
        assert model.load_seconds == 0.5
    with pytest.raises(ProbeError, match="not loaded"):
        model.time(STEP)


ANSWERS = """
print('{opened}', flush=True)
for line in sys.stdin:
    print('{{"repeats": [{pairs}]}}', flush=True)
"""


def test_a_disturbed_step_is_tried_again_until_its_time_is_over(tmp_path: Path) -> None:
    script = ANSWERS.format(opened=OPENED, pairs="[1, 0.3], [1, 0.4]")
    with loaded(tmp_path, script) as model:
        found = settled(model, STEP, ends_s=time.monotonic() + 0.5)
    assert len(found.repeats) > 2
    assert found.clean == ()


def test_an_undisturbed_step_is_timed_once(tmp_path: Path) -> None:
    script = ANSWERS.format(opened=OPENED, pairs="[1, 1], [2, 2]")
    with loaded(tmp_path, script) as model:
        found = settled(model, STEP, ends_s=time.monotonic() + 5)
    assert found.repeats == (Repeat(1.0, 1.0), Repeat(2.0, 2.0))


def test_what_does_not_fit_memory_or_time_is_left_out_and_named() -> None:
    trial = Trial(draw(TINY, "Q8_0"), (STEP,))
    found, notes = run_trials(TARGET, [trial], ends_s=time.monotonic() + 60, free_bytes=1000)
    assert found == ()
    assert notes == ("tiny Q8_0: not measured for want of memory",)
    found, notes = run_trials(TARGET, [trial], ends_s=0.0, free_bytes=None)
    assert found == ()
    assert notes == ("tiny Q8_0: not measured for want of time",)


class SlowAtFirst:
    """A run whose first calls take longer, as recording them does."""

    context_tokens = 1024

    def __init__(self, slow: int) -> None:
        self.left = slow

    def decode(self, n_tokens: int) -> None:
        assert n_tokens == 8
        time.sleep(0.02 if self.left > 0 else 0.0)
        self.left -= 1

    def use_threads(self, threads: int) -> None:
        assert threads == 1

    def wait(self) -> None:
        pass

    def forget_from(self, position: int) -> None:
        assert position == 0


@pytest.mark.parametrize(("warm_ups", "slow_ones"), [(1, 1), (2, 0)])
def test_repeats_that_warm_up_do_not_count(warm_ups: int, slow_ones: int) -> None:
    watch = Stopwatch(SlowAtFirst(2), batch=512)  # type: ignore[arg-type]
    step = Step("prefill", 8, 0, 1, repeats=3, warm_ups=warm_ups)
    found = watch.timed(**asdict(step))
    assert len(found) == 3
    assert sum(wall > 0.02 for wall, _ in found) == slow_ones


def test_one_repeat_is_timed_however_long_those_that_warm_up_took() -> None:
    watch = Stopwatch(SlowAtFirst(9), batch=512)  # type: ignore[arg-type]
    step = Step("prefill", 8, 0, 1, repeats=3, longest_s=0.0, warm_ups=2)
    assert len(watch.timed(**asdict(step))) == 1


class TestWithLlamaCpp:
    """What needs llama-cpp-python."""

    pytestmark = needs_llama_cpp

    @pytest.mark.parametrize(
        "file_type", ["Q4_K_M", "Q8_0", "F16", "Q4_0", "Q6_K", "BF16", "IQ4_XS", "Q3_K_M"]
    )
    def test_a_model_of_chance_is_timed_at_two_depths(self, tmp_path: Path, file_type: str) -> None:
        path = tmp_path / "tiny.gguf"
        write_shape(path, draw(TINY, file_type))
        with LoadedModel(path, TARGET.settings) as model:
            for step in (STEP, Step("prefill", 64, 0, 1, 2), Step("decode", 4, 1024, 1, 2)):
                found = model.time(step)
                assert 1 <= len(found.repeats) <= 2
                assert all(0 < repeat.seconds < 60 for repeat in found.repeats)

    def test_more_tokens_than_the_context_holds_are_refused_in_words(self, tmp_path: Path) -> None:
        path = tmp_path / "tiny.gguf"
        write_shape(path, draw(TINY, "Q8_0"))
        with (
            LoadedModel(path, TARGET.settings) as model,
            pytest.raises(ProbeError, match="do not fit"),
        ):
            model.time(Step("decode", 4, 100_000, 1, 1))

    def test_a_file_that_is_no_model_is_refused_in_words(self, tmp_path: Path) -> None:
        path = tmp_path / "odd.gguf"
        path.write_bytes(b"GGUF" + bytes(100))
        with (
            pytest.raises(ProbeError, match="refused"),
            LoadedModel(path, TARGET.settings),
        ):
            pass

    def test_trials_leave_no_model_behind(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("TMPDIR", str(tmp_path))
        monkeypatch.setattr("tempfile.tempdir", None)
        said: list[str] = []
        trial = Trial(draw(TINY, "Q8_0"), (STEP,))
        found, notes = run_trials(
            TARGET,
            [trial],
            ends_s=time.monotonic() + 60,
            free_bytes=None,
            progress=said.append,
        )
        assert [measured.step for measured in found] == [STEP]
        assert found[0].tokens_per_s > 0
        assert notes == ()
        assert said == ["cpu: tiny Q8_0, decode"]
        assert list(tmp_path.iterdir()) == []
