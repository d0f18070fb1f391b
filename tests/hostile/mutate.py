"""Takes each guard of the readers away, one at a time, and runs the tests that must notice.

    python tests/hostile/mutate.py                    every mutant; some twenty minutes
    python tests/hostile/mutate.py --sample 12        a few, as the tests do
    python tests/hostile/mutate.py --module split     of one module

The tree is never touched: a mutant is written to a temporary folder, and a child process imports
it in place of its module. A mutant that no test notices and that is not in `EQUIVALENT` with its
reason ends the run with status 1; so does one in that list that is noticed after all.
"""

from __future__ import annotations

import argparse
import importlib.abc
import importlib.util
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))

from equivalent_mutants import EQUIVALENT
from mutants import Mutant, mutants_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

ROOT = Path(__file__).parents[2]
SECONDS_A_MUTANT = 240
NO_TESTS = 5  # what pytest answers then; anything else but 0 means that a test noticed
OPTIONS = (
    *("-x", "-q", "-p", "no:cacheprovider", "-m", "not slow and not oracle"),
    *("-W", "ignore::pytest.PytestAssertRewriteWarning"),  # of what the parent has imported
)
_FILES = "tests/hostile/test_every_file.py"
# Quick tests first: most mutants never get to the later ones.
GGUF = (
    ("tests/sizing/readers/test_gguf.py", "tests/hostile/test_gguf_cases.py"),
    (_FILES, "-k", "test_the_file_is_answered and [G and not [G8 and not [G14"),
    ("tests/hostile/test_gguf_mutations.py", "-k", "changed_byte or scrambled"),
    ("tests/sizing/readers/test_gguf_round_trip.py", "tests/sizing/sources/test_local_file.py"),
)
JSON = (
    ("tests/sizing/readers/test_safetensors.py", "tests/hostile/test_safetensors_cases.py"),
    (_FILES, "-k", "test_the_file_is_answered and ([S1 or [S2 or [S3)"),
    ("tests/hostile/test_safetensors_mutations.py", "-k", "changed_byte or scrambled"),
)
TEXTS = (
    ("tests/sizing/readers/test_strict_json.py", "tests/sizing/readers/test_safetensors.py"),
    ("tests/hostile/test_checkpoint_cases.py",),
    (_FILES, "-k", "test_the_file_is_answered and ([S or [C1)"),
    ("tests/hostile/test_safetensors_mutations.py", "-k", "changed_byte or scrambled"),
    ("tests/sizing/sources/test_folder.py",),
)
INDEX = (
    ("tests/sizing/readers/test_safetensors.py", "tests/hostile/test_checkpoint_cases.py"),
    (_FILES, "-k", "test_the_file_is_answered and [S4"),
    ("tests/sizing/sources/test_folder.py",),
)
CONFIG = (
    ("tests/sizing/readers/test_hf_config.py", "tests/hostile/test_checkpoint_cases.py"),
    (_FILES, "-k", "test_the_file_is_answered and [C1"),
    ("tests/sizing/sources/test_folder.py",),
)
FILES = (
    (
        "tests/sizing/sources/test_regular_file.py",
        "tests/sizing/sources/test_local_file.py",
        "tests/sizing/sources/test_split_gguf.py",
        "tests/sizing/sources/test_folder.py",
        "tests/sizing/sources/test_checkpoint_files.py",
    ),
    ("tests/hostile/test_file_kinds.py", "tests/hostile/test_io_faults.py"),
    (_FILES, "-k", "test_the_file_is_answered and [G14"),
    ("tests/hostile/test_truncation.py",),
)
SUITES = {
    "readers.gguf": GGUF,
    "readers.gguf_scan": GGUF,
    "readers.gguf_metadata": GGUF,
    "readers.gguf_tensors": GGUF,
    "readers.safetensors": JSON,
    "readers.safetensors_index": INDEX,
    "readers.json_cursor": TEXTS,
    "readers.strict_json": TEXTS,
    "readers.hf_config": CONFIG,
    "sources.split_gguf": FILES,
    "sources.checkpoint_files": FILES,
    "sources.folders": FILES,
    "sources.regular_file": FILES,
    "sources.local_file": FILES,
}


