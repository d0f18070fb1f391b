"""What goes to the host, held against counting: every placement there is, at every edge.

Cards are made of exactly the bytes that a placement needs, and of one byte less.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest
from small_boxes import DENSE, EXPERTS, PLENTY, box, judged, model, needs, search, tried, unified

from whatfits.sizing.placement import layer_devices
from whatfits.sizing.search.spilling import can_spill
from whatfits.sizing.search.trials import Trials
from whatfits.sizing.units import MIB
from whatfits.sizing.workload import PlacementRequest, Workload

if TYPE_CHECKING:
    from collections.abc import Iterator

    from whatfits.sizing.machine import Machine
    from whatfits.sizing.search.trial import Trial

CONTEXT = 4096
HALVES = (1.0, 1.0)
THREE_TO_ONE = (3.0, 1.0)


@cache
def needed(name: str, split: tuple[float, ...] | None, **placement: int) -> dict[str, int]:
    """Return what a placement needs of each pool, on cards that hold everything."""
    cards = [PLENTY] * len(split or (1.0,))
    return needs(tried(name, box(*cards), CONTEXT, tensor_split=split, **placement))


def in_order(name: str) -> Iterator[dict[str, int]]:
    """Yield every placement, the preferred first: all on cards, fewer experts, fewer layers."""
    n_layers = model(name).n_layers
    yield {}
    if model(name).hparams.n_expert:
        yield from ({"cpu_moe_layers": count} for count in range(1, n_layers + 1))
    yield from ({"gpu_layers": count} for count in range(n_layers, 0, -1))


def counted(
    name: str, split: tuple[float, ...] | None, cards: tuple[int, ...]
) -> dict[str, int] | None:
    """Return the preferred placement whose needs the cards hold; None for the host alone."""
    free = {f"vram{index}": size for index, size in enumerate(cards)}
    for placement in in_order(name):
        need = needed(name, split, **placement)
        if all(need[pool] <= size for pool, size in free.items()):
            return placement
    return None


def best(
    name: str,
    machine: Machine,
    split: tuple[float, ...] | None = None,
    **asked: Any,  # noqa: ANN401
) -> Trial:
    request = PlacementRequest(tensor_split=split)
    return search(name, machine, request, context_tokens=CONTEXT, **asked).best()


def agrees(name: str, split: tuple[float, ...] | None, cards: tuple[int, ...]) -> None:
    """The search finds what counting finds."""
    found = best(name, box(*cards), split)
    placement = counted(name, split, cards)
    assert found.runs
    if placement is None:
        assert found.request == PlacementRequest(tensor_split=split, devices=())
        assert found.placement.accelerators == ()
    else:
        assert found.request == PlacementRequest(tensor_split=split, **placement)
    assert found.judgement.verdict == ("slow" if placement != {} else "fits")


@pytest.mark.parametrize("name", [DENSE, EXPERTS])
@pytest.mark.parametrize("short", [0, 1])
def test_a_card_of_exactly_the_bytes_of_a_placement_holds_it(name: str, short: int) -> None:
    for placement in list(in_order(name))[:: 2 if name == DENSE else 6]:
        size = needed(name, None, **placement)["vram0"] - short
        agrees(name, None, (size,))


def test_a_card_that_holds_nothing_is_left_out() -> None:
    least = min(needed(DENSE, None, **placement)["vram0"] for placement in in_order(DENSE))
    for size in (0, 1, least - 1):
        found = best(DENSE, box(size))
        assert found.placement.accelerators == ()
        assert found.placement.gpu_layers == 0
        assert found.judgement.verdict == "slow"
    assert best(DENSE, box(least)).placement.gpu_layers > 0


def needs_more_after(
    name: str, split: tuple[float, ...], placement: dict[str, int], *, most_bytes: int = 16 * MIB
) -> bool:
    """Return whether a card needs a little more with all experts on the host than as placed.

    What a card keeps for fused steps may grow where the layer behind has its experts elsewhere.
    The search takes it that what leaves a card is never needed there again: within these few MiB
    it may leave more to the host than it has to.
    """
    if "cpu_moe_layers" not in placement:
        return False
    here = needed(name, split, **placement)
    last = needed(name, split, cpu_moe_layers=model(name).n_layers)
    more = max(last[card] - here[card] for card in ("vram0", "vram1"))
    assert more < most_bytes
    return more > 0


@pytest.mark.parametrize("split", [HALVES, THREE_TO_ONE])
@pytest.mark.parametrize("name", [DENSE, EXPERTS])
@pytest.mark.parametrize("short", [(0, 0), (1, 0), (0, 1)])
def test_two_cards_of_exactly_the_bytes_of_a_placement_hold_it(
    name: str, split: tuple[float, ...], short: tuple[int, int]
) -> None:
    asked = [p for p in list(in_order(name))[::10] if not needs_more_after(name, split, p)]
    assert len(asked) >= len(list(in_order(name))[::10]) - 1
    for placement in asked:
        need = needed(name, split, **placement)
        agrees(name, split, (need["vram0"] - short[0], need["vram1"] - short[1]))


@pytest.mark.parametrize(("small", "large"), [(0, 1), (1, 0)])
def test_a_card_too_small_for_its_share_bounds_what_both_hold(small: int, large: int) -> None:
    for layers in range(1, model(DENSE).n_layers + 1, 4):
        need = needed(DENSE, HALVES, gpu_layers=layers)
        cards = [0, 0]
        cards[small], cards[large] = need[f"vram{small}"], PLENTY
        agrees(DENSE, HALVES, (cards[0], cards[1]))


@pytest.mark.parametrize("name", [DENSE, EXPERTS])
def test_two_cards_are_shared_out_so_that_less_spills(name: str) -> None:
    """Cards of exactly what another split takes: llama.cpp's own, by what is free, spills more."""
    kind = "cpu_moe_layers" if name == EXPERTS else "gpu_layers"
    need = needed(name, (15.0, 10.0), **{kind: 10})
    found = best(name, box(need["vram0"], need["vram1"]))
    bound = Trials(
        model(name),
        box(need["vram0"], need["vram1"]),
        Workload(context_tokens=CONTEXT),
        PlacementRequest(),
        splits_move=False,
    ).best()
    assert found.runs
    assert found.request.tensor_split is not None
    assert found.placement.cpu_moe_layers <= bound.placement.cpu_moe_layers
    assert found.placement.gpu_layers >= bound.placement.gpu_layers
    assert found.placement != bound.placement


