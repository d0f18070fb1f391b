"""The quick tier of `hf:`: a listing and 64 KiB, and the exact weights lie in the interval."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from checkpoints import LLAMA
from fake_hub import Repository, hub_of
from header_shapes import all_shapes

from whatfits.bench.synthetic import write_catalog_model, write_synthetic_gguf
from whatfits.sizing import check
from whatfits.sizing.architectures.config_spec import config_file
from whatfits.sizing.catalog.lookup import find_model
from whatfits.sizing.errors import InvalidRequestError, UnreadableFileError
from whatfits.sizing.sources import load

if TYPE_CHECKING:
    from pathlib import Path

REPO = "acme/Model-GGUF"


def test_a_long_header_costs_a_listing_and_64_kib(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shape = max(all_shapes(), key=lambda one: len(one.data))
    path = tmp_path / "M-Q4_K_M.gguf"
    with path.open("wb") as file:
        file.write(shape.data)
        file.truncate(len(shape.data) + 2 * 10**9)
    with hub_of(Repository(REPO, {path.name: path})) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
        spec = load(f"hf:{REPO}", quick=True)
        assert len(hub.hub.seen) == 2
        assert [seen.headers["range"] for seen in hub.cdn.seen] == ["bytes=0-65535"]
    assert spec.weights is not None
    assert spec.weights.low_bytes < spec.weights.high_bytes
    assert spec.name == "M-Q4_K_M"
    assert spec.file_bytes == path.stat().st_size
    said = " ".join(spec.notes)
    assert "Quick answer from the first 64 KiB" in said
    assert f"{path.stat().st_size:,} bytes" in said


@pytest.mark.parametrize("model", ["llama-3.1-8b", "qwen3-30b-a3b", "gemma-3-1b", "olmoe-1b-7b"])
def test_the_exact_need_lies_in_the_quick_interval(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "M-Q4_K_M.gguf"
    metadata, tensors = config_file(find_model(model).config, file_type="Q4_K_M")
    tokens = ["token"] * load(model).hparams.n_vocab
    vocabulary = {"tokenizer.ggml.model": "none", "tokenizer.ggml.tokens": tokens}
    write_synthetic_gguf(path, metadata={**metadata, **vocabulary}, tensors=tensors)
    with hub_of(Repository(REPO, {path.name: path})) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
        exact = check(f"hf:{REPO}", machine="64gb").memory
        quick = check(f"hf:{REPO}", machine="64gb", quick=True).memory
    assert quick.low_bytes <= exact.total_bytes <= quick.high_bytes
    assert quick.low_bytes < quick.high_bytes
    assert quick.kv_cache_bytes == exact.kv_cache_bytes


def test_another_file_type_needs_the_whole_header(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "M-Q4_K_M.gguf"
    write_catalog_model(path, "smollm2-135m", file_type="Q4_K_M")
    content = {path.name: path, "page-Q8_0.gguf": b"<html>" + b" " * 100}
    with hub_of(Repository(REPO, content)) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
        with pytest.raises(InvalidRequestError, match="leave --quick out"):
            load(f"hf:{REPO}:Q4_K_M", file_type="Q2_K", quick=True)
        with pytest.raises(UnreadableFileError, match="a web page"):
            load(f"hf:{REPO}:Q8_0", quick=True)


def test_of_safetensors_the_configuration_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    content = {"config.json": json.dumps(LLAMA).encode(), "model.safetensors": 5_000}
    with hub_of(Repository("acme/Tiny", content)) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
        spec = load("hf:acme/Tiny", quick=True)
        assert hub.cdn.seen == []
    assert spec.tensors
