"""Time and memory of commands from a cold start, against a bare interpreter.

    python tests/benchmarks/bench_cold.py [--rounds N] [--peer COMMAND]

All processes take turns within one run, so that a busy machine slows them alike; ratios of medians
are printed with quartiles. A run whose control (the bare interpreter) spreads by more than a
quarter is void. Bytecode is compiled beforehand, as an installer does it. `--peer` adds the command
line of another program to the turns; it may be given several times.
"""

from __future__ import annotations

import argparse
import os
import random
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from bench_gguf import MERGES, TOKENS, VOID_SPREAD, say

PYTHON = sys.executable
# what the installed command does
WHATFITS = [
    PYTHON,
    "-c",
    "import sys; from whatfits.sizing.cli import console; sys.exit(console())",
]
CONTROL = "bare interpreter"
MACHINE = ["--machine", "rtx-4090 + 64gb", "--json"]


def tasks(model: Path, peers: list[str]) -> dict[str, list[str]]:
    """What is timed: label and command line."""
    return {
        CONTROL: [PYTHON, "-c", "pass"],
        "--version": [*WHATFITS, "--version"],
        "--help": [*WHATFITS, "--help"],
        "import of the library": [PYTHON, "-c", "from whatfits.sizing import check"],
        "hardware --json": [*WHATFITS, "hardware", "--json"],
        "check, catalog model": [*WHATFITS, "check", "llama-3.1-8b", *MACHINE],
        "check, local 8 MB header": [*WHATFITS, "check", str(model), *MACHINE],
        **{f"peer: {peer}": shlex.split(peer) for peer in peers},
    }


def write_model_file(path: Path) -> Path:
    """Write a sparse file with the shape of Qwen3 8B and a vocabulary of usual size."""
    from whatfits.bench.synthetic import write_synthetic_gguf
    from whatfits.sizing import load_model

    spec = load_model("qwen3-8b")
    rng = random.Random(3)  # noqa: S311 - test data
    metadata = {
        **spec.metadata,
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.tokens": words(rng, TOKENS, 2.0),
        "tokenizer.ggml.merges": words(rng, MERGES, 2.2),
        "tokenizer.ggml.token_type": [1] * TOKENS,
    }
    write_synthetic_gguf(path, metadata=metadata, tensors=spec.tensors)
    return path


def words(rng: random.Random, count: int, mean: float) -> list[str]:
    """Texts whose lengths are spread as those of a vocabulary."""
    return ["x" * max(1, min(60, int(rng.lognormvariate(mean, 0.45)))) for _ in range(count)]


def environment(cache: str) -> dict[str, str]:
    """The environment of a person, with compiled modules in a folder of this run."""
    kept = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "PYTHONPYCACHEPREFIX": cache}


def measure(
    work: dict[str, list[str]], rounds: int, variables: dict[str, str]
) -> dict[str, list[float]]:
    """Return seconds of each command in each round; the first round compiles and is dropped."""
    seconds: dict[str, list[float]] = {label: [] for label in work}
    for _ in range(rounds + 1):
        for label, command in work.items():
            started = time.perf_counter()
            done = subprocess.run(
                command,
                env=variables,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                check=False,
            )
            seconds[label].append(time.perf_counter() - started)
            if done.returncode:
                sys.exit(f"{label}: exit code {done.returncode}: {done.stderr.decode()}")
    return {label: times[1:] for label, times in seconds.items()}


def report(seconds: dict[str, list[float]]) -> None:
    """Print the table, and whether the run counts."""
    control = statistics.median(seconds[CONTROL])
    say(f"{'':40} {'median ms':>10} {'q1':>8} {'q3':>8} {'ratio':>7}")
    for label, times in seconds.items():
        low, middle, high = (1e3 * value for value in statistics.quantiles(times, n=4))
        say(f"{label:40} {middle:10.1f} {low:8.1f} {high:8.1f} {middle / control / 1e3:7.2f}")
    low, _, high = statistics.quantiles(seconds[CONTROL], n=4)
    spread = (high - low) / control
    say(f"control spread {spread:.0%}: " + ("VOID" if spread > VOID_SPREAD else "valid"))


PEAK = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=True)
unit = 1 if sys.platform == "darwin" else 1024
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * unit)
"""


def main() -> None:
    """Run everything and print it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--peer", action="append", default=[], metavar="COMMAND")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        model = write_model_file(Path(folder) / "model.gguf")
        variables = environment(f"{folder}/bytecode")
        work = tasks(model, options.peer)
        report(measure(work, options.rounds, variables))
        for label, command in work.items():
            peak = subprocess.run(
                [PYTHON, "-c", PEAK, *command],
                env=variables,
                capture_output=True,
                text=True,
                check=True,
            )
            say(f"peak memory, {label}: {int(peak.stdout) / 2**20:.1f} MiB")


if __name__ == "__main__":
    main()
