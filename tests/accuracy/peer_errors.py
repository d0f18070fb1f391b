"""How far the recorded answers of other estimators, and this engine's, lie from the truths.

Three truths: llama.cpp's own plans, what processes held that loaded a model here, and the buffers
that llama.cpp told in published logs. An error is a figure over its truth, less one.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache, cached_property
from statistics import median
from typing import TYPE_CHECKING, Any, Final

from comparison import Box
from loads import machine
from peer_cases import CASES, FIELD, LOADS, Case, load_case
from record_peers import RECORDED

from whatfits.bench.prepared import prepare
from whatfits.bench.requests import placement_request, workload
from whatfits.sizing.api import load_machine
from whatfits.sizing.overhead import process_overhead
from whatfits.sizing.sources.catalog_model import load_catalog_model
from whatfits.sizing.units import MIB

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from whatfits.sizing.estimate import Memory
    from whatfits.sizing.machine import Machine
    from whatfits.sizing.model import ModelSpec

__all__ = ["KINDS", "PEERS", "Peer", "given", "our_errors", "peer_errors", "read", "reading_of"]

_FEATURES: Final = ("avx2",)

_STORED: Final = ("weights_bytes", "kv_cache_bytes")
_ALL: Final = (*_STORED, "compute_bytes")
_ALL_LOGITS: Final = (*_STORED, "compute_all_logits_bytes")
_UNITS: Final = {"GB": {"10^9": 10**9, "2^30": 2**30}, "bytes": {"bytes": 1}}
NO_OPTION: Final = "no option"
NO_ANSWER: Final = "no answer"


@dataclass(frozen=True)
class Peer:
    """An estimator: what it is given and counts, and which sums of a plan that may mean."""

    name: str
    counts: str
    truths: tuple[tuple[str, ...], ...] = (_ALL, _ALL_LOGITS)

    @property
    def title(self) -> str:
        return f"{self.name} {read(self.name)['version']}".strip()

    @property
    def printed(self) -> dict[str, str | None]:
        """What it printed by case; cases that it has no option for are not there."""
        return {row["case"]: row["printed"] for row in read(self.name)["rows"]}


PEERS: Final = (
    Peer("node-llama-cpp", "the file: llama.cpp's own plan; on a GPU a formula of its own"),
    Peer("llmfit", "its list's entry: weights, cache, a constant for the rest"),
    Peer("whichllm", "parameters and the file's size: all but its constant for a framework"),
    Peer("hf-mem", "the file: weights and cache", (_STORED,)),
    Peer("xllamacpp", "the file: Ollama's rule of 2024 in Python, less its 512 MiB a card"),
    Peer("modelinfo-cli", "the file: weights and cache, less its constant for CUDA", (_STORED,)),
    Peer("llm-checker", "parameters and the file's size: all"),
    Peer("size x 1.2", "the file's size: all, at any context"),
)


@dataclass(frozen=True)
class Reading:
    """How a peer's figures are read: bytes a unit, and the parts of a plan they mean."""

    unit: int
    parts: tuple[str, ...]
    label: str


@dataclass(frozen=True, eq=False)
class Question:
    """A case on a machine, llama.cpp's plan or log of it in parts, and what a real load held."""

    case: Case
    machine: Machine
    plan: dict[str, int]
    held_bytes: int | None = None

    def error(self, figure_bytes: float, parts: Sequence[str]) -> float:
        """Return the error of a figure that means these parts.

        What it leaves out of a real load, or counts that this load did not ask for, is made good by
        llama.cpp's plan.
        """
        meant = sum(self.plan[part] for part in parts)
        if self.held_bytes is None:
            return figure_bytes / meant - 1
        whole = sum(self.plan[part] for part in _ALL)
        return (figure_bytes + whole - meant) / self.held_bytes - 1

    @cached_property
    def memory(self) -> Memory:
        """This engine's answer."""
        spec = _spec(self.case.model.name, self.case.model.file_type)
        settings = self.case.settings
        return prepare(spec, self.machine, workload(settings), placement_request(settings)).memory

    @property
    def our_error(self) -> float:
        """Return this engine's error: beside a load, with output rows and the process's own."""
        memory = self.memory
        rows = [memory.devices[0]] if self.case.gpus else [memory]
        ours = sum(getattr(row, part) for row in rows for part in _ALL)
        if self.held_bytes is not None:
            ours += memory.output_bytes + process_overhead(is_server=True).mid_bytes
        return self.error(ours, _ALL)


