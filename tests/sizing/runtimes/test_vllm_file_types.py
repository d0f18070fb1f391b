"""Quantisations that vLLM loads, and the bytes of such checkpoints."""

from __future__ import annotations

import pytest

from whatfits.sizing.errors import UnknownFileTypeError
from whatfits.sizing.runtimes.vllm_file_types import (
    checkpoint_type_of,
    find_checkpoint_type,
    named_quantisation,
)
from whatfits.sizing.sources.published_checkpoint import load_published

NAMES = ("bf16", "fp8", "awq", "gptq", "w4a16", "w8a8", "mxfp4", "nvfp4")


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_that_of_what_it_makes(name: str) -> None:
    assert find_checkpoint_type(f" {name.upper()} ") == name
    assert checkpoint_type_of(named_quantisation(name)) == name


@pytest.mark.parametrize(("text", "name"), [("F16", "bf16"), ("half", "bf16"), ("MXFP4", "mxfp4")])
def test_other_names_are_understood(text: str, name: str) -> None:
    assert find_checkpoint_type(text) == name


@pytest.mark.parametrize("text", ["Q4_K_M", "q8_0", "IQ2_XS", "4bit"])
def test_gguf_file_types_are_refused_in_one_line(text: str) -> None:
    with pytest.raises(
        UnknownFileTypeError, match="GGUF, which vLLM reads only with a plugin"
    ) as e:
        find_checkpoint_type(text)
    assert "\n" not in str(e.value)


def test_what_nobody_knows_is_refused_with_what_is_known() -> None:
    with pytest.raises(UnknownFileTypeError, match=", ".join(NAMES)):
        find_checkpoint_type("zip")


def test_bits_a_weight_are_those_of_the_format() -> None:
    model = load_published("qwen3-8b")
    ends = sum(
        t.n_bytes for t in model.tensors if "token_embd" in t.name or t.name == "output.weight"
    )
    norms = sum(t.n_bytes for t in model.tensors if "norm" in t.name)
    linear = (model.tensor_bytes - ends - norms) // 2
    expected = {
        "fp8": 8.0,
        "awq": 4 + 16 / 128 + 4 / 128,
        "w4a16": 4 + 16 / 128,
        "w8a8": 8.0,
        "nvfp4": 4.5,
    }
    for name, bits in expected.items():
        quantised = load_published("qwen3-8b", file_type=name)
        found = (quantised.tensor_bytes - ends - norms) * 8 / linear
        assert found == pytest.approx(bits, rel=0.001), name


def test_embeddings_norms_and_routers_stay_in_16_bits() -> None:
    plain = {t.name: t.n_bytes for t in load_published("qwen3-30b-a3b").tensors}
    for tensor in load_published("qwen3-30b-a3b", file_type="awq").tensors:
        kept = any(part in tensor.name for part in ("token_embd", "norm", "ffn_gate_inp"))
        assert (tensor.n_bytes == plain[tensor.name]) is (kept or tensor.name == "output.weight")


def test_a_model_without_experts_has_no_mxfp4() -> None:
    with pytest.raises(UnknownFileTypeError, match="nothing but experts"):
        load_published("qwen3-8b", file_type="mxfp4")


def test_rows_that_groups_do_not_divide_are_refused() -> None:
    with pytest.raises(UnknownFileTypeError, match="groups divide its rows"):
        load_published("gpt-oss-20b", file_type="awq")
