"""The longest context of what spills: what trying every one finds, after a few searches."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import pytest
from small_boxes import DENSE, EXPERTS, box, judged, model, needs, search

from whatfits.sizing.search.rooms import rooms_of
from whatfits.sizing.search.trials import Trials
from whatfits.sizing.units import KIB, MIB
from whatfits.sizing.workload import PlacementRequest

if TYPE_CHECKING:
    from whatfits.sizing.machine import Machine
    from whatfits.sizing.search.trial import Trial

STEP = 256
BOXES = [(DENSE, 830 * MIB), (DENSE, 870 * MIB), (EXPERTS, 1000 * MIB), (EXPERTS, 1300 * MIB)]


@cache
def spilled(name: str, cards: tuple[int, ...], context: int) -> Trial:
    """Return the best placement beside RAM that is no bound."""
    return search(name, box(*cards), context_tokens=context).best()


def longest(name: str, cards: tuple[int, ...], ram: int, context: int = STEP) -> int | None:
    found = search(name, box(*cards, ram=ram), context_tokens=context)
    return found.largest_context(found.best())


def trained(name: str) -> int:
    tokens = model(name).hparams.context_train_tokens
    assert tokens is not None
    return tokens


def counted(found: Trials, name: str) -> int | None:
    """Return the longest context that runs, by trying all."""
    contexts = range(STEP, trained(name) + 1, STEP)
    return max((tokens for tokens in contexts if found.best(tokens).runs), default=None)


@pytest.mark.parametrize("tokens", [512, 1024, 3328])
@pytest.mark.parametrize(("name", "card"), BOXES)
def test_ram_of_exactly_the_bytes_of_a_context_runs_it(name: str, card: int, tokens: int) -> None:
    trial = spilled(name, (card,), tokens)
    assert trial.judgement.verdict == "slow"
    for less in (0, 1):
        ram = needs(trial)["ram"] - less
        expected = counted(search(name, box(card, ram=ram)), name)
        assert (expected or 0) >= tokens or less
        for asked in (STEP, 2048):
            assert longest(name, (card,), ram, asked) == expected


@pytest.mark.parametrize(("name", "card"), BOXES)
def test_all_but_the_longest_context_may_run(name: str, card: int) -> None:
    last = trained(name) - STEP
    ram = needs(spilled(name, (card,), last))["ram"]
    assert longest(name, (card,), ram) == last
    assert (
        longest(name, (card,), needs(spilled(name, (card,), trained(name)))["ram"]) == last + STEP
    )


@pytest.mark.parametrize("ram", [500, 600, 700])
@pytest.mark.parametrize("cards", [(1000, 900), (900, 1100), (850, 850)])
def test_layers_over_two_cards_are_shared_out_anew_at_each_context(
    cards: tuple[int, int], ram: int
) -> None:
    sizes = (cards[0] * MIB, cards[1] * MIB)
    expected = counted(search(EXPERTS, box(*sizes, ram=ram * MIB)), EXPERTS)
    assert longest(EXPERTS, sizes, ram * MIB) == expected


def test_where_not_even_the_shortest_context_runs_there_is_none() -> None:
    least = needs(spilled(DENSE, (830 * MIB,), STEP))["ram"]
    assert longest(DENSE, (830 * MIB,), least - 1) is None
    assert longest(DENSE, (830 * MIB,), least) == STEP


@pytest.mark.parametrize("tokens", [1024, 2048, 3072])
@pytest.mark.parametrize(("name", "card"), BOXES)
def test_a_few_searches_tell_it(
    name: str, card: int, tokens: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A search takes up to four trials, of a mixture seven; closing in by room alone took 54."""
    ram = needs(spilled(name, (card,), tokens))["ram"]
    found = search(name, box(card, ram=ram), context_tokens=STEP)
    first = found.best()
    made = judged(monkeypatch)
    assert found.largest_context(first) is not None
    assert len(made) <= 28


