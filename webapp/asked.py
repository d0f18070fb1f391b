"""The machine and the model that a question means.

The machine this server runs on is read once, and again when somebody asks for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from whatfits.sizing.api import load_machine, load_model
from whatfits.sizing.catalog.lookup import find_model
from whatfits.sizing.errors import InvalidRequestError, UnknownModelError
from whatfits.sizing.machine_changes import idle_machine, with_reserves
from whatfits.sizing.runtimes import DEFAULT_RUNTIME, find_runtime
from whatfits.sizing.sources.claims import is_hub_name
from whatfits.sizing.sources.gguf_model import as_file_type
from whatfits.webapp.input_list import HERE
from whatfits.webapp.known_results import KNOWN_MACHINES
from whatfits.webapp.mode import is_public

if TYPE_CHECKING:
    from whatfits.sizing.machine import Machine
    from whatfits.sizing.model import ModelSpec
    from whatfits.webapp.state import Question

__all__ = ["machine_named", "machine_of", "model_of", "name_of"]

_LONGEST_NAME: Final = 500
_SHOWN: Final = 40  # characters of a name that is too long
_OF_THE_LIST: Final = "a model of the list"
_OR_OF_ONES_OWN: Final = ", hf:owner/name, or a file under 'A model that is not in the list'"


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
        machine: Machine = KNOWN_MACHINES.of(HERE, lambda: load_machine(None))
        return machine
    if len(name) > _LONGEST_NAME:
        raise _too_long("machine", name)
    described: Machine = KNOWN_MACHINES.of(name, lambda: machine_expression(name))
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
    return as_file_type(dropped, question.file_type)


def name_of(model: str) -> str:
    """Return the name that the library loads a model by.

    Raises:
        UnknownModelError: the catalog has no such model.
        InvalidRequestError: too long, or an address that is not read on a public page.
    """
    if len(model) > _LONGEST_NAME:
        raise _too_long("model", model)
    if not is_hub_name(model):
        return _catalog_id(model)
    if is_public():
        raise InvalidRequestError(
            what="model",
            got=model,
            allowed="a model of the catalog",
            next_step="on your own machine: whatfits web",
        )
    return model


def _too_long(what: str, name: str) -> InvalidRequestError:
    return InvalidRequestError(what=what, got=f"{name[:_SHOWN]}…", allowed="a shorter name")


def _catalog_id(model: str) -> str:
    """Return the id of a catalog model; else say what the page takes, which opens no paths."""
    try:
        return find_model(model).id
    except UnknownModelError as error:
        if error.what != "unknown model":
            raise
        raise UnknownModelError(
            what=error.what,
            got=model,
            allowed=_OF_THE_LIST if is_public() else _OF_THE_LIST + _OR_OF_ONES_OWN,
            next_step=error.next_step,
        ) from None
