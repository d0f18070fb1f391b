"""The mixing rules against recordings and published files, and their laws."""

from __future__ import annotations

import json
import random
import time
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.model import TensorShape
from whatfits.sizing.quants.file_types import FILE_TYPES
from whatfits.sizing.quants.ggml_types import GGML_TYPES, row_bytes
from whatfits.sizing.quants.mixing import MixFacts, assign_types
from whatfits.sizing.quants.tensor_classes import split_layer
from whatfits.sizing.units import pad

if TYPE_CHECKING:
    from conftest import HandMadeModel

RECORDED: dict[str, dict[str, Any]] = json.loads(
    Path(__file__).with_name("recorded_types.json").read_text()
)["rows"]
MAX_HEADER_BYTES = 10_000_000  # a tokenizer of 256,000 entries and its merges take 6 to 8 MB


def runs(model: HandMadeModel, types: dict[str, str]) -> dict[str, str]:
    """Return name without its layer → types in the order of layers, `Q6_K*2 Q4_K*5`."""
    by_name: dict[str, list[str]] = {}
    free = [shape.name for shape in model.shapes if shape.fixed_type is None]
    for name in sorted(free, key=split_layer):
        by_name.setdefault(split_layer(name)[1].removesuffix(".weight"), []).append(types[name])
    return {
        name: " ".join(
            kind if (n := len(list(same))) == 1 else f"{kind}*{n}" for kind, same in groupby(found)
        )
        for name, found in by_name.items()
    }


@pytest.mark.parametrize("name", RECORDED)
def test_types_are_those_recorded_from_llama_quantize(
    hand_made_models: dict[str, HandMadeModel], name: str
) -> None:
    model = hand_made_models[name]
    for label, row in RECORDED[name].items():
        file_type = FILE_TYPES[label.split()[0]]
        types = model.assigned(file_type, imatrix=label.endswith("imatrix"))
        found = runs(model, types)
        default = file_type.default_type
        mixed = {k: v for k, v in found.items() if v.partition("*")[0] != default or " " in v}
        assert mixed == row, label


@pytest.mark.parametrize("name", ["QwQ-32B", "Llama-3.2-1B-Instruct", "gemma-2-2b-it"])
def test_published_files_of_a_model_differ_by_exactly_the_tensors_predicted(
    published_models: dict[str, HandMadeModel], recorded: dict[str, Any], name: str
) -> None:
    sizes: dict[str, int] = recorded["published_sizes"]["rows"][name]
    headers = {
        label: size
        - sum(
            pad(spec.n_bytes, 32)
            for spec in published_models[name].stored(FILE_TYPES[label], imatrix=True)
        )
        for label, size in sizes.items()
    }
    # What is left over is the header: the tokenizer and the metadata, the same in every file.
    assert len(set(headers.values())) == 1, headers
    assert 0 < headers["Q8_0"] < MAX_HEADER_BYTES


def test_the_order_in_which_shapes_are_given_changes_nothing(
    hand_made_models: dict[str, HandMadeModel], model_name: str
) -> None:
    model = hand_made_models[model_name]
    shapes = list(model.shapes)
    random.Random(7).shuffle(shapes)  # noqa: S311 - an order, no secret
    for name in ("Q4_K_M", "Q3_K_M", "IQ2_M", "IQ3_XS"):
        straight = model.assigned(FILE_TYPES[name])
        types = assign_types(
            shapes,
            architecture=model.architecture,
            facts=model.facts,
            file_type=FILE_TYPES[name],
            source_type="F16",
        )
        assert {s.name: kind for s, kind in zip(shapes, types, strict=True)} == straight


def test_every_type_assigned_can_hold_the_rows_of_its_tensor(
    hand_made_models: dict[str, HandMadeModel], model_name: str
) -> None:
    model = hand_made_models[model_name]
    for file_type in FILE_TYPES.values():
        if file_type.token_embedding_type or file_type.name in {"NVFP4", "Q1_0"}:
            continue  # forced types are taken as they are, the others have refusals of their own
        types = model.assigned(file_type)
        for shape in model.shapes:
            assert row_bytes(types[shape.name], shape.shape[0]) > 0


def test_a_fixed_type_wins_over_every_file_type(
    hand_made_models: dict[str, HandMadeModel],
) -> None:
    # gpt-oss is published with MXFP4 experts, and every file of it keeps them.
    source = hand_made_models["gpt-oss"]
    shapes = tuple(
        TensorShape(shape.name, shape.shape, "MXFP4" if "_exps.weight" in shape.name else None)
        for shape in source.shapes
    )
    for file_type in FILE_TYPES.values():
        if file_type.name in {"NVFP4", "Q1_0"}:
            continue
        types = assign_types(
            shapes, architecture="gpt-oss", facts=source.facts, file_type=file_type
        )
        experts = [t for s, t in zip(shapes, types, strict=True) if "_exps.weight" in s.name]
        assert set(experts) == {"MXFP4"}


