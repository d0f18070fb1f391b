"""A graph is built and laid out no more often than its answer takes.

What is worked out a second time comes out the same: nobody would see it but in the time.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from whatfits.sizing.catalog.machines import machine_expression
from whatfits.sizing.graph import buffers
from whatfits.sizing.placement import resolve_placement
from whatfits.sizing.settings import resolve_settings
from whatfits.sizing.sources.catalog_model import load_catalog_model
from whatfits.sizing.workload import PlacementRequest, Workload

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from whatfits.sizing.graph.context import GraphContext
    from whatfits.sizing.graph.reduce import Stretch
    from whatfits.sizing.graph.scheduler import Backends
    from whatfits.sizing.graph.steps import Steps

CPU, GPU, TWO = "64gb", "rtx-3090 + 64gb", "2x rtx-3090 + 64gb"
BY_NAME = {"overrides": (("ffn_up", "CPU"),)}
LOOK = "FLASH_ATTN_EXT"


@dataclass
class Work:
    """What was done for an answer: tokens of graphs, (pinned, with scratch space), operations.

    `fused` are those with what a device changes in the graph.
    """

    tokens: list[int] = field(default_factory=list)
    laid: list[tuple[bool, bool]] = field(default_factory=list)
    fused: list[tuple[bool, bool]] = field(default_factory=list)
    looked_for: list[str] = field(default_factory=list)
    counted: int = 0


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Work]:
    def asked(
        machine: str,
        model: str = "llama-3.2-1b",
        placed: dict[str, Any] | None = None,
        **workload: Any,  # noqa: ANN401
    ) -> Work:
        done = Work()

        class Watched(buffers.Graph):
            def __init__(self, c: GraphContext, backends: Backends, kinds: Sequence[str]) -> None:
                done.tokens.append(c.n_tokens)
                super().__init__(c, backends, kinds)

            def steps(self, *, pinned: bool, scratch: bool, fused: bool = False) -> Steps:
                (done.fused if fused else done.laid).append((pinned, scratch))
                return super().steps(pinned=pinned, scratch=scratch, fused=fused)

            def places_of(self, op: str, *, pinned: bool) -> list[int | None]:
                done.looked_for.append(op)
                return super().places_of(op, pinned=pinned)

            def size_of_period(self, stretch: Stretch, first_layer: int) -> int:
                done.counted += 1
                return super().size_of_period(stretch, first_layer)

        monkeypatch.setattr(buffers, "Graph", Watched)
        spec = load_catalog_model(model, file_type="Q4_K_M")
        flash = {"flash_supported": True}
        settings = resolve_settings(spec, Workload(**{"context_tokens": 4096, **workload}), **flash)
        request = PlacementRequest(**(placed or {}))
        placement = resolve_placement(spec, request, machine_expression(machine))
        assert buffers.graph_buffers(spec, settings, placement) is not None
        return done

    return asked


@pytest.mark.parametrize(
    ("machine", "placed", "tokens", "matter"),
    [
        (CPU, {}, 512, False),
        (CPU, {}, 16, False),
        (GPU, {}, 512, False),
        # a few tokens are pinned whatever lies on the host; all layers on the device are alike
        (GPU, {}, 16, False),
        (GPU, {"gpu_layers": 5}, 16, True),
        (GPU, {"gpu_layers": 5}, 31, True),
        (GPU, {"gpu_layers": 5}, 32, False),
        (GPU, {"gpu_layers": 5}, 512, False),
        (GPU, BY_NAME, 512, True),
        (GPU, {"kv_offload": False}, 512, True),
        (TWO, {}, 512, True),
        (TWO, {"gpu_layers": 5}, 16, True),
    ],
)
def test_a_graph_is_laid_out_without_pins_only_where_they_matter(
    machine: str, placed: dict[str, Any], tokens: int, *, matter: bool, ask: Callable[..., Work]
) -> None:
    done = ask(machine, placed=placed, micro_batch=tokens, flash_attention="on")
    assert set(done.laid) == {(True, True), *([(False, True)] if matter else [])}
    assert set(done.tokens) == {tokens}


@pytest.mark.parametrize(
    ("machine", "keys", "values", "flash", "has_scratch"),
    [
        (CPU, "q8_0", "q8_0", "on", False),
        (GPU, "f16", "f16", "on", False),
        (GPU, "q8_0", "q8_0", "on", True),
        (GPU, "q8_0", "f16", "on", True),
        (GPU, "f16", "q8_0", "on", True),
        (GPU, "q8_0", "f16", "off", False),
        ("mi300x + 64gb", "q8_0", "q8_0", "on", True),
        ("arc-b580 + 64gb", "q8_0", "q8_0", "on", False),
        ("m4-max-64gb", "f16", "f16", "on", True),
        ("m4-max-64gb", "f16", "f16", "off", True),
    ],
)
def test_scratch_space_is_left_out_only_where_there_may_be_some(
    machine: str, keys: str, values: str, flash: str, *, has_scratch: bool, ask: Callable[..., Work]
) -> None:
    done = ask(machine, kv_type_k=keys, kv_type_v=values, flash_attention=flash)
    assert [scratch for _, scratch in done.laid] == [True, *([False] if has_scratch else [])]


@pytest.mark.parametrize(
    ("machine", "model", "placed", "workload", "looks"),
    [
        (CPU, "llama-3.2-1b", {}, {}, False),
        (CPU, "granite-4.0-h-350m", {}, {}, False),
        (CPU, "llama-3.2-1b", {"kv_offload": False}, {}, False),
        (GPU, "llama-3.2-1b", {}, {}, False),
        (GPU, "llama-3.2-1b", {"gpu_layers": 5}, {}, False),
        (GPU, "llama-3.2-1b", BY_NAME, {}, True),
        (GPU, "llama-3.2-1b", {"kv_offload": False}, {}, True),
        (GPU, "llama-3.2-1b", {"kv_offload": False}, {"flash_attention": "on"}, False),
        (GPU, "granite-4.0-h-350m", {}, {}, True),
        (GPU, "gemma-4-e2b", {}, {}, True),
        (GPU, "llama-3.2-1b", {"gpu_layers": 5}, {"parallel": 31}, False),
        (GPU, "llama-3.2-1b", {"gpu_layers": 5}, {"parallel": 32}, True),
        (GPU, "llama-3.2-1b", {}, {"parallel": 32}, False),
    ],
)
def test_where_attention_lands_is_looked_at_only_where_it_may_stray(
    machine: str,
    model: str,
    placed: dict[str, Any],
    workload: dict[str, Any],
    *,
    looks: bool,
    ask: Callable[..., Work],
) -> None:
    done = ask(machine, model, placed, **workload)
    assert done.looked_for == ([LOOK] if looks else [])
    few = workload.get("parallel", 1)
    assert (few in done.tokens) is looks


def test_streams_are_looked_at_on_devices_in_one_graph_of_few_tokens(
    ask: Callable[..., Work],
) -> None:
    streams = ["DSV4_HC_PRE", "DSV4_HC_COMB", "DSV4_HC_POST"]
    assert ask(CPU, "deepseek-v4-flash").looked_for == []
    on_device = ask("h100 pcie + 64gb", "deepseek-v4-flash", flash_attention="on")
    assert on_device.looked_for == streams
    assert sorted(on_device.tokens) == [1, 512]


def test_steps_are_counted_only_where_they_may_be_too_many(ask: Callable[..., Work]) -> None:
    assert ask(CPU, "llama-3.2-1b").counted == 0
    assert ask(CPU, "qwen2.5-7b").counted == 0
    # 243 tensors for 40 layers: more than six tenths of the room
    assert ask(CPU, "phi-4").counted == 1


@pytest.mark.parametrize(
    ("machine", "model", "changes"),
    [
        (CPU, "llama-3.2-1b", False),
        (GPU, "llama-3.2-1b", False),
        # CUDA changes what is around experts alone
        (GPU, "granite-3.0-1b-a400m", True),
        ("mi300x + 64gb", "llama-3.2-1b", False),
        ("mi300x + 64gb", "granite-3.0-1b-a400m", True),
        ("arc-b580 + 64gb", "llama-3.2-1b", True),
        ("m4-max-64gb", "llama-3.2-1b", True),
    ],
)
def test_a_changed_graph_is_laid_out_once_and_only_where_a_device_may_change_it(
    machine: str, model: str, *, changes: bool, ask: Callable[..., Work]
) -> None:
    assert ask(machine, model, micro_batch=512).fused == [(False, True)] * changes
