"""A plain answer loads nothing heavy; text for people and JSON coming in may."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from whatfits.probes.calibration import CalibrationStore, default_calibration_path
from whatfits.probes.measurements import fingerprint
from whatfits.sizing.api import load_machine
from whatfits.sizing.calibration import Calibration
from whatfits.sizing.version import VERSION

HEAVY = {
    *("pydantic", "pydantic_core", "numpy", "rich", "httpx", "streamlit", "ssl", "llama_cpp"),
    *("huggingface_hub", "importlib.metadata", "email", "tomllib", "statistics", "pynvml"),
    *(() if sys.platform == "win32" else ("psutil",)),
}
SCRIPT = """
import sys
before = set(sys.modules)
from whatfits.sizing.cli import main
code = main(sys.argv[1:])
import json
sys.stderr.write(json.dumps([code, sorted(set(sys.modules) - before)]))
"""
CARD = ("--machine", "rtx-4090 + 64gb")
MAC = ("--machine", "m4 max 64gb")
COLD = {
    "version": ("--version",),
    "help": ("--help",),
    "hardware": ("hardware", "--json"),
    "check": ("check", "llama-3.1-8b", "--json", *CARD),
    "check here": ("check", "llama-3.1-8b", "--json"),
    "plan": ("plan", "llama-3.1-8b", "--json", *CARD),
    "check for vLLM": ("check", "llama-3.1-8b", "--json", "--runtime", "vllm", *CARD),
    "check what does not fit": ("check", "llama-3.1-405b", "--json", *CARD),
    "check under MLX": ("check", "llama-3.1-8b", "--json", "--runtime", "mlx", *MAC),
    "bad input": ("check", "lama-3.1-8b", "--json", *CARD),
}


def _loaded(*arguments: str) -> set[str]:
    environment = {k: v for k, v in os.environ.items() if k != "COVERAGE_PROCESS_START"}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *arguments],
        capture_output=True,
        check=True,
        env=environment,
        text=True,
    )
    code, loaded = json.loads(done.stderr)
    assert code in (0, 1, 2)
    return set(loaded)


@pytest.mark.parametrize("arguments", COLD.values(), ids=COLD)
def test_a_plain_answer_loads_nothing_heavy(arguments: tuple[str, ...]) -> None:
    assert _loaded(*arguments) & HEAVY == set()


def test_a_configuration_from_a_folder_is_read_as_coldly(tmp_path: Path) -> None:
    values = {"model_type": "llama", "hidden_size": 64, "num_hidden_layers": 2, "vocab_size": 256}
    values |= {"num_attention_heads": 4, "intermediate_size": 128, "max_position_embeddings": 512}
    (tmp_path / "config.json").write_text(json.dumps(values))
    assert _loaded("check", str(tmp_path), "--json", *CARD) & HEAVY == set()


INTROSPECTION = {"dataclasses", "inspect", "ast", "dis", "fractions", "decimal", "datetime"}


@pytest.mark.parametrize("name", ["check here", "plan", "check for vLLM", "check under MLX"])
def test_a_plain_answer_loads_no_introspection(name: str) -> None:
    assert _loaded(*COLD[name]) & INTROSPECTION == set()


def test_a_file_is_read_without_introspection(model: Path) -> None:
    assert _loaded("check", str(model), "--json") & INTROSPECTION == set()


@pytest.mark.parametrize("arguments", [("list", "--json"), ("--json",)])
def test_a_ranking_loads_the_answer_of_no_other_command(arguments: tuple[str, ...]) -> None:
    loaded = _loaded(*arguments)
    assert loaded & INTROSPECTION == set()
    others = ("costing", "serving", "fleets", "cli.answers", "quants.labels")
    prefixes = tuple(f"whatfits.sizing.{name}" for name in others)
    assert not [name for name in loaded if name.startswith(prefixes)]


def test_the_measurement_sees_what_is_heavy() -> None:
    assert "pydantic" in _loaded("schema")


def test_hardware_leaves_the_engine_alone() -> None:
    loaded = _loaded("hardware", "--json")
    assert not loaded & {"whatfits.sizing.search.trials", "whatfits.sizing.estimate"}


def test_version_and_help_load_no_more_than_the_root() -> None:
    for option in ("--version", "--help"):
        ours = {name for name in _loaded(option) if name.startswith("whatfits.")}
        allowed = {"sizing", "sizing.cli", "sizing.errors", "sizing.typed", "sizing.version"}
        assert ours <= {f"whatfits.{name}" for name in allowed}


def test_the_version_is_that_of_the_project_file() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    assert project["project"]["version"] == VERSION


def test_a_calibration_is_read_without_anything_heavy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("XDG_DATA_HOME", "LOCALAPPDATA", "HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    here = load_machine(None)
    kept = Calibration("1.0", "2026-01-01T00:00:00+00:00", fingerprint(here))
    CalibrationStore(default_calibration_path()).keep(kept)
    assert load_machine(None).calibration == kept
    assert _loaded("check", "llama-3.1-8b", "--json") & HEAVY == set()
