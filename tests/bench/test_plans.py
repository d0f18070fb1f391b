"""Dry runs in a child that is started again: a crash, a hang and a babble are errors, not ends."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from tiny_configs import HYBRID

from whatfits.bench.plans import Planner, plan
from whatfits.bench.requests import workload
from whatfits.bench.run_settings import RunSettings
from whatfits.bench.suite import CatalogShape, compared
from whatfits.bench.synthetic import write_catalog_model, write_synthetic_model
from whatfits.sizing.architectures import spec_from_config
from whatfits.sizing.errors import InvalidRequestError, ProbeError
from whatfits.sizing.runtimes.llama_cpp import Bill
from whatfits.sizing.settings import resolve_settings

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX processes")
SETTINGS = RunSettings(512)
ECHO = "import json, os, sys, time\nfor line in sys.stdin:\n  asked = json.loads(line)\n  "


def _planner(body: str, *, longest_s: float = 20.0) -> Planner:
    return Planner((sys.executable, "-I", "-S", "-c", ECHO + body), longest_s=longest_s)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("sys.exit(0)", "ended its process"),
        ("os.abort()", "ended its process"),
        ("os._exit(7)", "ended its process"),
        ("os.close(1); time.sleep(60)", "ended its process"),
        ("print('[1, 2]', flush=True)", "no plan"),
        ("print('hello', flush=True)", "no plan"),
        ("print('[' * 200000, flush=True)", "no plan"),
        ("sys.stdout.buffer.write(b'\\xff\\n'); sys.stdout.flush()", "no plan"),
        ("time.sleep(60)", "in time"),
    ],
)
def test_a_child_that_fails_gives_an_error_and_the_next_is_asked(body: str, says: str) -> None:
    with _planner(body, longest_s=1.0 if "sleep" in body and "close" not in body else 20) as child:
        for _ in range(2):
            assert says in child.ask(Path("x"), SETTINGS)["error"]
    assert not psutil.Process().children()


def test_a_flood_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("whatfits.bench.plans._MAX_LINE_BYTES", 1 << 20)
    with _planner("sys.stdout.write('x' * (1 << 22))") as planner:
        assert "no plan" in planner.ask(Path("x"), SETTINGS)["error"]


def test_a_child_that_crashes_on_one_plan_answers_the_next() -> None:
    body = (
        "if 'bad' in asked['path']: os.abort()\n"
        "  print(json.dumps({'n_ctx': asked['settings']['context_tokens']}), flush=True)"
    )
    with _planner(body) as planner:
        asked = ["good", "bad", "good", "bad", "bad", "good"]
        said = [planner.ask(Path(name), SETTINGS) for name in asked]
    assert [answer.get("n_ctx") for answer in said] == [512, None, 512, None, None, 512]


def test_the_planner_tells_no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "secret-value")
    with _planner("print(json.dumps(dict(os.environ)), flush=True)") as planner:
        assert "HF_TOKEN" not in planner.ask(Path("x"), SETTINGS)


def test_a_failure_in_between_leaves_no_child() -> None:
    with pytest.raises(KeyboardInterrupt), _planner("time.sleep(60)"):
        raise KeyboardInterrupt
    assert not psutil.Process().children()


@pytest.mark.oracle
@pytest.mark.skipif(importlib.util.find_spec("llama_cpp") is None, reason="needs llama.cpp")
def test_a_plan_is_llama_cpps_own_and_a_refusal_says_why(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    spec = write_catalog_model(path, "smollm2-135m", file_type="Q8_0")
    planned = plan(path, RunSettings(1000, repack=False))
    assert planned.model == planned.model_bytes == spec.file_bytes
    assert planned.n_ctx == 1024
    assert planned.n_parameters == spec.parameters
    assert "output buffer size" in planned.log
    with pytest.raises(ProbeError, match="refused the model"):
        plan(tmp_path / "missing.gguf", SETTINGS)


@pytest.mark.oracle
@pytest.mark.skipif(importlib.util.find_spec("llama_cpp") is None, reason="needs llama.cpp")
@pytest.mark.parametrize("model", ["deepseek-v4-flash", "deepseek-v2-lite"])
def test_one_row_for_keys_and_values_has_one_type_here_as_there(model: str, tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    spec = write_catalog_model(path, model, file_type="Q8_0")
    both = RunSettings(512, kv_type_k="q8_0", kv_type_v="q8_0")
    assert plan(path, both).n_ctx == 512
    resolve_settings(spec, workload(both))
    apart = replace(both, kv_type_v="f16")
    with pytest.raises(ProbeError, match=r"does not support different K \(q8_0\) and V \(f16\)"):
        plan(path, apart)
    with pytest.raises(InvalidRequestError, match="the same type for both"):
        resolve_settings(spec, workload(apart))


@pytest.mark.oracle
@pytest.mark.skipif(importlib.util.find_spec("llama_cpp") is None, reason="needs llama.cpp")
@pytest.mark.parametrize("head", [32, 64, 96])
def test_quantised_keys_are_turned_by_the_heads_of_a_model_that_begins_with_states(
    head: int, tmp_path: Path
) -> None:
    config = {**HYBRID, "head_dim": head}
    spec = spec_from_config(config, name="tiny", source="tiny.gguf", file_type="F16")
    path = tmp_path / "tiny.gguf"
    written = write_synthetic_model(path, spec)
    for keys, values in (("q8_0", "q8_0"), ("q8_0", "f16"), ("f16", "q4_0"), ("f16", "f16")):
        settings = RunSettings(1024, kv_type_k=keys, kv_type_v=values, repack=False)
        row = plan(path, settings).buffers["CPU"]
        case = compared(
            CatalogShape("tiny", spec.architecture, "F16"),
            written,
            Bill(written),
            settings,
            planned=(row.model, row.context, row.compute),
            refusal=None,
        )
        assert case.agrees, (keys, values, case.planned, case.predicted)
