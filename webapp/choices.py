"""What the catalog offers to choose from, and the words for it."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

from whatfits.sizing.architectures.config import Config
from whatfits.sizing.catalog.device_entries import find_device_and_memory
from whatfits.sizing.catalog.lookup import device_entries, model_entries
from whatfits.sizing.draft_pairs import are_close_vocabularies
from whatfits.sizing.errors import MalformedFileError, UnknownMachineError
from whatfits.sizing.units import format_count
from whatfits.sizing.values import dataclass
from whatfits.webapp.input_list import HERE, NONE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from whatfits.sizing.catalog.lookup import ModelEntry

__all__ = [
    "context_words",
    "draft_choices",
    "is_card",
    "is_open",
    "machine_choices",
    "model_choices",
    "model_words",
]

_CONTEXT_MARKS: Final = (
    (4096, "enough for a short chat"),
    (16_384, "enough for a long chat"),
    (65_536, "enough for a long document"),
    (2**20, "enough for a book or a whole repository"),
)
_OPEN_LICENCES: Final = frozenset({"apache-2.0", "mit"})
_LARGEST_DRAFT: Final = 4 * 10**9
_LIKELY: Final = (
    "rtx-3060-12-gb",
    "rtx-3090",
    "rtx-4060",
    "rtx-4070",
    "rtx-4090",
    "rtx-5070-ti",
    "rtx-5090",
    "rx-7900-xtx",
    "m2 16gb",
    "m4 16gb",
    "m4-pro 48gb",
    "m4-max-40-core-gpu 64gb",
)
_MAKERS: Final = ("nvidia-geforce-", "nvidia-", "amd-radeon-", "amd-", "intel-", "apple-")


@dataclass(frozen=True, slots=True)
class MachineChoice:
    """A machine of the list: its expression, and whether it is a card with RAM beside it."""

    expression: str
    is_card: bool


@cache
def _models() -> Mapping[str, ModelEntry]:
    return {entry.id: entry for entry in model_entries()}


@cache
def model_choices() -> tuple[str, ...]:
    """Return the ids of the catalog's models, in the order of the alphabet."""
    return tuple(sorted(_models()))


@cache
def draft_choices(model: str) -> tuple[str, ...]:
    """Return the models that can draft for `model`, after the choice of none.

    Those are small; for a model of the catalog also smaller, and of a vocabulary close to its own.
    """
    target = _models().get(model)
    small = {
        entry.id
        for entry in _models().values()
        if entry.kind == "llm"
        and 0 < (entry.params_total or 0) <= _LARGEST_DRAFT
        and (target is None or _can_draft_for(target, entry))
    }
    return (NONE, *sorted(small))


def _can_draft_for(target: ModelEntry, entry: ModelEntry) -> bool:
    if target.kind == "embedding" or (entry.params_total or 0) >= (target.params_total or 0):
        return False
    wanted, own = _vocabulary(target), _vocabulary(entry)
    return wanted is not None and own is not None and are_close_vocabularies(wanted, own)


def _vocabulary(entry: ModelEntry) -> int | None:
    """Return the length of a vocabulary; None where it is not known."""
    try:
        return Config(entry.config).n_vocab
    except MalformedFileError:
        return None


@cache
def _machines() -> Mapping[str, MachineChoice]:
    """Return every device with each of its memory options, the vendors in turn."""
    found = []
    for entry in device_entries():
        if entry.kind == "integrated":
            continue
        several = len(entry.memory_gib) > 1
        name = _short(entry.id)
        for size in entry.memory_gib:
            expression = f"{name} {size}gb" if several else name
            found.append(MachineChoice(expression, is_card=not entry.unified_memory))
    return {choice.expression: choice for choice in found}


def _short(device: str) -> str:
    """Return a device's id without its maker, where that still names it."""
    for maker in _MAKERS:
        short = device.removeprefix(maker)
        try:
            if short != device and find_device_and_memory(short).entry.id == device:
                return short
        except UnknownMachineError:
            continue
    return device


def machine_choices(*, with_here: bool) -> tuple[str, ...]:
    """Return this computer where it may be seen, then the machines of the catalog."""
    likely = tuple(name for name in _LIKELY if name in _machines())
    rest = tuple(name for name in _machines() if name not in likely)
    return (*((HERE,) if with_here else ()), *likely, *rest)


def is_card(machine: str) -> bool:
    """Whether a choice is a graphics card, which needs a PC with RAM around it."""
    choice = _machines().get(machine)
    return choice is not None and choice.is_card


def context_words(tokens: int) -> str:
    """Return what a context is enough for."""
    return next(words for most, words in _CONTEXT_MARKS if tokens <= most)


def model_words(model: str) -> str:
    """Return a catalog model's name, size and licence; nothing of one that is not there."""
    entry = _models().get(model)
    if entry is None:
        return ""
    facts = [entry.name]
    if entry.params_total is not None:
        facts.append(f"{format_count(entry.params_total)} parameters")
    if entry.moe and entry.params_active is not None:
        facts.append(f"{format_count(entry.params_active)} used for a token")
    if entry.licence:
        facts.append(f"licence {entry.licence}")
    return " · ".join(facts)


def is_open(model: str) -> bool:
    """Whether a catalog model's licence lets everybody use it for anything."""
    entry = _models().get(model)
    return entry is not None and (entry.licence or "").lower() in _OPEN_LICENCES
