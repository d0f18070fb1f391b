"""Sizes and counts as people type them: a comma sets three digits apart, or is refused."""

from __future__ import annotations

import pytest

from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.units import GB, GIB, parse_bytes, parse_tokens, ungrouped


@pytest.mark.parametrize(
    ("text", "n_bytes"),
    [
        ("24GiB", 24 * GIB),
        ("24g", 24 * GIB),
        ("24 GB", 24 * GB),
        ("1.5gb", 1_500_000_000),
        ("1,500mb", 1_500_000_000),
        ("1,073,741,824", GIB),
        ("1_073_741_824", GIB),
        ("1,024.5 KiB", 1_049_088),
        ("\N{FULLWIDTH DIGIT TWO}GiB", 2 * GIB),
    ],
)
def test_groups_of_three_digits_are_one_number(text: str, n_bytes: int) -> None:
    assert parse_bytes(text) == n_bytes


@pytest.mark.parametrize(
    "text",
    ["1,5gb", "1,50gb", "0,5gb", ",5gb", "1,", "1,,000", "1,0000", "1.5,000", "1,000,5", ","],
)
def test_any_other_comma_is_refused(text: str) -> None:
    assert ungrouped(text) is None
    with pytest.raises(InvalidRequestError, match="size"):
        parse_bytes(text)


def test_tokens_are_read_by_the_same_rule() -> None:
    assert parse_tokens("8,192") == parse_tokens("8k") == parse_tokens("8_192") == 8192
    with pytest.raises(InvalidRequestError, match="token count"):
        parse_tokens("1,5k")
