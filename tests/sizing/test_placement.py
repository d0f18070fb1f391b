"""Where llama.cpp puts each layer, by hand: src/llama-model.cpp, load_tensors.

The shares are added up and divided by their sum; layer `i` of `n` that go to accelerators lies on
the first device whose end is above `i / n`.
"""

from __future__ import annotations

import re
from dataclasses import fields, replace

import pytest

from whatfits.sizing.catalog.machines import machine_expression
from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.machine import Device, Machine, Pool
from whatfits.sizing.placement import (
    Placement,
    expert_layer,
    layer_devices,
    place_layers,
    resolve_placement,
    usable_accelerators,
)
from whatfits.sizing.share import Part, Share
from whatfits.sizing.sources.catalog_model import load_catalog_model
from whatfits.sizing.units import GIB
from whatfits.sizing.workload import PlacementRequest

TWO = machine_expression("2x rtx-3090 + 64gb")
ONE = machine_expression("rtx-3090 + 64gb")
NONE = machine_expression("64gb")


@pytest.mark.parametrize(
    ("n_layers", "on_gpu", "shares", "expected"),
    [
        (4, 5, [1.0], (0, 0, 0, 0, 0)),
        (4, 5, [1.0, 1.0], (0, 0, 0, 1, 1)),  # ends 0.5, 1; layers at 0, 0.2, 0.4, 0.6, 0.8
        (4, 3, [1.0, 3.0], (None, None, 0, 1, 1)),  # ends 0.25, 1; at 0, 0.333, 0.667
        (3, 4, [1.0, 1.0, 2.0], (0, 1, 2, 2)),  # ends 0.25, 0.5, 1; what lies on an end is behind
        (3, 4, [0.0, 1.0, 0.0], (1, 1, 1, 1)),
        (3, 1, [1.0, 1.0], (None, None, None, 0)),
        (3, 0, [1.0], (None, None, None, None)),
        (3, 2, [], (None, None, None, None)),
        (3, 5, [1.0, 1.0], (0, 0, 0, 1)),  # more than there are: at 0, 0.2, 0.4, 0.6
    ],
)
def test_layers_go_to_the_first_device_whose_end_is_above_their_place(
    n_layers: int, on_gpu: int, shares: list[float], expected: tuple[int | None, ...]
) -> None:
    assert layer_devices(n_layers, on_gpu, shares) == expected


@pytest.mark.parametrize(
    ("asked", "on_gpu"), [(None, 4), (-1, 4), (0, 0), (1, 1), (3, 3), (4, 4), (5, 4)]
)
def test_the_output_layer_is_counted_and_below_zero_means_all(
    asked: int | None, on_gpu: int
) -> None:
    placed = place_layers(3, PlacementRequest(gpu_layers=asked), ONE)
    assert placed.gpu_layers == on_gpu
    devices = [*placed.layer_device, placed.output_device]
    assert devices == [None] * (4 - on_gpu) + [0] * on_gpu
    assert place_layers(3, PlacementRequest(gpu_layers=asked), NONE).gpu_layers == 0


def test_the_requests_number_of_layers_comes_before_the_runtimes() -> None:
    assert place_layers(3, PlacementRequest(), ONE, gpu_layers=2).gpu_layers == 2
    assert place_layers(3, PlacementRequest(gpu_layers=0), ONE, gpu_layers=2).gpu_layers == 0


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"gpu_layers": True}, "gpu_layers"),
        ({"gpu_layers": 1.5}, "gpu_layers"),
        ({"cpu_moe_layers": -1}, "cpu_moe_layers"),
        ({"cpu_moe_layers": True}, "cpu_moe_layers"),
        ({"cpu_moe_layers": 1.5}, "cpu_moe_layers"),
        ({"tensor_split": (1.0, -0.5)}, "tensor_split"),
        ({"tensor_split": (1.0, 1.1e18)}, "tensor_split"),
        ({"tensor_split": (1.0, float("nan"))}, "tensor_split"),
        ({"tensor_split": (1.0, 1.0, 1.0)}, "at most 2 numbers"),
        ({"split_mode": "row"}, "split_mode"),
        ({"devices": ("cuda7",)}, "device"),
        ({"overrides": (("x", "cuda7"),)}, "override target"),
        ({"overrides": (("(", "cpu"),)}, "override pattern"),
    ],
)
def test_what_is_out_of_range_is_refused(wrong: dict[str, object], says: str) -> None:
    with pytest.raises(InvalidRequestError, match=says):
        place_layers(3, PlacementRequest(**wrong), TWO)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("split", "expected"),
    [
        ((3.0, 1.0), (0, 0, 0, 1)),
        ((3.0,), (0, 0, 0, 0)),
        ((0.0, 1e18), (1, 1, 1, 1)),
        ((1.0, 1.0, 0.0), (0, 0, 1, 1)),  # shares of devices that are not there may be nought
        ((0.0, 0.0), (0, 0, 1, 1)),  # nought for all: by free memory, as if nothing were said
        (None, (0, 0, 1, 1)),
    ],
)
def test_shares_are_taken_as_given_or_from_free_memory(
    split: tuple[float, ...] | None, expected: tuple[int, ...]
) -> None:
    placed = place_layers(3, PlacementRequest(tensor_split=split), TWO)
    assert (*placed.layer_device, placed.output_device) == expected


