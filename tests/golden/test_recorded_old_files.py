"""Buffers printed for files of older converters, whose tensors are not today's.

DeepSeek Coder V2 Lite as Ollama's library has it (deepseek-coder-v2:16b-lite-instruct-q5_K_M) was
made before latent rows were cached: it keeps keys and values of every head, nine times as much.
Logged by Ollama 0.32.13 on a 16 GB card, batch 512, in a public GitHub file whose repository is
not known. At 4,096 tokens it printed 188.27 MiB of compute; llama.cpp 0c1e57098 plans 172.27 for
that file, as is predicted.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from test_recorded_loads import assert_printed, by_device, machine

from whatfits.sizing.api import check
from whatfits.sizing.quants.ggml_types import tensor_bytes
from whatfits.sizing.sources.catalog_model import load_catalog_model

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from whatfits.sizing.model import ModelSpec, TensorSpec

HEADS, KEY, VALUE, RANK = 16, 192, 128, 512
BOTH = (RANK, HEADS * (KEY - 64 + VALUE))  # what a head's rotary part leaves, and its values


def _unsplit(tensors: tuple[TensorSpec, ...]) -> Iterator[TensorSpec]:
    for tensor in tensors:
        if tensor.name.endswith("attn_k_b.weight"):
            name = tensor.name.replace("attn_k_b", "attn_kv_b")
            size = tensor_bytes("Q5_K", BOTH)
            yield replace(tensor, name=name, shape=BOTH, type="Q5_K", n_bytes=size)
        elif not tensor.name.endswith("attn_v_b.weight"):
            yield tensor


def _old_file(spec: ModelSpec) -> ModelSpec:
    metadata = {key: value for key, value in spec.metadata.items() if not key.endswith("_mla")}
    metadata["deepseek2.attention.head_count_kv"] = HEADS
    metadata["deepseek2.attention.key_length"] = KEY
    metadata["deepseek2.attention.value_length"] = VALUE
    return replace(spec, metadata=metadata, tensors=tuple(_unsplit(spec.tensors)))


@pytest.mark.parametrize(
    ("context_tokens", "cache", "compute", "host_compute"),
    [
        (2048, 540.00, 104.27, 12.01),
        (4096, 1080.00, None, 16.01),
        (8192, 2160.00, 340.27, 24.01),
    ],
)
def test_a_file_older_than_latent_caches_takes_what_was_printed(
    context_tokens: int,
    cache: float,
    compute: float | None,
    host_compute: float,
    synthetic_file: Callable[[ModelSpec], Path],
) -> None:
    spec = load_catalog_model("deepseek-coder-v2-lite", file_type="Q5_K_M")
    plan = check(
        str(synthetic_file(_old_file(spec))),
        machine=machine(["cuda"], None),
        workload={"context_tokens": context_tokens, "batch": 512, "micro_batch": 512},
    )
    assert plan.memory is not None
    devices = by_device(plan.memory)
    card, host = devices["gpu0"], devices["cpu"]
    assert_printed([11160.99], card.weights_bytes, "weights")
    assert_printed([cache], card.kv_cache_bytes, "cache")
    if compute is not None:
        assert_printed([compute], card.compute_bytes, "compute")
    assert_printed([137.50], host.weights_bytes, "embedding")
    assert_printed([host_compute], host.compute_bytes, "compute of the host")
    assert_printed([0.39], host.output_bytes, "output")
