"""Records llama.cpp's dry runs of the splits that are chosen where its own does not hold.

usage: record_splits.py
Each model is planned for cards of unequal or too little memory; the printed line is what llama.cpp
is asked for. Writes tests/recorded/llama_cpp/splits.json.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from comparison import Box, Oracle, columns
from recorded_plans import SPLITS, Plan, PlanGroup, write
from server_line import settings_of

from whatfits.bench.suite import CatalogShape
from whatfits.bench.synthetic import write_catalog_model
from whatfits.bench.verify import REFERENCE
from whatfits.sizing import check
from whatfits.sizing.units import MIB

if TYPE_CHECKING:
    from whatfits.sizing.estimate import Plan as Answer
    from whatfits.sizing.machine import Machine
    from whatfits.sizing.model import ModelSpec

__all__ = ["CASES", "cards_named", "planned"]

CASES: Final = (  # model, file type, context, GiB of each card
    ("nemotron-super-49b-v1", "Q4_K_M", 32_768, (23.5, 23.5)),
    ("gemma-3-27b", "Q4_K_M", 8192, (11.6, 8)),
    ("gpt-oss-120b", "MXFP4_MOE", 8192, (23, 23)),
    ("ling-mini-2.0", "Q4_K_M", 8192, (5, 3, 2.5)),
)
_PROVENANCE: Final = (
    f"Dry runs (no_alloc) of {REFERENCE} beside pretend GPUs, as in offload.json, under the splits "
    "that whatfits names where llama.cpp's own overfills a card. Made by "
    "tests/oracle/record_splits.py."
)


def planned(spec: ModelSpec, box: Box, context_tokens: int) -> Answer:
    """Return the answer for a model on the cards of a box."""
    return check(spec, machine=cards_named(box), workload={"context_tokens": context_tokens})


def cards_named(box: Box) -> Machine:
    """Return the box's machine with devices by the names that probes give them."""
    machine = box.machine
    devices = (replace(d, id=d.id.replace("gpu", "cuda")) for d in machine.devices)
    return replace(machine, devices=tuple(devices))


def main() -> None:
    """Record every case and write the file."""
    groups = []
    for model, file_type, context_tokens, cards_gib in CASES:
        box = Box(len(cards_gib), memory_bytes=tuple(int(gib * 1024) * MIB for gib in cards_gib))
        with tempfile.TemporaryDirectory() as folder, Oracle(box) as oracle:
            path = Path(folder) / "synthetic.gguf"
            spec = write_catalog_model(path, model, file_type=file_type)
            answer = planned(spec, box, context_tokens)
            (line,) = answer.commands["llama.cpp"]
            settings = settings_of(line, device_name=lambda name: name.replace("CUDA", "PRETEND"))
            truth = columns(oracle.ask(path, settings)["buffers"], box.gpus)
        shape = CatalogShape(model, spec.architecture, file_type)
        groups.append(PlanGroup(shape, box, (Plan(settings, truth),)))
    write(SPLITS, groups, provenance=_PROVENANCE)


if __name__ == "__main__":
    main()
