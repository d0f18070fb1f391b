"""`whatfits quants hf:org/repo`: the file types that a repository offers, and their sizes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from checkpoints import LLAMA
from fake_hub import COMMIT, Repository, hub_of
from jsonschema import Draft202012Validator

from whatfits.bench.synthetic import write_catalog_model
from whatfits.sizing.cli import main
from whatfits.sizing.cli.schema import answer_schema
from whatfits.sizing.sources import load

if TYPE_CHECKING:
    from pathlib import Path

MODEL, REPO = "smollm2-135m", "acme/SmolLM2-GGUF"
UNREAD = {
    "UD-Q4_K_XL/SmolLM2-UD-Q4_K_XL-00001-of-00002.gguf": 60_000_000,
    "UD-Q4_K_XL/SmolLM2-UD-Q4_K_XL-00002-of-00002.gguf": 52_000_000,
    "SmolLM2-Q8_0_L.gguf": 150_000_000,
    "SmolLM2-IQ2_M-00001-of-00002.gguf": 20_000_000,
    "SmolLM2.gguf": 270_000_000,
    "mmproj-F16.gguf": 90_000_000,
}


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """Files of every kind that repositories of GGUF files have."""
    content: dict[str, Path | int] = dict(UNREAD)
    for file_type in ("Q4_K_M", "Q8_0"):
        path = tmp_path / f"SmolLM2-{file_type}.gguf"
        write_catalog_model(path, MODEL, file_type=file_type)
        content[path.name] = path
    return Repository(REPO, content)


def said(
    arguments: tuple[str, ...],
    repository: Repository,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> str:
    with hub_of(repository) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
        assert main(["quants", *arguments]) == 0
    return capsys.readouterr().out


def test_each_row_is_what_the_repository_offers(
    repository: Repository, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answer: Any = json.loads(said((f"hf:{REPO}", "--json"), repository, monkeypatch, capsys))
    Draft202012Validator({"$ref": "#/answers/quants", **answer_schema()}).validate(answer)
    rows = {row["file_type"]: row for row in answer["file_types"]}
    assert set(rows) == {"Q8_0_L", "Q8_0", "UD-Q4_K_XL", "Q4_K_M"}
    sizes = [row["file_bytes"] for row in answer["file_types"]]
    assert sizes == sorted(sizes, reverse=True)
    for name in ("Q8_0", "Q4_K_M"):
        spec = load(MODEL, file_type=name)
        row = rows[name]
        assert row["file_bytes"] == repository.size(f"SmolLM2-{name}.gguf")
        assert (row["file"], row["n_files"]) == (f"SmolLM2-{name}.gguf", 1)
        in_all = 8 * spec.tensor_bytes / (spec.parameters or 1)
        assert row["model_bits_per_weight"] == pytest.approx(in_all, abs=0.002)
        assert row["weights_bytes"] == (spec.tensor_bytes if name == "Q4_K_M" else None)
        assert row["perplexity_change"] > 0
    mix = rows["UD-Q4_K_XL"]
    assert (mix["n_files"], mix["file_bytes"], mix["perplexity_change"]) == (2, 112_000_000, None)
    assert (mix["nominal_bits_per_weight"], rows["Q8_0_L"]["nominal_bits_per_weight"]) == (4.5, 8.5)
    assert answer["model"] == "SmolLM2-Q4_K_M"
    assert answer["source"] == f"hf:{REPO}:SmolLM2-Q4_K_M.gguf"


def test_what_is_no_row_is_said(
    repository: Repository, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = said((f"hf:{REPO}", "--plain"), repository, monkeypatch, capsys)
    assert "file type: UD-Q4_K_XL; to download: 0.1 GiB;" in text
    assert "SmolLM2-UD-Q4_K_XL-00001-of-00002.gguf and 1 more" in text
    assert "Files whose names say no file type: SmolLM2.gguf." in text
    assert "files are missing: SmolLM2-IQ2_M-00001-of-00002.gguf." in text
    assert "Projectors for images or sound: mmproj-F16.gguf." in text
    assert f"at commit {COMMIT}." in text


def test_a_repository_of_safetensors_has_the_file_types_that_can_be_made(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = Repository("acme/Tiny", {"config.json": json.dumps(LLAMA).encode()})
    answer = json.loads(said(("hf:acme/Tiny", "--json"), whole, monkeypatch, capsys))
    rows = {row["file_type"]: row for row in answer["file_types"]}
    assert rows["Q4_K_M"]["weights_bytes"] > 0
    assert rows["Q4_K_M"]["file"] is None