def test_a_fixed_type_takes_no_turn_in_the_counting() -> None:
    # Q4_K_S gives the first four attention values it decides on Q5_K.
    def shape(layer: int, fixed: str | None = None) -> TensorShape:
        return TensorShape(f"blk.{layer}.attn_v.weight", (256, 256), fixed)

    types = assign_types(
        [shape(0, "F16"), *(shape(layer) for layer in range(1, 7))],
        architecture="llama",
        facts=MixFacts(n_layers_all=7, n_head=4, n_head_kv=4),
        file_type=FILE_TYPES["Q4_K_S"],
    )
    assert types == ("F16", *["Q5_K"] * 4, *["Q4_K"] * 2)


@pytest.mark.parametrize("name", ["F16", "BF16", "F32"])
def test_a_float_file_keeps_vectors_norms_and_routers_at_f32(name: str) -> None:
    shapes = [
        TensorShape("token_embd.weight", (256, 320)),
        TensorShape("blk.0.attn_norm.weight", (256,)),
        TensorShape("blk.0.attn_q.bias", (256,)),
        TensorShape("blk.0.ssm_norm.weight", (64, 4)),
        TensorShape("blk.0.ssm_conv1d.weight", (4, 256)),
        TensorShape("blk.0.ssm_a", (16, 256)),
        TensorShape("blk.0.ffn_gate_inp.weight", (256, 8)),
        TensorShape("blk.0.altup_router.weight", (256, 4)),
        TensorShape("blk.0.ffn_up_exps.weight", (256, 512, 8)),
    ]
    types = assign_types(
        shapes,
        architecture="llama",
        facts=MixFacts(n_layers_all=1, n_head=4, n_head_kv=4),
        file_type=FILE_TYPES[name],
    )
    assert types == (name, *["F32"] * 6, name, name)


def test_a_quantised_file_keeps_what_is_never_quantised_as_its_source_has_it() -> None:
    shapes = [
        TensorShape("per_layer_model_proj.weight", (256, 2560)),
        TensorShape("blk.0.ffn_gate_inp.weight", (256, 8)),
    ]
    facts = MixFacts(n_layers_all=1, n_head=4, n_head_kv=4)
    q4 = FILE_TYPES["Q4_K_M"]
    stock = assign_types(shapes, architecture="gemma3n", facts=facts, file_type=q4)
    from_bf16 = assign_types(
        shapes, architecture="gemma3n", facts=facts, file_type=q4, source_type="BF16"
    )
    assert stock == ("F16", "F32")
    assert from_bf16 == ("BF16", "F32")


def test_the_l_variants_keep_embedding_and_output_at_q8_0_and_leave_the_rest(
    hand_made_models: dict[str, HandMadeModel],
) -> None:
    for name in ("llama dense", "llama, 16 layers, four queries a key, tied"):
        model = hand_made_models[name]
        stock = model.assigned(FILE_TYPES["Q4_K_M"])
        large = model.assigned(FILE_TYPES["Q4_K_L"])
        ends = {"token_embd.weight", "output.weight"} & large.keys()
        assert {large[end] for end in ends} == {"Q8_0"}
        assert all(large[name] == stock[name] for name in stock.keys() - ends)


def test_nvfp4_is_refused_because_it_comes_with_the_checkpoint(
    hand_made_models: dict[str, HandMadeModel],
) -> None:
    with pytest.raises(InvalidRequestError, match=r"give the \.gguf file itself"):
        hand_made_models["llama dense"].assigned(FILE_TYPES["NVFP4"])


def test_rows_that_q1_0_cannot_hold_are_refused_as_llama_quantize_refuses_them(
    hand_made_models: dict[str, HandMadeModel],
) -> None:
    with pytest.raises(InvalidRequestError, match="a multiple of 128"):
        hand_made_models["llama, rows of 160"].assigned(FILE_TYPES["Q1_0"])


def test_an_expert_outside_the_numbered_layers_is_refused() -> None:
    with pytest.raises(InvalidRequestError, match=r"blk\.0 to blk\.1"):
        assign_types(
            [TensorShape("blk.2.ffn_down_exps.weight", (256, 256, 8))],
            architecture="llama",
            facts=MixFacts(n_layers_all=2, n_head=4, n_head_kv=4, n_expert=8),
            file_type=FILE_TYPES["Q4_K_M"],
        )


def test_eleven_hundred_tensors_take_a_few_milliseconds(
    published_models: dict[str, HandMadeModel],
) -> None:
    model = published_models["Llama-3.3-70B"]
    shapes = (*model.shapes, *model.shapes)[:1100]
    times = []
    for _ in range(5):
        started = time.process_time()
        assign_types(
            shapes, architecture="llama", facts=model.facts, file_type=FILE_TYPES["Q4_K_M"]
        )
        times.append(time.process_time() - started)
    assert min(times) < 0.01  # 1.4 ms measured; the margin is for a traced run


def test_rules_name_only_types_and_file_types_that_exist() -> None:
    from whatfits.sizing.quants import mixing_rules as rules

    stock = {kind.stock_name for kind in FILE_TYPES.values()}
    for table in (*rules.RULES.values(), *rules.RULES_FALCON.values()):
        assert table.keys() <= stock
        assert {kind for rule in table.values() for _, kind in rule} <= GGML_TYPES.keys()
    for step in (rules.FALLBACK_TYPES, rules.TOKEN_EMBEDDING_TYPES, rules.SEVENTY_B_TYPES):
        assert set(step.values()) <= GGML_TYPES.keys()
    assert stock >= rules.LOW_OUTPUT
