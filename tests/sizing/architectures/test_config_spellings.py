"""One model under all the spellings a `config.json` comes in, for every model of the catalog."""

from __future__ import annotations

from typing import Any, Final

import pytest

from whatfits.sizing.architectures import (
    REGISTRY,
    TEXT_PARTS,
    find_entry,
    flattened,
    spec_from_config,
)
from whatfits.sizing.architectures.class_names import CLASS_NAMES
from whatfits.sizing.catalog.lookup import ModelEntry, model_entries
from whatfits.sizing.errors import MalformedFileError
from whatfits.sizing.sources.catalog_model import spec_of_entry

ENTRIES: Final = tuple(e for e in model_entries() if find_entry(e.config) is not None)
SHAPES_WITH_HOLES: Final = "falcon-h1"  # all but the smallest
# Configurations that were read from a conversion to Llama: their class name says Llama.
UNDER_ANOTHER_CLASS: Final = {"internlm2", "baichuan"}
OPTIONAL: Final = (
    *("sliding_window", "rope_scaling", "head_dim", "num_key_value_heads", "quantization_config"),
    *("tie_word_embeddings", "num_local_experts", "num_experts", "n_routed_experts", "q_lora_rank"),
    *("layer_types", "attention_bias", "moe_intermediate_size", "n_group", "topk_group"),
)


def facts(config: dict[str, Any]) -> dict[str, object] | None:
    """Everything that fixes a byte; None for a shape with holes."""
    try:
        spec = spec_from_config(config, name="x", source="x", file_type="Q4_K_M")
    except MalformedFileError:
        return None
    names = ("architecture", "tensors", "layers", "hparams", "parameters", "metadata")
    return {name: getattr(spec, name) for name in names}


def plain(entry: ModelEntry) -> dict[str, Any]:
    """A catalog configuration on one level."""
    return {
        key: list(value) if isinstance(value, tuple) else value
        for key, value in flattened(entry.config).items()
    }


def transformers_5(config: dict[str, Any]) -> dict[str, Any]:
    """The same under the names of transformers 5: rotary parameters in one place, `dtype`."""
    renamed = dict(config)
    if "torch_dtype" in renamed:
        renamed["dtype"] = renamed.pop("torch_dtype")
    if renamed.get("rope_parameters"):
        return renamed
    theta, scaling = renamed.pop("rope_theta", None), renamed.pop("rope_scaling", None) or {}
    rope = {"rope_type": scaling.get("type", "default"), **scaling}
    if theta is not None:
        rope["rope_theta"] = theta
    return {**renamed, "rope_parameters": rope} if theta is not None or scaling else renamed


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.id)
def test_a_model_is_the_same_under_every_spelling(entry: ModelEntry) -> None:
    config = plain(entry)
    expected = facts(config)
    if expected is None:
        assert entry.id.startswith(SHAPES_WITH_HOLES)
        return
    nulls = {name: None for name in OPTIONAL if name not in config}
    assert facts({**config, **nulls}) == expected, "null for what is not given"
    assert facts(transformers_5(config)) == expected, "transformers 5"
    outer = {"model_type": "a_wrapper", "architectures": ["AWrapper"], "vision_config": {}}
    thinker = {**outer, "thinker_config": {"model_type": "another", "text_config": config}}
    assert facts(thinker) == expected, "a part in a part"
    for part in TEXT_PARTS:
        assert flattened({**outer, part: config}) == {**outer, **config}, part
        assert find_entry({**outer, part: config}) == find_entry(entry.config), part


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.id)
def test_a_class_name_is_enough_where_the_kind_is_missing(entry: ModelEntry) -> None:
    config = plain(entry)
    del config["model_type"]
    by_kind, by_class = find_entry(entry.config), find_entry(config)
    assert by_kind is not None
    assert by_class is not None
    if by_kind.architecture in UNDER_ANOTHER_CLASS:
        assert by_class.architecture == "llama"
    else:
        assert by_class == by_kind


def test_every_class_name_leads_to_an_architecture_of_the_registry() -> None:
    assert set(CLASS_NAMES.values()) <= {entry.architecture for entry in REGISTRY}
    assert len(CLASS_NAMES) > 140


def test_mistral_small_4_is_found_in_the_wrapper_of_mistral_3() -> None:
    wrapped = {"model_type": "mistral3", "text_config": {"model_type": "mistral4"}}
    for inner, architecture in (("mistral4", "mistral4"), ("ministral3", "mistral3")):
        wrapped["text_config"] = {"model_type": inner}
        found = find_entry(wrapped)
        assert found is not None
        assert found.architecture == architecture


def test_a_wrapper_of_any_language_model_is_what_it_holds() -> None:
    entry = next(entry for entry in ENTRIES if entry.id == "qwen2.5-7b")
    spec = spec_of_entry(entry, file_type="Q4_K_M")
    for kind, part in (("internvl_chat", "llm_config"), ("llava", "text_config")):
        found = facts({"model_type": kind, part: plain(entry)})
        assert found is not None
        assert found["tensors"] == spec.tensors


def test_an_inner_null_leaves_the_outer_value_standing() -> None:
    outer = {"model_type": "x", "vocab_size": 5, "text_config": {"vocab_size": None, "a": 1}}
    assert flattened(outer) == {"model_type": "x", "vocab_size": 5, "a": 1}


def test_parts_in_parts_without_end_are_not_followed() -> None:
    config: dict[str, Any] = {"model_type": "llama"}
    for _ in range(200):
        config = {"text_config": config}
    assert find_entry(config) is None
