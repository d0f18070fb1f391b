"""Plans of fleets to start, and what the programs' documentation names of commands and fields."""

from __future__ import annotations

import json
import re
import shlex
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fleet_machines import nodes, planned

if TYPE_CHECKING:
    from collections.abc import Iterator

    from whatfits.sizing.fleets.plans import FleetPlan

RECORDED = Path(__file__).parents[2] / "recorded" / "fleet" / "documented.json"
DOCUMENTED: dict[str, Any] = json.loads(RECORDED.read_text(encoding="utf-8"))
CASES = {
    "vllm": ("llama-3.1-70b", ["4x rtx-4090 + 128gb"] * 2, "vllm", "pipeline"),
    "vllm on amd": ("llama-3.1-70b", ["4x rx 7900 xtx + 128gb"] * 2, "vllm", "pipeline"),
    "vllm unequal": ("qwen3-14b", ["rtx-5090 + 64gb", "rtx-4080 + 64gb"], "vllm", "pipeline"),
    "rpc": ("llama-3.1-70b", ["rtx-4090 + 64gb", "rtx-3090 + 32gb"], "llama.cpp", "pipeline"),
    "rpc experts": ("gpt-oss-120b", ["2x rtx-4090 + 64gb"] * 2, "llama.cpp", "pipeline"),
    "exo": ("llama-3.1-70b", ["m4 max 36gb"] * 2, "mlx", "pipeline"),
    "copies of llama.cpp": ("qwen3-8b", ["rtx-4090 + 64gb"] * 2, "llama.cpp", "replicas"),
    "copies of vllm": ("qwen3-8b", ["rtx-4090 + 64gb"] * 2, "vllm", "replicas"),
    "copies of mlx": ("qwen3-8b", ["m4 max 64gb"] * 2, "mlx", "replicas"),
}


@cache
def plan_of(case: str) -> FleetPlan:
    name, machines, runtime, strategy = CASES[case]
    found = planned(name, nodes(*machines), runtimes=(runtime,))
    return next(plan for plan in found.plans if plan.strategy == strategy)


def lines(plan: FleetPlan) -> list[tuple[str, str]]:
    return [(entry.node, line) for entry in plan.commands for line in entry.commands]


def paths(value: object, before: str = "") -> Iterator[str]:
    """Yield the path of every scalar."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from paths(item, f"{before}.{key}" if before else str(key))
    elif isinstance(value, list):
        for item in value:
            yield from paths(item, f"{before}[]")
    else:
        yield before


def undocumented(value: object, fields: list[str]) -> list[str]:
    """Return the paths that no documented field allows; `*` stands for any key."""
    patterns = [re.compile(re.escape(field).replace(r"\*", ".+")) for field in fields]
    return [path for path in paths(value) if not any(p.fullmatch(path) for p in patterns)]


def check_command(line: str) -> None:
    """Hold one command line against what is documented of its program."""
    words = shlex.split(line)
    environment = []
    while re.fullmatch(r"[A-Z_]+=.*", words[0]):
        environment.append(words.pop(0).partition("=")[0])
    known = DOCUMENTED["commands"][words[0]]
    assert set(environment) <= set(known["environment"]), line
    flags = {word.partition("=")[0] for word in words[1:] if re.match(r"--?[A-Za-z]", word)}
    assert flags <= set(known["flags"]), (sorted(flags - set(known["flags"])), line)
    for word in words:
        if word.startswith("http://localhost"):
            assert word in known["addresses"]