@cache
def read(name: str) -> dict[str, Any]:
    """Return what was recorded of a peer, or a truth: `truth`, `loads` or `field`."""
    path = RECORDED / f"{name.replace(' ', '-')}.json"
    document: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return document


def _rows(name: str) -> dict[str, dict[str, Any]]:
    return {row["case"]: row for row in read(name)["rows"]}


@cache
def plans() -> tuple[Question, ...]:
    """Return the cases whose truth is llama.cpp's own plan; with a GPU, of what lies on it."""
    rows = _rows("truth")
    return tuple(
        Question(case, Box(case.gpus).machine if case.gpus else machine(_FEATURES), rows[case.key])
        for case in CASES
    )


@cache
def loads() -> tuple[Question, ...]:
    """Return the cases whose truth is what a process held that loaded a model here."""
    planned, held = _rows("truth"), _rows("loads")
    return tuple(
        Question(
            load_case(model, repack=repack),
            machine(_FEATURES),
            planned[load_case(model).key],
            held[load_case(model, repack=repack).key]["resident_bytes"],
        )
        for model in LOADS
        for repack in (False, True)
    )


@cache
def logs() -> tuple[Question, ...]:
    """Return the cases whose truth is what llama.cpp told on other people's machines."""
    cases = {case.key: case for case in FIELD}
    return tuple(
        Question(cases[row["case"]], load_machine(row["machine"]), _of_log(row))
        for row in read("field")["rows"]
    )


def _of_log(row: dict[str, Any]) -> dict[str, int]:
    parts = {part: round(row[part.replace("_bytes", "_mib")] * MIB) for part in _ALL}
    return {**parts, "compute_all_logits_bytes": parts["compute_bytes"]}


KINDS: Final = {"plans": plans, "loads": loads, "logs": logs}


@cache
def _spec(name: str, file_type: str) -> ModelSpec:
    return load_catalog_model(name, file_type=file_type)


def our_errors(kind: str) -> list[float]:
    """Return this engine's error in each case of a kind."""
    return [question.our_error for question in KINDS[kind]()]


def peer_errors(peer: Peer, kind: str) -> list[float | str]:
    """Return a peer's error in each case of a kind; or in words why there is none."""
    return _errors(peer, reading_of(peer), kind)


@cache
def reading_of(peer: Peer) -> Reading:
    """Return the reading of the smallest median error of plans; it holds for all cases."""
    unit = next(iter(filter(None, peer.printed.values()))).split()[1]
    found = []
    for name, size in _UNITS[unit].items():
        for parts in peer.truths:
            label = name + (", all logits" if parts == _ALL_LOGITS else "")
            reading = Reading(size, parts, label)
            found.append((median(map(abs, given(_errors(peer, reading, "plans")))), reading))
    return min(found, key=lambda each: each[0])[1]


def _errors(peer: Peer, reading: Reading, kind: str) -> list[float | str]:
    printed = peer.printed
    found: list[float | str] = []
    for question in KINDS[kind]():
        asked = question.case
        if question.held_bytes is not None:
            asked = load_case(asked.model)  # repacked or not, a peer says the same
        if asked.key not in printed:
            found.append(NO_OPTION)
        elif (said := printed[asked.key]) is None:
            found.append(NO_ANSWER)
        else:
            size = float(said.split()[0]) * reading.unit
            found.append(question.error(size, reading.parts))
    return found


def given(errors: Iterable[float | str]) -> list[float]:
    """Return the errors among them."""
    return [error for error in errors if isinstance(error, float)]
