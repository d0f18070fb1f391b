"""`ollama:NAME`: one model is one model, from a path, the store or a registry."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from range_server import serving
from small_registry import from_registry, published

from whatfits.bench.synthetic import write_synthetic_gguf
from whatfits.sizing import check
from whatfits.sizing.model import ModelSpec, TensorSpec
from whatfits.sizing.sources import load

if TYPE_CHECKING:
    from pathlib import Path

    from store_builder import Layers, Ollama

    from whatfits.sizing.estimate import Memory, Plan

pytestmark = pytest.mark.usefixtures("store")

MACHINE = "12gb"


def matrix(name: str, *shape: int, kind: str = "F16") -> TensorSpec:
    n_bytes = 2
    for length in shape:
        n_bytes *= length
    return TensorSpec(name, shape, kind, n_bytes, "layer", 0)


@pytest.fixture(scope="module")
def projector(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("projector") / "mmproj.gguf"
    metadata: dict[str, object] = {
        "general.architecture": "clip",
        "clip.has_vision_encoder": True,
        "clip.projector_type": "mlp",
        "clip.vision.image_size": 224,
        "clip.vision.patch_size": 14,
        "clip.vision.embedding_length": 64,
        "clip.vision.feed_forward_length": 128,
        "clip.vision.projection_dim": 64,
        "clip.vision.attention.head_count": 4,
        "clip.vision.block_count": 2,
    }
    write_synthetic_gguf(path, metadata=metadata, tensors=[matrix("mm.0.weight", 64, 576)])
    return path.read_bytes()


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("adapter") / "lora.gguf"
    metadata: dict[str, object] = {
        "general.architecture": "llama",
        "general.type": "adapter",
        "adapter.type": "lora",
        "adapter.lora.alpha": 16.0,
    }
    target = "blk.0.attn_q.weight"
    pair = [matrix(f"{target}.lora_a", 576, 8), matrix(f"{target}.lora_b", 8, 576)]
    write_synthetic_gguf(path, metadata=metadata, tensors=pair)
    return path.read_bytes()


def bytes_of(spec: ModelSpec) -> dict[str, Any]:
    """Everything of an answer that is bytes, but where the file lies."""
    plan = check(spec, machine=MACHINE, workload={"context_tokens": 4096})
    return {"memory": plan.memory, "verdict": plan.verdict, "speed": plan.speed}


def nameless(plan: Plan) -> Memory:
    """The memory of a plan, its parts without the names of their files."""
    parts = tuple(replace(part, name="") for part in plan.memory.parts)
    return replace(plan.memory, parts=parts)


def test_path_store_and_registry_give_the_same_memory(
    store: Ollama, tmp_path: Path, gguf: bytes
) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(gguf)
    by_path = bytes_of(load(str(path)))
    layers: Layers = [("model", gguf), ("params", b'{"num_ctx": 4096}')]
    with serving(published(store, layers)) as server:
        by_registry = from_registry(server)
    store.model("tiny/latest", layers)
    by_store = load("ollama:tiny")
    assert bytes_of(by_registry) == by_path
    assert bytes_of(by_store) == by_path
    assert by_store.file_bytes == by_registry.file_bytes == len(gguf)
    for spec in (by_store, by_registry):
        assert "Ollama loads it with num_ctx 4,096 of its own." in spec.notes


def test_extras_of_a_model_count_the_same_from_store_registry_and_options(
    store: Ollama, tmp_path: Path, gguf: bytes, projector: bytes, adapter: bytes
) -> None:
    layers: Layers = [("model", gguf), ("projector", projector), ("adapter", adapter)]
    for name, data in zip(("m", "p", "a"), (gguf, projector, adapter), strict=True):
        (tmp_path / f"{name}.gguf").write_bytes(data)
    options = {"mmproj": str(tmp_path / "p.gguf"), "lora": [str(tmp_path / "a.gguf")]}
    expected = check(str(tmp_path / "m.gguf"), machine=MACHINE, workload=options)
    assert {part.kind for part in expected.memory.parts} >= {"projector", "lora"}
    with serving(published(store, layers)) as server:
        registry = check(from_registry(server), machine=MACHINE)
    store.model("tiny/latest", layers)
    stored = check("ollama:tiny", machine=MACHINE)
    assert stored.memory == registry.memory
    assert nameless(stored) == nameless(expected)
    assert stored.workload.mmproj is not None
    assert f"--mmproj {stored.workload.mmproj}" in stored.commands["llama.cpp"][0]
    assert os.path.dirname(stored.workload.lora[0]) == str(store.blobs)  # noqa: PTH120 - text
    # what the registry has is named as it will lie here once it is pulled
    assert registry.workload.mmproj == stored.workload.mmproj
    assert registry.commands == stored.commands


def test_a_projector_that_is_asked_for_takes_the_place_of_the_models_own(
    store: Ollama, tmp_path: Path, gguf: bytes, projector: bytes
) -> None:
    store.model("tiny/latest", [("model", gguf), ("projector", projector)])
    own = tmp_path / "own.gguf"
    own.write_bytes(projector)
    plan = check("ollama:tiny", machine=MACHINE, workload={"mmproj": str(own)})
    assert plan.workload.mmproj == str(own)
    assert sum(part.kind == "projector" for part in plan.memory.parts) == 1


def test_a_draft_model_drafts_unless_told_otherwise(store: Ollama, gguf: bytes) -> None:
    store.model("tiny/latest", [("model", gguf), ("draft", gguf)])
    assert "draft" in {part.kind for part in check("ollama:tiny", machine=MACHINE).memory.parts}
    without = check("ollama:tiny", machine=MACHINE, workload={"spec_type": "none"})
    assert "draft" not in {part.kind for part in without.memory.parts}


def test_an_extra_layer_that_is_something_else_is_left_out_and_told(
    store: Ollama, gguf: bytes
) -> None:
    store.model("tiny/latest", [("model", gguf), ("projector", b"no GGUF at all" * 10)])
    plan = check("ollama:tiny", machine=MACHINE)
    assert any(note.startswith("Its projector is not counted: ") for note in plan.notes)
    assert plan.workload.mmproj is None


def test_another_file_type_is_planned_of_either(store: Ollama, gguf: bytes) -> None:
    with serving(published(store, [("model", gguf)])) as server:
        registry = from_registry(server, file_type="Q8_0")
    store.model("tiny/latest", [("model", gguf)])
    stored = load("ollama:tiny", file_type="Q8_0")
    assert stored.file_type == registry.file_type == "Q8_0"
    assert stored.tensors == registry.tensors
