"""The longest context of what spills: what trying every one finds, after a few searches."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import pytest
from small_boxes import DENSE, EXPERTS, box, judged, model, needs, search

from whatfits.sizing.search import Trials
from whatfits.sizing.units import MIB

if TYPE_CHECKING:
    from whatfits.sizing.trial import Trial

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


def test_ram_of_unknown_size_runs_nothing_that_spills() -> None:
    found = search(DENSE, box(830 * MIB, ram=None), context_tokens=STEP)
    assert found.largest_context(found.best()) is None


def test_a_limit_of_slots_counts_for_each_of_them() -> None:
    found = search(DENSE, box(830 * MIB), context_tokens=2048, parallel=4)
    assert found.largest_context(found.best()) == 4 * trained(DENSE)
