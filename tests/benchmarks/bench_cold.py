"""Time and memory of commands from a cold start, against a bare interpreter.

    python tests/benchmarks/bench_all.py --only P5,P6,P7,P8,P9,P10

All processes take turns within one run; the control is the bare interpreter. Bytecode is compiled
beforehand, as an installer does it. llmfit spends most of a command on reading the catalog that is
built into it, and answers for this machine; so do the commands beside it here.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parent))

from bench_gguf import MERGES, TOKENS
from harness import (
    MB,
    VOID_SPREAD,
    Row,
    environment,
    peak_bytes,
    quartiles,
    run_seconds,
    take_turns,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness import Quartiles
    from peers import Peers

PYTHON = sys.executable
# what the installed command does
WHATFITS = [
    PYTHON,
    "-c",
    "import sys; from whatfits.sizing.cli import console; sys.exit(console())",
]
BARE = "bare interpreter"
SYSTEM, PLAN, FIT = "llmfit system", "llmfit plan", "llmfit fit"
LLMFIT = {
    SYSTEM: ["--json", "system"],
    PLAN: ["--json", "plan", "meta-llama/Llama-3.1-8B", "--context", "8192"],
    FIT: ["--json", "fit"],
}
MODEL = "llama-3.1-8b"
RSS_MB = {"hardware": 25, "check": 30, "check FILE": 32, "list": 90}


def tasks(model: Path, peers: Peers) -> dict[str, list[str]]:
    """What is timed: label and command line."""
    ours = {
        "--version": ["--version"],
        "--help": ["--help"],
        "hardware": ["hardware", "--json"],
        "check": ["check", MODEL, "--context", "8192", "--json"],
        "plan": ["plan", MODEL, "--context", "8192", "--json"],
        "check FILE": ["check", str(model), "--json"],
        "list": ["list", "--json"],
    }
    theirs = LLMFIT if peers.version("llmfit") else {}
    return {
        BARE: [PYTHON, "-c", "pass"],
        "import": [PYTHON, "-c", "from whatfits.sizing import check"],
        **{label: [*WHATFITS, *rest] for label, rest in ours.items()},
        **{label: [str(peers.llmfit), *rest] for label, rest in theirs.items()},
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


def times(
    work: Mapping[str, list[str]], rounds: int, variables: Mapping[str, str]
) -> dict[str, Quartiles]:
    """Return what each command takes from its start to its end."""
    calls = {label: partial(run_seconds, command, variables) for label, command in work.items()}
    return {label: quartiles(found) for label, found in take_turns(calls, rounds).items()}


def models_in(command: list[str], variables: Mapping[str, str]) -> int:
    """Return how many models a ranking has."""
    done = subprocess.run(command, env=variables, capture_output=True, check=True)
    return len(json.loads(done.stdout)["models"])


def rows(folder: Path, peers: Peers, rounds: int) -> list[Row]:
    """Return P5 to P10 and what memory the commands take."""
    variables = environment(folder / "bytecode")
    work = tasks(write_model_file(folder / "model.gguf"), peers)
    found = times(work, rounds, variables)
    is_void = found[BARE].spread > VOID_SPREAD

    def row(bar: str, label: str, beside: str, most: float | None, what: str = "") -> Row:
        own, other = found[label], found.get(beside)
        ratio = None if other is None else own.middle / other.middle
        peer = f"{beside}: {'absent' if other is None else other.shown()}"
        return Row(bar, what or f"`{label}`", own.shown(), peer, ratio, most, is_void=is_void)

    over_s = found["import"].middle - found[BARE].middle
    table = [
        row("P5", "--version", BARE, 2.5),
        row("P5", "--help", BARE, 2.5),
        Row(
            "P6",
            "import of the library, over a bare interpreter",
            found["import"].shown(),
            f"{BARE}: {found[BARE].shown()}",
            1e3 * over_s,
            most=30,
            unit="ms",
            is_void=is_void,
        ),
        row("P7", "hardware", SYSTEM, 2.0),
        row("P8", "check", PLAN, 0.6, "`check`: one file type, one context, as the peer answers"),
        row("P8", "plan", PLAN, 0.6, "`plan`: file types and contexts tried, seven runtimes asked"),
        row("P9", "check FILE", BARE, 6.0, "`check` of a file with an 8 MB header"),
        row("P9", "check FILE", PLAN, 0.9, "the same, beside a plan that reads no file"),
        row("P10", "list", FIT, 0.6, "`list`: the whole catalog, the whole process"),
    ]
    if FIT in found:
        own, other = (models_in(work[label], variables) for label in ("list", FIT))
        own_s, other_s = found["list"].middle / own, found[FIT].middle / other
        table.append(
            Row(
                "P10",
                "the same a model",
                f"{1e3 * own_s:.2f} ms ({own:,} models)",
                f"{FIT}: {1e3 * other_s:.3f} ms ({other:,} models)",
                own_s / other_s,
                most=0.6,
                is_void=is_void,
            )
        )
    return table + [
        Row(
            "memory",
            f"`{label}`, peak resident",
            f"{size / MB:.1f} MB",
            "",
            size / MB,
            most=most,
            unit="MB",
        )
        for label, most in RSS_MB.items()
        for size in (peak_bytes(work[label], variables),)
    ]
