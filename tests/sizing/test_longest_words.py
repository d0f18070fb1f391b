"""The longest context says which memory it counts, so that one more card does not seem to cost."""

from __future__ import annotations

import pytest

from whatfits.sizing import check
from whatfits.sizing.explain import longest_words
from whatfits.sizing.headline import headline


def test_a_card_more_that_holds_it_all_says_why_the_context_is_shorter() -> None:
    one, two = (check("llama-3.3-70b", machine=f"{cards}rtx-3090 + 128gb") for cards in ("", "2x "))
    assert (one.verdict, two.verdict) == ("slow", "fits")
    assert (two.largest_context_tokens or 0) < (one.largest_context_tokens or 0)
    assert longest_words(one) == (
        f"{one.largest_context_tokens:,} tokens with slower memory used too (trained for 131,072)"
    )
    assert longest_words(two) == (
        f"{two.largest_context_tokens:,} tokens without slower memory (trained for 131,072)"
    )
    # and what it says is so: longer contexts run, but slowly
    more = check(
        "llama-3.3-70b",
        machine="2x rtx-3090 + 128gb",
        workload={"context_tokens": one.largest_context_tokens},
    )
    assert more.verdict == "slow", headline(more)


@pytest.mark.parametrize(
    ("model", "machine"),
    [("llama-3.1-8b", "rtx-4090 + 64gb"), ("llama-3.1-8b", "16gb"), ("llama-3.1-8b", "m2 16gb")],
)
def test_nothing_is_added_where_training_ends_it_or_there_is_one_memory(
    model: str, machine: str
) -> None:
    plan = check(model, machine=machine)
    assert longest_words(plan) == f"{plan.largest_context_tokens:,} tokens (trained for 131,072)"
