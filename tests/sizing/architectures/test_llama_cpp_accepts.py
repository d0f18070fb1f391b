"""llama.cpp loads every tensor table, and its figures are ours (dry run, nothing is read)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from whatfits.sizing.architectures import spec_from_config
from whatfits.sizing.units import pad

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from whatfits.sizing.model import ModelSpec

    CatalogSpec = Callable[[str, str], ModelSpec]
    ContextSum = Callable[..., int]
    Write = Callable[[ModelSpec], Path]

pytestmark = pytest.mark.oracle

# The five models whose figures the project quotes, at full size and in more settings.
QUOTED = ("llama-3.1-8b", "qwen3-30b-a3b", "gpt-oss-20b", "gemma-3-27b", "deepseek-v3")
# Small made-up configurations of architectures for which no published one is recorded.
SMALL = {
    "arcee": {
        "model_type": "arcee",
        "hidden_size": 512,
        "num_hidden_layers": 3,
        "num_attention_heads": 8,
        "num_key_value_heads": 2,
        "head_dim": 64,
        "intermediate_size": 1536,
        "vocab_size": 1024,
        "max_position_embeddings": 4096,
    },
    "qwen2moe": {
        "model_type": "qwen2_moe",
        "hidden_size": 512,
        "num_hidden_layers": 3,
        "num_attention_heads": 8,
        "num_key_value_heads": 8,
        "intermediate_size": 1408,
        "moe_intermediate_size": 256,
        "shared_expert_intermediate_size": 1408,
        "num_experts": 12,
        "num_experts_per_tok": 4,
        "vocab_size": 1024,
        "max_position_embeddings": 4096,
    },
    "exaone": {
        "model_type": "exaone",
        "hidden_size": 512,
        "num_layers": 3,
        "num_attention_heads": 8,
        "num_key_value_heads": 2,
        "intermediate_size": 1536,
        "vocab_size": 1024,
        "max_position_embeddings": 32768,
        "rope_scaling": {"rope_type": "llama3", "factor": 8.0},
        "tie_word_embeddings": True,
    },
}


def compare(
    spec: ModelSpec,
    path: Path,
    context_bytes: ContextSum,
    *,
    context: int,
    parallel: int,
    swa_full: bool,
    flash: str = "on",
) -> None:
    from whatfits.bench.llama_cpp import dry_run

    reservation = dry_run(
        path,
        context_tokens=context,
        parallel=parallel,
        swa_full=swa_full,
        flash_attention=flash,
        repack=False,
    )
    assert reservation.n_parameters == spec.parameters
    assert reservation.model_bytes == spec.tensor_bytes
    assert reservation.context == context_bytes(
        spec.layers,
        sequence_tokens=pad(pad(context, 256) // parallel, 256),
        parallel=parallel,
        swa_full=swa_full,
        flash=flash == "on",
    )


def test_the_table_of_a_published_model_is_accepted_and_its_figures_are_equal(
    catalog_id: str,
    catalog_spec: CatalogSpec,
    synthetic_file: Write,
    context_bytes: ContextSum,
) -> None:
    spec = catalog_spec(catalog_id, "Q4_K_M")
    # Not three: llama.cpp aborts on Kimi Linear when the micro-batch does not divide by it.
    path = synthetic_file(spec)
    compare(spec, path, context_bytes, context=5000, parallel=2, swa_full=False)


@pytest.mark.parametrize("name", QUOTED)
@pytest.mark.parametrize("file_type", ["F16", "Q4_K_M"])
def test_the_quoted_models_agree_in_every_setting(
    name: str,
    file_type: str,
    catalog_spec: CatalogSpec,
    synthetic_file: Write,
    context_bytes: ContextSum,
) -> None:
    spec = catalog_spec(name, file_type)
    path = synthetic_file(spec)
    for swa_full in (True, False):
        for parallel in (1, 3):
            compare(spec, path, context_bytes, context=8192, parallel=parallel, swa_full=swa_full)
    compare(spec, path, context_bytes, context=131072, parallel=1, swa_full=False, flash="off")


@pytest.mark.parametrize("name", SMALL)
def test_families_without_a_recorded_model_are_accepted_too(
    name: str, synthetic_file: Write, context_bytes: ContextSum
) -> None:
    spec = spec_from_config(SMALL[name], name=name, source="test", file_type="Q4_K_M")
    assert spec.architecture == name
    compare(spec, synthetic_file(spec), context_bytes, context=4096, parallel=1, swa_full=True)
