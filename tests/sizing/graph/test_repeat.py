"""What the allocator does for layers that are left out: the same as if they were there."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from whatfits.sizing import load_machine, load_model
from whatfits.sizing.graph.allocator import peaks_of
from whatfits.sizing.graph.buffers import graph_buffers
from whatfits.sizing.graph.reduce import Stretch
from whatfits.sizing.graph.repeat import repeat_of
from whatfits.sizing.graph.steps import Mark, Step, Steps
from whatfits.sizing.placement import resolve_placement
from whatfits.sizing.settings import resolve_settings
from whatfits.sizing.workload import PlacementRequest, Workload

N_LAYERS = 24
STRETCH = Stretch(0, 1, N_LAYERS, 3)


class Layers:
    """Steps of equal layers, written down one after the other."""

    def __init__(self, fixed: list[Step], own: dict[int, int] | None = None) -> None:
        self.steps: list[Step] = []
        self.fixed = fixed
        self.own = own or {}
        self.marks: dict[int, Mark] = {}
        self._next = len(fixed)

    def take(self, size: int) -> int:
        self.steps.append((0, size))
        self._next += 1
        return self._next - 1

    def give(self, slot: int, size: int) -> None:
        self.steps.append((0, slot, 0, size))

    def begin(self, layer: int) -> None:
        self.marks[layer] = Mark(len(self.steps), self._next)

    def done(self) -> Steps:
        return Steps(self.fixed, self.steps, self.marks, self.own)


def stack(n_layers: int, sizes: list[int], *, kept: int = 0, own: bool = False) -> Steps:
    """Return a residual stream through layers that take and give back `sizes`.

    `kept`: bytes that each layer keeps for good; `own`: each layer has a leaf for itself.
    """
    fixed: list[Step] = [(0, 64)] + [(0, 96)] * (n_layers if own else 0)
    made = Layers(fixed, {1 + layer: layer for layer in range(n_layers)} if own else None)
    stream = made.take(128)
    for layer in range(n_layers):
        made.begin(layer)
        held = [made.take(size) for size in sizes]
        if kept:
            made.take(kept)
        if own:
            made.give(1 + layer, 96)
        for slot, size in zip(held[::2], sizes[::2], strict=True):
            made.give(slot, size)
        after = made.take(128)
        made.give(stream, 128)
        for slot, size in zip(held[1::2], sizes[1::2], strict=True):
            made.give(slot, size)
        stream = after
    made.give(stream, 128)
    made.give(0, 64)
    return made.done()


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize(("kept", "own"), [(0, False), (32, False), (0, True), (96, True)])
def test_left_out_layers_count_as_if_they_were_there(seed: int, kept: int, *, own: bool) -> None:
    rng = Random(seed)  # noqa: S311 - test data
    sizes = [32 * rng.randint(1, 12) for _ in range(rng.randint(1, 7))]
    few = stack(3, sizes, kept=kept, own=own)
    repeat = repeat_of(few, STRETCH, 0)
    assert repeat is not None
    assert repeat.copies == N_LAYERS - 3
    whole = peaks_of(stack(N_LAYERS, sizes, kept=kept, own=own), 1)
    assert peaks_of(few, 1, [repeat]) == whole
    if kept or own:
        assert peaks_of(few, 1) < whole


def test_layers_that_go_another_way_tell_nothing_of_those_left_out() -> None:
    steps = stack(3, [64, 32])
    steps.steps[steps.marks[1].step] = (0, 256)
    assert repeat_of(steps, STRETCH, 0) is None


def test_memory_that_only_the_end_gives_back_tells_nothing_either() -> None:
    steps = stack(3, [64], kept=32)
    second = steps.marks[1].slot + 1
    steps.steps.append((0, second, 0, 32))
    assert repeat_of(steps, STRETCH, 0) is None


def test_a_layer_without_a_weight_cannot_be_found_in_the_steps() -> None:
    steps = stack(3, [64])
    del steps.marks[1]
    assert repeat_of(steps, STRETCH, 0) is None


def test_inputs_kept_for_a_pipeline_serve_all_layers() -> None:
    spec = load_model("nemotron-h-56b")
    machine = load_machine("2x h100 pcie + 64gb")
    devices = tuple(
        replace(device, features=(*device.features, "no_flash_attention"))
        if device.kind == "cuda"
        else device
        for device in machine.devices
    )
    settings = resolve_settings(spec, Workload(flash_attention="on"), flash_supported=True)
    asked = (
        spec,
        settings,
        resolve_placement(spec, PlacementRequest(), replace(machine, devices=devices)),
    )
    assert graph_buffers(*asked) == graph_buffers(*asked, whole=True)


@pytest.mark.parametrize(
    ("model", "machine", "request_"),
    [
        ("deepseek-v4-flash", "h100 pcie + 64gb", PlacementRequest()),
        ("deepseek-v3.2", "2x h100 pcie + 64gb", PlacementRequest()),
        ("glm-5.3-flash", "h100 pcie + 64gb", PlacementRequest()),
        ("minimax-m3", "h100 pcie + 64gb", PlacementRequest()),
        ("rwkv7-0.4b", "2x h100 pcie + 64gb", PlacementRequest()),
        ("gemma-3n-e4b", "h100 pcie + 64gb", PlacementRequest()),
        ("exaone-4.0-32b", "2x h100 pcie + 64gb", PlacementRequest(kv_offload=False)),
        ("nemotron-h-4b", "h100 pcie + 64gb", PlacementRequest(gpu_layers=20)),
        ("qwen3.5-35b-a3b", "h100 pcie + 64gb", PlacementRequest(cpu_moe_layers=17)),
        ("lfm2-350m", "4x h100 pcie + 64gb", PlacementRequest()),
    ],
)
def test_a_model_takes_what_it_takes_with_every_layer(
    model: str, machine: str, request_: PlacementRequest
) -> None:
    spec = load_model(model)
    settings = resolve_settings(spec, Workload(), flash_supported=True)
    placement = resolve_placement(spec, request_, load_machine(machine))
    reduced = graph_buffers(spec, settings, placement)
    assert reduced is not None
    assert reduced == graph_buffers(spec, settings, placement, whole=True)
