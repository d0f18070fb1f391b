"""From a question to the library's answer: remembered while the same is asked, one at a time.

Values are frozen, so visitors may share them; nothing is pickled. The machine this server runs on
is read once, and again when somebody asks for it.
"""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, TypeVar

from whatfits.sizing.api import answer, choice_for, find_models, load_machine, load_model, plan_of
from whatfits.sizing.catalog.lookup import find_model
from whatfits.sizing.errors import InvalidRequestError, WhatfitsError
from whatfits.sizing.machine_changes import idle_machine, with_reserves
from whatfits.sizing.requantise import requantised
from whatfits.sizing.runtimes import DEFAULT_RUNTIME, find_runtime
from whatfits.sizing.sources.claims import is_hub_name
from whatfits.sizing.units import parse_tokens
from whatfits.sizing.verdict import MAY_RUN
from whatfits.webapp.choices import is_open
from whatfits.webapp.input_list import CONTEXTS, HERE
from whatfits.webapp.mode import is_public

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from whatfits.sizing.curves import ContextCurve
    from whatfits.sizing.estimate import Plan
    from whatfits.sizing.machine import Machine
    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.planning import Choice
    from whatfits.sizing.ranking import RankedModel
    from whatfits.webapp.state import Question

__all__ = [
    "BusyError",
    "Memory",
    "answered",
    "curves",
    "first_answer",
    "forget_this_machine",
    "machine_named",
    "machine_of",
    "model_of",
    "name_of",
    "ranked",
    "with_contexts",
]

_MOST_ANSWERS: Final = 256
_MOST_RANKINGS: Final = 32
_MOST_CHOICES: Final = 32  # each holds the model under every file type: until its answer is whole
_KV_TYPES: Final = ("f16", "q8_0", "q4_0")
_LONGEST_NAME: Final = 200
_MISSING: Final = object()
_Result = TypeVar("_Result")


class BusyError(WhatfitsError):
    """Too many others are being answered."""

    code = "busy"


class Memory:
    """The last results by what they were asked with; the same question is worked out once."""

    def __init__(self, most: int, *, patience_s: float = 60.0) -> None:
        """Keep at most so many, and let nobody wait longer."""
        self._most = most
        self._patience_s = patience_s
        self._kept: OrderedDict[Hashable, Any] = OrderedDict()
        self._lock = Lock()

    def of(self, key: Hashable, work: Callable[[], Any]) -> Any:  # noqa: ANN401 - what work returns
        """Return what is known under the key, or what `work` returns; its errors are not kept.

        One at a time: two at once would each take twice as long, and the same may be asked.

        Raises:
            BusyError: those who asked before take too long.
        """
        found = self._kept.get(key, _MISSING)
        if found is not _MISSING:
            return found
        if not self._lock.acquire(timeout=self._patience_s):
            raise BusyError("many are asking at once; try again in a minute")
        try:
            found = self._kept.get(key, _MISSING)
            if found is _MISSING:
                found = self._kept[key] = work()
                while len(self._kept) > self._most:
                    self._kept.popitem(last=False)
            return found
        finally:
            self._lock.release()

    def known(self, key: Hashable) -> Any:  # noqa: ANN401 - what work returned
        """Return what is known under the key; None when nothing is."""
        return self._kept.get(key)

    def forget(self, key: Hashable) -> None:
        """Forget what is known under the key."""
        with self._lock:
            self._kept.pop(key, None)

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._kept.clear()


_choices: Final = Memory(_MOST_CHOICES)
_answers: Final = Memory(_MOST_ANSWERS)
_machines: Final = Memory(64)
_rankings: Final = Memory(_MOST_RANKINGS)
_curves: Final = Memory(_MOST_RANKINGS)
_contexts: Final = Memory(_MOST_RANKINGS)


def forget_this_machine() -> None:
    """Read this machine anew when it is asked for next."""
    for memory in (_machines, _choices, _answers, _rankings, _curves, _contexts):
        memory.clear()


def machine_named(name: str) -> Machine:
    """Return this machine, or the one an expression describes; a file is never opened.

    Raises:
        UnknownMachineError: it is no expression, or names an unknown device.
    """
    from whatfits.sizing.catalog.machines import machine_expression  # noqa: PLC0415 - on use

    if name == HERE:
        if is_public():
            raise InvalidRequestError(
                what="machine", got=name, allowed="one of the list: the server's own is not shown"
            )
        machine: Machine = _machines.of(HERE, lambda: load_machine(None))
        return machine
    if len(name) > _LONGEST_NAME:
        raise InvalidRequestError(what="machine", got=name, allowed="a shorter name")
    described: Machine = _machines.of(name, lambda: machine_expression(name))
    return described


def machine_of(question: Question) -> Machine:
    """Return the machine of a question, with what it keeps back.

    Raises:
        BadInputError: the machine is not known.
    """
    machine = machine_named(question.machine)
    if question.idle:
        machine = idle_machine(machine)
    if question.reserve_mib is not None:
        machine = with_reserves(machine, (f"{question.reserve_mib}MiB",))
    return machine


