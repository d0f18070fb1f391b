"""Which layers are replayed."""

from __future__ import annotations

import pytest

from whatfits.sizing.graph.reduce import layers_of, more_of, stretches_of


def kept(kinds: list[str]) -> tuple[int, ...]:
    return layers_of(stretches_of(kinds))


@pytest.mark.parametrize("n_layers", [3, 6, 10, 40, 93])
def test_of_equal_layers_the_last_three_are_kept(n_layers: int) -> None:
    assert kept(["layer"] * n_layers) == tuple(range(n_layers - 3, n_layers))


def test_more_are_kept_where_more_are_asked_for() -> None:
    assert layers_of(stretches_of(["layer"] * 40, 4)) == (36, 37, 38, 39)


def test_too_few_to_save_anything_are_all_kept() -> None:
    assert kept(["layer"] * 5) == (0, 1, 2, 3, 4)


def test_layers_that_differ_are_all_kept() -> None:
    assert kept(["first", *["layer"] * 30, "last"]) == (0, 28, 29, 30, 31)
    assert kept(["a", "b", "c"]) == (0, 1, 2)


def test_a_pattern_of_layers_is_kept_twice() -> None:
    assert len(kept([*["window"] * 5, "full"] * 8)) == 12


def test_ever_more_is_kept_until_all_is() -> None:
    (stretch,) = stretches_of(["layer"] * 33)
    seen = [stretch.kept]
    while stretch.kept < stretch.repeats:
        stretch = more_of(stretch)
        seen.append(stretch.kept)
    assert seen == [3, 4, 6, 9, 13, 19, 28, 33]
    assert stretch.layers == range(33)
