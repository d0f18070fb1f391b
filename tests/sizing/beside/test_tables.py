"""Numbers that a module states: each as its source or its documentation has it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from whatfits.sizing.flash_attention import all_can_fuse, layers_can_fuse
from whatfits.sizing.mac_limit import mac_limit
from whatfits.sizing.machine import Device, Machine, Pool
from whatfits.sizing.overhead import device_overhead, process_overhead
from whatfits.sizing.placement import place_layers
from whatfits.sizing.reserve import (
    LIVE_RAM_RESERVE_BYTES,
    idle_ram_reserve_bytes,
    raised_limit_bytes,
)
from whatfits.sizing.units import GIB, MIB
from whatfits.sizing.vision import tower_parameters, vision_note
from whatfits.sizing.workload import PlacementRequest

if TYPE_CHECKING:
    from whatfits.sizing.model import ModelSpec

LONGEST_HEAD = 640
# ggml-cuda/fattn.cu: heads whose keys and values are equally long
CUDA_EVEN = {40, 64, 72, 80, 96, 112, 128, 256}  # and 512, for two query heads a key head or more
METAL = {32, 40, 48, 64, 72, 80, 96, 112, 128, 192, 256, 320, 512, 576}  # ggml-metal-device.m


def fuses(model: ModelSpec, kind: str, key: int, value: int, group: int = 1) -> bool:
    layer = replace(model.layers[0], key_length=key, value_length=value, n_head=group, n_head_kv=1)
    return all_can_fuse(replace(model, layers=(layer,)), [Device("x", kind, "x", "vram0")])


def test_each_back_end_has_kernels_for_the_lengths_of_its_source(plain_model: ModelSpec) -> None:
    lengths = range(1, LONGEST_HEAD + 1)
    assert {n for n in lengths if fuses(plain_model, "cuda", n, n)} == CUDA_EVEN
    assert {n for n in lengths if fuses(plain_model, "cuda", n, n, 2)} == CUDA_EVEN | {512}
    assert not fuses(plain_model, "cuda", 192, 127, 8)
    assert not fuses(plain_model, "cuda", 192, 129, 8)
    assert {n for n in lengths if fuses(plain_model, "metal", n, n)} == METAL
    assert {n for n in lengths if fuses(plain_model, "metal", n, 1)} == METAL - {72}
    assert {n for n in lengths if fuses(plain_model, "vulkan", n, 8)} == set(range(8, 641, 8))
    assert {n for n in lengths if fuses(plain_model, "vulkan", 8, n)} == set(range(8, 641, 8))
    uneven = {
        (key, value, group)
        for around, value in ((192, 128), (320, 256), (576, 512))
        for key in (around - 1, around, around + 1)
        for group in range(1, 65)
        if fuses(plain_model, "cuda", key, value, group)
    }
    assert uneven == {
        *((192, 128, group) for group in range(8, 65, 8)),
        *((320, 256, group) for group in (32, 64)),
        *((576, 512, group) for group in range(2, 65, 2)),
    }


def test_query_heads_of_a_key_head_are_counted_and_layers_without_either_are_not(
    plain_model: ModelSpec,
) -> None:
    cuda = [Device("x", "cuda", "x", "vram0")]
    wide = replace(plain_model.layers[0], key_length=192, value_length=128, n_head=32)
    assert all_can_fuse(replace(plain_model, layers=(replace(wide, n_head_kv=4),)), cuda)
    assert not all_can_fuse(replace(plain_model, layers=(replace(wide, n_head_kv=8),)), cuda)
    for none in ({"n_head": 0, "n_head_kv": 1}, {"n_head_kv": 0}):
        assert all_can_fuse(replace(plain_model, layers=(replace(wide, **none),)), cuda)
    unlisted = replace(plain_model, layers=(replace(wide, n_head_kv=8),), tensors=())
    assert all_can_fuse(unlisted, cuda)


def test_only_devices_with_a_layer_are_asked(plain_model: ModelSpec, gpu_box: Machine) -> None:
    old = replace(gpu_box.devices[1], features=("no_flash_attention",))
    machine = replace(gpu_box, devices=(gpu_box.devices[0], old, gpu_box.devices[2]))
    both = place_layers(plain_model.n_layers, PlacementRequest(), machine)
    partly = PlacementRequest(gpu_layers=2, tensor_split=(1.0, 0.0))
    first = place_layers(plain_model.n_layers, partly, machine)
    none = place_layers(plain_model.n_layers, PlacementRequest(gpu_layers=0), machine)
    layers = tuple(replace(one, key_length=64, value_length=64) for one in plain_model.layers)
    model = replace(plain_model, layers=layers)
    assert [layers_can_fuse(model, where) for where in (both, first, none)] == [
        False,
        True,
        True,
    ]


@pytest.mark.parametrize(
    ("kind", "mib"),
    [
        ("cuda", (200, 460, 768)),  # a context of 0.2 to 0.5 GiB; 451 and 456 MiB in a log
        ("rocm", (200, 500, 1024)),
        ("vulkan", (100, 460, 1126)),
        ("metal", (0, 0, 512)),
        ("unheard-of", (0, 500, 1126)),
    ],
)
def test_a_driver_holds_what_its_logs_showed(kind: str, mib: tuple[int, int, int]) -> None:
    assert device_overhead(kind)[:3] == tuple(size * MIB for size in mib)


def test_a_server_holds_about_ten_megabytes_and_a_library_nothing() -> None:
    assert process_overhead(is_server=True)[:3] == (0, 10 * MIB, 64 * MIB)
    assert process_overhead(is_server=False)[:3] == (0, 0, 0)


def test_a_system_keeps_what_is_written() -> None:
    assert LIVE_RAM_RESERVE_BYTES == 512 * MIB
    assert idle_ram_reserve_bytes("linux") == 2 * GIB


@pytest.mark.parametrize(
    ("total", "kept"),
    [(24 * GIB, 4), (24 * GIB + 2, 6), (48 * GIB, 6), (48 * GIB + 2, 8), (192 * GIB, 8)],
)
def test_what_a_mac_keeps_steps_up_above_24_and_48_gib(total: int, kept: int) -> None:
    assert raised_limit_bytes(total) == total - kept * GIB


def mac(os: str = "macos", **pool: int | None) -> Machine:
    sizes: dict[str, int | None] = {"total_bytes": 64 * GIB, "limit_bytes": 48 * GIB, **pool}
    return Machine(
        pools=(Pool("ram", "ram", GIB), Pool("unified", "unified", **sizes)),  # type: ignore[arg-type]
        devices=(Device("cpu", "cpu", "M", "ram"),),
        os=os,
    )


def test_a_macs_limit_is_told_with_what_would_raise_it() -> None:
    found = mac_limit(mac())
    assert found is not None
    assert found.sentence == (
        "CPU and GPU share 64.0 GiB; macOS lets the GPU take 48.0 GiB of it."
        " This raises it to 56.0 GiB until the next restart:"
    )
    assert found.command == f"sudo sysctl iogpu.wired_limit_mb={56 * 1024}"
    ranged = mac_limit(mac(limit_low_bytes=40 * GIB))
    assert ranged is not None
    assert "take 40.0 GiB to 48.0 GiB of it" in ranged.sentence
    raised = mac_limit(mac(limit_bytes=56 * GIB))
    assert raised is not None
    assert raised.command is None
    assert raised.sentence.endswith("take 56.0 GiB of it.")


@pytest.mark.parametrize("other", [{"os": "linux"}, {"total_bytes": None}, {"limit_bytes": None}])
def test_what_is_no_mac_or_not_known_has_no_limit_to_tell(other: dict[str, object]) -> None:
    assert mac_limit(mac(**other)) is None  # type: ignore[arg-type]
    assert mac_limit(replace(mac(), pools=mac().pools[:1])) is None


def test_a_towers_blocks_are_four_square_matrices_and_two_or_three_others() -> None:
    shape = {"hidden_size": 1000, "intermediate_size": 3000, "num_hidden_layers": 10}
    assert tower_parameters(shape) == (10 * 10_000_000, 10 * 13_000_000)
    other = {"vt_hidden_size": 10, "vt_intermediate_size": 30, "vt_num_hidden_layers": 2}
    assert tower_parameters(other) == (2 * 1000, 2 * 1300)
    for name in shape:
        assert tower_parameters({key: n for key, n in shape.items() if key != name}) is None
    assert "about 2.0 GiB in F16." in vision_note({}, parameters=GIB)
    assert "about 2.0 GiB in F16." in vision_note(shape, parameters=GIB)
