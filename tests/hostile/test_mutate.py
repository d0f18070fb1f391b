"""Guards taken away are noticed: a sample here, every one by `make mutate`."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import mutants
import mutate
import pytest
from equivalent_mutants import EQUIVALENT

SAMPLE = 12
SOURCE = '''
LIMIT = 5

def check(n, low, high):
    """Not n < low."""
    if n > LIMIT:
        raise ValueError(n)
    require(n)
    wanted = min(n, LIMIT)
    return low <= wanted < high or n == 0
'''
EXPECTED = {
    "guard gone: n > LIMIT": "if False:",
    "Gt to GtE: n > LIMIT": "if n >= LIMIT:",
    "call gone: require(n)": "\n    None\n",
    "bound 1 gone: min(n, LIMIT)": "wanted = int(LIMIT)",
    "bound 2 gone: min(n, LIMIT)": "wanted = int(n)",
    "part 1 gone: low <= wanted < high or n == 0": "return n == 0",
    "part 2 gone: low <= wanted < high or n == 0": "return low <= wanted < high",
    "LtE to Lt: low <= wanted < high": "low < wanted < high",
    "Lt to LtE: low <= wanted < high": "low <= wanted <= high",
    "lower end gone: low <= wanted < high": "return wanted < high or",
    "upper end gone: low <= wanted < high": "return low <= wanted or",
    "Eq to NotEq: n == 0": "or n != 0",
}


def test_every_guard_edge_and_bound_of_a_function_is_changed_once() -> None:
    made = {m.key.removeprefix("m check: "): m.source() for m in mutants.mutants_of("m", SOURCE)}
    assert set(made) == set(EXPECTED)
    for key, changed in EXPECTED.items():
        assert changed in made[key], key


def test_every_mutant_has_its_own_name_and_another_source() -> None:
    found = [mutant for _, mutant in mutate.all_mutants()]
    assert len(found) > 400
    assert len({mutant.key for mutant in found}) == len(found)
    for module in ("readers.gguf_scan", "sources.split_gguf"):
        path = mutate.ROOT / "sizing" / (module.replace(".", "/") + ".py")
        plain = ast.unparse(ast.parse(path.read_text(encoding="utf-8")))
        sources = [mutant.source() for _, mutant in mutate.all_mutants(module)]
        assert plain not in sources
        assert len(set(sources)) == len(sources)


def test_every_mutant_that_is_called_equivalent_still_exists() -> None:
    assert set(EQUIVALENT) <= {mutant.key for _, mutant in mutate.all_mutants()}
    assert all(EQUIVALENT.values())


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="each mutant has a child of its own")
def test_a_sample_of_guards_that_are_gone_is_noticed() -> None:
    command = [sys.executable, str(Path(mutate.__file__)), "--sample", str(SAMPLE), "--seed", "345"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{SAMPLE} mutants, 0 with another verdict" in done.stdout


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="each mutant has a child of its own")
def test_a_module_that_is_not_changed_is_not_noticed(tmp_path: Path) -> None:
    module = "readers.hf_config"
    source = (mutate.ROOT / "sizing/readers/hf_config.py").read_text(encoding="utf-8")
    program = (
        "import sys; sys.path.insert(0, sys.argv[1]); import mutate, mutants; from pathlib import "
        "Path; mutate.SUITES[sys.argv[2]] = (('tests/hostile/test_checkpoint_cases.py',),); "
        "same = mutants.Mutant('', 1, lambda: sys.argv[3]); "
        "print(mutate.judge(sys.argv[2], same, Path(sys.argv[4])).noticed)"
    )
    folder = str(Path(mutate.__file__).parent)
    command = [sys.executable, "-c", program, folder, module, source, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
