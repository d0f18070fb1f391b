"""Writes the parts of README.md that are made by running something.

python tests/readme/generate.py           write
python tests/readme/generate.py --check   only show what is stale; 1 when anything is

A part stands between `<!-- made by: COMMAND -->` and `<!-- end -->`. COMMAND is a command line of
whatfits with a machine named in it (so that it says the same everywhere), `python` (the `>>>` lines
of the part are run), or one of FACTS.
"""

from __future__ import annotations

import difflib
import doctest
import io
import json
import os
import re
import shlex
import sys
from collections import Counter
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Final
from unittest.mock import patch

from whatfits.sizing.catalog.lookup import device_entries, model_entries
from whatfits.sizing.cli import main as whatfits
from whatfits.sizing.errors import WhatfitsError
from whatfits.sizing.sources.catalog_model import load_catalog_model
from whatfits.sizing.units import GIB
from whatfits.sizing.workload import Workload

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT: Final = Path(__file__).parents[2]
README: Final = ROOT / "README.md"
RECORDED: Final = ROOT / "tests" / "recorded"
GOLDEN: Final = ROOT / "tests" / "golden"
_PART: Final = re.compile(r"(<!-- made by: (.+?) -->\n)(.*?)(<!-- end -->)", re.DOTALL)
_COLOUR: Final = re.compile(r"\x1b\[[0-9;]*m")
_TERMINAL: Final = {"COLUMNS": "92", "LINES": "40", "TERM": "xterm", "NO_COLOR": ""}
_ANSWERED: Final = (0, 1)


class _Terminal(io.StringIO):
    """What is printed to a terminal, kept."""

    def isatty(self) -> bool:
        return True


def _screen(command: str) -> str:
    screen = _Terminal()
    with patch.dict(os.environ, _TERMINAL), redirect_stdout(screen):
        code = whatfits(shlex.split(command)[1:])
    if code not in _ANSWERED:
        raise SystemExit(f"{command}: exit code {code}")
    lines = _COLOUR.sub("", screen.getvalue()).splitlines()
    shown = "\n".join(line.rstrip() for line in lines)
    return f"```console\n$ {command}\n{shown}\n```\n"


def _python(part: str) -> str:
    names: dict[str, object] = {}
    lines = ["```pycon"]
    for example in doctest.DocTestParser().get_examples(part.replace("```", "")):
        printed = io.StringIO()
        with redirect_stdout(printed):
            exec(compile(example.source, "README.md", "single"), names)  # noqa: S102 - our README
        source = example.source.rstrip("\n").split("\n")
        lines += [f">>> {source[0]}", *(f"... {line}" for line in source[1:])]
        lines += printed.getvalue().splitlines()
    return "\n".join([*lines, "```"]) + "\n"


def _catalog(_part: str) -> str:
    exact = approximate = refused = 0
    for entry in model_entries():
        try:
            spec = load_catalog_model(entry.id)
        except WhatfitsError:
            refused += 1
            continue
        exact += bool(spec.tensors)
        approximate += not spec.tensors
    rows = [
        ("models sized from their tensor table: exact weights", exact),
        ("models sized from parameters and bits: an interval, marked so", approximate),
        ("models listed whose shape is not published whole: refused, with the reason", refused),
        ("GPUs, Macs and other machines with one memory", sum(1 for _ in device_entries())),
    ]
    return _table(["catalog", "entries"], [[name, str(count)] for name, count in rows if count])


def _recorded(_part: str) -> str:
    groups = json.loads((RECORDED / "llama_cpp" / "buffers.json").read_text("utf-8"))["groups"]
    rows = [(row["device"], row["mode"]) for group in groups for row in group["rows"]]
    names = re.compile(r"\b(cpu|gpu|rpc)", re.IGNORECASE)
    count = Counter(names.sub(lambda name: name[0].upper(), device) for device, _ in rows)
    real = sum(mode == "real load" for _, mode in rows)
    shapes = len({group["model"] for group in groups})
    families = len({group["architecture"] for group in groups})
    machines = len(list((RECORDED / "machines").glob("*.json")))
    places = "; ".join(f"{number:,} on {place}" for place, number in count.items())
    return (
        f"{len(rows):,} reservations of llama.cpp are recorded in the tests, of {shapes} models in "
        f"{families} architectures: {places}. {real} of them are real loads, the others dry runs. "
        f"The probes are held against {machines} recorded machines.\n"
    )


def _accuracy(_part: str) -> str:
    sys.path += [str(ROOT / "tests" / "accuracy"), str(ROOT / "tests" / "oracle")]
    from cases import load
    from plan_sections import tally
    from tables import percent

    names = {"suite": "on the CPU", "offload": "beside pretended GPUs"}
    rows = []
    for kind, groups in load().items():
        whole = tally([case for group in groups for case in group.compared])
        counts = (whole.cases, whole.weights, whole.cache, whole.compute)
        architectures = len({group.shape.architecture for group in groups})
        rows.append(
            [
                f"{architectures} architectures {names[kind]}",
                *(f"{count:,}" for count in counts),
                percent(whole.errors.p95),
            ]
        )
    head = ["dry runs of llama.cpp", "cases", "weights exact", "cache exact", "compute exact"]
    return _table([*head, "p95 of a total's error"], rows)


def _five_models(_part: str) -> str:
    sys.path.insert(0, str(GOLDEN))
    from test_five_models import CONTEXTS, TABLE, memory_of

    head = ["model (GiB: llama.cpp's dry run, whatfits)", *(f"{c:,} tokens" for c in CONTEXTS)]
    rows = []
    for row in TABLE:
        spec = load_catalog_model(row.model)
        cells = [row.model]
        for context, cache, compute in zip(CONTEXTS, row.cache, row.compute, strict=True):
            memory = memory_of(spec, Workload(context_tokens=context))
            ours = memory.weights_bytes + memory.kv_cache_bytes + memory.compute_bytes
            truth = row.weights + cache + compute
            cells.append(f"{truth:.2f}, {ours / GIB:.2f} ({100 * (ours / GIB / truth - 1):+.1f} %)")
        rows.append(cells)
    return _table(head, rows)


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---", *("---:" for _ in head[1:])], *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


FACTS: Final[dict[str, Callable[[str], str]]] = {
    "python": _python,
    "the accuracy record": _accuracy,
    "the catalog": _catalog,
    "the recordings": _recorded,
    "five models": _five_models,
}


def refreshed(text: str) -> str:
    """Return a README with every made part made anew."""

    def made(match: re.Match[str]) -> str:
        opening, command, part, closing = match.groups()
        content = FACTS[command](part) if command in FACTS else _screen(command)
        return f"{opening}{content}{closing}"

    return _PART.sub(made, text)


def main(arguments: list[str]) -> int:
    """Write README.md, or with `--check` show how it differs; return the exit code."""
    if arguments not in ([], ["--check"]):
        sys.stderr.write(f"unknown arguments {arguments}; allowed: --check, or nothing\n")
        return 2
    old = README.read_text("utf-8")
    new = refreshed(old)
    if not arguments:
        README.write_text(new, "utf-8")
        return 0
    lines = (text.splitlines(keepends=True) for text in (old, new))
    sys.stdout.writelines(difflib.unified_diff(*lines, "README.md", "made anew"))
    return int(new != old)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