class _InPlace(importlib.abc.MetaPathFinder):
    """Finds one module in another file than its own."""

    def __init__(self, name: str, path: Path) -> None:
        self.name = name
        self.path = path

    def find_spec(
        self, fullname: str, _path: Sequence[str] | None, _target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return where the mutant lies, for its module alone."""
        if fullname != self.name:
            return None
        return importlib.util.spec_from_file_location(fullname, self.path)


class Verdict(NamedTuple):
    """Whether a test noticed a mutant, and in how many seconds."""

    mutant: Mutant
    noticed: bool
    seconds: float


def all_mutants(part: str = "") -> Iterator[tuple[str, Mutant]]:
    """Yield (module, mutant) for every module whose name has `part` in it."""
    for module in SUITES:
        if part in module:
            path = ROOT / "sizing" / (module.replace(".", "/") + ".py")
            for mutant in mutants_of(module, path.read_text(encoding="utf-8")):
                yield module, mutant


def judge(module: str, mutant: Mutant, folder: Path) -> Verdict:
    """Run the module's tests against a mutant in a child process, quick ones first."""
    path = folder / f"{module.rpartition('.')[2]}.py"
    path.write_text(mutant.source(), encoding="utf-8")
    started = time.monotonic()
    child = os.fork()
    if child == 0:
        _be_the_child(module, path)
    status = _status(child, started + SECONDS_A_MUTANT)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status) == NO_TESTS:
        raise RuntimeError(f"a suite of {module} has no tests")
    return Verdict(mutant, status != 0, time.monotonic() - started)


def _be_the_child(module: str, path: Path) -> None:
    """Run the tests with the mutant in place of its module; never return."""
    import pytest

    status = 1
    try:
        silent = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silent, 1)
        os.dup2(silent, 2)
        os.chdir(ROOT)
        sys.dont_write_bytecode = True
        sys.meta_path.insert(0, _InPlace(f"whatfits.sizing.{module}", path))
        # A folder of its own: tidying up a shared one fails when another process does so too.
        options = (*OPTIONS, f"--basetemp={path.parent / 'tests'}")
        runs = (int(pytest.main([*tests, *options])) for tests in SUITES[module])
        status = next(filter(None, runs), 0)
    finally:
        os._exit(status)


def _status(child: int, deadline: float) -> int:
    """Return how a child ended; one that takes too long is ended, and that counts as noticed."""
    while time.monotonic() < deadline:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return status
        time.sleep(0.02)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return signal.SIGKILL


def run(chosen: Sequence[tuple[str, Mutant]], *, verbose: bool = True) -> list[Verdict]:
    """Judge mutants one after the other; return those whose verdict is not the expected one."""
    wrong: list[Verdict] = []
    with tempfile.TemporaryDirectory() as folder:
        for module, mutant in chosen:
            verdict = judge(module, mutant, Path(folder))
            expected = mutant.key not in EQUIVALENT
            if verdict.noticed != expected:
                wrong.append(verdict)
            if verbose:
                word = "noticed" if verdict.noticed else "equivalent" if not expected else "MISSED"
                print(
                    f"{word:10} {verdict.seconds:5.1f} s  {mutant.line:4} {mutant.key}", flush=True
                )
    return wrong


def main(arguments: Sequence[str] | None = None) -> int:
    """Judge the mutants that were asked for; return 1 when a verdict is not the expected one."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--module", default="", help="part of the names of modules")
    parser.add_argument("--sample", type=int, help="how many, drawn by the seed (default: all)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--part", default="1/1", help="2/3: the second of three shares")
    given = parser.parse_args(arguments)
    import hypothesis  # noqa: F401 - what tests import, imported once for all children
    import numpy as np  # noqa: F401
    import pytest  # noqa: F401
    import safetensors.numpy  # noqa: F401

    chosen = list(all_mutants(given.module))
    if given.sample is not None:
        chosen = random.Random(given.seed).sample(chosen, given.sample)  # noqa: S311 - repeatable
    number, parts = map(int, given.part.split("/"))
    chosen = chosen[number - 1 :: parts]
    wrong = run(chosen)
    print(f"{len(chosen):,} mutants, {len(wrong):,} with another verdict than expected")
    for verdict in wrong:
        said = "is noticed after all" if verdict.noticed else "is not noticed"
        print(f"{verdict.mutant.key}: {said}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
