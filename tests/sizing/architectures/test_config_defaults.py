"""What a configuration leaves out is what its class has: the model is that of the whole one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from whatfits.sizing.architectures import spec_from_config
from whatfits.sizing.architectures.config_defaults import class_defaults
from whatfits.sizing.catalog.lookup import find_model
from whatfits.sizing.errors import MalformedFileError

if TYPE_CHECKING:
    from whatfits.sizing.model import ModelSpec


def spec(config: dict[str, Any]) -> ModelSpec:
    return spec_from_config(config, name="m", source="test", file_type="F16")


def inside(**text: object) -> dict[str, Any]:
    return {"model_type": "llava", "text_config": text}


def test_a_language_model_inside_has_the_widths_of_its_class() -> None:
    # llava-hf/llava-1.5-7b-hf names a context and a vocabulary, no width. Vicuna 7B has
    # 6,738,415,616 parameters with 32,000 tokens; here are 64 more, in embedding and output.
    found = spec(inside(model_type="llama", max_position_embeddings=4096, vocab_size=32_064))
    assert found.parameters == 6_738_415_616 + 2 * 64 * 4096
    assert found.hparams.context_train_tokens == 4096


def test_pixtral_is_as_large_as_the_model_it_was_made_of() -> None:
    # mistral-community/pixtral-12b: neither heads nor shared heads, both as Mistral's class has
    # them, 32 and 8; its language model is Mistral Nemo
    found = spec(
        inside(
            model_type="mistral",
            hidden_size=5120,
            head_dim=128,
            intermediate_size=14_336,
            max_position_embeddings=1_024_000,
            num_hidden_layers=40,
            sliding_window=None,
            vocab_size=131_072,
        )
    )
    nemo = spec(dict(find_model("mistral-nemo-12b").config))
    assert found.tensors == nemo.tensors
    assert found.layers == nemo.layers


@pytest.mark.parametrize("name", ["gemma-2-2b", "gemma-2-9b", "gemma-7b", "gemma-3-4b"])
def test_heads_of_gemma_are_not_its_width_over_their_number(name: str) -> None:
    # google/paligemma2-10b and google/gemma-3-4b-it name no head_dim: it is 256
    whole = dict(find_model(name).config)
    text = {"vocab_size": whole["vocab_size"], **whole.get("text_config", whole)}
    assert text.pop("head_dim") == 256
    left = spec({"model_type": "paligemma", "text_config": text})
    assert left.layers == spec(whole).layers
    assert left.parameters == spec(whole).parameters


def test_gemma_3_needs_no_more_than_its_publisher_wrote() -> None:
    # google/gemma-3-4b-it: the text part in five fields, no heads and no vocabulary
    text = {
        "model_type": "gemma3_text",
        "hidden_size": 2560,
        "intermediate_size": 10_240,
        "num_hidden_layers": 34,
        "sliding_window": 1024,
    }
    found = spec({"model_type": "gemma3", "text_config": text})
    whole = spec(dict(find_model("gemma-3-4b").config))
    assert (found.tensors, found.layers) == (whole.tensors, whole.layers)


def test_what_is_written_counts_and_not_the_class() -> None:
    text = {"model_type": "mistral", "num_key_value_heads": 4, "head_dim": 64, "vocab_size": 999}
    found = spec(inside(**text))
    assert found.hparams.n_vocab == 999
    assert class_defaults("mistral", is_inner=True)["num_key_value_heads"] == 8
    assert {tensor.shape for tensor in found.tensors if "attn_k.weight" in tensor.name} == {
        (4096, 4 * 64)
    }


def test_a_model_of_its_own_has_to_name_its_widths() -> None:
    with pytest.raises(MalformedFileError, match="num_hidden_layers: missing"):
        spec({"model_type": "llama", "vocab_size": 32_000})


@pytest.mark.parametrize("kind", [None, 7, "", "unheard-of", ["llama"]])
def test_an_unknown_class_has_nothing_of_itself(kind: object) -> None:
    assert class_defaults(kind, is_inner=True) == {}
