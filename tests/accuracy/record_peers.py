"""Asks other estimators about the cases of `peer_cases`, and llama.cpp for the truth.

usage: record_peers.py truth | loads | NAME…; NAME as in `peer_askers`
Writes tests/recorded/peers/NAME.json: version, date, and of every case what was called and the
figure it gave. A Python package is expected in this interpreter, a command on PATH, modules of node
in the folder that WHATFITS_PEERS_NODE names.
"""

from __future__ import annotations

import json
import sys
import tempfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

sys.path.append(str(Path(__file__).parents[1] / "oracle"))

from peer_askers import ASKED
from peer_cases import CASES, FIELD, LOADS, Case, load_case

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from peer_cases import Model

    from whatfits.sizing.model import ModelSpec

RECORDED: Final = Path(__file__).parents[1] / "recorded" / "peers"
_PROMPT_TOKENS: Final = 512  # a whole micro-batch: the compute buffer is in use then
_LIMIT_S: Final = 900


def _truth() -> Iterator[dict[str, Any]]:
    """Yield llama.cpp's dry runs: weights, cache and compute; of the GPU where there is one.

    The compute buffer is there twice: for one row of logits a sequence, as a server asks for, and
    for those of a whole micro-batch, as programs get that use the library's defaults.
    """
    from comparison import Box, Oracle

    oracles = {gpus: Oracle(Box(gpus)) for gpus in (0, 1)}
    for case, _, path in _written([*CASES, *map(load_case, LOADS)]):
        settings = case.settings
        parts = _columns(oracles[case.gpus].ask(path, settings)["buffers"], case.gpus)
        whole = oracles[case.gpus].ask(path, replace(settings, outputs_max=0))["buffers"]
        parts["compute_all_logits_bytes"] = _columns(whole, case.gpus)["compute_bytes"]
        yield {"case": case.key, **parts}


def _columns(buffers: dict[str, dict[str, int]], gpus: int) -> dict[str, int]:
    """Return the three parts on the GPUs, or without one on the CPU."""
    from comparison import columns

    found = columns(buffers, gpus)[: gpus or None]
    return {
        "weights_bytes": sum(column.weights for column in found),
        "kv_cache_bytes": sum(column.cache for column in found),
        "compute_bytes": sum(column.compute for column in found),
    }


def _loads() -> Iterator[dict[str, Any]]:
    """Yield what processes grew by that loaded a model and read a prompt of a micro-batch."""
    from whatfits.bench.loads import LoadLimits, load_for_real

    for case, _, path in _written(
        [load_case(model, repack=r) for model in LOADS for r in (False, True)]
    ):
        outcome = load_for_real(
            path, case.settings, limits=LoadLimits(_LIMIT_S), decode_tokens=_PROMPT_TOKENS
        )
        if outcome.kind != "measured":
            raise SystemExit(f"{case.key}: {outcome.kind}, {outcome.reason}")
        yield {"case": case.key, "resident_bytes": outcome.decoded["resident_bytes"]}


def _answers(name: str) -> Iterator[dict[str, Any]]:
    """Yield an estimator's answers to the cases that it has options for, and to the loads.

    About loads in the field all are asked, with what options they have.
    """
    asked = ASKED[name]
    for case, spec, path in _written([*CASES, *map(load_case, LOADS), *FIELD]):
        if case.needs <= asked.options or case in FIELD:
            answer = asked.ask(case, spec, path)
            row = {"case": case.key, "command": answer.command, "printed": answer.printed}
            yield row | ({"said": answer.said} if answer.said else {})


def _written(cases: Iterable[Case]) -> Iterator[tuple[Case, ModelSpec, Path]]:
    """Yield each case with its model as a file: full tensor table, no data."""
    from whatfits.bench.synthetic import write_catalog_model

    specs: dict[Model, ModelSpec] = {}
    with tempfile.TemporaryDirectory() as folder:
        for number, case in enumerate(cases):
            path = Path(folder) / f"{case.model.name}.gguf"
            if case.model not in specs:
                specs[case.model] = write_catalog_model(
                    path, case.model.name, file_type=case.model.file_type
                )
            sys.stderr.write(f"{number}: {case.key}\n")
            yield case, specs[case.model], path


def _reference() -> str:
    from whatfits.bench.verify import REFERENCE

    return REFERENCE


def main(name: str) -> None:
    """Ask one of them about every case and write what it said."""
    truths: dict[str, Callable[[], Iterator[dict[str, Any]]]] = {"truth": _truth, "loads": _loads}
    rows = truths[name]() if name in truths else _answers(name)
    lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    version = _reference() if name in truths else ASKED[name].version()
    head = {"name": name, "version": version, "date": datetime.now(UTC).date().isoformat()}
    text = f'{json.dumps(head)[:-1]}, "rows": [\n{lines}\n]}}\n'
    (RECORDED / f"{name.replace(' ', '-')}.json").write_text(text, "utf-8")


if __name__ == "__main__":
    for each in sys.argv[1:]:
        main(each)
