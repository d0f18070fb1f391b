"""The same model needs the same memory, whichever way it came in, the network included."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from fake_hub import Repository, hub_of

from whatfits.bench.synthetic import write_catalog_model
from whatfits.sizing import check
from whatfits.sizing.catalog.lookup import find_model
from whatfits.sizing.sources import load

if TYPE_CHECKING:
    from pathlib import Path

    from whatfits.sizing.estimate import Memory

MODELS = (
    *("llama-3.1-8b", "qwen3-30b-a3b", "gemma-3-1b", "phi-4-mini", "deepseek-v2-lite"),
    *("gpt-oss-20b", "granite-4.0-h-tiny", "lfm2-1.2b", "rwkv7-0.4b", "all-minilm-l6-v2"),
)
MACHINES = ("64gb", "2x rtx-3090 + 64gb")
GGUF, WHOLE = "acme/Model-GGUF", "acme/Model"


def needed(name: str, machine: str, file_type: str | None = None) -> Memory:
    return check(name, machine=machine, file_type=file_type).memory


@pytest.mark.parametrize("model", MODELS)
def test_catalog_header_configuration_and_hub_are_the_same_model(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file_type = load(model).file_type
    assert file_type is not None
    path = tmp_path / f"model-{file_type}.gguf"
    write_catalog_model(path, model, file_type=file_type)
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    config = json.dumps(find_model(model).config, default=list).encode()
    (folder / "config.json").write_bytes(config)
    repositories = Repository(GGUF, {path.name: path}), Repository(WHOLE, {"config.json": config})
    with hub_of(*repositories) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
        for machine in MACHINES:
            expected = needed(model, machine)
            assert needed(str(path), machine) == expected
            assert needed(str(folder), machine, file_type) == expected
            assert needed(f"hf:{GGUF}", machine) == expected
            assert needed(f"hf:{WHOLE}", machine, file_type) == expected


def test_the_command_answers_about_a_repository(tmp_path: Path) -> None:
    path = tmp_path / "SmolLM2-135M-Q8_0.gguf"
    write_catalog_model(path, "smollm2-135m", file_type="Q8_0")
    with hub_of(Repository(GGUF, {path.name: path})) as hub:
        own = {"HF_HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
        environment = {**os.environ, "HF_ENDPOINT": hub.endpoint, **own}
        environment = {k: v for k, v in environment.items() if not k.startswith("HF_TOKEN")}

        def run(name: str) -> subprocess.CompletedProcess[str]:
            command = [sys.executable, "-m", "whatfits.sizing", "check", name, "--json"]
            return subprocess.run(
                [*command, "--machine", "64gb"],
                capture_output=True,
                check=False,
                env=environment,
                text=True,
            )

        done, wrong = run(f"hf:{GGUF}"), run(f"hf:{GGUF}:Q2_K")
    answer = json.loads(done.stdout)
    assert (done.returncode, done.stderr) == (0, "")
    assert answer["model"]["source"] == f"hf:{GGUF}:{path.name}"
    assert answer["model"]["file_bytes"] == path.stat().st_size
    assert answer["memory"]["total_bytes"] == needed(str(path), "64gb").total_bytes
    assert (wrong.returncode, wrong.stderr) == (2, "")
    assert json.loads(wrong.stdout)["error"]["code"] == "unknown_file_type"
