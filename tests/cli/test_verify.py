"""`whatfits verify` as a person meets it: answers, refusals, exit codes, and what it leaves."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from llama_cpp_here import needs_llama_cpp

from whatfits.bench.child_process import _MARK
from whatfits.bench.synthetic import write_catalog_model, write_synthetic_gguf
from whatfits.probes.measurements import MeasurementStore, default_measurements_path

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import Said


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "small model.gguf"
    write_catalog_model(path, "smollm2-135m", file_type="Q4_0")
    return path


def _strays() -> list[int]:
    """Return children of verifications whose parent is gone: others may run tests of their own."""
    return [
        process.pid
        for process in psutil.process_iter(["environ", "status"])
        if _is_stray((process.info["environ"] or {}).get(_MARK, ""))
        and process.info["status"] != "zombie"
    ]


def _is_stray(mark: str) -> bool:
    parent = mark.partition("-")[0]
    return parent.isdigit() and not psutil.pid_exists(int(parent))


class TestWithTheReference:
    """What needs llama-cpp-python."""

    pytestmark = needs_llama_cpp

    def test_a_file_is_predicted_planned_and_loaded(
        self, say: Callable[..., Said], is_valid: Callable[..., None], model: Path
    ) -> None:
        said = say("verify", str(model), "-c", "1024", "--no-mmap", "--json")
        assert said.code == 0, said
        answer = said.json
        is_valid("verify", answer)
        assert answer["verdict"] == "equal"
        by_term = {term["term"]: term for term in answer["terms"]}
        for name in ("weights", "cache", "compute"):
            term = by_term[name]
            assert term["predicted_bytes"] == term["dry_run_bytes"] == term["real_bytes"]
            assert term["miss_bytes"] == 0
        assert by_term["resident"]["inside"]
        assert answer["load"]["kind"] == "measured"
        assert answer["load"]["anonymous_bytes"] > 0

    def test_a_load_is_kept_and_shown_by_hardware(
        self, say: Callable[..., Said], is_valid: Callable[..., None], model: Path
    ) -> None:
        assert not default_measurements_path().exists()
        for _ in range(3):
            assert say("verify", str(model), "-c", "1024", "--no-mmap").code == 0
        stored = json.loads(default_measurements_path().read_text())["loads"]
        assert [row["model"] for row in stored] == [stored[0]["model"]] * 3
        said = say("hardware", "--json")
        is_valid("hardware", said.json)
        found = [f for f in said.json["findings"] if f["code"] == "loads_measured"]
        assert found[0]["text"].startswith("3 real loads measured on this machine, the last on 20")
        assert [row["device"] for row in said.json["machine"]["overheads"]] == ["cpu"]
        assert "3 real loads" in say("hardware", "--plain").out

    def test_a_mapped_load_names_both_kinds_of_memory_and_is_not_kept(
        self, say: Callable[..., Said], model: Path
    ) -> None:
        said = say("verify", str(model), "-c", "1024", "--plain")
        assert said.code == 0
        assert "of it memory proper" in said.out
        assert "of it pages of files" in said.out
        assert not default_measurements_path().exists()

    def test_a_plan_only_loads_nothing(self, say: Callable[..., Said], model: Path) -> None:
        said = say("verify", str(model), "--plan-only", "--json")
        assert said.code == 0
        assert said.json["load"] is None
        assert all(term["real_bytes"] is None for term in said.json["terms"])

    def test_a_checkpoint_is_no_file_that_llama_cpp_loads(
        self, say: Callable[..., Said], tmp_path: Path
    ) -> None:
        config = {"model_type": "llama", "hidden_size": 64, "num_hidden_layers": 2}
        config |= {"intermediate_size": 128, "num_attention_heads": 2, "vocab_size": 256}
        (tmp_path / "config.json").write_text(json.dumps(config))
        for command in ("verify", "bench"):
            said = say(command, str(tmp_path))
            assert (said.code, "converter" in said.err) == (2, True), said

    def test_a_type_that_the_file_does_not_have_is_not_asked_of_it(
        self, say: Callable[..., Said], model: Path
    ) -> None:
        typed = ("--exact", "--file-type", "Q8_0", "--machine", "64gb", "--json")
        said = say("check", str(model), *typed).json
        assert "yet to be made" in " ".join(said["notes"])
        (basis,) = [row for row in said["basis"] if row["key"] == "memory.compute_bytes"]
        assert "own dry run of this model" not in basis["formula"]

    @pytest.mark.parametrize("few", [("-c", "1"), ("-b", "7"), ("-b", "1", "-ub", "512")])
    def test_no_more_is_decoded_at_once_than_a_batch_takes(
        self, say: Callable[..., Said], model: Path, few: tuple[str, ...]
    ) -> None:
        said = say("verify", str(model), *few, "--json")
        assert (said.code, said.json["load"]["kind"]) == (0, "measured"), said.json["notes"]

    def test_the_model_of_a_folder_is_asked_about_under_its_own_name(
        self, say: Callable[..., Said], model: Path
    ) -> None:
        said = say("verify", str(model.parent), "--plan-only", "--json")
        assert (said.code, said.json["notes"]) == (0, [])
        said = say("check", str(model.parent), "--exact", "--machine", "64gb", "--json")
        (basis,) = [row for row in said.json["basis"] if row["key"] == "memory.compute_bytes"]
        assert "dry run" in basis["formula"]

    @pytest.mark.parametrize("name", ["llama-3.1-70b", "qwen3-30b-a3b", "all-minilm-l6-v2"])
    def test_a_catalog_model_needs_no_weights(
        self, say: Callable[..., Said], is_valid: Callable[..., None], name: str
    ) -> None:
        said = say("verify", "--synthetic", name, "--file-type", "Q8_0", "--json")
        assert (said.code, said.json["verdict"]) == (0, "equal")
        is_valid("verify", said.json)

    def test_text_for_people_begins_with_the_verdict(self, say: Callable[..., Said]) -> None:
        said = say("verify", "--synthetic", "smollm2-135m", "--plain")
        assert said.lines[0] == "Every byte as predicted."
        assert said.err == ""

    def test_the_bounded_suite_holds_every_architecture(
        self, say: Callable[..., Said], is_valid: Callable[..., None], tmp_path: Path
    ) -> None:
        table = tmp_path / "accuracy.md"
        said = say("verify", "--suite", "--quick", "--write", str(table), "--json")
        answer = said.json
        is_valid("verify", answer)
        whole = answer["rows"][-1]
        assert whole["architecture"] == "all"
        assert whole["cases"] + whole["refused_alike"] == 2 * whole["shapes"]
        assert whole["shapes"] == len(answer["rows"]) - 1 >= 35
        assert whole["weights_exact"] == whole["cache_exact"] == whole["cases"]
        assert whole["lowest_error"] >= -0.005
        assert whole["p95_error"] <= 0.003
        held = whole["inside"] == whole["cases"] and not whole["refused_otherwise"]
        assert said.code == (0 if held else 1)
        assert len(table.read_text().splitlines()) == len(answer["rows"]) + 2

    def test_a_table_that_cannot_be_written_is_said_before_the_suite_runs(
        self, say: Callable[..., Said], tmp_path: Path
    ) -> None:
        started = time.monotonic()
        said = say("verify", "--suite", "--write", str(tmp_path / "no" / "table.md"))
        assert said.code == 2
        assert "file to write" in said.err
        assert time.monotonic() - started < 5

    def test_what_llama_cpp_refuses_is_an_answer_with_its_reason(
        self, say: Callable[..., Said], is_valid: Callable[..., None], tmp_path: Path
    ) -> None:
        path = tmp_path / "lacking.gguf"
        spec = write_catalog_model(path, "smollm2-135m", file_type="Q8_0")
        tensors = [t for t in spec.tensors if t.name != "blk.3.ffn_norm.weight"]
        metadata = {**spec.metadata, "tokenizer.ggml.model": "none"}
        write_synthetic_gguf(path, metadata=metadata, tensors=tensors)
        said = say("verify", str(path), "--json")
        assert (said.code, said.json["verdict"]) == (1, "not measured")
        is_valid("verify", said.json)
        assert "blk.3.ffn_norm.weight" in said.json["notes"][0]
        assert said.json["load"] is None

    def test_what_does_not_fit_is_not_loaded_unless_forced(
        self, say: Callable[..., Said], tmp_path: Path
    ) -> None:
        path = tmp_path / "large.gguf"
        write_catalog_model(path, "llama-3.1-405b", file_type="F16")
        said = say("verify", str(path), "--no-mmap")
        assert said.code == 2
        assert "--plan-only" in said.err
        assert len(said.err.splitlines()) == 1

    def test_a_load_that_takes_too_long_is_ended_and_told(
        self, say: Callable[..., Said], is_valid: Callable[..., None], model: Path
    ) -> None:
        said = say("verify", str(model), "-c", "1024", "--timeout", "0.01", "--json")
        is_valid("verify", said.json)
        assert (said.code, said.json["load"]["kind"]) == (1, "timed_out")
        text = say("verify", str(model), "-c", "1024", "--timeout", "0.01", "--plain")
        assert text.lines[0] == "The load ended without a measurement (timed_out)."
        assert "in time" in text.lines[1]
        assert not _strays()

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
    def test_an_interrupted_load_leaves_no_child(self, model: Path, number: signal.Signals) -> None:
        with subprocess.Popen(
            [sys.executable, "-m", "whatfits.sizing", "verify", str(model), "--no-mmap"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        ) as process:
            child = _child_of(process.pid)
            process.send_signal(number)
            _, complaint = process.communicate(timeout=20)
        assert complaint == b""
        assert process.returncode == (130 if number == signal.SIGINT else -number)
        gone, alive = psutil.wait_procs([child], timeout=5)
        assert not alive, gone

    def test_a_measurement_that_cannot_be_kept_is_said_beside_the_answer(
        self, say: Callable[..., Said], model: Path, data_folder: Path
    ) -> None:
        (data_folder / "whatfits").write_text("in the way")
        said = say("verify", str(model), "-c", "512", "--no-mmap", "--json")
        assert said.code == 0
        assert said.json["verdict"] == "equal"
        assert "could not be kept" in said.err

    def test_a_broken_file_of_measurements_is_named(
        self, say: Callable[..., Said], model: Path
    ) -> None:
        path = default_measurements_path()
        path.parent.mkdir(parents=True)
        path.write_text("{")
        said = say("verify", str(model), "-c", "512", "--no-mmap", "--json")
        assert said.code == 0
        assert "measurements.broken.json" in said.err
        assert len(MeasurementStore(path)._read()) == 1


def _child_of(pid: int) -> psutil.Process:
    """Return the process that loads, once it is there."""
    ends_s = time.monotonic() + 20
    while time.monotonic() < ends_s:
        for child in psutil.Process(pid).children():
            with contextlib.suppress(psutil.Error):  # what a probe has started may just end
                if "whatfits.bench.child" in child.cmdline():
                    return child
        time.sleep(0.005)
    raise AssertionError("no load has begun")


BAD = {
    "nothing": ([], "one of"),
    "a file and a name": (["x.gguf", "--synthetic", "smollm2-135m"], "more than one"),
    "a file and the suite": (["x.gguf", "--suite"], "more than one"),
    "two files": (["x.gguf", "y.gguf"], "too many"),
    "a file that is missing": (["missing.gguf"], "--synthetic"),
    "an empty name": ([""], "file"),
    "a catalog name": (["llama-3.1-8b"], "--synthetic llama-3.1-8b"),
    "a model nobody knows": (["--synthetic", "lama-3.1-8b"], "did you mean"),
    "a shape with holes": (["--synthetic", "falcon-h1-7b"], "of this one it lacks intermediate_s"),
    "a file type nobody knows": (
        ["--synthetic", "smollm2-135m", "--file-type", "Q9_X"],
        "whatfits quants",
    ),
    "a file type of a file": (["{file}", "--file-type", "Q8_0"], "--synthetic"),
    "a table without a suite": (["{file}", "--write", "x.md"], "--suite"),
    "quick without a suite": (["{file}", "--quick"], "--suite"),
    "a negative context": (["{file}", "-c", "-5"], "token count"),
    "no context": (["{file}", "-c", "0"], "context"),
    "a cache type nobody knows": (["{file}", "--kv-type", "f17"], "f16"),
    "a device that is not there": (["{file}", "--device", "cuda9"], "device"),
    "an option nobody knows": (["{file}", "--plan-onyl"], "--plan-only"),
    "a folder": (["{folder}"], "file"),
    "an empty file": (["{empty}"], "gguf"),
    "a truncated file": (["{truncated}"], "gguf"),
    "a text": (["{text}"], "gguf"),
    **{
        f"a time of {text!r}": (["{file}", "--timeout", text], "seconds")
        for text in ("x", "0", "-1", "nan", "inf", "1e12", "")
    },
}


@pytest.mark.skipif(importlib.util.find_spec("llama_cpp") is None, reason="needs llama.cpp")
@pytest.mark.parametrize("case", BAD.values(), ids=BAD)
def test_bad_input_is_one_line_and_exit_2(
    say: Callable[..., Said],
    is_valid: Callable[..., None],
    model: Path,
    tmp_path: Path,
    case: tuple[list[str], str],
) -> None:
    arguments, says = case
    files = {"{file}": model, "{folder}": tmp_path}
    for name, content in (("empty", b""), ("truncated", model.read_bytes()[:99]), ("text", b"hi")):
        files[f"{{{name}}}"] = tmp_path / f"{name}.gguf"
        (tmp_path / f"{name}.gguf").write_bytes(content)
    typed = [str(files.get(argument, argument)) for argument in arguments]
    said = say("verify", *typed)
    assert said.code == 2, said
    assert said.out == ""
    assert len(said.err.splitlines()) == 1
    assert says.lower() in said.err.lower()
    as_json = say("verify", *typed, "--json")
    assert as_json.code == 2
    is_valid("error", as_json.json)


BLOCKED = """
import sys
class NotInstalled:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "llama_cpp":
            raise ModuleNotFoundError("No module named 'llama_cpp'", name=name)
