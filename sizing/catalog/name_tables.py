"""The tables of names in the index. Used when the index is built; the rules are in `names.py`.

A name belongs to one entry. Names that people gave (id, name, alias) come first; derived ones
(the Hugging Face name without `-Instruct`, `qwen3-30b` for `qwen3-30b-a3b`) are kept where they
belong to one entry only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from whatfits.sizing.catalog.names import (
    device_tokens,
    driver_tokens,
    key_of,
    memory_gib_of,
    model_tokens,
    short_device_tokens,
    without_active_size,
    without_noise,
    without_vendor,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from whatfits.sizing.catalog.schema import DeviceRow, ModelRow

__all__ = ["DeviceNames", "ModelNames", "device_names", "model_names"]


_UNDERSCORE_IN_NUMBER: Final = re.compile(r"(?<=\d)_(?=\d)")


@dataclass(slots=True)
class ModelNames:
    """Names of models: key → number of the entry; clashes of given names; partial-match rows."""

    keys: dict[str, int] = field(default_factory=dict)
    hf_ids: dict[str, int] = field(default_factory=dict)
    clashes: list[str] = field(default_factory=list)
    table: list[list[Any]] = field(default_factory=list)


def model_names(rows: Iterable[ModelRow]) -> ModelNames:
    """Return the tables of names of all models."""
    names = ModelNames()
    derived: list[tuple[str, int]] = []
    shorter: list[tuple[str, int]] = []
    for number, row in enumerate(rows):
        names.hf_ids[row.hf_id.casefold()] = number
        given = [model_tokens(text) for text in (row.id, row.name, *row.aliases)]
        for tokens in given:
            key = key_of(tokens)
            if names.keys.setdefault(key, number) != number:
                names.clashes.append(f"{row.id}: the name {key!r} belongs to another model")
        repository = row.hf_id.partition("/")[2]
        # Some publishers write 2.5 as 2_5; who types an underscore may mean a space.
        forms = [*given, model_tokens(_UNDERSCORE_IN_NUMBER.sub(".", repository))]
        derived.append((key_of(model_tokens(repository)), number))
        if row.kind == "embedding":  # so LM Studio calls them all
            forms += [["text", "embedding", *tokens] for tokens in given]
        else:  # bge-base, bge-small: there the word is the size
            forms += [without_noise(tokens) for tokens in forms]
        forms += [without_vendor(tokens) for tokens in forms]
        derived += [(key_of(tokens), number) for tokens in forms]
        shorter += [(key_of(without_active_size(tokens)), number) for tokens in forms]
        unique = [list(form) for form in dict.fromkeys(tuple(tokens) for tokens in forms)]
        names.table.append([row.id, row.params_total or row.params_published, unique])
    for level in (derived, shorter):
        _add_unique(names.keys, level)
    return names


def _add_unique(keys: dict[str, int], candidates: list[tuple[str, int]]) -> None:
    owners: dict[str, set[int]] = {}
    for key, number in candidates:
        owners.setdefault(key, set()).add(number)
    for key, numbers in owners.items():
        if key and key not in keys and len(numbers) == 1:
            keys[key] = next(iter(numbers))


@dataclass(slots=True)
class DeviceNames:
    """Names of devices.

    Attributes:
        keys: name without memory → [number, 1 if the name held the memory else 0] of each device.
        drivers: name that a driver or lspci reports → numbers of the devices.
        clashes: names that memory cannot tell apart.
        table: partial-match rows: name, memory options, forms of the name without memory.
    """

    keys: dict[str, list[list[int]]] = field(default_factory=dict)
    drivers: dict[str, list[int]] = field(default_factory=dict)
    clashes: list[str] = field(default_factory=list)
    table: list[list[Any]] = field(default_factory=list)


def device_names(rows: Iterable[DeviceRow]) -> DeviceNames:
    """Return the tables of names of all devices."""
    names = DeviceNames()
    devices = tuple(rows)
    full = [_full_forms(row) for row in devices]
    taken = {key_of(list(form)) for forms in full for form in forms}
    for number, (row, forms) in enumerate(zip(devices, full, strict=True)):
        for form, with_memory in list(forms.items()):
            for short in short_device_tokens(list(form)):
                if key_of(short) not in taken:
                    forms.setdefault(tuple(short), with_memory)
        for form, with_memory in forms.items():
            names.keys.setdefault(key_of(list(form)), []).append([number, int(with_memory)])
        # lspci calls a laptop's chip so even where its driver gives it the desktop card's name.
        for text in (*row.driver_names, *((row.name,) if row.driver_names else ())):
            owners = names.drivers.setdefault(key_of(driver_tokens(text)), [])
            if number not in owners:
                owners.append(number)
        names.table.append([row.name, list(row.memory_gib), [list(form) for form in forms]])
    names.clashes += _clashes(names.keys, devices)
    return names


def _full_forms(row: DeviceRow) -> dict[tuple[str, ...], bool]:
    """Return the forms of a device's names without memory → whether every one held the memory."""
    forms: dict[tuple[str, ...], bool] = {}
    for text in (row.id, row.name, *row.aliases):
        tokens = device_tokens(text)
        bare = tuple(token for token in tokens if memory_gib_of(token) is None)
        forms[bare] = forms.get(bare, True) and len(bare) < len(tokens)
    return forms


def _clashes(keys: dict[str, list[list[int]]], devices: tuple[DeviceRow, ...]) -> list[str]:
    found = []
    for key, owners in keys.items():
        seen: set[int] = set()
        for number, _ in owners:
            options = set(devices[number].memory_gib)
            if seen & options:
                found.append(f"{devices[number].id}: memory does not tell {key!r} from another")
            seen |= options
    return found
