"""Where the weights of a small model lie and what of them is mapped, tensor by tensor."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from whatfits.sizing.approximate import named_parameters
from whatfits.sizing.kv_cache import cache_cells
from whatfits.sizing.placement import place_layers
from whatfits.sizing.reserve import (
    desktop_vram_reserve_bytes,
    idle_ram_reserve_bytes,
    idle_unified_reserve_bytes,
    raise_limit_command,
    raised_limit_bytes,
)
from whatfits.sizing.settings import resolve_settings
from whatfits.sizing.units import GIB, MIB
from whatfits.sizing.weights import WeightTable
from whatfits.sizing.workload import PlacementRequest, Workload

if TYPE_CHECKING:
    from whatfits.sizing.machine import Machine
    from whatfits.sizing.model import ModelSpec


def bytes_of(model: ModelSpec, part: str) -> int:
    return sum(tensor.n_bytes for tensor in model.tensors if part in tensor.name)


def test_a_tensor_that_is_named_lies_where_it_was_sent(
    plain_model: ModelSpec, gpu_box: Machine
) -> None:
    table = WeightTable(plain_model)
    usual, moved = (
        table.place(place_layers(plain_model.n_layers, request, gpu_box))
        for request in (
            PlacementRequest(devices=("gpu0",)),
            PlacementRequest(devices=("gpu0",), overrides=(("ffn_up", "CPU"),)),
        )
    )
    sent = bytes_of(plain_model, "ffn_up")
    assert sent == 3 * 128 * 256 * 2
    assert usual.devices[0] - moved.devices[0] == sent
    assert moved.host.total_bytes - usual.host.total_bytes == sent
    assert moved.read_host == sent  # the table of tokens is looked up, not read
    assert moved.streamed_bytes == sent // 3  # one matrix at a time
    # a tied output is a copy on the card: nothing of it has to be streamed
    assert usual.streamed_bytes == 0


def test_a_read_of_experts_is_their_share(recurrent_model: ModelSpec, host_box: Machine) -> None:
    placement = place_layers(recurrent_model.n_layers, PlacementRequest(), host_box)
    table = WeightTable(recurrent_model)
    experts = bytes_of(recurrent_model, "_exps.weight")
    assert experts > 0
    half = replace(recurrent_model.hparams, n_expert_used=1)
    fewer = WeightTable(replace(recurrent_model, hparams=half))
    # two of four experts are read, or one of them: a quarter of their bytes less
    assert table.place(placement).read_host - fewer.place(placement).read_host == experts // 4


def test_metal_maps_from_its_first_tensor_to_its_last(
    plain_model: ModelSpec, gpu_box: Machine
) -> None:
    offset, tensors = 0, []
    for tensor in plain_model.tensors:
        tensors.append(replace(tensor, offset_bytes=offset))
        offset += tensor.n_bytes
    model = replace(plain_model, tensors=tuple(tensors))
    metal = replace(gpu_box.devices[0], kind="metal")
    machine = replace(gpu_box, devices=(metal, gpu_box.devices[2]))
    weights = WeightTable(model).place(
        place_layers(model.n_layers, PlacementRequest(mmap=True), machine)
    )
    assert weights.mapped_bytes == offset  # host and Metal together: the whole file once
    apart = WeightTable(model).place(
        place_layers(model.n_layers, PlacementRequest(mmap=False), machine)
    )
    assert apart.mapped_bytes == 0


def test_a_full_window_cache_holds_the_whole_context(window_model: ModelSpec) -> None:
    workload = Workload(context_tokens=4096, batch=512, swa_full=True)
    window = window_model.layers[0].attention
    assert window is not None
    assert cache_cells(window, resolve_settings(window_model, workload)) == 4096
    short = replace(workload, swa_full=False)
    assert cache_cells(window, resolve_settings(window_model, short)) == 256 + 512


def test_a_size_in_a_name_stands_for_about_as_much() -> None:
    found = named_parameters(8 * 10**9)
    assert found.low <= 8_030_261_248 <= found.high  # Llama 3.1 8B, as published
    assert found.low < found.mid < found.high


def test_what_is_kept_for_the_system_depends_on_the_system() -> None:
    assert idle_ram_reserve_bytes("windows") == 4 * GIB
    assert idle_ram_reserve_bytes("macos") == 3 * GIB
    assert idle_ram_reserve_bytes(None) == idle_ram_reserve_bytes("plan9") == 2 * GIB
    assert desktop_vram_reserve_bytes(headless=True) == 0
    assert desktop_vram_reserve_bytes(headless=False) == 512 * MIB


@pytest.mark.parametrize(
    ("limit_gib", "kept_gib"), [(None, 3), (64, 3), (63, 2), (61, 0), (48, 0), (70, 3)]
)
def test_a_limit_that_leaves_the_system_its_share_is_not_cut_again(
    limit_gib: int | None, kept_gib: int
) -> None:
    limit = None if limit_gib is None else limit_gib * GIB
    kept = idle_unified_reserve_bytes(os="macos", total_bytes=64 * GIB, limit_bytes=limit)
    assert kept == kept_gib * GIB


@pytest.mark.parametrize(
    ("total_gib", "limit_gib"), [(6, 3), (8, 4), (16, 12), (24, 20), (32, 26), (48, 42), (64, 56)]
)
def test_a_raised_limit_leaves_a_mac_room(total_gib: int, limit_gib: int) -> None:
    assert raised_limit_bytes(total_gib * GIB) == limit_gib * GIB
    assert raise_limit_command(limit_gib * GIB).endswith(f"={limit_gib * 1024}")


@pytest.mark.parametrize("overrides", [(), (("ffn_up", "CPU"),)])
def test_a_table_answers_the_same_when_it_is_asked_again(
    plain_model: ModelSpec, gpu_box: Machine, overrides: tuple[tuple[str, str], ...]
) -> None:
    metal = replace(gpu_box.devices[0], kind="metal")
    machine = replace(gpu_box, devices=(metal, gpu_box.devices[2]))
    placement = place_layers(
        plain_model.n_layers, PlacementRequest(mmap=True, overrides=overrides), machine
    )
    table = WeightTable(plain_model)
    first = table.place(placement)
    assert table.place(placement) == first == WeightTable(plain_model).place(placement)


def test_an_output_read_from_the_embedding_is_a_copy_where_it_is_rearranged(
    repacked_model: ModelSpec, host_box: Machine
) -> None:
    tensors = tuple(t for t in repacked_model.tensors if t.name != "output.weight")
    (embedding,) = (t for t in tensors if t.name == "token_embd.weight")
    tied = replace(repacked_model, tensors=tensors)
    rearranged, plain = (
        WeightTable(tied).place(place_layers(tied.n_layers, PlacementRequest(repack=how), host_box))
        for how in ("auto", "off")
    )
    assert embedding.type == "Q4_0"
    assert set(plain.host.buffers) < set(rearranged.host.buffers)
    assert rearranged.host.total_bytes - plain.host.total_bytes == embedding.n_bytes
