"""Lists of modules: what is read of them, what is left unread, and that reading them is quick."""

from __future__ import annotations

import time
from fnmatch import fnmatchcase

import pytest

from whatfits.sizing.quants.layouts.name_patterns import NamePatterns, _in_pieces, _stepwise

Q_PROJ = "model.layers.3.self_attn.q_proj"
EXPERT = "model.layers.3.mlp.experts.0.up_proj"
SHARED = "model.layers.3.mlp.shared_experts.up_proj"


@pytest.mark.parametrize(
    ("entry", "matched", "others"),
    [
        ("lm_head", ("lm_head", "language_model.lm_head"), (Q_PROJ,)),
        ("q_proj", (Q_PROJ,), ("model.layers.3.self_attn.xq_proj",)),
        ("model.layers.3", (Q_PROJ, EXPERT), ("model.layers.30.self_attn.q_proj",)),
        ("model.layers.3.*", (Q_PROJ,), ("model.layers.30.self_attn.q_proj",)),
        ("model.layers.3*", (Q_PROJ, "model.layers.30.self_attn.q_proj"), ("lm_head",)),
        ("model.layers.*.self_attn", (Q_PROJ,), (EXPERT,)),
        ("*self_attn*", (Q_PROJ,), (EXPERT,)),
        ("*.mlp.shared_experts.*", (SHARED,), (EXPERT,)),
        ("re:.*self_attn.*", (Q_PROJ,), (EXPERT,)),
        (r"re:.*mlp\.(gate|up|down)_proj.*", ("model.layers.3.mlp.up_proj",), (EXPERT, SHARED)),
        (r"re:^model\.layers\.\d+\.self_attn\.(?:q|k)_proj$", (Q_PROJ,), (f"{Q_PROJ}.x", EXPERT)),
        (r"re:.*experts\.[0-9]+\..*", (EXPERT,), (SHARED,)),
        ("re:self_attn", (), (Q_PROJ,)),  # from the beginning of a name, as the library has it
        ("re:model.*q_proj", (Q_PROJ, f"{Q_PROJ}.weight"), (EXPERT,)),
    ],
)
def test_an_entry_names_these_modules_and_not_those(
    entry: str, matched: tuple[str, ...], others: tuple[str, ...]
) -> None:
    patterns = NamePatterns([entry])
    assert patterns
    assert not patterns.unread
    assert all(patterns.matches(name) for name in matched)
    assert not any(patterns.matches(name) for name in others)


@pytest.mark.parametrize(
    "entry",
    [
        *("re:(a+)+$", "re:(?!lm_head).*", "re:[a-z]+", "re:a|b", "re:a{3}", "re:a?"),
        *("re:\\w+", "re:(", "re:.**", "re:" + "(a|b)" * 20, "x" * 1_000),
    ],
)
def test_what_is_more_than_a_simple_pattern_is_left_unread(entry: str) -> None:
    patterns = NamePatterns([entry, "lm_head"])
    assert patterns.unread == (entry,)
    assert patterns.matches("lm_head")


def test_an_empty_list_names_nothing() -> None:
    assert not NamePatterns(())
    assert not NamePatterns(()).matches(Q_PROJ)


@pytest.mark.parametrize("wild", ["a*b*a", "*ab*", "a**", "*", "ab", "*b", "a*", "aba*ba"])
@pytest.mark.parametrize("text", ["", "a", "b", "ab", "aba", "abab", "ababa", "aabba", "xaby"])
def test_pieces_and_steps_agree_with_the_shells_own_matching(wild: str, text: str) -> None:
    expected = fnmatchcase(text, wild)
    assert _in_pieces(wild, text) == expected
    assert _stepwise(wild, text) == expected
    assert _stepwise(wild.replace("a", "?"), text) == fnmatchcase(text, wild.replace("a", "?"))


def test_a_list_without_end_is_not_tried_to_its_end() -> None:
    many = NamePatterns([f"*a{number}*b" for number in range(10_000)] + ["lm_head"])
    assert len(many.unread) > 9_000
    assert many.matches("lm_head")
    slow = NamePatterns([f"re:.a{number}" for number in range(100)])
    assert len(slow.unread) == 100 - 32
    began = time.process_time()
    assert not any(many.matches(f"model.layers.{n}.x") for n in range(2_000))
    assert time.process_time() - began < 10


def test_a_pattern_made_to_backtrack_is_answered_at_once() -> None:
    patterns = NamePatterns(["re:" + ".*a" * 90 + "b"])
    assert not patterns.unread
    began = time.process_time()
    assert not patterns.matches("a" * 200)
    assert time.process_time() - began < 1
