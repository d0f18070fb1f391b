"""`whatfits bench` as a person meets it: answers, refusals, exit codes, and what it leaves."""

from __future__ import annotations

import errno
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import psutil
import pytest
from llama_cpp_here import needs_llama_cpp

from whatfits.bench.child_process import _MARK
from whatfits.bench.shapes import Shape, draw, write_shape
from whatfits.probes.calibration import default_calibration_path

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import Said

TINY = Shape("tiny", 256, 2, 512, 4, 2, vocabulary=512)


def test_a_quick_measurement_answers_is_kept_and_shown_by_hardware(
    say: Callable[..., Said], is_valid: Callable[..., None]
) -> None:
    said = say("bench", "--quick", "--json")
    assert said.code == 0, said
    answer = said.json
    is_valid("bench", answer)
    assert answer["quick"] is True
    assert answer["timings"] == []
    assert answer["reads"][0]["threads"] == 1
    assert all(row["per_s"] > 1e8 for row in answer["reads"])
    assert answer["reads"][0]["corrected_per_s"] > 1e8
    assert answer["matrix"]["per_s"] > 1e8
    assert answer["stored_in"] == str(default_calibration_path())
    shown = say("hardware", "--json").json
    is_valid("hardware", shown)
    assert shown["machine"]["calibration"] == answer["calibration"]
    assert "machine_calibrated" in {finding["code"] for finding in shown["findings"]}


