"""The mixing rules against the dry run of `llama_model_quantize`, tensor by tensor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.quants.file_types import FILE_TYPES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from conftest import HandMadeModel, Quantizer

    from whatfits.sizing.quants.file_types import FileType

pytestmark = pytest.mark.oracle

MAKEABLE = [kind for kind in FILE_TYPES.values() if kind.name != "NVFP4"]


def disagreements(
    quantizer: Quantizer, path: Path, model: HandMadeModel, file_type: FileType, *, imatrix: bool
) -> list[str]:
    """Return one line for every tensor whose type llama.cpp chooses otherwise."""
    verdict = quantizer.ask(path, file_type, imatrix=imatrix)
    try:
        ours = model.assigned(file_type, imatrix=imatrix)
    except InvalidRequestError as error:
        return [] if verdict.types is None else [f"{file_type.name}: only we refuse: {error}"]
    if verdict.types is None:
        return [f"{file_type.name}: only llama.cpp refuses: {verdict.log.splitlines()[-1]}"]
    assert verdict.types.keys() == ours.keys()
    return [
        f"{file_type.name} {name}: {ours[name]}, llama.cpp {theirs}"
        for name, theirs in verdict.types.items()
        if ours[name] != theirs
    ]


@pytest.mark.parametrize("imatrix", [False, True], ids=["plain", "imatrix"])
def test_every_file_type_gives_each_tensor_the_type_llama_quantize_gives_it(
    hand_made_models: dict[str, HandMadeModel],
    quantizer: Quantizer,
    model_name: str,
    imatrix: bool,
) -> None:
    model = hand_made_models[model_name]
    path = quantizer.write(model)
    found = [
        line
        for file_type in MAKEABLE
        for line in disagreements(quantizer, path, model, file_type, imatrix=imatrix)
    ]
    assert found == []


def test_the_file_types_that_want_an_importance_matrix_are_those_llama_quantize_refuses_without(
    hand_made_models: dict[str, HandMadeModel], quantizer: Quantizer
) -> None:
    path = quantizer.write(hand_made_models["llama dense"])
    refused = {kind.name for kind in MAKEABLE if quantizer.ask(path, kind).wants_imatrix}
    assert refused == {kind.name for kind in MAKEABLE if kind.wants_imatrix}


def test_a_file_type_number_llama_quantize_does_not_know_is_not_offered(
    hand_made_models: dict[str, HandMadeModel], quantizer: Quantizer
) -> None:
    path = quantizer.write(hand_made_models["llama dense"])
    assert quantizer.ask(path, FILE_TYPES["NVFP4"]).types is None
    assert not FILE_TYPES["NVFP4"].offered


ARCHITECTURES = ["llama", "falcon", "qwen2", "qwen2moe", "olmo", "gemma"]
WIDTHS = st.sampled_from([32, 64, 96, 100, 128, 160, 192, 256, 320, 384, 512, 768, 1000, 1024])


@st.composite
def tables(draw: st.DrawFn) -> dict[str, Any]:
    """Return a made-up model: any layers, widths, experts, heads and kinds of attention."""
    width, n_ff = draw(WIDTHS), draw(WIDTHS)
    experts = draw(st.sampled_from([0, 0, 2, 3, 4, 7, 8, 16]))
    values = {
        "fused": f"attn_qkv {width}x{width}",
        "apart": f"attn_q {width}x{width}, attn_k {width}x64, attn_v {width}x64",
        "latent": f"attn_q {width}x{width}, attn_kv_b {n_ff}x{width}, attn_v_b {width}x8x4",
        "none": f"ssm_in {width}x{width}",
    }
    stack = f"x{experts}" if experts else ""
    suffix = "_exps" if experts else ""
    feed = "ffn_gate{0} {1}x{2}{3}, ffn_up{0} {1}x{2}{3}, ffn_down{0} {2}x{1}{3}"
    kinds = {
        letter: f"{draw(st.sampled_from(sorted(values.values())))}, attn_output {width}x{width},"
        + feed.format(suffix, width, n_ff, stack)
        for letter in "AB"
    }
    heads_kv = draw(st.sampled_from([1, 2, 4, 8, 16]))
    architecture = draw(st.sampled_from(ARCHITECTURES))
    n_layers = draw(st.integers(1, 90) | st.sampled_from([8, 16, 32, 80]))
    return {
        "architecture": architecture,
        "pattern": " ".join(
            draw(st.lists(st.sampled_from("AB"), min_size=n_layers, max_size=n_layers))
        ),
        "width": width,
        "heads": heads_kv * draw(st.sampled_from([1, 2, 3, 4, 7, 8])),
        "heads_kv": heads_kv,
        "experts": experts,
        "tied": draw(st.booleans()),
        "kinds": kinds,
        "keys": {"attention.clamp_kqv": 0.0},
    }


@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(
    table=tables(),
    file_types=st.lists(st.sampled_from(MAKEABLE), min_size=8, max_size=8, unique=True),
    imatrix=st.booleans(),
)
def test_a_made_up_model_gets_the_types_llama_quantize_gives_it(
    model_maker: Callable[[Mapping[str, Any]], HandMadeModel],
    quantizer: Quantizer,
    table: dict[str, Any],
    file_types: list[FileType],
    imatrix: bool,
) -> None:
    model = model_maker(table)
    path = quantizer.write(model)
    found = [
        line
        for file_type in file_types
        for line in disagreements(quantizer, path, model, file_type, imatrix=imatrix)
    ]
    assert found == []