EVENLY = (1.0,) * 4


@pytest.mark.parametrize(
    ("cards", "numbers"),
    [
        ((973_635_712, 953_460_864, 1_000_671_360, 1_088_977_152), [4, 6]),
        ((978_231_424, 1_093_648_512, 962_652_288, 1_275_703_936), [4, 5, 8]),
        ((1_128_677_504, 953_460_864, 962_652_288, 1_088_977_152), [1, 4, 5, 8, 9]),
        ((1_103_884_288, 953_460_864, 1_021_305_856, 1_178_130_688), [1, 2, 3, 4, 5, 6, 8, 9]),
        ((1_020_846_208, 1_043_286_144, 1_000_671_360, 1_225_341_184), [4, 5, 6, 7, 8, 9, 12]),
        ((1_103_884_288, 1_093_648_512, 1_043_286_144, 1_275_703_936), [*range(1, 14), 16]),
    ],
)
def test_over_four_cards_a_number_may_leave_room_where_fewer_do_not(
    cards: tuple[int, ...], numbers: list[int]
) -> None:
    """Layers are shared out by index: one more of them can take one away from a card."""
    held = [
        layers
        for layers in range(1, 18)
        if all(
            needed("llama-3.2-1b", EVENLY, gpu_layers=layers)[f"vram{index}"] <= size
            for index, size in enumerate(cards)
        )
    ]
    assert held == numbers
    found = best("llama-3.2-1b", box(*cards), EVENLY)
    assert found.runs
    assert found.placement.gpu_layers == numbers[-1]


@pytest.mark.parametrize("layers", [3, 8, 11, 13, 16])
@pytest.mark.parametrize("short", [0, 1])
def test_a_card_between_two_large_ones_may_hold_less_of_fewer_layers(
    layers: int, short: int
) -> None:
    """With ends at 0.4 and 0.6 the second of three has 1 of 8 layers, 2 of 7 and 3 of 12."""
    split = (4.0, 2.0, 4.0)
    size = needed("llama-3.2-1b", split, gpu_layers=layers)["vram1"]
    agrees("llama-3.2-1b", split, (PLENTY, size - short, PLENTY))