@pytest.mark.parametrize("tokens", [2048, 3072])
@pytest.mark.parametrize(("name", "card"), BOXES)
def test_one_guess_leads_to_the_longest_context_and_the_next_is_proof(
    name: str, card: int, tokens: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    ram = needs(spilled(name, (card,), tokens))["ram"]
    found = search(name, box(card, ram=ram), context_tokens=STEP)
    first = found.best()
    searched: list[int | None] = []
    best = Trials.best

    def noted(trials: Trials, context_tokens: int | None = None) -> Trial:
        searched.append(context_tokens)
        return best(trials, context_tokens)

    monkeypatch.setattr(Trials, "best", noted)
    assert found.largest_context(first) == tokens
    longest, guess, *rest = searched
    assert (longest, rest) == (trained(name), [tokens, tokens + STEP])
    assert guess is not None
    assert tokens - 4 * STEP < guess < tokens


def left(trial: Trial, machine: Machine) -> tuple[int, int]:
    """Return the room of the fullest card, 0 without one, and that of the host."""
    rooms = {pool.id: room for pool, room in rooms_of(trial, machine)}
    host = rooms.pop("ram")
    cards = [rooms[device.pool] for device in trial.placement.accelerators]
    return min(cards, default=0), host


REQUESTS = [
    PlacementRequest(),
    PlacementRequest(gpu_layers=3),
    PlacementRequest(gpu_layers=20),
    PlacementRequest(cpu_moe_layers=1),
    PlacementRequest(cpu_moe_layers=20),
    PlacementRequest(devices=()),
]


@pytest.mark.parametrize("context", [256, 1024, 4096])
@pytest.mark.parametrize("cards", [(1200,), (900, 1100)])
def test_what_was_tried_leaves_what_it_left(cards: tuple[int, ...], context: int) -> None:
    machine = box(*(size * MIB for size in cards), ram=900 * MIB)
    found = search(EXPERTS, machine, context_tokens=context)
    told = found.spilled_context()
    trials = [found.tried(request, tokens) for tokens in (1024, 4096, 256) for request in REQUESTS]
    told.learn()
    for trial in trials:
        assert told.rooms(trial.request, trial.settings) == left(trial, machine)


@pytest.mark.parametrize("request_", [one for one in REQUESTS if one.gpu_layers is None])
def test_between_two_contexts_it_is_told_by_the_line_through_them(
    request_: PlacementRequest,
) -> None:
    """Where all layers are on cards, or none, working memory grows evenly with the context."""
    machine = box(1200 * MIB, ram=900 * MIB)
    found = search(EXPERTS, machine, context_tokens=1024)
    told = found.spilled_context()
    for tokens in (256, 1024, 4096):  # the first lies on no line with the others
        found.tried(request_, tokens)
    told.learn()
    for tokens in (768, 2048, 3584):
        trial = search(EXPERTS, machine).tried(request_, tokens)
        for one, exact in zip(
            told.rooms(request_, trial.settings), left(trial, machine), strict=True
        ):
            assert abs(one - exact) <= 16 * KIB


def test_kinds_that_nobody_tried_are_not_guessed_at(monkeypatch: pytest.MonkeyPatch) -> None:
    size = needs(search(DENSE, box(2**36), context_tokens=1024).first())["vram0"]
    spilling = search(DENSE, box(size), context_tokens=4096).best()
    assert spilling.judgement.verdict == "slow"
    monkeypatch.setattr(Trials, "best", Trials.first)
    assert search(DENSE, box(size), context_tokens=4096).largest_context(spilling) == 1024


def test_ram_of_unknown_size_runs_nothing_that_spills() -> None:
    found = search(DENSE, box(830 * MIB, ram=None), context_tokens=STEP)
    assert found.largest_context(found.best()) is None


def test_a_limit_of_slots_counts_for_each_of_them() -> None:
    found = search(DENSE, box(830 * MIB), context_tokens=2048, parallel=4)
    assert found.largest_context(found.best()) == 4 * trained(DENSE)
