"""Patterns that place tensors by name: those in use are taken, those without an end are not."""

from __future__ import annotations

import time

import pytest

from whatfits.sizing import check
from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.override_patterns import compiled_pattern
from whatfits.sizing.workload import PlacementRequest

MACHINE = "rtx 4090 + 64gb"
WITHOUT_END = (
    "(.*)*Z",
    "(.*)*(.*)*(.*)*Z",
    "(?:a+b)+Z",
    "((.+))*Z",
    "(a|b+)*Z",
    "(.{1,9}){1,9}Z",
    "(.*x){3,}Z",
    ".*.*.*.*.*Z",
    r"(\d+)+",
)
IN_USE = (
    "exps",
    r"\.ffn_.*_exps\.",
    r".*ffn_.*_exps.*",
    r"blk\.(1[0-9]|2[0-9])\.ffn_(up|down)_exps\.weight",
    r"blk\.\d+\.ffn_(?:gate|up|down)_exps.*",
    r"blk\.([3-9]|[1-5]\d)\.(?!attn).*",
    r"(blk\.1\.)?ffn_(up|gate)",
    r"[*+]{3}|\(.\*\)\*",  # a set, a count and escapes are no repeats
    "(up|down)+",
    "^token_embd$",
)


@pytest.mark.parametrize("pattern", IN_USE)
def test_patterns_in_use_are_taken(pattern: str) -> None:
    assert compiled_pattern(pattern).pattern == pattern


@pytest.mark.parametrize("pattern", WITHOUT_END)
def test_patterns_that_may_never_end_are_refused(pattern: str) -> None:
    with pytest.raises(InvalidRequestError, match="at most 4 repeats"):
        compiled_pattern(pattern)


def test_a_question_with_such_a_pattern_is_answered_at_once() -> None:
    began = time.perf_counter()
    asked = PlacementRequest(overrides=(("(.*)*(.*)*(.*)*Z", "CPU"),))
    with pytest.raises(InvalidRequestError, match="none within another"):
        check("qwen3-8b", machine=MACHINE, placement=asked)
    assert time.perf_counter() - began < 10  # seconds: matched, it never ends


@pytest.mark.parametrize("pattern", ["(", "*a", "a{2", "[z-a]"])
def test_what_is_no_expression_is_refused_or_taken_as_python_takes_it(pattern: str) -> None:
    if pattern == "a{2":  # letters, as they stand
        assert compiled_pattern(pattern).search("blk.a{2")
        return
    with pytest.raises(InvalidRequestError, match="a regular expression"):
        compiled_pattern(pattern)
