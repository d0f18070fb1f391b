"""Where layers go and what is refused, rule by rule, as llama.cpp has it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.machine import Device, Machine, Pool
from whatfits.sizing.placement import Placement, place_layers, usable_accelerators
from whatfits.sizing.units import GIB
from whatfits.sizing.workload import PlacementRequest

HOST = Device("cpu", "cpu", "a CPU", "ram")
RAM = Pool("ram", "ram", 64 * GIB)
LAYERS = 8


def box(*vram_gib: int | None, kind: str = "cuda") -> Machine:
    """Return a machine with cards of so much memory; None: how much is not known."""
    pools = [
        Pool(f"vram{i}", "vram", None if size is None else size * GIB)
        for i, size in enumerate(vram_gib)
    ]
    cards = [Device(f"{kind}{i}", kind, "a card", pool.id) for i, pool in enumerate(pools)]
    return Machine(pools=(*pools, RAM), devices=(*cards, HOST))


def placed(machine: Machine, **asked: object) -> Placement:
    return place_layers(LAYERS, PlacementRequest(**asked), machine)  # type: ignore[arg-type]


def refused(machine: Machine, **asked: object) -> str:
    with pytest.raises(InvalidRequestError) as caught:
        placed(machine, **asked)
    return str(caught.value)


def test_without_an_accelerator_everything_is_on_the_host() -> None:
    found = placed(box(), gpu_layers=99)
    assert found.layer_device == (None,) * LAYERS
    assert (found.output_device, found.gpu_layers, found.tensor_split) == (None, 0, None)


@pytest.mark.parametrize("wanted", [None, -1, LAYERS + 1, 999])
def test_all_layers_is_one_more_than_the_layers(wanted: int | None) -> None:
    found = placed(box(24), gpu_layers=wanted)
    assert found.gpu_layers == LAYERS + 1
    assert found.layer_device == (0,) * LAYERS
    assert found.output_device == 0


def test_the_last_layers_go_to_the_accelerator_first_the_output_among_them() -> None:
    found = placed(box(24), gpu_layers=3)
    assert found.layer_device == (None,) * (LAYERS - 2) + (0, 0)
    assert found.output_device == 0
    assert placed(box(24), gpu_layers=0).layer_device == (None,) * LAYERS


def test_layers_are_split_by_free_memory_and_evenly_where_it_is_unknown() -> None:
    # nine with the output: index / 9 below 0.75 is of the first
    assert placed(box(18, 6)).layer_device == (0,) * 7 + (1,)
    unread = box(18, 6)
    pools = (replace(unread.pools[0], used_bytes=None), *unread.pools[1:])
    assert placed(replace(unread, pools=pools)).layer_device == (0,) * 5 + (1,) * 3


def test_shares_are_as_given_and_by_memory_where_all_are_nothing() -> None:
    assert placed(box(18, 6), tensor_split=(1.0, 2.0)).layer_device == (0,) * 3 + (1,) * 5
    assert placed(box(18, 6), tensor_split=(0.0, 0.0)).layer_device == (0,) * 7 + (1,)
    assert placed(box(18, 6), tensor_split=(1.0,)).layer_device == (0,) * LAYERS
    assert placed(box(18, 6), tensor_split=(1.0, 0.0, 0.0)).layer_device == (0,) * LAYERS


def test_without_a_split_the_first_accelerator_has_all() -> None:
    found = placed(box(18, 6), split_mode="none", tensor_split=(0.5, 0.5))
    assert [device.id for device in found.accelerators] == ["cuda0"]
    assert found.layer_device == (0,) * LAYERS
    assert found.tensor_split is None


def test_devices_are_named_in_any_case_and_taken_in_that_order() -> None:
    found = placed(box(18, 6), devices=("CUDA1", "cuda0"), tensor_split=(1.0, 0.0))
    assert [device.id for device in found.accelerators] == ["cuda1", "cuda0"]
    assert found.layer_device == (0,) * LAYERS
    assert placed(box(18, 6), devices=()).layer_device == (None,) * LAYERS


def test_a_card_of_unknown_memory_takes_no_part() -> None:
    assert [device.id for device in usable_accelerators(box(None, 6))] == ["cuda1"]


def test_an_override_comes_before_the_layer_and_before_the_experts() -> None:
    found = placed(
        box(18, 6), cpu_moe_layers=2, overrides=((r"blk\.0\.", "cuda1"), (r"ffn_up", "CPU"))
    )
    assert found.has_overrides
    assert found.device_of("blk.0.ffn_up_exps.weight", 0) == 1
    assert found.device_of("blk.1.ffn_up.weight", 0) is None
    assert found.device_of("blk.1.ffn_gate_exps.weight", 0) is None  # among the first two layers
    assert found.device_of("blk.2.ffn_gate_exps.weight", 0) == 0
    assert found.device_of("blk.1.attn_q.weight", 0) == 0
    assert not placed(box(18)).has_overrides


def test_no_more_layers_have_experts_on_the_host_than_there_are() -> None:
    asked = [placed(box(18), cpu_moe_layers=count) for count in (2, LAYERS, LAYERS + 5)]
    assert [found.cpu_moe_layers for found in asked] == [2, LAYERS, LAYERS]


def test_host_weights_are_rearranged_only_without_pinned_memory() -> None:
    assert placed(box()).extra_buffers
    assert not placed(box(), repack="off").extra_buffers
    assert not placed(box(18)).extra_buffers
    assert placed(box(18, kind="metal")).extra_buffers


@pytest.mark.parametrize(
    ("kind", "features", "mmap"),
    [
        ("cuda", (), True),
        ("cuda", ("integrated",), False),
        ("vulkan", ("integrated",), False),
        ("metal", ("integrated",), True),
        ("opencl", (), False),
        ("hexagon", (), False),
    ],
)
def test_a_device_that_cannot_map_a_file_turns_mapping_off(
    kind: str, features: tuple[str, ...], mmap: bool
) -> None:
    machine = box(18, kind=kind)
    devices = (replace(machine.devices[0], features=features), HOST)
    assert placed(replace(machine, devices=devices)).mmap is mmap
    assert placed(replace(machine, devices=devices), mmap=True).mmap


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"devices": ("cuda7",)}, "allowed: cuda0, cuda1"),
        ({"split_mode": "row"}, "allowed: layer, none"),
        ({"cpu_moe_layers": -1}, "a whole number, 0 or more"),
        ({"cpu_moe_layers": True}, "a whole number, 0 or more"),
        ({"cpu_moe_layers": 1.5}, "a whole number, 0 or more"),
        ({"gpu_layers": True}, "a whole number"),
        ({"gpu_layers": 1.5}, "a whole number"),
        ({"tensor_split": (1.0, 1.0, 1.0)}, "at most 2 numbers, one an accelerator"),
        ({"tensor_split": (1.0, 1.0, 1.0, 0.0)}, "at most 2 numbers, one an accelerator"),
        ({"tensor_split": (1.0, 1.0, 0.0, 1.0)}, "at most 2 numbers, one an accelerator"),
        ({"tensor_split": (1.0, -1.0)}, "numbers from 0 to 1e+18"),
        ({"tensor_split": (float("nan"), 1.0)}, "numbers from 0 to 1e+18"),
        ({"tensor_split": (2e18, 1.0)}, "numbers from 0 to 1e+18"),
        ({"overrides": (("x", "cuda9"),)}, "allowed: CPU, cuda0, cuda1"),
        ({"overrides": (("(", "CPU"),)}, "a regular expression"),
    ],
)
def test_what_means_nothing_is_refused_with_what_is_allowed(
    asked: dict[str, object], said: str
) -> None:
    assert said in refused(box(18, 6), **asked)


def test_a_machine_without_accelerators_says_so_and_one_without_a_cpu_is_none() -> None:
    assert "none: there is no accelerator" in refused(box(), devices=("cuda0",))
    assert "a device of kind 'cpu'" in refused(Machine(pools=(RAM,), devices=()))


def test_row_splitting_is_let_through_where_there_is_nothing_to_split() -> None:
    assert placed(box(18), split_mode="row").layer_device == (0,) * LAYERS
