"""LoRA adapters: the buffers llama.cpp makes for them, and what it refuses."""

from __future__ import annotations

import ctypes
import re
from typing import TYPE_CHECKING

import pytest

from whatfits.sizing.adapters import adapter_part
from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.model import TensorSpec
from whatfits.sizing.placement import resolve_placement
from whatfits.sizing.quants.ggml_types import tensor_bytes
from whatfits.sizing.settings import resolve_settings
from whatfits.sizing.sources.extra_files import load_extras
from whatfits.sizing.units import MIB
from whatfits.sizing.workload import PlacementRequest, Workload

if TYPE_CHECKING:
    from pathlib import Path

    from whatfits.sizing.machine import Machine
    from whatfits.sizing.model import ModelSpec

RANK = 48
ADAPTED = ("attn_q.weight", "attn_v.weight", "ffn_up.weight", "ffn_down.weight")


def _write(model: ModelSpec, path: Path, *, rank: int = RANK, **changes: object) -> int:
    """Write an adapter for the model's matrices and return the bytes of its tensors."""
    from whatfits.bench.synthetic import write_synthetic_gguf

    tensors = []
    for base in model.tensors:
        if base.name.endswith(ADAPTED):
            for half, shape in (("a", (base.shape[0], rank)), ("b", (rank, base.shape[1]))):
                size = tensor_bytes("F32", shape)
                tensors.append(TensorSpec(f"{base.name}.lora_{half}", shape, "F32", size, "layer"))
    metadata = {
        "general.architecture": model.architecture,
        "general.type": "adapter",
        "adapter.type": "lora",
        "adapter.lora.alpha": 16.0,
        **changes,
    }
    write_synthetic_gguf(path, metadata=metadata, tensors=tensors)
    return sum(tensor.n_bytes for tensor in tensors)


@pytest.mark.oracle
@pytest.mark.parametrize("kind", ["plain_model", "repacked_model"])
def test_buffers_and_working_memory_are_those_of_a_real_load(
    kind: str, host_box: Machine, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    from comparison import write_model

    from whatfits.bench.llama_cpp import running
    from whatfits.bench.llama_library import backend, breakdown
    from whatfits.bench.run_settings import RunSettings

    model: ModelSpec = request.getfixturevalue(kind)
    path, lora = tmp_path / "model.gguf", tmp_path / "lora.gguf"
    write_model(model, path)
    tensor_total = _write(model, lora)
    binding = backend()
    with running(path, RunSettings(context_tokens=1024, outputs_max=1), real=True) as run:
        before = sum(row.compute for row in breakdown(run._context).values())
        adapter = binding.llama_adapter_lora_init(run._model, str(lora).encode())
        one = (ctypes.c_float * 1)(1.0)
        adapters = (binding.llama_adapter_lora_p_ctypes * 1)(adapter)
        assert binding.llama_set_adapters_lora(run._context, adapters, 1, one) == 0
        run.decode(16)
        after = sum(row.compute for row in breakdown(run._context).values())
        log = "".join(run._log)
    made = re.findall(r"(\S+) LoRA buffer size = +([\d.]+) MiB", log)
    (read,) = load_extras(model, Workload(lora=(str(lora),))).adapters
    settings = resolve_settings(model, Workload(context_tokens=1024))
    placement = resolve_placement(model, PlacementRequest(), host_box)
    (share,) = adapter_part(read, settings, placement).shares
    assert made == [("CPU", f"{share.weights_bytes / MIB:.2f}")]
    assert share.weights_bytes == tensor_total
    grown = after - before
    assert share.low_bytes <= share.weights_bytes + grown <= share.high_bytes


def test_matrices_follow_their_tensors(
    plain_model: ModelSpec, gpu_box: Machine, tmp_path: Path
) -> None:
    lora = tmp_path / "lora.gguf"
    total = _write(plain_model, lora)
    (read,) = load_extras(plain_model, Workload(lora=(str(lora),))).adapters
    settings = resolve_settings(plain_model, Workload())
    split = resolve_placement(plain_model, PlacementRequest(tensor_split=(1, 1)), gpu_box)
    first, second, host = adapter_part(read, settings, split).shares
    assert first.weights_bytes > 0
    assert second.weights_bytes > 0
    assert host.weights_bytes == 0
    assert first.weights_bytes + second.weights_bytes == total
    none = resolve_placement(plain_model, PlacementRequest(gpu_layers=0), gpu_box)
    assert adapter_part(read, settings, none).shares[2].weights_bytes == total


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"general.architecture": "qwen2"}, "general.architecture"),
        ({"general.type": "model"}, "general.type"),
        ({"adapter.type": "other"}, "adapter.type"),
    ],
)
def test_what_is_no_adapter_for_the_model_is_refused(
    changes: dict[str, object], said: str, plain_model: ModelSpec, tmp_path: Path
) -> None:
    lora = tmp_path / "lora.gguf"
    _write(plain_model, lora, **changes)
    with pytest.raises(InvalidRequestError, match=said):
        load_extras(plain_model, Workload(lora=(str(lora),)))


def test_an_adapter_of_another_shape_is_refused(
    plain_model: ModelSpec, repacked_model: ModelSpec, tmp_path: Path
) -> None:
    lora = tmp_path / "lora.gguf"
    _write(repacked_model, lora)
    with pytest.raises(InvalidRequestError, match="shapes"):
        load_extras(plain_model, Workload(lora=(str(lora),)))
