"""Every bar of speed and memory beside its peers, in one run; writes docs/benchmarks.md.

    python tests/benchmarks/bench_all.py [--only P1,P8] [--peers FOLDER] [--rounds N]

Without a folder, the pinned peers are installed once into an environment beside this checkout's own
build files. With `--only` the table is printed and nothing is written. The run comes before all
other processes where the system allows it, so that a busy machine disturbs it less; bars of
processes under load do not. What is missed is said and is no failure of the command.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import bench_bandwidth
import bench_cold
import bench_gguf
import bench_memory
import bench_probe
import bench_remote
import bench_sweep
from harness import Row, come_first, say
from peers import Peers, peers_in

from whatfits.sizing.version import VERSION

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "benchmarks.md"
KEPT = ROOT / "build" / "peers"
BENCHMARKS = (
    (bench_cold, {"P5", "P6", "P7", "P8", "P9", "P10"}),
    (bench_gguf, {"P1", "P2", "P3", "P4"}),
    (bench_sweep, {"P11", "P12"}),
    (bench_remote, {"P13", "P14", "P15"}),
    (bench_probe, {"P16", "P17"}),
    (bench_bandwidth, {"P18", "P19"}),
    (bench_memory, {"memory"}),
)
HEAD = """# Speed and memory

`make bench` writes this page: {date}, whatfits {version}, Python {python}, {machine}. Beside it
{peers}, each as its registry has it.

Programs take turns within one run; times are medians with the quartiles in brackets. What counts is
the ratio in the third column: times differ from machine to machine, and from hour to hour on one
that is shared. {first} A row whose control (a bare interpreter, a fixed loop,
the loop in C) spread by more than its limit is VOID.

| Bar | What | Result | Bar's limit | | whatfits | Beside |
| --- | --- | ---: | ---: | --- | --- | --- |
"""
TAIL = """
- Peers do other work for the same question: gguf-py and hf-mem decode every value of a header,
  where whatfits steps over what sizing does not need; llmfit reads its whole catalog for each
  answer, ranks {models} and does not search file types, contexts or runtimes, as `plan` does.
- gguf-py takes seconds and gets one turn. "From zero" is how hf-mem asks for a header, written
  anew: its own code speaks to the Hub alone.
- P20, predicted against real memory, is in [accuracy.md](accuracy.md).
- P21 and P22, the pages in a browser: `python tests/benchmarks/bench_page.py`.
"""


def machine() -> str:
    """Return the machine in general words."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    info = Path("/proc/cpuinfo")
    text = info.read_text() if info.exists() else ""
    named = re.search(r"^model name\s*:\s*(.*)$", text, re.MULTILINE)
    brand = named[1] if named else platform.processor() or platform.machine()
    family = re.match(r"(?:AMD|Intel(?:\(R\))?|Apple) \S+", brand)
    return f"{cores} cores of an {family[0] if family else brand}, {platform.system()}"


def written(rows: list[Row], peers: Peers, *, is_first: bool) -> str:
    """Return the page."""
    names = ("llmfit", "gguf", "hf-mem", "py-cpuinfo")
    shown = ", ".join(f"{name} {peers.version(name) or '(absent)'}" for name in names)
    first = "They ran before all other processes of the machine." if is_first else ""
    head = HEAD.format(
        date=datetime.now(UTC).date(),
        version=VERSION,
        python=platform.python_version(),
        machine=machine(),
        peers=shown,
        first=first,
    )
    found = next((row.peer for row in rows if row.what == "the same a model"), "")
    models = re.search(r"\(([\d,]+ models)\)", found)
    return (
        head
        + "".join(map(line, sorted(rows, key=place)))
        + TAIL.format(models=models[1] if models else "others")
    )


def place(row: Row) -> int:
    """Return where a row stands: bars by number, then memory."""
    return int(row.bar[1:]) if row.bar.startswith("P") else sys.maxsize


def line(row: Row) -> str:
    """Return a row of the table."""
    value = "" if row.value is None else f"{figure(row.value)} {row.unit}"
    cells = (row.bar, row.what, value, row.limit, row.outcome, row.ours, row.peer)
    return f"| {' | '.join(cells)} |\n"


def figure(value: float) -> str:
    """Return a number with three digits."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def main() -> int:
    """Measure what is asked for, print it, and write the page when that is everything."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--only", default="", metavar="BARS", help="P1,P8: these, on the screen")
    parser.add_argument("--peers", type=Path, metavar="FOLDER", help="an environment that is there")
    parser.add_argument("--rounds", type=int, default=11)
    options = parser.parse_args()
    asked = set(filter(None, options.only.split(",")))
    peers = peers_in(options.peers, KEPT)
    for each in peers.absent():
        say(f"absent, or another version: {each}")
    is_first = come_first()
    rows: list[Row] = []
    for module, bars in BENCHMARKS:
        if asked and not asked & bars:
            continue
        with tempfile.TemporaryDirectory() as folder:
            found = module.rows(Path(folder), peers, options.rounds)
        kept = [row for row in found if not asked or row.bar in asked]
        say("".join(map(line, kept)).rstrip())
        rows += kept
    if not asked:
        PAGE.write_text(written(rows, peers, is_first=is_first), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