def two_pools(first: int, second: int, *, used: int | None = 0) -> Machine:
    pools = (
        Pool("vram0", "vram", first),
        Pool("vram1", "vram", second, used_bytes=used),
        Pool("ram", "ram", 64 * GIB),
    )
    devices = (
        Device("cuda0", "cuda", "one", "vram0"),
        Device("cuda1", "cuda", "two", "vram1"),
        Device("cpu", "cpu", "x86-64", "ram"),
    )
    return Machine(pools=pools, devices=devices)


@pytest.mark.parametrize(
    ("machine", "expected"),
    [
        (two_pools(GIB, 3 * GIB), (0, 1, 1, 1)),
        (two_pools(GIB, 3 * GIB, used=2 * GIB), (0, 0, 1, 1)),
        (two_pools(GIB, 3 * GIB, used=3 * GIB), (0, 0, 1, 1)),  # one is full: evenly
    ],
)
def test_layers_are_shared_out_by_free_memory(machine: Machine, expected: tuple[int, ...]) -> None:
    placed = place_layers(3, PlacementRequest(), machine)
    assert (*placed.layer_device, placed.output_device) == expected


def test_where_free_memory_was_not_read_the_shares_are_one_each() -> None:
    placed = place_layers(3, PlacementRequest(), two_pools(GIB, 3 * GIB, used=None))
    assert placed.tensor_split == (1.0, 1.0)


def test_without_a_split_the_first_device_takes_all_and_the_others_shares_are_not_read() -> None:
    request = PlacementRequest(split_mode="none", tensor_split=(1.0, 9.0))
    placed = place_layers(3, request, TWO)
    assert [device.id for device in placed.accelerators] == ["cuda0"]
    assert placed.layer_device == (0, 0, 0)
    assert placed.tensor_split is None
    assert place_layers(3, PlacementRequest(split_mode="row"), ONE).layer_device == (0, 0, 0)


def test_shares_are_told_of_two_devices_and_more() -> None:
    asked = PlacementRequest(tensor_split=(1.0, 3.0))
    assert place_layers(3, asked, TWO).tensor_split == (1.0, 3.0)
    assert place_layers(3, PlacementRequest(), ONE).tensor_split is None


def test_devices_are_taken_in_the_order_they_are_named() -> None:
    placed = place_layers(3, PlacementRequest(devices=("CUDA1", "cuda0")), TWO)
    assert [device.id for device in placed.accelerators] == ["cuda1", "cuda0"]
    assert place_layers(3, PlacementRequest(devices=()), TWO).layer_device == (None,) * 3


@pytest.mark.parametrize(("asked", "is_on"), [(None, True), (True, True), (False, False)])
def test_offloading_is_on_until_it_is_switched_off(asked: bool | None, is_on: bool) -> None:
    placed = place_layers(3, PlacementRequest(kv_offload=asked, op_offload=asked), ONE)
    assert (placed.kv_offload, placed.op_offload) == (is_on, is_on)
    assert place_layers(3, PlacementRequest(mmap=asked), NONE).mmap is is_on


def placed_by_name(**request: object) -> Placement:
    return place_layers(4, PlacementRequest(**request), TWO)  # type: ignore[arg-type]


