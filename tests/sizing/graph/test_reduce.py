"""Which layers are replayed, and what the allocator's states change about it."""

from __future__ import annotations

import pytest

from whatfits.sizing.graph.reduce import corrected, layers_of, stretches_of


def settled(kinds: list[str], *, cycle: int, warm_up: int = 1) -> tuple[int, ...]:
    """Return the layers that are kept when states come back every `cycle` layers."""
    stretches = stretches_of(kinds)
    while True:
        states = {
            layer: ("early", place) if place < warm_up else (place - warm_up) % cycle
            for place, layer in enumerate(layers_of(stretches))
        }
        better = corrected(stretches, states)
        if better is None:
            return layers_of(stretches)
        stretches = better


@pytest.mark.parametrize("n_layers", range(10, 70))
@pytest.mark.parametrize("cycle", [1, 2, 3, 4, 5])
def test_what_is_left_out_is_a_multiple_of_the_cycle(n_layers: int, cycle: int) -> None:
    kept = settled(["layer"] * n_layers, cycle=cycle)
    assert (n_layers - len(kept)) % cycle == 0
    assert len(kept) < n_layers or n_layers < 4 * cycle


def test_the_last_layers_are_kept() -> None:
    kept = settled(["layer"] * 40, cycle=1)
    assert kept == tuple(range(40 - len(kept), 40))


def test_layers_that_differ_are_all_kept() -> None:
    assert settled(["first", *["layer"] * 30, "last"], cycle=2)[0] == 0
    assert settled(["a", "b", "c"], cycle=1) == (0, 1, 2)


def test_states_that_never_come_back_keep_every_layer() -> None:
    assert settled(["layer"] * 33, cycle=1000) == tuple(range(33))


def test_a_pattern_of_layers_is_kept_twice() -> None:
    kinds = [*["window"] * 5, "full"] * 8
    assert len(settled(kinds, cycle=6, warm_up=3)) == 12
