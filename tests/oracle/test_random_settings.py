"""Settings that nobody chose: to the byte as llama.cpp plans them, or refused by both."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest
from random_settings import groups, outcomes, total_error, verdict

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.oracle

SEED, GROUPS, CASES = 20, 12, 8


def test_drawn_settings_come_out_as_llama_cpp_plans_them(tmp_path: Path) -> None:
    words: Counter[str] = Counter()
    for group in groups(SEED, GROUPS, CASES):
        for outcome in outcomes(group, tmp_path):
            word = verdict(outcome)
            assert word in ("exact", "held", "both refused"), (word, group.model, outcome)
            if outcome.error is None:
                assert total_error(outcome) > -0.005, (group.model, outcome)
            words[word] += 1
    print(dict(words))
    assert words["exact"] >= 0.95 * (words["exact"] + words["held"])
    assert words["exact"] > GROUPS * CASES / 2
