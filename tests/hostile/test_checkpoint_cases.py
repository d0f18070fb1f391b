"""What must hold for hostile indexes and configurations beside the answer of each.

The answers: test_every_file.py.
"""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING

import pytest
from checkpoint_cases import CONFIG_CLASSES, INDEX_CLASSES, LLAMA
from gguf_case import REFUSED

from whatfits.sizing.errors import BadInputError, MalformedFileError
from whatfits.sizing.readers.safetensors_index import read_safetensors_index
from whatfits.sizing.sources import load

if TYPE_CHECKING:
    from pathlib import Path

CHANGED_CONFIGS = 1_500


@pytest.mark.parametrize("label", INDEX_CLASSES)
def test_the_place_of_the_error_lies_in_the_index_or_at_its_end(label: str) -> None:
    for case in INDEX_CLASSES[label]():
        if case.answer == REFUSED:
            with pytest.raises(MalformedFileError) as caught:
                read_safetensors_index(case.data)
            assert caught.value.offset_bytes is not None, case.name
            assert 0 <= caught.value.offset_bytes <= len(case.data), case.name


@pytest.mark.parametrize("label", CONFIG_CLASSES)
def test_what_is_accepted_has_the_layers_it_says(label: str, tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    for case in CONFIG_CLASSES[label]():
        if case.answer != REFUSED:
            path.write_bytes(case.data)
            assert load(str(path)).n_layers == LLAMA["num_hidden_layers"], case.name


ODD = (
    0,
    -1,
    1,
    2**31,
    2**64,
    1.5,
    1e308,
    True,
    None,
    "32",
    "",
    [],
    [1],
    ["a"] * 40,
    {},
    {"a": 1},
    7,
)


def test_a_configuration_with_odd_values_is_refused_or_understood(tmp_path: Path) -> None:
    rng = random.Random(4)  # noqa: S311 - a fixed series of test inputs
    path = tmp_path / "config.json"
    more = {"rope_scaling": {"rope_type": "llama3", "factor": 8.0}, "layer_types": ["x", "y"]}
    more |= {"sliding_window": 64, "num_local_experts": 4, "num_experts_per_tok": 2}
    more |= {"tie_word_embeddings": True, "quantization_config": {"quant_method": "awq", "bits": 4}}
    kinds = ("llama", "qwen3_moe", "gemma3", "deepseek_v3", "mamba2", "nemotron_h", "unheard_of")
    accepted = 0
    for _ in range(CHANGED_CONFIGS):
        values = {**LLAMA, **more, "model_type": rng.choice(kinds)}
        for name in rng.sample(sorted(values), rng.randrange(3)):
            values[name] = rng.choice(ODD)
        path.write_text(json.dumps(values))
        try:
            spec = load(str(path), file_type="Q8_0")
        except BadInputError as error:
            assert str(error).isprintable()  # noqa: PT017 - most are accepted
            continue
        accepted += 1
        assert spec.tensor_bytes >= 0
        assert spec.file_bytes is not None
        assert spec.file_bytes > 0
    assert 0.1 < accepted / CHANGED_CONFIGS < 0.9
