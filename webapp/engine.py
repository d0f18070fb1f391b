"""From a question to the library's answer about its model and its machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

from whatfits.sizing.api import answer, choice_for, plan_of
from whatfits.sizing.runtimes import DEFAULT_RUNTIME
from whatfits.sizing.units import parse_tokens
from whatfits.webapp.asked import machine_named, machine_of, model_of, name_of
from whatfits.webapp.input_list import CONTEXTS
from whatfits.webapp.known_results import KNOWN_ANSWERS, KNOWN_CHOICES, KNOWN_CURVES, KnownResults

if TYPE_CHECKING:
    from collections.abc import Callable

    from whatfits.sizing.curves import ContextCurve
    from whatfits.sizing.estimate import Plan
    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.planning import Choice
    from whatfits.webapp.state import Question

__all__ = ["answered", "curves", "first_answer"]

_KV_TYPES: Final = ("f16", "q8_0", "q4_0")
_Result = TypeVar("_Result")


def first_answer(question: Question, dropped: ModelSpec | None = None) -> Plan:
    """Return the verdict, the memory and the speed of an answer: what is shown first.

    `dropped` is a model that was read from a visitor's file. `answered` says the same, and what
    takes as long again: every other runtime's answer.

    Raises:
        BadInputError: what was asked cannot be answered; the message says why.
    """
    is_whole = dropped is None and KNOWN_ANSWERS.known(question) is not None
    if is_whole or question.runtime != DEFAULT_RUNTIME:
        return answered(question, dropped)
    return _chosen(question, dropped).plan


def answered(question: Question, dropped: ModelSpec | None = None) -> Plan:
    """Return the answer to a question; `dropped` is a model that was read from a visitor's file.

    With llama.cpp it is the whole plan, every other runtime's answer in it.

    Raises:
        BadInputError: what was asked cannot be answered; the message says why.
    """
    return _remembered(KNOWN_ANSWERS, question, dropped, _worked_out)


def _chosen(question: Question, dropped: ModelSpec | None) -> Choice:
    return _remembered(KNOWN_CHOICES, question, dropped, _choose)


def _remembered(
    known: KnownResults,
    question: Question,
    dropped: ModelSpec | None,
    work: Callable[[Question, ModelSpec | None], _Result],
) -> _Result:
    """Return what the work makes of a question; what is in a visitor's file is not kept."""
    if dropped is not None:
        return work(question, dropped)
    machine_named(question.machine)  # refused in public, whatever was answered before
    found: _Result = known.of(question, lambda: work(question, None))
    return found


def _worked_out(question: Question, dropped: ModelSpec | None) -> Plan:
    if question.runtime == DEFAULT_RUNTIME:
        name = name_of(question.model) if dropped is None else None
        plan = plan_of(_chosen(question, dropped), name=name)
        KNOWN_CHOICES.forget(question)
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
    found: tuple[ContextCurve, ...] = KNOWN_CURVES.of(question, work)
    return found
