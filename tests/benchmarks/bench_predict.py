"""Time of one whole prediction for every catalog model, in a warm process.

    python tests/benchmarks/bench_predict.py [--rounds N] [--every N]

Each model is predicted on a CPU, one GPU and two GPUs in turn, with a fixed loop as the control
between them, so that a busy machine slows them alike; a model's time is the least of its rounds.
Nothing is carried over from one prediction to the next but the model's description. A run whose
control spreads by more than a quarter is void. The second table says how many predictions a second
one process makes of a model it knows already.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parent))

from harness import VOID_SPREAD, control, say

from whatfits.sizing import load_machine, load_model
from whatfits.sizing.catalog.lookup import model_entries
from whatfits.sizing.errors import BadInputError
from whatfits.sizing.placement import resolve_placement
from whatfits.sizing.runtimes.llama_cpp import Bill
from whatfits.sizing.search.trials import Trials
from whatfits.sizing.settings import resolve_settings
from whatfits.sizing.workload import PlacementRequest, Workload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from whatfits.sizing.machine import Machine
    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.settings import Settings

MACHINES = {
    "CPU": "1024gb",
    "one GPU": "h100 pcie + 64gb",
    "two GPUs": "2x h100 pcie + 64gb",
}
CONTROL = "control"
LONGEST_MS = 10
LISTED = 12
KNOWN = ("llama-3.1-8b", "qwen3-30b-a3b", "deepseek-v3.2")
AT_LEAST_S = 0.5
CONTEXTS = 4000  # more than are asked for, so that none comes twice


def models(every: int) -> Iterator[ModelSpec]:
    """Every so many of the catalog's models; those whose shape is not known are left out."""
    for entry in list(model_entries())[::every]:
        try:
            yield load_model(entry.id)
        except BadInputError:
            continue


def predict(model: ModelSpec, machine: Machine) -> None:
    """Do all that a prediction takes, from the model's description on."""
    Trials(model, machine, Workload(), PlacementRequest()).first()


def took_ms(work: Callable[[], object]) -> float:
    """Return how long a call takes."""
    started = time.perf_counter()
    work()
    return 1e3 * (time.perf_counter() - started)


def measure(rounds: int, every: int) -> dict[str, list[tuple[float, str]]]:
    """Return (milliseconds, model) of every prediction by machine, and those of the control."""
    machines = {label: load_machine(text) for label, text in MACHINES.items()}
    found: dict[str, list[tuple[float, str]]] = {label: [] for label in (*machines, CONTROL)}
    for model in models(every):
        least = dict.fromkeys(found, float("inf"))
        for _ in range(rounds):
            least[CONTROL] = min(least[CONTROL], took_ms(control))
            for label, machine in machines.items():
                least[label] = min(least[label], took_ms(partial(predict, model, machine)))
        for label, took in least.items():
            found[label].append((took, model.name))
    return found


def report(found: dict[str, list[tuple[float, str]]]) -> None:
    """Print the table, the slowest models, and whether the run counts."""
    say(f"{'ms a prediction':16} {'models':>7} {'median':>8} {'p95':>8} {'max':>8} {'over 10':>8}")
    for label, rows in found.items():
        times = sorted(took for took, _ in rows)
        p95 = times[int(0.95 * (len(times) - 1))]
        over = sum(took > LONGEST_MS for took in times)
        middle = statistics.median(times)
        say(f"{label:16} {len(times):7} {middle:8.2f} {p95:8.2f} {times[-1]:8.2f} {over:8}")
    for label, rows in found.items():
        if label != CONTROL:
            slowest = sorted(rows, reverse=True)[:LISTED]
            say(f"slowest, {label}: " + ", ".join(f"{name} {took:.0f}" for took, name in slowest))
    low, middle, high = statistics.quantiles([took for took, _ in found[CONTROL]], n=4)
    spread = (high - low) / middle
    say(f"control spread {spread:.0%}: " + ("VOID" if spread > VOID_SPREAD else "valid"))


def rate(work: Callable[[int], object]) -> float:
    """Return how many calls a second are made; each is given its number."""
    calls, started = 0, time.perf_counter()
    while (passed := time.perf_counter() - started) < AT_LEAST_S:
        work(calls)
        calls += 1
    return calls / passed


def known_models() -> None:
    """Print how fast models are predicted again by a bill that knows them."""
    say()
    say(f"{'predictions a second':20} {'as before':>12} {'new context':>12}")
    machine = load_machine(MACHINES["one GPU"])
    for name in KNOWN:
        model = load_model(name)
        settings = [
            resolve_settings(model, Workload(context_tokens=size), flash_supported=True)
            for size in range(4096, 4096 + 256 * CONTEXTS, 256)
        ]
        again, elsewhere = (
            rate(partial(predict_again, Bill(model), model, machine, asked))
            for asked in (settings[:1], settings)
        )
        say(f"{name:20} {again:12.0f} {elsewhere:12.0f}")


def predict_again(
    bill: Bill, model: ModelSpec, machine: Machine, asked: Sequence[Settings], call: int
) -> None:
    """Do what a prediction takes once a bill knows the model; `asked` take turns."""
    placement = resolve_placement(model, PlacementRequest(), machine)
    bill.memory(asked[call % len(asked)], placement, machine, is_server=True)


def main() -> None:
    """Run everything and print it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--every", type=int, default=1, metavar="N")
    options = parser.parse_args()
    report(measure(options.rounds, options.every))
    known_models()


if __name__ == "__main__":
    main()
