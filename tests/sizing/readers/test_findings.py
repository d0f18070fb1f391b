"""What was odd is told once a rule, with its first example and how many more there are."""

from __future__ import annotations

import pytest

from whatfits.sizing.readers.findings import Findings


@pytest.mark.parametrize(
    ("times", "more"), [(1, ""), (2, " and 1 more"), (3, " and 2 more"), (1_001, " and 1,000 more")]
)
def test_the_first_example_is_shown_and_the_others_are_counted(times: int, more: str) -> None:
    findings = Findings()
    for number in range(times):
        findings.add("odd name", f"n{number}\n")
        findings.add("odd file")
    shown = "'n0\N{REPLACEMENT CHARACTER}'"
    assert findings.lines() == (f"odd name: {shown}{more}", f"odd file{more}")


def test_where_nothing_is_odd_nothing_is_said() -> None:
    assert Findings().lines() == ()


def test_an_example_that_comes_later_is_no_first_one() -> None:
    findings = Findings()
    findings.add("odd")
    findings.add("odd", "late")
    findings.add("other", 0)
    assert findings.lines() == ("odd and 1 more", "other: '0'")
