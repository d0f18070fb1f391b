"""A quick answer costs one request, and the exact one lies in its interval, always."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from header_shapes import Shape, all_shapes
from range_server import Hole, serving

from whatfits.bench.synthetic import write_synthetic_gguf
from whatfits.sizing import check
from whatfits.sizing.architectures.config_spec import config_file
from whatfits.sizing.catalog.lookup import find_model
from whatfits.sizing.errors import (
    BadInputError,
    InvalidRequestError,
    MalformedFileError,
    UnsupportedArchitectureError,
)
from whatfits.sizing.quants.ggml_types import tensor_bytes
from whatfits.sizing.readers.gguf import read_gguf_header
from whatfits.sizing.readers.gguf_start import read_gguf_start
from whatfits.sizing.sources import direct_url, load
from whatfits.sizing.sources.direct_url import TRUSTED_HOSTS
from whatfits.sizing.sources.http.header_cache import HeaderCache
from whatfits.sizing.sources.quick import quick_spec
from whatfits.sizing.units import KIB, MIB

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from whatfits.sizing.model import TensorSpec

WINDOW = 64 * KIB
MACHINES = ("64gb", "rtx-4090 + 512gb")
MODELS = (
    *("llama-3.1-8b", "qwen2.5-0.5b", "qwen3-30b-a3b", "gemma-3-1b", "gemma-2-2b", "phi-4-mini"),
    *("deepseek-v2-lite", "gpt-oss-20b", "granite-4.0-h-tiny", "lfm2-1.2b", "olmoe-1b-7b"),
    *("smollm2-135m", "glm-4-9b-0414", "rwkv7-0.4b", "qwen3-next-80b-a3b", "mamba-2.8b"),
    *("glm-4.5-air", "llama-3.1-70b", "gemma-3n-e4b", "mistral-7b-v0.3", "deepseek-v3"),
)
REACHED = [shape for shape in all_shapes() if shape.name not in ("sizing keys last", "tokens last")]


def written(
    path: Path, name: str, *, file_type: str = "Q4_K_M", tensors: Sequence[TensorSpec] | None = None
) -> Hole:
    """A catalog model as a server has it, with a vocabulary in its header and a hole for data."""
    metadata, given = config_file(find_model(name).config, file_type=file_type)
    tokens = ["token"] * load(name, file_type=file_type).hparams.n_vocab
    vocabulary = {"tokenizer.ggml.model": "none", "tokenizer.ggml.tokens": tokens}
    size = write_synthetic_gguf(path, metadata={**metadata, **vocabulary}, tensors=tensors or given)
    with path.open("rb") as file:
        return Hole(file.read(8 * MIB), size)


@pytest.mark.parametrize("name", MODELS)
def test_the_exact_memory_lies_in_the_interval_of_one_request(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = written(tmp_path / "m.gguf", name)
    with serving({"/m.gguf": content}) as server:
        monkeypatch.setenv(TRUSTED_HOSTS, server.host)
        url = server.url("/m.gguf")
        quick = load(url, quick=True)
        assert [seen.headers["range"] for seen in server.seen] == [f"bytes=0-{WINDOW - 1}"]
    exact = load(str(tmp_path / "m.gguf"))
    assert quick.file_bytes == exact.file_bytes == len(content)
    assert quick.layers == exact.layers
    assert quick.weights is not None
    assert quick.weights.low_bytes <= exact.tensor_bytes <= quick.weights.high_bytes
    for machine in MACHINES:
        found = check(exact, machine=machine)
        layers = {"gpu_layers": found.placement.gpu_layers}
        guessed = check(quick, machine=machine, placement=layers)
        assert guessed.memory.kv_cache_bytes == found.memory.kv_cache_bytes
        assert guessed.memory.low_bytes <= found.memory.total_bytes <= guessed.memory.high_bytes


def test_an_embedding_of_the_widest_type_is_inside_as_well(tmp_path: Path) -> None:
    _, tensors = config_file(find_model("qwen2.5-0.5b").config, file_type="Q4_K_M")
    widest = [
        replace(one, type="F32", n_bytes=tensor_bytes("F32", one.shape))
        if one.name == "token_embd.weight"
        else one
        for one in tensors
    ]
    content = written(tmp_path / "m.gguf", "qwen2.5-0.5b", tensors=widest)
    start = read_gguf_start(content[0:WINDOW], size_bytes=len(content))
    quick = quick_spec([start], name="m", source="m")
    exact = check(str(tmp_path / "m.gguf"), machine="rtx-4090 + 64gb")
    guessed = check(quick, machine="rtx-4090 + 64gb")
    assert guessed.memory.low_bytes <= exact.memory.total_bytes <= guessed.memory.high_bytes
    assert "output.weight" not in {one.name for one in widest}


@pytest.mark.parametrize("shape", REACHED, ids=[shape.name for shape in REACHED])
def test_the_tensors_behind_every_header_lie_in_the_interval(shape: Shape) -> None:
    exact = read_gguf_header(shape.data, allow_missing_data=True)
    size = len(shape.data) + exact.tensor_bytes
    start = read_gguf_start(shape.data[:WINDOW], size_bytes=size)
    assert start.least_header_bytes <= len(shape.data) <= start.most_header_bytes
    if "tokenizer.ggml.tokens" not in start.array_lengths:
        with pytest.raises(UnsupportedArchitectureError, match="before its vocabulary"):
            quick_spec([start], name="m", source="m")
        return
    weights = quick_spec([start], name="m", source="m").weights
    assert weights is not None
    assert weights.low_bytes <= exact.tensor_bytes <= weights.high_bytes


@pytest.mark.parametrize("name", ["sizing keys last", "tokens last"])
def test_a_header_that_sizes_the_model_too_late_gets_no_quick_answer(name: str) -> None:
    data = next(shape.data for shape in all_shapes() if shape.name == name)
    start = read_gguf_start(data[:WINDOW], size_bytes=10**9)
    with pytest.raises(BadInputError):
        quick_spec([start], name="m", source="m")


def test_a_quick_answer_says_so_and_how_to_get_the_exact_one(tmp_path: Path) -> None:
    content = written(tmp_path / "m.gguf", "llama-3.1-8b")
    start = read_gguf_start(content[0:WINDOW], size_bytes=len(content))
    plan = check(quick_spec([start], name="m", source="m"), machine="64gb")
    assert any("leave --quick out" in note for note in plan.notes)
    basis = next(one for one in plan.basis if "64 KiB" in (one.error or ""))
    assert basis.inputs["low_bytes"] < basis.inputs["high_bytes"]


def test_a_quick_answer_names_a_damaged_entry_of_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(direct_url, "default_cache", lambda: HeaderCache(tmp_path / "headers"))
    with serving({"/m.gguf": written(tmp_path / "m.gguf", "llama-3.1-8b")}) as server:
        monkeypatch.setenv(TRUSTED_HOSTS, server.host)
        load(server.url("/m.gguf"), quick=True)
        (entry,) = (tmp_path / "headers").iterdir()
        entry.write_bytes(b"")
        again = load(server.url("/m.gguf"), quick=True)
        assert any("damaged" in note and ".broken.header" in note for note in again.notes)


def test_another_file_type_is_no_question_for_one_request() -> None:
    with pytest.raises(InvalidRequestError, match="none beside --quick"):
        load("https://models.example.com/m.gguf", file_type="Q8_0", quick=True)


def test_what_needs_no_request_is_exact_with_or_without_quick() -> None:
    assert load("llama-3.1-8b", quick=True) == load("llama-3.1-8b")


@pytest.mark.parametrize("n_bytes", [4, 23])
def test_a_start_without_its_counts_says_how_little_is_here(n_bytes: int) -> None:
    data = next(iter(all_shapes())).data[:n_bytes]
    with pytest.raises(MalformedFileError, match=f"only {n_bytes} bytes are here"):
        read_gguf_start(data, size_bytes=10**6)
