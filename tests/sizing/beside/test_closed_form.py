"""The closed form of compute buffers, worked out by hand: what answers where there is no graph.

The small models have 512 tokens in the worst graph, so every copy of the residual stream is
4 bytes x 512 x n_embd. How far the form is from llama.cpp is measured in its own module.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from whatfits.sizing.compute import (
    ComputeBytes,
    closed_form_range,
    compute_buffers,
    compute_stages,
)
from whatfits.sizing.model import LatentAttention
from whatfits.sizing.placement import Placement, place_layers
from whatfits.sizing.settings import Settings, resolve_settings
from whatfits.sizing.workload import PlacementRequest, Workload

if TYPE_CHECKING:
    from whatfits.sizing.machine import Machine
    from whatfits.sizing.model import ModelSpec

TOKENS = 512
HIDDEN = 4 * TOKENS * 128  # plain_model and recurrent_model
MASK = 2 * TOKENS * TOKENS  # of 512 cells, 16 bits each
INDICES = 8 * TOKENS
STREAMED = 1_000_000


def settings_of(model: ModelSpec, **asked: object) -> Settings:
    return resolve_settings(model, Workload(context_tokens=TOKENS, **asked))  # type: ignore[arg-type]


def placed(model: ModelSpec, machine: Machine, **asked: object) -> Placement:
    return place_layers(model.n_layers, PlacementRequest(**asked), machine)  # type: ignore[arg-type]


def unheard_of(model: ModelSpec) -> ModelSpec:
    """Return the same model under a name that no graph is known for."""
    return replace(model, architecture="unheard-of")


def sizes(
    model: ModelSpec, machine: Machine, *, streamed: int = 0, **asked: object
) -> tuple[ComputeBytes, ...]:
    return compute_buffers(
        unheard_of(model),
        settings_of(model),
        placed(model, machine, **asked),
        streamed_bytes=streamed,
    )


def test_a_plain_model_is_largest_in_its_feed_forward_part(plain_model: ModelSpec) -> None:
    found = compute_stages(plain_model, settings_of(plain_model, flash_attention="on"))
    assert found.hidden == HIDDEN
    assert found.layers == 4 * HIDDEN + 3 * 4 * 256 * TOKENS + MASK + INDICES
    assert found.output == HIDDEN + 4 * (128 + 512) * 1  # one row of logits
    assert found.inputs == MASK + INDICES + 16 * TOKENS + 4
    assert found.peak == found.layers


def test_without_flash_attention_the_scores_are_largest(plain_model: ModelSpec) -> None:
    found = compute_stages(plain_model, settings_of(plain_model, flash_attention="off"))
    query, scores = 4 * 4 * 32 * TOKENS, 4 * 4 * TOKENS * TOKENS
    transposed = 8 * TOKENS * 2 * 32  # an index for each value of a token
    assert found.layers == 3 * HIDDEN + 2 * query + scores + 2 * MASK + transposed


def test_a_window_has_scores_for_its_own_cells_alone(window_model: ModelSpec) -> None:
    asked = Workload(context_tokens=4096, batch=512, flash_attention="off")
    long = resolve_settings(window_model, asked)
    # full: 4,096 cells; a window of 256 and a batch of 512: 768
    only_windows = replace(window_model, layers=window_model.layers[:1])
    hidden, query = 4 * TOKENS * 64, 4 * 4 * 32 * TOKENS
    masks, indices = 4 * 768 * TOKENS, 8 * TOKENS * 2 * 32
    found = compute_stages(only_windows, long)
    assert found.layers == 3 * hidden + 2 * query + 4 * 4 * 768 * TOKENS + masks + indices
    both = compute_stages(window_model, long)
    assert both.layers - found.layers == 4 * 4 * (4096 - 768) * TOKENS + 4 * 4096 * TOKENS + indices


def test_a_latent_cache_has_its_unpacked_keys_beside_the_scores(plain_model: ModelSpec) -> None:
    layers = tuple(
        replace(layer, attention=LatentAttention(96), n_ff=0) for layer in plain_model.layers
    )
    hparams = replace(plain_model.hparams, kv_lora_rank=64)
    latent = replace(plain_model, layers=layers, hparams=hparams)
    found = compute_stages(latent, settings_of(plain_model, flash_attention="off"))
    query, scores, unpacked = 4 * 4 * 32 * TOKENS, 4 * 4 * TOKENS * TOKENS, 4 * 4 * 64 * TOKENS
    assert found.layers == 2 * HIDDEN + 2 * query + unpacked + scores + 2 * MASK + INDICES


def test_experts_count_as_often_as_they_are_used(recurrent_model: ModelSpec) -> None:
    (layer, *_) = recurrent_model.layers
    assert (layer.n_expert, recurrent_model.hparams.n_expert_used) == (4, 2)
    found = compute_stages(recurrent_model, settings_of(recurrent_model))
    routed = 4 * TOKENS * (64 + 2 * 128) * 2  # wider than three matrices of 64 for two experts
    feed_forward = 4 * HIDDEN + routed + MASK + INDICES
    # a state of 4,096 numbers; 768 numbers of convolution over a kernel of 4
    recurrent = 2 * HIDDEN + (3 * 128 + 2 * 256) * 4 * TOKENS + 4 * 4096 + MASK
    assert found.layers == max(feed_forward, recurrent)
    only_states = replace(layer, n_expert=0, n_ff=0)
    bare = compute_stages(
        replace(recurrent_model, layers=(only_states,)), settings_of(recurrent_model)
    )
    assert bare.layers == recurrent - MASK  # no layer has a cache any more


def test_a_state_without_a_kernel_is_as_wide_as_the_model(recurrent_model: ModelSpec) -> None:
    (layer, *_) = recurrent_model.layers
    bare = replace(recurrent_model, layers=(replace(layer, n_expert=0, n_ff=0),), metadata={})
    found = compute_stages(bare, settings_of(recurrent_model))
    assert found.layers == 2 * HIDDEN + (3 * 128 + 2 * 128) * 4 * TOKENS + 4 * 4096


def test_an_encoder_hands_out_states_and_a_cap_takes_a_copy(plain_model: ModelSpec) -> None:
    encoder = replace(plain_model, hparams=replace(plain_model.hparams, causal=False))
    assert compute_stages(encoder, settings_of(plain_model)).output == 2 * HIDDEN
    capped = replace(plain_model, hparams=replace(plain_model.hparams, logit_softcap=True))
    plain = compute_stages(plain_model, settings_of(plain_model)).output
    assert compute_stages(capped, settings_of(plain_model)).output == plain + HIDDEN
    ungated = replace(plain_model, hparams=replace(plain_model.hparams, gated=False))
    assert (
        compute_stages(plain_model, settings_of(plain_model)).layers
        - compute_stages(ungated, settings_of(plain_model)).layers
        == 4 * 256 * TOKENS
    )


def test_on_a_cpu_the_buffer_is_the_largest_stage(
    plain_model: ModelSpec, host_box: Machine
) -> None:
    peak = compute_stages(plain_model, settings_of(plain_model)).peak
    (host,) = sizes(plain_model, host_box)
    assert host == ComputeBytes(round(0.39 * peak), peak, round(6.8 * peak))
    encoder = replace(plain_model, hparams=replace(plain_model.hparams, causal=False))
    assert closed_form_range(encoder, placed(plain_model, host_box)) == (0.08, 1.2)


def test_one_card_leaves_the_inputs_and_the_ends_to_the_host(
    plain_model: ModelSpec, gpu_box: Machine
) -> None:
    stages = compute_stages(plain_model, settings_of(plain_model))
    card, host = sizes(plain_model, gpu_box, devices=("gpu0",))
    assert card.mid == stages.layers - HIDDEN
    assert host.mid == 2 * HIDDEN + stages.inputs
    slack = 8 * HIDDEN
    assert (card.low, card.high) == (0, round(card.mid * 6.7) + slack)


@pytest.mark.parametrize(
    "asked", [{"gpu_layers": 2}, {"kv_offload": False}, {"overrides": (("ffn_up", "CPU"),)}]
)
def test_a_layer_or_a_part_of_it_on_the_host_has_its_stage_there(
    plain_model: ModelSpec, gpu_box: Machine, asked: dict[str, object]
) -> None:
    stages = compute_stages(plain_model, settings_of(plain_model))
    *_, host = sizes(plain_model, gpu_box, devices=("gpu0",), **asked)
    assert host.mid == stages.layers


def test_weights_that_are_copied_for_a_batch_lie_on_the_first_card(
    plain_model: ModelSpec, gpu_box: Machine
) -> None:
    stages = compute_stages(plain_model, settings_of(plain_model))
    asked = {"gpu_layers": 2, "tensor_split": (1.0, 0.0)}
    first, second, _ = sizes(plain_model, gpu_box, streamed=STREAMED, **asked)
    assert first.mid == stages.layers + STREAMED
    assert second == ComputeBytes(0, 0, 0)
    kept, *_ = sizes(plain_model, gpu_box, streamed=STREAMED, op_offload=False, **asked)
    assert kept.mid == stages.layers - HIDDEN


def test_several_cards_keep_their_inputs_four_times(
    plain_model: ModelSpec, gpu_box: Machine
) -> None:
    stages = compute_stages(plain_model, settings_of(plain_model))
    first, second, host = sizes(plain_model, gpu_box)
    extra = 3 * stages.inputs + 4 * HIDDEN
    assert first.mid == second.mid == stages.layers - HIDDEN + extra
    assert host.mid == 2 * HIDDEN + stages.inputs + 3 * (stages.inputs + HIDDEN)
    placement = placed(plain_model, gpu_box)
    assert closed_form_range(plain_model, placement) == (0.07, 35.0)


def test_an_output_on_the_host_has_its_stage_there(
    plain_model: ModelSpec, gpu_box: Machine
) -> None:
    wide = replace(plain_model, hparams=replace(plain_model.hparams, n_vocab=4_000_000))
    stages = compute_stages(wide, settings_of(plain_model))
    assert stages.output > stages.layers
    *_, host = sizes(wide, gpu_box, gpu_layers=0)
    assert host.mid == stages.output
    card, _ = sizes(wide, gpu_box, devices=("gpu0",))
    assert card.mid == stages.output - HIDDEN
