"""Shows readers files that chance has put together, and reports what they answered.

    python tests/hostile/fuzz.py --inputs 1000000 --seed 1 --processes 2

Every input is refused by a MalformedFileError that names field and place, or accepted with exact
sizes that lie inside the file and are read back from what a writer makes of them. Anything else is
printed with the input, and ends the run with status 1. The same seed makes the same inputs.
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import sys
import time
import traceback
from collections import Counter
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if __name__ in ("__main__", "__mp_main__"):
    sys.path.insert(0, str(Path(__file__).parent))

import fuzz_gguf
import fuzz_json

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

BLOCK = 10_000  # inputs of one seed: a finding is repeated by its block alone


class Format(NamedTuple):
    """How the inputs of one format are made and judged, and how many of each 100 there are."""

    make: Callable[[random.Random], bytes]
    check: Callable[..., str | None]
    share: int


FORMATS = {
    "gguf": Format(fuzz_gguf.make, fuzz_gguf.check, 70),
    "safetensors": Format(fuzz_json.scrambled, fuzz_json.check_safetensors, 20),
    "index": Format(fuzz_json.some_index, fuzz_json.check_index, 6),
    "config": Format(fuzz_json.some_config, fuzz_json.check_config, 4),
}


class Found(NamedTuple):
    """What a block of inputs showed.

    Attributes:
        name: of the format.
        answers: refusals by what they say, None for files that were accepted.
        broken: the report of an input that broke a promise, else empty.
    """

    name: str
    answers: Counter[str | None]
    broken: str = ""


def run_block(block: tuple[str, int, int], *, seed: int) -> Found:
    """Make and judge the inputs of one block; stop at the first that breaks a promise."""
    name, number, inputs = block
    how = FORMATS[name]
    rng = random.Random(f"{seed} {name} {number}")  # noqa: S311 - a series that can be repeated
    answers: Counter[str | None] = Counter()
    for turn in range(inputs):
        data = how.make(rng)
        try:
            answers[how.check(data, allow_missing_data=bool(turn % 2))] += 1
        except Exception:  # noqa: BLE001 - whatever it is, it is a finding
            where = f"{name}, seed {seed}, block {number}, input {turn}"
            return Found(name, answers, f"{where}\n{traceback.format_exc()}{data!r}")
    return Found(name, answers)


def blocks_of(names: Sequence[str], inputs: int) -> list[tuple[str, int, int]]:
    """Return (format, number, inputs) of every block; formats get their shares."""
    blocks: list[tuple[str, int, int]] = []
    shares = sum(FORMATS[name].share for name in names)
    for name in names:
        left = -(-inputs * FORMATS[name].share // shares)
        blocks += [
            (name, number, min(BLOCK, left - number * BLOCK)) for number in range(-(-left // BLOCK))
        ]
    return blocks


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the fuzzer; return 1 when an input broke a promise."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--inputs", type=int, default=100_000, help="in all (default 100,000)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--format", choices=FORMATS, action="append", help="default: all")
    given = parser.parse_args(arguments)
    work = blocks_of(given.format or list(FORMATS), given.inputs)
    task = partial(run_block, seed=given.seed)
    started = time.perf_counter()
    answers: dict[str, Counter[str | None]] = {}
    with multiprocessing.get_context("spawn").Pool(given.processes) as pool:
        for found in pool.imap_unordered(task, work):
            if found.broken:
                pool.terminate()
                print(f"broken promise: {found.broken}")
                return 1
            answers.setdefault(found.name, Counter()).update(found.answers)
    seconds = time.perf_counter() - started
    for name, counted in answers.items():
        accepted, total = counted[None], counted.total()
        print(
            f"{name}: {total:,} inputs, {accepted:,} accepted, {total - accepted:,} refused "
            f"in {len(counted) - 1:,} ways"
        )
    executions = sum(counted.total() for counted in answers.values())
    print(f"{executions:,} executions in {seconds:.0f} s, {executions / seconds:,.0f} a second")
    return 0


if __name__ == "__main__":
    sys.exit(main())
