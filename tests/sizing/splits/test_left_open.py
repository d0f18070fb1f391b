"""When the split over accelerators is anybody's to choose: every part of that rule by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from plain_bills import cards

from whatfits.sizing.placement import place_layers
from whatfits.sizing.search.split_search import leaves_split_open
from whatfits.sizing.values import replace
from whatfits.sizing.workload import PlacementRequest

if TYPE_CHECKING:
    from whatfits.sizing.machine import Machine, Pool

ANY = PlacementRequest()
TWO = cards(10, 10)
HOST = TWO.pools[-1]


def is_open(
    machine: Machine = TWO,
    request: PlacementRequest = ANY,
    **placed: Any,  # noqa: ANN401 - fields of a request
) -> bool:
    """Return whether a request leaves the split open, with layers placed as told."""
    placement = place_layers(4, PlacementRequest(**placed), machine)
    return leaves_split_open(request, placement, machine)


def pooled(*pools: str) -> Machine:
    """Return two cards' machine with as many accelerators as pools are named."""
    card, cpu = TWO.devices[0], TWO.devices[-1]
    devices = [replace(card, id=f"gpu{i}", pool=pool) for i, pool in enumerate(pools)]
    return replace(TWO, devices=(*devices, cpu))


def test_two_cards_and_nothing_said_leave_it_open() -> None:
    assert is_open()
    assert is_open(cards(10, 10, 10))


@pytest.mark.parametrize(
    ("asked", "still_open"),
    [
        ({"tensor_split": (1.0, 1.0)}, False),
        ({"devices": ("gpu0", "gpu1")}, False),
        ({"devices": ()}, False),
        ({"overrides": (("ffn", "CPU"),)}, False),
        ({"overrides": ()}, True),
        ({"split_mode": "none"}, False),
        ({"split_mode": "row"}, False),
        ({"split_mode": "layer"}, True),
        ({"gpu_layers": 3}, True),
        ({"cpu_moe_layers": 2}, True),
    ],
    ids=str,
)
def test_what_was_said_of_devices_settles_it(asked: dict[str, Any], still_open: bool) -> None:
    assert is_open(request=PlacementRequest(**asked)) is still_open


@pytest.mark.parametrize(("layers", "still_open"), [(0, False), (1, True)])
def test_one_layer_is_enough_to_share_out(layers: int, still_open: bool) -> None:
    assert is_open(gpu_layers=layers) is still_open


def test_on_one_card_there_is_nothing_to_choose() -> None:
    assert not is_open(cards(10))
    assert not is_open(devices=("gpu0",))
    assert not is_open(devices=())


def test_each_accelerator_has_memory_of_its_own() -> None:
    assert is_open(pooled("vram0", "vram1"))
    assert not is_open(pooled("vram0", "vram0"))
    assert not is_open(pooled("vram0", "vram1", "vram1"))
    unified = replace(pooled("vram0", "ram"), pools=(*TWO.pools[:2], replace(HOST, kind="unified")))
    assert not is_open(unified)


@pytest.mark.parametrize("index", [0, 1])
def test_what_is_free_of_each_is_known(index: int) -> None:
    pools: list[Pool] = [*TWO.pools]
    pools[index] = replace(pools[index], used_bytes=None)
    assert not is_open(replace(TWO, pools=tuple(pools)))


def test_what_is_free_of_the_host_may_be_unknown() -> None:
    pools = (*TWO.pools[:2], replace(HOST, used_bytes=None))
    assert is_open(replace(TWO, pools=pools))
