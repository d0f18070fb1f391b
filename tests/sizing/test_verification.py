"""A check's verdict: equal, inside, outside, or not measured."""

from __future__ import annotations

from whatfits.sizing.verification import CheckedTerm, verdict_of

EQUAL = CheckedTerm("weights", "cpu", 100, 100, 100, 100, 100)
UNASKED = CheckedTerm("output", "cpu", 100, 100, 100)
NEAR = CheckedTerm("compute", "cpu", 100, 90, 110, 105)
FAR = CheckedTerm("compute", "cpu", 100, 90, 110, 111)
RESIDENT = CheckedTerm("resident", "cpu", 100, 90, 110, None, 95)


def test_the_truth_is_the_load_else_the_plan() -> None:
    assert (NEAR.miss_bytes, NEAR.inside) == (5, True)
    assert (FAR.miss_bytes, FAR.inside) == (11, False)
    loaded = CheckedTerm("compute", "cpu", 100, 90, 110, 100, 89)
    assert (loaded.miss_bytes, loaded.inside) == (-11, False)
    assert (UNASKED.miss_bytes, UNASKED.inside) == (None, None)


def test_the_ends_of_an_interval_belong_to_it() -> None:
    for truth in (90, 110):
        assert CheckedTerm("compute", "cpu", 100, 90, 110, truth).inside


def test_one_truth_outside_decides() -> None:
    assert verdict_of((EQUAL, FAR, RESIDENT)) == "outside"


def test_equal_is_said_only_when_no_byte_misses() -> None:
    assert verdict_of((EQUAL, UNASKED)) == "equal"
    assert verdict_of((EQUAL, NEAR)) == "inside"


def test_resident_memory_need_not_be_equal_but_inside() -> None:
    assert verdict_of((EQUAL, RESIDENT)) == "equal"
    assert verdict_of((RESIDENT,)) == "inside"
    outside = CheckedTerm("resident", "cpu", 100, 90, 110, None, 111)
    assert verdict_of((EQUAL, outside)) == "outside"


def test_nothing_asked_is_nothing_measured() -> None:
    assert verdict_of((UNASKED,)) == "not measured"
    assert verdict_of(()) == "not measured"
