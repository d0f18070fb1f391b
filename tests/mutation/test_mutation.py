"""Mutants are made as they should be, and a sample is noticed; `make mutate` judges them all."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import again
import mutate
import pytest
from equivalent import EQUIVALENT
from groups import GROUPS, ROOT, modules_of
from mutants import Unit, changed_tree, mutants_of
from score import Score

if TYPE_CHECKING:
    from mutants import Mutant

SAMPLE = 3  # of each group
SOURCE = '''
LIMIT: int = 5

@cache
def check(n: int | None, low: int, high: int = 7) -> float:
    """Not n < low."""
    if n > LIMIT:
        raise ValueError(f"{n + 1}")
    require(n)
    wanted = min(n, low) + -high
    if low:
        wanted += n
    names = high if low else wanted
    for name in names[low:]:
        continue
    return low <= wanted < high or not n
'''
EXPECTED = {
    "itself: 5 to 6: LIMIT: int = 5": "LIMIT: int = 6",
    "itself: 5 to 4: LIMIT: int = 5": "LIMIT: int = 4",
    "check: 7 to 8: n: int | None, low: int, high: int=7": "high: int=8",
    "check: 7 to 6: n: int | None, low: int, high: int=7": "high: int=6",
    "check: guard gone: n > LIMIT": "if False:",
    "check: Gt to GtE: n > LIMIT": "if n >= LIMIT:",
    "check: Gt to LtE: n > LIMIT": "if n <= LIMIT:",
    "check: statement gone: require(n)": "\n    pass\n    wanted",
    "check: Add to Sub: min(n, low) + -high": "min(n, low) - -high",
    "check: min to max: min(n, low)": "max(n, low) + -high",
    "check: bound 1 gone: min(n, low)": "wanted = low + -high",
    "check: bound 2 gone: min(n, low)": "wanted = n + -high",
    "check: USub gone: -high": "min(n, low) + high",
    "check: test turned: low": "if not low:",
    "check: statement gone: wanted += n": "if low:\n        pass",
    "check: Add to Sub: wanted += n": "wanted -= n",
    "check: choices swapped: high if low else wanted": "wanted if low else high",
    "check: lower gone: names[low:]": "in names[:]:",
    "check: continue to break: continue": "        break\n",
    "check: None returned: return low <= wanted < high or not n": "return None",
    "check: Or to And: low <= wanted < high or not n": "low <= wanted < high and (not n)",
    "check: part 1 gone: low <= wanted < high or not n": "return not n",
    "check: part 2 gone: low <= wanted < high or not n": "return low <= wanted < high\n",
    "check: LtE to Lt: low <= wanted < high": "low < wanted < high",
    "check: LtE to Gt: low <= wanted < high": "low > wanted < high",
    "check: Lt to LtE: low <= wanted < high": "low <= wanted <= high",
    "check: Lt to GtE: low <= wanted < high": "low <= wanted >= high",
    "check: lower end gone: low <= wanted < high": "return wanted < high or",
    "check: upper end gone: low <= wanted < high": "return low <= wanted or",
    "check: Not gone: not n": "high or n\n",
}
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="a mutant lives in a fork")


def every_mutant() -> list[Mutant]:
    return [mutant for group in GROUPS for mutant in mutate.mutants_in(group)]


def test_every_operator_changes_one_place_and_leaves_types_and_words_alone() -> None:
    made = {m.key.removeprefix("m "): m for m in mutants_of("m", SOURCE)}
    sources = {k: ast.unparse(changed_tree(SOURCE, m.number)) + "\n" for k, m in made.items()}
    assert set(made) == set(EXPECTED)
    for key, changed in EXPECTED.items():
        assert changed in sources[key], key
    assert len(set(sources.values())) == len(sources)


def test_a_mutant_knows_its_function_and_the_lines_of_its_statement() -> None:
    made = {m.key.removeprefix("m "): m for m in mutants_of("m", SOURCE)}
    assert made["itself: 5 to 6: LIMIT: int = 5"].unit is None
    assert made["check: 7 to 8: n: int | None, low: int, high: int=7"].unit is None
    guard = made["check: guard gone: n > LIMIT"]
    assert guard.unit == Unit("check", 4)  # as Python counts: from the decorator on
    assert guard.lines == (7, 7)


def test_every_mutant_has_its_own_name() -> None:
    found = every_mutant()
    assert len(found) > 10_000
    assert len({mutant.key for mutant in found}) == len(found)


def test_a_module_belongs_to_one_group_and_the_groups_hold_what_they_say() -> None:
    modules = [module for group in GROUPS for module in modules_of(group)]
    assert len(set(modules)) == len(modules)
    assert {"readers.gguf", "graph.stack", "kv_cache", "placement"} <= set(modules)
    for group in GROUPS:
        for suite in GROUPS[group]:
            assert all((ROOT / test.split("::")[0]).exists() for test in suite.tests), suite
            assert all(list((ROOT / "sizing").glob(pattern)) for pattern in suite.modules), suite


def test_every_mutant_that_is_called_equivalent_still_exists() -> None:
    assert set(EQUIVALENT) <= {mutant.key for mutant in every_mutant()}
    assert all(EQUIVALENT.values())


def test_most_of_what_has_been_noticed_still_exists() -> None:
    named = again.noticed_by()
    known = {mutant.key for mutant in every_mutant()}
    assert len(known.intersection(named)) > len(named) / 2 >= 50


def test_a_sample_is_the_same_whatever_else_there_is() -> None:
    mutants = every_mutant()
    few = mutate.sampled(mutants, 20, 1)
    assert mutate.sampled([*reversed(mutants)], 20, 1) == few
    assert mutate.sampled(mutants, 20, 2) != few
    without = [mutant for mutant in mutants if mutant != few[0]]
    assert mutate.sampled(without, 19, 1) == few[1:]


def test_the_score_leaves_equivalent_mutants_out() -> None:
    some = Score(judged=110, noticed=90, equivalent=10)
    assert some.survived == 10
    assert some.share == 0.9
    # Wilson's interval of 90 of 100, by hand: (0.9192 ± 1.96 * 0.03563) / 1.0384
    assert some.interval == pytest.approx((0.8256, 0.9448), abs=1e-4)


@pytest.mark.slow
@needs_fork
def test_a_sample_of_what_has_been_noticed_is_noticed_still() -> None:
    command = [sys.executable, again.__file__, str(SAMPLE)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("\nnoticed") >= SAMPLE


@pytest.mark.slow
@needs_fork
def test_a_module_that_is_not_changed_is_not_noticed(tmp_path: Path) -> None:
    """Neither with its code swapped nor in a process of its own."""
    program = (
        "import sys; sys.path.insert(0, sys.argv[1]); import ast, fresh, held, mutants, swap; "
        "swap.changed_tree = fresh.changed_tree = lambda source, number: ast.parse(source); "
        "from groups import source_of; ran = swap.called_on_import(); name = 'readers.hf_config'; "
        "source = source_of(name); tests = ['tests/sizing/readers/test_hf_config.py']; "
        "mutant = next(m for m in mutants.mutants_of(name, source) if m.unit); "
        "print(fresh.noticed(mutant, tests, 60.0)); "
        "held.hold(tests, lambda h: print(h.fork("
        "lambda: swap.Loaded(ran).swap(mutant, source), h.names[:20], 60.0)))"
    )
    folder = str(Path(mutate.__file__).parent)
    command = [sys.executable, "-c", program, folder]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("False\n")
    assert "Ending(noticed=False" in done.stdout
