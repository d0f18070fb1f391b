"""Records what llama.cpp plans and takes on a real card: to be run where there is one.

usage: record_on_card.py plans|loads
`plans` writes tests/recorded/llama_cpp/cuda.json, `loads` cuda_loads.json with the loads it has. It
needs llama-cpp-python built with GGML_CUDA=on, and a card that nothing else uses.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import random_settings
from comparison import Box, Column
from recorded_plans import CUDA, CUDA_LOADS, OFFLOAD, Plan, PlanGroup, read, write

from whatfits.bench.driver_memory import used_by_address
from whatfits.bench.plans import Planner
from whatfits.bench.run_settings import RunSettings, settings_of
from whatfits.bench.suite import CatalogShape, as_run
from whatfits.bench.synthetic import write_catalog_model
from whatfits.bench.verify import REFERENCE
from whatfits.sizing.catalog.lookup import find_model
from whatfits.sizing.errors import BadInputError
from whatfits.sizing.sources.catalog_model import load_catalog_model

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

CARD: Final = "CUDA0"
SEED, GROUPS, CASES = 9001, 120, 10
_MADE: Final = f"{REFERENCE}, built with GGML_CUDA=on, on one card of this machine. "
_EMPTY: Final = {"model": 0, "context": 0, "compute": 0}


def asked(box: Box) -> Iterator[tuple[CatalogShape, Sequence[RunSettings]]]:
    """Yield models with settings: every other one of the offload record, and drawn ones."""
    recorded = [g for g in read(OFFLOAD) if (g.box.gpus, g.box.flash) == (1, True)]
    for number, group in enumerate(recorded):
        plans = [p for at, p in enumerate(group.plans) if (at + number) % 2 == 0]
        yield group.shape, [plan.settings for plan in plans]
    random_settings._box = lambda rng: (rng.random(), box)[1]
    for group in random_settings.groups(SEED, GROUPS, CASES):
        entry = find_model(group.model)
        try:
            spec = load_catalog_model(entry.id, file_type=group.file_type)
        except BadInputError:
            continue  # no model of this type
        yield CatalogShape(entry.id, spec.architecture, group.file_type), group.settings


def on_card(buffers: dict[str, dict[str, int]]) -> tuple[Column, ...]:
    """Return the card's column and that of all other buffers."""
    others = [row for name, row in buffers.items() if name != CARD]
    rows = (
        buffers.get(CARD, _EMPTY),
        {key: sum(row[key] for row in others) for key in _EMPTY},
    )
    return tuple(Column(row["model"], row["context"], row["compute"]) for row in rows)


def plan_all(box: Box, path: Path) -> list[PlanGroup]:
    """Return llama.cpp's dry runs."""
    found: dict[CatalogShape, list[Plan]] = {}
    with Planner() as planner:
        for shape, wanted in asked(box):
            sys.stderr.write(f"{shape.model}\n")
            spec = write_catalog_model(path, shape.model, file_type=shape.file_type)
            for settings in (as_run(spec, each) for each in wanted):
                said = planner.ask(path, settings)
                truth = on_card(said["buffers"]) if "buffers" in said else ()
                refusal = None if truth else said["error"].partition(":")[0]
                found.setdefault(shape, []).append(Plan(settings, truth, refusal))
    return [PlanGroup(shape, box, tuple(plans)) for shape, plans in found.items()]


def load_all(rows: Sequence[dict[str, Any]], path: Path) -> list[dict[str, Any]]:
    """Return the loads of a record, measured anew, each in a process of its own."""
    found = []
    for row in rows:
        sys.stderr.write(f"{row['model']} {row['file_type']}\n")
        write_catalog_model(path, row["model"], file_type=row["file_type"])
        asked_for = json.dumps({"path": str(path), "settings": row["settings"]})
        command = [sys.executable, __file__, "load", asked_for]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        found.append({**row, **json.loads(said.splitlines()[-1])})
    return found


def load(path: Path, fields: dict[str, Any]) -> dict[str, Any]:
    """Load a model in this process; return its buffers and what was taken of the card by stages."""
    from whatfits.bench.devices import seen_devices
    from whatfits.bench.llama_cpp import running

    before = sum(used_by_address().values())
    taken: dict[str, int] = {}

    def look(stage: str) -> None:
        taken[stage] = sum(used_by_address().values()) - before

    seen_devices()
    look("context")
    settings = settings_of(fields)
    with running(path, settings, real=True) as run:
        look("loaded")
        buffers = run.reservation().buffers
        at = 0
        for stage, tokens in (("first_token", 1), ("micro_batch", settings.micro_batch)):
            run.decode(tokens)
            run.wait()
            at += tokens
            look(stage)
        while at + settings.batch < run.context_tokens:
            run.decode(settings.batch)
            at += settings.batch
        run.wait()
        look("filled")
    columns = {name: [row.model, row.context, row.compute] for name, row in buffers.items()}
    return {"buffers": columns, "filled_tokens": at, "taken": taken}


def main(kind: str, rest: Sequence[str]) -> None:
    """Record what is asked for."""
    if kind == "load":
        request = json.loads(rest[0])
        print(json.dumps(load(Path(request["path"]), request["settings"])))
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "synthetic.gguf"
        if kind == "plans":
            groups = plan_all(Box(1, memory_bytes=read(CUDA)[0].box.memory_bytes), path)
            order = sorted(groups, key=lambda g: (g.shape.architecture, g.shape.model))
            write(CUDA, order, provenance=f"Dry runs (no_alloc) of {_MADE}")
            return
        known = json.loads(CUDA_LOADS.read_text("utf-8"))
        known |= {"provenance": f"Real loads of {_MADE}", "rows": load_all(known["rows"], path)}
        CUDA_LOADS.write_text(json.dumps(known, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