def test_a_measurement_that_cannot_be_kept_is_said_and_so_is_what_was_set_aside(
    say: Callable[..., Said], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = default_calibration_path()
    path.parent.mkdir(parents=True)
    path.write_text("{")

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        said = say("bench", "--quick", "--json")
    assert said.code == 0
    assert said.json["stored_in"] is None
    told = " ".join(said.json["warnings"])
    assert "could not be kept" in told
    assert "calibration.broken.json" in told
    assert path.with_name("calibration.broken.json").read_text() == "{"
    left = {file.name for file in path.parent.iterdir()}
    assert left == {"calibration.broken.json", "calibration.lock"}


def test_what_is_not_to_be_kept_is_not(say: Callable[..., Said]) -> None:
    assert say("bench", "--quick", "--no-save", "--json").json["stored_in"] is None
    assert not default_calibration_path().exists()
    assert say("hardware", "--json").json["machine"]["calibration"] is None


def test_the_text_says_where_it_is_kept_one_fact_a_line(say: Callable[..., Said]) -> None:
    said = say("bench", "--quick", "--plain")
    assert said.code == 0
    assert said.err == ""
    assert f"Kept in: {default_calibration_path()}" in said.lines
    assert any(line.startswith("threads: 1; median: ") for line in said.lines)


def test_an_answer_can_do_without_the_calibration(say: Callable[..., Said]) -> None:
    say("bench", "--quick", "--json")
    used = say("check", "llama-3.1-8b", "--json").json
    ignored = say("check", "llama-3.1-8b", "--json", "--no-calibration").json
    assert used["machine"]["calibration"] is not None
    assert ignored["machine"]["calibration"] is None


def test_a_broken_calibration_is_named_and_answers_go_on(
    say: Callable[..., Said], data_folder: Path
) -> None:
    path = default_calibration_path()
    path.parent.mkdir(parents=True)
    path.write_text("{half")
    assert say("check", "llama-3.1-8b", "--json").code in (0, 1)
    findings = {f["code"]: f for f in say("hardware", "--json").json["findings"]}
    assert str(path) in findings["calibration_not_understood"]["text"]
    said = say("bench", "--quick", "--json").json
    assert any("moved to" in warning for warning in said["warnings"])
    assert path.with_suffix(".broken.json").read_text() == "{half"


def test_a_calibration_of_another_machine_is_passed_over_with_a_note(
    say: Callable[..., Said],
) -> None:
    say("bench", "--quick", "--json")
    path = default_calibration_path()
    document = json.loads(path.read_text())
    document["machines"][0]["fingerprint"] = "another"
    path.write_text(json.dumps(document))
    shown = say("hardware", "--json").json
    assert shown["machine"]["calibration"] is None
    assert "calibration_of_another_machine" in {f["code"] for f in shown["findings"]}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("x.gguf", "--server", "http://127.0.0.1:1"), "more than one thing"),
        (("x.gguf", "--quick"), "only with the machine itself"),
        (("--name", "m"), "only with --server"),
        (("--api-key", "k"), "only with --server"),
        (("--force",), "only with a file"),
        (("--budget", "0"), "above 0"),
        (("--budget", "nan"), "above 0"),
        (("--server", "http://example.com"), "server"),
        (("--server", "ftp://127.0.0.1"), "server"),
        (("--server", "http://8.8.8.8"), "private network"),
        (("--server", "http://127.0.0.1:1", "--api-key", "a\nb"), "printable"),
        (("no-such-file.gguf",), "no-such-file.gguf"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(
    say: Callable[..., Said], arguments: tuple[str, ...], said: str
) -> None:
    found = say("bench", *arguments)
    assert found.code == 2
    assert said in found.err
    assert found.err.count("\n") == 1
    assert found.out == ""


def test_without_the_extra_the_quick_way_is_named(
    say: Callable[..., Said], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "llama_cpp", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda *_: None)
    found = say("bench")
    assert found.code == 2
    assert "--quick" in found.err
    assert "whatfits[bench]" in found.err


def test_an_interruption_leaves_no_child_and_nothing_half_written(data_folder: Path) -> None:
    command = [sys.executable, "-m", "whatfits.sizing", "bench", "--json"]
    if importlib.util.find_spec("llama_cpp") is None:
        command.append("--quick")
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    ) as process:
        time.sleep(2.0 if "--quick" not in command else 0.3)
        os.kill(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert out == b""
    assert err == b""
    assert not default_calibration_path().exists()
    assert not list(data_folder.rglob("*.half"))
    mark = f"{process.pid}-"
    for other in psutil.process_iter(["environ", "status"]):
        if other.info["status"] != psutil.STATUS_ZOMBIE:
            assert not (other.info["environ"] or {}).get(_MARK, "").startswith(mark)


class TestWithLlamaCpp:
    """What needs llama-cpp-python."""

    pytestmark = needs_llama_cpp

    def test_a_file_is_measured_beside_its_prediction(
        self, say: Callable[..., Said], is_valid: Callable[..., None], tmp_path: Path
    ) -> None:
        path = tmp_path / "tiny.gguf"
        write_shape(path, draw(TINY, "Q8_0"))
        said = say("bench", str(path), "--json", "--budget", "60")
        assert said.code == 0, said
        answer = said.json
        is_valid("bench", answer)
        steps = [(row["kind"], row["depth_tokens"]) for row in answer["timings"]]
        assert steps == [("decode", 0), ("prefill", 0), ("decode", 2048)]
        for row in answer["timings"]:
            assert row["tokens_per_s"] > 0
            predicted = row["predicted_tokens_per_s"]
            if predicted is None or not row["clean_repeats"]:
                assert row["ratio"] is row["is_inside"] is None
            else:
                assert row["ratio"] == pytest.approx(predicted["mid"] / row["tokens_per_s"])
                inside = predicted["low"] <= row["tokens_per_s"] <= predicted["high"]
                assert row["is_inside"] is inside
        assert not default_calibration_path().exists()

    def test_a_file_that_is_no_model_is_refused(
        self, say: Callable[..., Said], tmp_path: Path
    ) -> None:
        path = tmp_path / "odd.gguf"
        path.write_bytes(b"GGUF" + bytes(100))
        found = say("bench", str(path))
        assert found.code == 2
        assert found.err.count("\n") == 1

    def test_a_budget_too_short_measures_nothing_and_says_so(
        self, say: Callable[..., Said], is_valid: Callable[..., None]
    ) -> None:
        said = say("bench", "--json", "--budget", "0.001")
        assert said.code == 1
        is_valid("bench", said.json)
        assert said.json["timings"] == []
        assert any("want of time" in warning for warning in said.json["warnings"])