@pytest.mark.parametrize("name", [DENSE, EXPERTS])
def test_a_search_on_one_card_makes_few_bills(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything, what the rough figures say, and the next that does not fit: no more."""
    kind = "gpu_layers" if name == DENSE else "cpu_moe_layers"
    sizes = [needed(name, None, **{kind: count})["vram0"] for count in range(2, 24, 4)]
    made = judged(monkeypatch)
    for size in sizes:
        made.clear()
        assert best(name, box(size)).runs
        assert len(made) == 3


def test_the_experts_stay_where_a_program_cannot_move_them() -> None:
    machine = box(needed(EXPERTS, None, cpu_moe_layers=8)["vram0"])
    asked = (model(EXPERTS), machine, Workload(context_tokens=CONTEXT), PlacementRequest())
    fixed, moved = Trials(*asked, experts_move=False).best(), Trials(*asked).best()
    assert (moved.placement.cpu_moe_layers, moved.request.gpu_layers) == (8, None)
    layers = fixed.placement.gpu_layers
    assert fixed.placement.cpu_moe_layers == 0
    sizes = [needed(EXPERTS, None, gpu_layers=n)["vram0"] for n in (layers, layers + 1)]
    assert sizes[0] <= needed(EXPERTS, None, cpu_moe_layers=8)["vram0"] < sizes[1]


def test_a_model_some_of_whose_layers_have_experts_moves_those() -> None:
    spec = model(EXPERTS)
    first = replace(spec.layers[0], n_expert=0)
    mixed = replace(spec, name="mixed", layers=(first, *spec.layers[1:]))
    machine = box(needs(tried(mixed, box(PLENTY), CONTEXT, cpu_moe_layers=8))["vram0"])
    found = search(mixed, machine, context_tokens=CONTEXT).best()
    assert found.request == PlacementRequest(cpu_moe_layers=8)


@pytest.mark.parametrize(
    "fixed",
    [
        {"gpu_layers": 31},
        {"gpu_layers": 20},
        {"cpu_moe_layers": 0},
        {"cpu_moe_layers": 3},
        {"overrides": (("ffn_up", "CPU"),)},
    ],
)
def test_a_placement_that_was_asked_for_is_not_changed(fixed: dict[str, Any]) -> None:
    request = PlacementRequest(**fixed)
    small = box(needed(DENSE, None, gpu_layers=5)["vram0"])
    found = search(DENSE, small, request, context_tokens=CONTEXT).best()
    assert found.request == request
    assert not found.runs


def test_other_wishes_are_kept_in_every_placement() -> None:
    request = PlacementRequest(kv_offload=False, op_offload=False, mmap=False, repack="off")
    found = search(DENSE, box(needed(DENSE, None, gpu_layers=5)["vram0"]), request).best()
    assert found.runs
    assert found.request.gpu_layers is not None
    kept = (found.request.kv_offload, found.request.op_offload, found.request.mmap)
    assert (*kept, found.request.repack) == (False, False, False, "off")


def test_on_unified_memory_nothing_moves() -> None:
    whole = needs(tried(DENSE, unified(PLENTY), CONTEXT))["unified"]
    enough, short = best(DENSE, unified(whole)), best(DENSE, unified(whole - 1))
    assert enough.judgement.verdict == "fits"
    assert enough.request == short.request == PlacementRequest()
    assert not short.runs
    assert short.judgement.shortfall_bytes == 1
    assert not can_spill(short.placement)


def test_without_a_card_there_is_one_placement() -> None:
    whole = needs(tried(DENSE, box(), CONTEXT))["ram"]
    enough, short = best(DENSE, box(ram=whole)), best(DENSE, box(ram=whole - 1))
    assert (enough.judgement.verdict, short.judgement.shortfall_bytes) == ("fits", 1)
    assert short.request == PlacementRequest()


def test_a_machine_with_one_card_of_its_own_memory_can_spill() -> None:
    shared = unified(PLENTY)
    card = box(PLENTY)
    both = type(card)(
        pools=(*shared.pools, card.pools[0]),
        devices=(shared.devices[0], card.devices[0], shared.devices[1]),
    )
    assert can_spill(tried(DENSE, both).placement)
    assert can_spill(tried(DENSE, card).placement)
    assert not can_spill(tried(DENSE, box()).placement)
    assert not can_spill(tried(DENSE, shared).placement)


def test_the_layers_that_are_kept_are_the_last_ones() -> None:
    found = best(DENSE, box(needed(DENSE, None, gpu_layers=12)["vram0"]))
    n_layers, on_gpu = model(DENSE).n_layers, found.placement.gpu_layers
    assert 12 <= on_gpu < n_layers
    placed = (*found.placement.layer_device, found.placement.output_device)
    assert placed == layer_devices(n_layers, on_gpu, [1.0])
