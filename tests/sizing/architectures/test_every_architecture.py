"""One small made-up model per architecture llama.cpp knows: its context column to the byte.

Golden numbers: recorded/every_architecture.json, from llama.cpp 0c1e57098 itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from whatfits.sizing.architectures.layers import hparams_and_layers
from whatfits.sizing.architectures.metadata import Metadata
from whatfits.sizing.architectures.unknown import KNOWN
from whatfits.sizing.units import pad

if TYPE_CHECKING:
    from collections.abc import Callable

    from whatfits.sizing.architectures.layers import Layout

    ContextSum = Callable[..., int]
    SmallMetadata = Callable[[str], dict[str, object]]
    Measure = Callable[..., list[int]]

VOCABULARY = 128
# The router's row lies in the last layer here; transposed values are padded layer by layer.
EXACT_WITH_FLASH_ONLY = {"graniteswitch"}
# Not recorded: no model of their own (they need another one), or llama.cpp aborts on small shapes.
NOT_RECORDED = {"eagle3", "gemma4-assistant", "jina-bert-v2", "qwen3tts", "rwkv6qwen2"}


def layout_of(metadata: dict[str, object], architecture: str) -> Layout:
    return hparams_and_layers(
        Metadata(metadata, architecture=architecture), n_vocab=VOCABULARY, tensor_names=frozenset()
    )


def sequence_tokens(setting: dict[str, Any]) -> int:
    total = pad(setting["context"], 256)
    return total if setting["unified"] else pad(total // setting["parallel"], 256)


def predicted(layout: Layout, setting: dict[str, Any], context_bytes: ContextSum) -> int:
    return context_bytes(
        layout.layers,
        sequence_tokens=sequence_tokens(setting),
        parallel=setting["parallel"],
        micro_batch=min(512, setting["context"]) if layout.hparams.causal else 512,
        swa_full=setting["swa_full"],
        flash=setting["flash"],
        unified=setting["unified"],
    )


def test_the_context_column_of_a_small_model_is_equal_to_the_byte(
    small_model: str,
    small_models: dict[str, Any],
    small_metadata: SmallMetadata,
    context_bytes: ContextSum,
) -> None:
    layout = layout_of(small_metadata(small_model), small_model)
    recorded = small_models["architectures"][small_model]["context_bytes"]
    compared = 0
    for setting, measured in zip(small_models["settings"], recorded, strict=True):
        if measured is None:
            continue
        if small_model in EXACT_WITH_FLASH_ONLY and not setting["flash"]:
            continue
        assert layout.cache_interval == 0
        assert predicted(layout, setting, context_bytes) == measured, setting
        compared += 1
    assert compared > 0


def test_every_architecture_of_llama_cpp_is_recorded_or_named_as_an_exception(
    small_models: dict[str, Any],
) -> None:
    assert set(small_models["architectures"]) == KNOWN - NOT_RECORDED


@pytest.mark.oracle
def test_llama_cpp_still_reports_what_was_recorded(
    small_models: dict[str, Any],
    small_metadata: SmallMetadata,
    user_model_context: Measure,
) -> None:
    for name in ("llama", "gemma3", "deepseek2", "jamba", "rwkv7", "glm5-next", "minimax-m3"):
        recorded = small_models["architectures"][name]["context_bytes"]
        assert user_model_context(small_metadata(name), small_models["settings"]) == recorded