sys.meta_path.insert(0, NotInstalled())
from whatfits.sizing.cli import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize(
    "arguments",
    [
        ["verify", "{file}"],
        ["verify", "--synthetic", "smollm2-135m"],
        ["verify", "--suite"],
        ["check", "smollm2-135m", "--exact", "--machine", "64gb"],
    ],
    ids=" ".join,
)
def test_without_the_extra_the_command_names_it(
    is_valid: Callable[..., None], model: Path, arguments: list[str]
) -> None:
    typed = [argument.replace("{file}", str(model)) for argument in arguments]
    done = subprocess.run(
        [sys.executable, "-c", BLOCKED, *typed], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert "pip install 'whatfits[bench]'" in done.stderr
    done = subprocess.run(
        [sys.executable, "-c", BLOCKED, *typed, "--json"],
        capture_output=True,
        text=True,
        check=False,
    )
    answer: Any = json.loads(done.stdout)
    is_valid("error", answer)
    assert answer["error"]["code"] == "missing_extra"


def test_everything_else_answers_without_the_extra() -> None:
    done = subprocess.run(
        [sys.executable, "-c", BLOCKED, "check", "smollm2-135m", "--machine", "64gb", "--json"],
        capture_output=True,
        check=False,
        env={**os.environ, "PYTHONUTF8": "1"},
    )
    assert done.returncode == 0
    assert json.loads(done.stdout)["verdict"] == "fits"
