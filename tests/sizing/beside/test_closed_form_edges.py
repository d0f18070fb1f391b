"""The closed form where a stage or a rule gives way to another, worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from whatfits.sizing.api import load_model
from whatfits.sizing.compute import ComputeBytes, Stages, compute_buffers, compute_stages
from whatfits.sizing.model import FullAttention, LatentAttention
from whatfits.sizing.placement import place_layers
from whatfits.sizing.settings import Settings, resolve_settings
from whatfits.sizing.workload import PlacementRequest, Workload

if TYPE_CHECKING:
    from whatfits.sizing.machine import Machine
    from whatfits.sizing.model import ModelSpec

TOKENS = 512
HIDDEN = 4 * TOKENS * 128
MASK = 2 * TOKENS * TOKENS
INDICES = 8 * TOKENS
STREAMED = 7_000_000


def settings_of(model: ModelSpec, **asked: object) -> Settings:
    usual = {"context_tokens": TOKENS, "flash_attention": "on"}
    return resolve_settings(model, Workload(**{**usual, **asked}))  # type: ignore[arg-type]


def stages(model: ModelSpec, **asked: object) -> Stages:
    return compute_stages(model, settings_of(model, **asked))


def buffers(
    model: ModelSpec, machine: Machine, tokens: int = TOKENS, **asked: object
) -> tuple[ComputeBytes, ...]:
    placement = place_layers(model.n_layers, PlacementRequest(**asked), machine)  # type: ignore[arg-type]
    return compute_buffers(
        replace(model, architecture="unheard-of"),
        settings_of(model, micro_batch=tokens),
        placement,
        streamed_bytes=STREAMED,
    )


def of_layers(model: ModelSpec, **fields: object) -> ModelSpec:
    layers = tuple(replace(layer, **fields) for layer in model.layers)  # type: ignore[arg-type]
    return replace(model, layers=layers)


@pytest.mark.parametrize(
    ("n_ff_exp", "n_ff_shexp", "beside"),
    [
        # widths of two experts are gathered with what goes in and comes out: 64 + 2 x 128
        (64, 0, 4 * TOKENS * 2 * (64 + 2 * 128)),
        # three matrices of two wide experts
        (600, 0, 3 * 4 * 600 * 2 * TOKENS),
        # a shared expert that is wider than both
        (64, 900, 3 * 4 * 900 * TOKENS),
    ],
)
def test_experts_take_their_widest_stage(
    plain_model: ModelSpec, n_ff_exp: int, n_ff_shexp: int, beside: int
) -> None:
    hparams = replace(
        plain_model.hparams, n_expert_used=2, n_ff_exp=n_ff_exp, n_ff_shexp=n_ff_shexp
    )
    mixture = replace(of_layers(plain_model, n_expert=4), hparams=hparams)
    assert stages(mixture).layers == 4 * HIDDEN + beside + MASK + INDICES


def test_the_largest_layer_counts_and_a_model_without_layers_has_none(
    plain_model: ModelSpec,
) -> None:
    (layer, *rest) = plain_model.layers
    one_wide = replace(plain_model, layers=(layer, replace(layer, n_ff=2560), *rest[1:]))
    assert stages(one_wide).layers - stages(plain_model).layers == 3 * 4 * (2560 - 256) * TOKENS
    assert stages(replace(plain_model, layers=())).layers == 0


@pytest.mark.parametrize(
    ("fields", "attends"),
    [
        ({"attention": None, "n_head": 0, "n_head_kv": 0}, False),
        ({"attention": None}, True),  # an encoder: heads, and nothing kept
        ({"attention": FullAttention(64, 64), "n_head": 0}, True),
        ({"attention": None, "n_head": 0, "reuses_cache": True}, True),
    ],
)
def test_a_layer_attends_with_a_cache_anothers_or_none(
    plain_model: ModelSpec, fields: dict[str, object], attends: bool
) -> None:
    bare = of_layers(plain_model, n_ff=0, key_length=4096, **fields)
    found = stages(bare)
    heads = 0 if "n_head" in fields else 4
    attention = 3 * HIDDEN + 3 * 4 * heads * 4096 * TOKENS
    cached = MASK + INDICES if fields.get("attention") else 0
    assert found.layers == max(4 * HIDDEN, attention if attends else 0) + cached


def test_every_kind_of_cache_has_a_mask_and_indices_once(window_model: ModelSpec) -> None:
    found = stages(window_model, context_tokens=4096, batch=TOKENS)
    masks = 2 * TOKENS * (4096 + 768)
    assert found.inputs == masks + 2 * INDICES + 16 * TOKENS + 4


def test_the_peak_is_the_logits_where_these_are_largest(
    plain_model: ModelSpec, host_box: Machine
) -> None:
    hparams = replace(plain_model.hparams, n_vocab=4_000_000)
    talkative = replace(plain_model, hparams=hparams)
    found = stages(talkative)
    assert found.output > found.layers
    assert found.peak == found.output
    assert buffers(talkative, host_box)[0].mid == found.output


def test_rows_of_logits_are_those_that_are_asked_for(plain_model: ModelSpec) -> None:
    found = stages(plain_model, parallel=4, outputs_max=4, kv_unified=True)
    assert found.output == HIDDEN + 4 * (128 + 512) * 4
    assert found.inputs == MASK + INDICES + 16 * TOKENS + 4 * 4


def test_a_latent_row_is_written_by_one_index_a_token(plain_model: ModelSpec) -> None:
    latent = of_layers(plain_model, attention=LatentAttention(96))
    found = stages(latent, flash_attention="off")
    assert found.inputs == 2 * MASK + INDICES + 16 * TOKENS + 4


def test_an_interval_is_a_share_of_the_middle_and_eight_streams(
    plain_model: ModelSpec, gpu_box: Machine, host_box: Machine
) -> None:
    wide = of_layers(plain_model, n_ff=200_000)
    layers = stages(wide).layers
    (alone,) = buffers(wide, host_box)
    assert alone == ComputeBytes(round(0.39 * layers), layers, round(6.8 * layers))
    card, host = buffers(wide, gpu_box, devices=("gpu0",), op_offload=False)
    size = layers - HIDDEN
    assert card == ComputeBytes(
        round(0.07 * size) - 8 * HIDDEN, size, round(6.7 * size) + 8 * HIDDEN
    )
    ends = 2 * HIDDEN + stages(wide).inputs
    assert host == ComputeBytes(0, ends, round(6.7 * ends) + 8 * HIDDEN)
    first, *_ = buffers(wide, gpu_box, op_offload=False)
    extra = 3 * stages(wide).inputs + 4 * HIDDEN
    assert first.high == round(35.0 * (size + extra)) + 8 * HIDDEN


@pytest.mark.parametrize(("tokens", "copied"), [(31, False), (32, True), (33, True)])
def test_weights_of_the_host_are_copied_for_batches_of_32_tokens(
    plain_model: ModelSpec, gpu_box: Machine, tokens: int, copied: bool
) -> None:
    card, _ = buffers(plain_model, gpu_box, tokens, devices=("gpu0",), gpu_layers=2)
    found = stages(plain_model, micro_batch=tokens)
    assert card.mid == (found.layers + STREAMED if copied else found.layers - found.hidden)
    second = buffers(plain_model, gpu_box, tokens, gpu_layers=2, tensor_split=(1.0, 1.0))[1]
    assert second.mid < STREAMED


@pytest.mark.parametrize(
    ("asked", "pipelined"),
    [
        ({}, True),
        ({"gpu_layers": 4}, True),
        ({"gpu_layers": 3}, False),  # the output stays on the host
        ({"kv_offload": False}, False),
        ({"overrides": (("ffn_up", "CPU"),)}, False),
        ({"devices": ("gpu0",)}, False),
    ],
)
def test_inputs_are_kept_four_times_where_every_layer_is_on_one_of_several_cards(
    plain_model: ModelSpec, gpu_box: Machine, asked: dict[str, object], pipelined: bool
) -> None:
    found = stages(plain_model)
    asked = {"op_offload": False, **asked}
    first, *_, host = buffers(plain_model, gpu_box, **asked)
    extra = 3 * found.inputs + 4 * HIDDEN if pipelined else 0
    assert first.mid == found.layers - HIDDEN + extra
    ends = 2 * HIDDEN + found.inputs + (3 * (found.inputs + HIDDEN) if pipelined else 0)
    on_host = {"gpu_layers", "kv_offload", "overrides"} & asked.keys()
    layers_there = bool(on_host) and not pipelined
    assert host.mid == (max(ends, found.layers) if layers_there else ends)


def test_a_state_is_as_wide_as_its_convolution_and_counts_each_sequence(
    recurrent_model: ModelSpec,
) -> None:
    (layer, *_) = recurrent_model.layers
    bare = replace(
        recurrent_model,
        layers=(replace(layer, n_expert=0, n_ff=0),),
        metadata={
            f"{recurrent_model.architecture}.ssm.inner_size": 300,
            f"{recurrent_model.architecture}.ssm.conv_kernel": 2,
        },
    )
    assert layer.recurrent is not None
    shift, state = layer.recurrent.shift_elements, layer.recurrent.state_elements
    for sequences in (1, 2):
        found = compute_stages(bare, settings_of(recurrent_model, parallel=sequences))
        width = 3 * 300 + 2 * shift
        assert found.layers == 2 * HIDDEN + width * 4 * TOKENS + 4 * state * sequences
    text = replace(bare, metadata={f"{recurrent_model.architecture}.ssm.inner_size": "300"})
    found = compute_stages(text, settings_of(recurrent_model))
    assert found.layers == 2 * HIDDEN + (3 * 128 + 2 * 128) * 4 * TOKENS + 4 * state


@pytest.mark.parametrize(("old", "wider"), [((), False), ((0,), True), ((1,), True)])
def test_one_card_without_fused_attention_is_enough_to_be_unsure(
    gpu_box: Machine, old: tuple[int, ...], *, wider: bool
) -> None:
    model = load_model("minimax-m3")
    devices = tuple(
        replace(device, features=("no_flash_attention",)) if at in old else device
        for at, device in enumerate(gpu_box.devices)
    )
    placement = place_layers(model.n_layers, PlacementRequest(), replace(gpu_box, devices=devices))
    settings = resolve_settings(model, Workload(context_tokens=TOKENS, flash_attention="off"))
    found = compute_buffers(model, settings, placement, streamed_bytes=0)
    rough = compute_buffers(
        replace(model, architecture="unheard-of"), settings, placement, streamed_bytes=0
    )
    as_wide = [
        size.low <= other.low and size.high >= other.high
        for size, other in zip(found, rough, strict=True)
    ]
    assert all(as_wide) is wider
