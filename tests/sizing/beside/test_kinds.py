"""Kinds of layers, tensors and towers that few models have, worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from whatfits.sizing.api import load_model
from whatfits.sizing.compute import compute_buffers
from whatfits.sizing.extras import Projector, ProjectorTensor
from whatfits.sizing.kv_cache import cache_tensors, widest_value_row
from whatfits.sizing.model import (
    CompressedRows,
    FullAttention,
    LatentAttention,
    SlidingWindow,
    TensorSpec,
)
from whatfits.sizing.placement import place_layers
from whatfits.sizing.projector import Patches, projector_part, tower_patches
from whatfits.sizing.settings import resolve_settings
from whatfits.sizing.weight_groups import sharing_layers, spans_of
from whatfits.sizing.weights import tensor_targets
from whatfits.sizing.workload import PlacementRequest, Workload

if TYPE_CHECKING:
    from whatfits.sizing.machine import Machine
    from whatfits.sizing.model import ModelSpec


def test_an_indexer_keeps_its_keys_in_a_tensor_of_its_own(plain_model: ModelSpec) -> None:
    settings = resolve_settings(plain_model, Workload(context_tokens=1024))
    layer = replace(plain_model.layers[0], attention=LatentAttention(96 + 32, index_width=32))
    rows = [
        (tensor.row_elements, tensor.rows)
        for tensor in cache_tensors(layer, settings, widest_value=0)
    ]
    assert rows == [(96, 1024), (32, 1024)]


def test_a_compressed_past_is_a_row_for_so_many_tokens(plain_model: ModelSpec) -> None:
    settings = resolve_settings(plain_model, Workload(context_tokens=8192))
    past = (CompressedRows(512, 4), CompressedRows(64, 128))
    layer = replace(plain_model.layers[0], attention=LatentAttention(96), compressed=past)
    rows = [
        (tensor.row_elements, tensor.rows)
        for tensor in cache_tensors(layer, settings, widest_value=0)
    ]
    assert rows == [(96, 8192), (512, 2048), (64, 256)]  # 64 rows take a whole block of 256


def test_transposed_values_are_as_wide_as_the_widest_layers(plain_model: ModelSpec) -> None:
    asked = Workload(context_tokens=1024, flash_attention="off")
    settings = resolve_settings(plain_model, asked)
    (_, values) = cache_tensors(plain_model.layers[0], settings, widest_value=256)
    assert (values.row_elements, values.rows) == (256, 1024)
    fused = replace(settings, transposed_values=False)
    (_, values) = cache_tensors(plain_model.layers[0], fused, widest_value=256)
    assert values.row_elements == 64


def test_values_wider_than_any_heads_say_keep_their_width(plain_model: ModelSpec) -> None:
    # an indexer's rows are counted with the values, not with the heads
    settings = resolve_settings(plain_model, Workload(context_tokens=1024, flash_attention="off"))
    layer = replace(plain_model.layers[0], attention=FullAttention(64, 300))
    for widest, width in ((256, 300), (300, 300), (301, 301)):
        (_, values) = cache_tensors(layer, settings, widest_value=widest)
        assert values.row_elements == width


def test_the_widest_values_are_those_of_the_layer_with_most_heads_times_their_length(
    plain_model: ModelSpec,
) -> None:
    layer = plain_model.layers[0]
    shapes = ((2, 32), (8, 16), (4, 40), (0, 512))
    layers = tuple(replace(layer, n_head_kv=n, value_length=length) for n, length in shapes)
    assert widest_value_row(replace(plain_model, layers=layers)) == 4 * 40
    assert widest_value_row(replace(plain_model, layers=layers[3:])) == 0
    assert widest_value_row(replace(plain_model, layers=())) == 0


def test_layers_that_attend_to_everything_are_those_that_share_gemmas_tensors() -> None:
    model = load_model("gemma-4-e2b")
    assert sharing_layers(model) == tuple(range(4, 35, 5))  # every fifth of 35
    assert not isinstance(model.layers[4].attention, SlidingWindow)
    assert sharing_layers(load_model("gemma-3-1b")) is None


def test_what_layers_share_lies_where_any_of_them_does(
    plain_model: ModelSpec, gpu_box: Machine
) -> None:
    request = PlacementRequest(gpu_layers=3, tensor_split=(1.0, 1.0))
    placement = place_layers(plain_model.n_layers, request, gpu_box)
    assert placement.layer_device == (None, 0, 0)
    assert placement.output_device == 1
    targets = {
        layers: tensor_targets("shared", None, "rope_freqs.weight", placement, sharing=layers)
        for layers in (None, (0,), (1, 2), (0, 2))
    }
    assert targets == {None: (None, 0), (0,): (None,), (1, 2): (0,), (0, 2): (None, 0)}
    assert tensor_targets("input", None, "token_embd.weight", placement) == (None,)
    assert tensor_targets("output", None, "output.weight", placement) == (1,)
    assert tensor_targets("layer", 1, "blk.1.attn_q.weight", placement) == (0,)


def test_tensors_span_from_the_first_byte_to_the_last_of_each_file() -> None:
    def tensor(offset: int | None, file: int) -> TensorSpec:
        return TensorSpec("a", (32,), "F32", 128, "layer", offset_bytes=offset, file_index=file)

    places = ((256, 0), (0, 0), (None, 0), (512, 1), (None, 2))
    assert spans_of(tensor(*place) for place in places) == {0: (0, 384), 1: (512, 640)}


def test_an_audio_tower_hears_half_a_minute(plain_model: ModelSpec, host_box: Machine) -> None:
    projector = Projector(
        "ears",
        {"audio": "ultravox"},
        (ProjectorTensor("mm.1.weight", (128, 256), "F16", 65_536),),
        {
            "clip.audio.num_mel_bins": 128,
            "clip.audio.embedding_length": 64,
            "clip.audio.feed_forward_length": 256,
        },
    )
    assert tower_patches(projector, "audio") == Patches(1500, 3000, 1)
    placement = place_layers(plain_model.n_layers, PlacementRequest(), host_box)
    (host,) = projector_part(projector, placement, offload=True).shares
    # the projection to 256 is wider than anything inside: hidden, and twice what comes out
    warm, most = ((4 * 64 + 2 * 4 * 256) * frames for frames in (1500, 3000))
    sound = 4 * 3000 * 128
    assert host.compute_bytes == warm
    assert host.low_bytes == 65_536 + warm // 2
    assert host.high_bytes == 65_536 + most * 3 // 2 + sound + 2 * 65_536


def test_a_tower_nobody_knows_warms_up_as_large_as_any() -> None:
    unknown = Projector("eyes", {"vision": "unheard-of"}, (), {"clip.vision.patch_size": 14})
    assert tower_patches(unknown, "vision") == Patches(46**2, 46**2, 1)
    sized = replace(unknown, metadata={**unknown.metadata, "clip.vision.image_size": 336})
    assert tower_patches(sized, "vision") == Patches(24**2, 24**2, 1)
    merging = {**unknown.metadata, "clip.vision.spatial_merge_size": 2}
    assert tower_patches(replace(unknown, metadata=merging), "vision").warm == (46 * 2) ** 2


def test_where_operations_may_lie_elsewhere_the_closed_form_widens_the_graph(
    gpu_box: Machine,
) -> None:
    model = load_model("minimax-m3")
    settings = resolve_settings(model, Workload(context_tokens=512, flash_attention="off"))
    old = replace(gpu_box.devices[0], features=("no_flash_attention",))
    machine = replace(gpu_box, devices=(old, *gpu_box.devices[2:]))
    placement = place_layers(model.n_layers, PlacementRequest(), machine)
    usual = place_layers(
        model.n_layers, PlacementRequest(), replace(gpu_box, devices=gpu_box.devices[::2])
    )
    rough = compute_buffers(
        replace(model, architecture="unheard-of"), settings, placement, streamed_bytes=0
    )
    widened = compute_buffers(model, settings, placement, streamed_bytes=0)
    graph = compute_buffers(model, settings, usual, streamed_bytes=0)
    for wide, one, other in zip(widened, graph, rough, strict=True):
        assert wide.mid == one.mid
        assert wide.low == min(one.low, other.low)
        assert wide.high == max(one.high, other.high)
    assert any(wide.high > one.high for wide, one in zip(widened, graph, strict=True))