def test_the_first_override_that_matches_decides_and_experts_come_after() -> None:
    overrides = ((r"blk\.1\.", "cuda1"), (r"ffn", "CPU"))
    placed = placed_by_name(overrides=overrides, cpu_moe_layers=2)
    assert placed.device_of("blk.1.ffn_up.weight", 0) == 1
    assert placed.device_of("blk.2.ffn_up.weight", 0) is None
    assert placed.device_of("blk.0.attn_q.weight", 0) == 0
    assert placed.has_overrides


def test_experts_of_the_first_layers_stay_on_the_host_and_nothing_else_of_them() -> None:
    placed = placed_by_name(cpu_moe_layers=2)
    assert placed.device_of("blk.1.ffn_gate_exps.weight", 0) is None
    assert placed.device_of("blk.2.ffn_gate_exps.weight", 0) == 0
    assert placed.device_of("blk.1.ffn_gate.weight", 0) == 0
    assert placed.has_overrides
    none = placed_by_name(cpu_moe_layers=0)
    assert none.device_of("blk.0.ffn_gate_exps.weight", 0) == 0
    assert not none.has_overrides
    assert expert_layer("blk.12.ffn_up_chexps.bias") == 12
    assert expert_layer("output.weight") is None


def test_a_device_takes_part_with_memory_of_its_own_that_is_known() -> None:
    ids = [device.id for device in usable_accelerators(two_pools(GIB, GIB))]
    assert ids == ["cuda0", "cuda1"]
    machine = two_pools(GIB, GIB)
    unusable = replace(machine.devices[0], features=("unusable",))
    on_ram = replace(machine.devices[1], pool="ram")
    left = replace(machine, devices=(unusable, on_ram, machine.devices[2]))
    assert usable_accelerators(left) == ()
    unknown = replace(
        machine, pools=(replace(machine.pools[0], total_bytes=None), *machine.pools[1:])
    )
    assert [device.id for device in usable_accelerators(unknown)] == ["cuda1"]


def test_a_pattern_is_kept_with_the_device_it_names() -> None:
    assert placed_by_name(overrides=(("up", "HOST"), ("down", "cuda0"))).overrides == (
        (re.compile("up"), None),
        (re.compile("down"), 0),
    )


def test_shares_add_up_column_by_column() -> None:
    names = [field.name for field in fields(Share)]
    assert all(getattr(Share(), name) == 0 for name in names)
    one = Share(*(10**at for at in range(len(names))))
    two = Share(*(2 * 10**at for at in range(len(names))))
    assert one + two == Share(*(3 * 10**at for at in range(len(names))))
    assert one.total_bytes == 1_111
    assert Part("lora", "x", (one, two)).total == one + two
    assert Part("lora", "x", ()).total == Share()
    assert Part("lora", "x", ()).mapped_bytes == 0


@pytest.mark.parametrize(
    ("machine", "file_type", "kept"),
    [
        (ONE, "TQ2_0", {"TQ2_0"}),
        (ONE, "TQ1_0", {"TQ1_0"}),
        (ONE, "Q4_K_M", set()),
        (NONE, "TQ2_0", set()),
        (machine_expression("m4 max 64gb"), "TQ2_0", set()),
        (machine_expression("m4 max 64gb"), "TQ1_0", {"TQ1_0"}),
        (machine_expression("arc b580 + 64gb"), "TQ2_0", set()),
    ],
)
def test_what_a_device_cannot_multiply_with_stays_on_the_host(
    machine: Machine, file_type: str, kept: set[str]
) -> None:
    model = load_catalog_model("llama-3.2-1b", file_type=file_type)
    placed = resolve_placement(model, PlacementRequest(), machine)
    assert placed.host_types == kept
    assert placed.parts_layers is bool(kept)
    assert not placed.has_overrides
    # a file that does not say its type is looked through
    unnamed = resolve_placement(replace(model, file_type=None), PlacementRequest(), machine)
    assert unnamed.host_types == kept
    on_device = placed.device_of("blk.0.ffn_up.weight", 0, type_name="F32")
    assert on_device == 0
    for name in kept:
        assert placed.device_of("blk.0.ffn_up.weight", 0, type_name=name) is None