def first_answer(question: Question, dropped: ModelSpec | None = None) -> Plan:
    """Return the verdict, the memory and the speed of an answer: what is shown first.

    `dropped` is a model that was read from a visitor's file. `answered` says the same, and what
    takes as long again: every other runtime's answer.

    Raises:
        BadInputError: what was asked cannot be answered; the message says why.
    """
    is_whole = dropped is None and _answers.known(question) is not None
    if is_whole or question.runtime != DEFAULT_RUNTIME:
        return answered(question, dropped)
    return _chosen(question, dropped).plan


def answered(question: Question, dropped: ModelSpec | None = None) -> Plan:
    """Return the answer to a question; `dropped` is a model that was read from a visitor's file.

    With llama.cpp it is the whole plan, every other runtime's answer in it.

    Raises:
        BadInputError: what was asked cannot be answered; the message says why.
    """
    return _remembered(_answers, question, dropped, _worked_out)


def _chosen(question: Question, dropped: ModelSpec | None) -> Choice:
    return _remembered(_choices, question, dropped, _choose)


def _remembered(
    memory: Memory,
    question: Question,
    dropped: ModelSpec | None,
    work: Callable[[Question, ModelSpec | None], _Result],
) -> _Result:
    """Return what the work makes of a question; what is in a visitor's file is not kept."""
    if dropped is not None:
        return work(question, dropped)
    machine_named(question.machine)  # refused in public, whatever was answered before
    found: _Result = memory.of(question, lambda: work(question, None))
    return found


def model_of(question: Question, dropped: ModelSpec | None = None) -> ModelSpec:
    """Return the model that a question means: of a file, of the catalog, or of Hugging Face.

    A name is never taken for a path, nor for any other address.

    Raises:
        BadInputError: it is not known, or not read here.
    """
    if dropped is None:
        name = name_of(question.model)
        return load_model(name, file_type=question.file_type, runtime=question.runtime)
    if question.runtime != DEFAULT_RUNTIME and not find_runtime(question.runtime).starts_llama_cpp:
        raise InvalidRequestError(
            what="runtime for a dropped file",
            got=question.runtime,
            allowed="llama.cpp, ollama, lm-studio, jan",
        )
    if question.file_type in (None, dropped.file_type):
        return dropped
    return requantised(dropped, question.file_type)


def name_of(model: str) -> str:
    """Return the name that the library loads a model by.

    Raises:
        UnknownModelError: the catalog has no such model.
        InvalidRequestError: an address that is not read on a public page, or an odd one.
    """
    if not is_hub_name(model):
        return find_model(model).id
    if is_public():
        raise InvalidRequestError(
            what="model",
            got=model,
            allowed="a model of the catalog",
            next_step="on your own machine: whatfits web",
        )
    return model


def _worked_out(question: Question, dropped: ModelSpec | None) -> Plan:
    if question.runtime == DEFAULT_RUNTIME:
        name = name_of(question.model) if dropped is None else None
        plan = plan_of(_chosen(question, dropped), name=name)
        _choices.forget(question)
        return plan
    return answer(
        model_of(question, dropped),
        machine=machine_of(question),
        workload=question.workload,
        request=question.placement,
        runtime=question.runtime,
    )


def _choose(question: Question, dropped: ModelSpec | None) -> Choice:
    return choice_for(
        model_of(question, dropped),
        machine=machine_of(question),
        workload=question.workload,
        request=question.placement,
        fixed_file_type=question.file_type is not None,
    )


def ranked(question: Question, *, kind: str | None, open_only: bool) -> tuple[RankedModel, ...]:
    """Return every catalog model that runs on a question's machine with its context.

    Raises:
        BadInputError: the machine is not known, or no model can run under the workload.
    """
    machine = machine_of(question)

    def work() -> tuple[RankedModel, ...]:
        rows = find_models(
            machine, workload=question.workload, file_type=question.file_type, kind=kind
        )
        return tuple(row for row in rows if row.verdict in MAY_RUN)

    found: tuple[RankedModel, ...] = _rankings.of(
        (machine, question.workload, question.file_type, kind), work
    )
    return tuple(row for row in found if is_open(row.model)) if open_only else found


def with_contexts(question: Question, rows: Sequence[RankedModel]) -> tuple[RankedModel, ...]:
    """Return rows of a ranking with the longest context that each runs with.

    Raises:
        BadInputError: the machine is not known.
    """
    from whatfits.sizing.context_left import with_longest_context  # noqa: PLC0415 - on use

    machine = machine_of(question)

    def work() -> tuple[RankedModel, ...]:
        return tuple(
            with_longest_context(
                row, load_model(row.model, file_type=row.file_type), machine, question.workload
            )
            for row in rows
        )

    found: tuple[RankedModel, ...] = _contexts.of((machine, question.workload, *rows), work)
    return found


def curves(question: Question, dropped: ModelSpec | None = None) -> tuple[ContextCurve, ...]:
    """Return what a question's model needs over contexts, a curve for each precision.

    Raises:
        BadInputError: what was asked cannot be answered.
    """
    from whatfits.sizing.curves import context_curves  # noqa: PLC0415 - on use

    def work() -> tuple[ContextCurve, ...]:
        return context_curves(
            model_of(question, dropped),
            machine_of(question),
            question.workload,
            question.placement,
            kv_types=_KV_TYPES,
            contexts=[parse_tokens(context) for context in CONTEXTS],
        )

    if dropped is not None:
        return work()
    found: tuple[ContextCurve, ...] = _curves.of(question, work)
    return found
