"""What is answered where no placement runs: a tight one first, else the one least short."""

from __future__ import annotations

from dataclasses import replace

import pytest
from small_boxes import DENSE, PLENTY, box, model, needs, search, tried

from whatfits.sizing.workload import PlacementRequest

CONTEXT = 32_768  # a cache as large as the driver's share is uncertain
N_LAYERS = model(DENSE).n_layers
WHOLE = tried(DENSE, box(PLENTY), CONTEXT)
BY_LAYERS = [tried(DENSE, box(PLENTY), CONTEXT, gpu_layers=n) for n in range(N_LAYERS + 1)]


def middle(trial: object, pool: str) -> int:
    """Return the middle of what a trial needs of a pool, in bytes."""
    rows = trial.memory.devices  # type: ignore[attr-defined]
    return sum(row.total_bytes for row in rows if row.pool == pool)


def best(*cards: int, ram: int | None, **placement: object) -> object:
    request = PlacementRequest(**placement)  # type: ignore[arg-type]
    return search(DENSE, box(*cards, ram=ram), request, context_tokens=CONTEXT).best()


def test_everything_on_the_card_comes_before_a_tight_fit_elsewhere() -> None:
    found = best(middle(WHOLE, "vram0"), ram=needs(WHOLE)["ram"])
    assert found.judgement.verdict == "tight"
    assert found.request == PlacementRequest()


@pytest.mark.parametrize("layers", [1, 5, 12])
def test_a_tight_placement_comes_before_one_that_does_not_fit(layers: int) -> None:
    card, ram = needs(BY_LAYERS[layers])["vram0"], middle(BY_LAYERS[layers], "ram")
    assert card < middle(WHOLE, "vram0")
    found = best(card, ram=ram)
    assert found.judgement.verdict == "tight"
    assert found.request == PlacementRequest(gpu_layers=layers)


def test_the_host_alone_may_be_the_tight_one() -> None:
    alone = tried(DENSE, box(PLENTY), CONTEXT, devices=())
    found = best(0, ram=middle(alone, "ram"))
    assert found.judgement.verdict == "tight"
    assert found.request == PlacementRequest(devices=())


@pytest.mark.parametrize("ram", [0, 100, 200, 500])
@pytest.mark.parametrize("card", [0, 600, 1000, 1100, 1200])
def test_of_what_does_not_fit_the_least_short_is_told(card: int, ram: int) -> None:
    machine = box(card * 2**20, ram=ram * 2**20)
    free = machine.pool("vram0").total_bytes
    assert free is not None
    layers = [n for n in range(1, N_LAYERS + 1) if needs(BY_LAYERS[n])["vram0"] <= free]
    requests = [
        PlacementRequest(),
        *(PlacementRequest(gpu_layers=n) for n in layers[-1:]),
        PlacementRequest(devices=()),
    ]
    trials = [search(DENSE, machine, one, context_tokens=CONTEXT).first() for one in requests]
    found = best(card * 2**20, ram=ram * 2**20)
    assert not any(trial.runs for trial in trials)
    tight = [trial for trial in trials if trial.judgement.verdict == "tight"]
    expected = min(tight or trials, key=lambda t: 0 if tight else t.judgement.shortfall_bytes)
    assert found.request == expected.request


def test_what_cannot_be_judged_is_no_better_than_what_does_not_fit() -> None:
    """With RAM of unknown size only the card is judged, and nothing is known of what spills."""
    found = best(middle(WHOLE, "vram0") // 2, ram=None)
    assert found.judgement.verdict == "no"
    assert found.request == PlacementRequest()
    assert best(needs(WHOLE)["vram0"], ram=None).judgement.verdict == "fits"


def test_what_cannot_be_judged_is_told_as_it_was_asked_for() -> None:
    """A cache on the host is a cache of unknown room: there is nothing better to try."""
    found = best(PLENTY, ram=None, kv_offload=False)
    assert found.judgement.verdict == "unknown"
    assert found.request == PlacementRequest(kv_offload=False)


def test_a_card_whose_use_could_not_be_read_is_never_sure() -> None:
    machine = box(PLENTY)
    pools = (replace(machine.pools[0], used_bytes=None), *machine.pools[1:])
    found = search(DENSE, replace(machine, pools=pools), context_tokens=CONTEXT).best()
    assert found.judgement.verdict == "slow"
    assert found.request == PlacementRequest(devices=())
