"""From a question to the library's answer: remembered while the same is asked, one at a time.

Values are frozen, so visitors may share them; nothing is pickled. The machine this server runs on
is read once, and again when somebody asks for it.
"""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

from whatfits.sizing.api import answer, load_machine, load_model, plan_for
from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.machine_changes import idle_machine, with_reserves
from whatfits.sizing.runtimes import DEFAULT_RUNTIME
from whatfits.webapp.state import HERE, Question

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from whatfits.sizing.estimate import Plan
    from whatfits.sizing.machine import Machine
    from whatfits.sizing.model import ModelSpec

__all__ = ["Memory", "answered", "forget_this_machine", "machine_named", "machine_of"]

_MOST_ANSWERS: Final = 256
_LONGEST_NAME: Final = 200


class Memory:
    """The last results by what they were asked with; the same question is worked out once."""

    def __init__(self, most: int) -> None:
        """Keep at most so many."""
        self._most = most
        self._kept: OrderedDict[Hashable, Any] = OrderedDict()
        self._lock = Lock()

    def of(self, key: Hashable, work: Callable[[], Any]) -> Any:  # noqa: ANN401 - what work returns
        """Return what is known under the key, or what `work` returns; its errors are not kept.

        One at a time: two at once would each take twice as long, and the same may be asked.
        """
        if key in self._kept:
            return self._kept[key]
        with self._lock:
            if key in self._kept:
                return self._kept[key]
            found = work()
            self._kept[key] = found
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)
            return found

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._kept.clear()


_answers: Final = Memory(_MOST_ANSWERS)
_machines: Final = Memory(64)


def forget_this_machine() -> None:
    """Read this machine anew when it is asked for next."""
    _machines.clear()
    _answers.clear()


def machine_named(name: str) -> Machine:
    """Return this machine, or the one an expression describes; a file is never opened.

    Raises:
        UnknownMachineError: it is no expression, or names an unknown device.
    """
    from whatfits.sizing.catalog.machines import machine_expression  # noqa: PLC0415 - on use

    if name == HERE:
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


def answered(question: Question, spec: ModelSpec | None = None) -> Plan:
    """Return the answer to a question; `spec` is a model that was read from a file.

    With llama.cpp it is the whole plan, every other runtime's answer in it.

    Raises:
        BadInputError: what was asked cannot be answered; the message says why.
    """
    if spec is not None:
        return _worked_out(question, spec)
    plan: Plan = _answers.of(question, lambda: _worked_out(question, None))
    return plan


def _worked_out(question: Question, given: ModelSpec | None) -> Plan:
    machine = machine_of(question)
    runtime = question.runtime
    spec = given
    if spec is None:
        spec = load_model(question.model, file_type=question.file_type, runtime=runtime)
    if runtime != DEFAULT_RUNTIME:
        return answer(
            spec,
            machine=machine,
            workload=question.workload,
            request=question.placement,
            runtime=runtime,
        )
    return plan_for(
        spec,
        name=None if given is not None else question.model,
        machine=machine,
        workload=question.workload,
        request=question.placement,
        fixed_file_type=question.file_type is not None,
    )
