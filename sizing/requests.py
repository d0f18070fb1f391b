"""Requests as they come in from JSON: checked by pydantic, refused in one line.

Imported only where JSON comes in; the plain command line never needs it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from math import inf
from typing import Any, ClassVar, Final, Literal, TypeVar

from pydantic import TypeAdapter, ValidationError

from whatfits.sizing.calibration import calibration_fault
from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.machine import Machine
from whatfits.sizing.values import dataclass
from whatfits.sizing.workload import PlacementRequest, Workload

__all__ = [
    "Request",
    "machine_from_object",
    "placement_from_object",
    "request_from_object",
    "validated",
    "workload_from_object",
]

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Request:
    """One line of `whatfits batch`: the keyword arguments of a question, and an id to find it by.

    `question` is `check`, `cost`, `fleet` or `serve`. Fields that only some of them have stand at
    the end; `runtime` has the question's own default.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    model: str
    id: Any = None
    file_type: str | None = None
    runtime: str | None = None
    machine: str | dict[str, Any] | None = None
    workload: dict[str, Any] | None = None
    placement: dict[str, Any] | None = None
    force: bool = False
    question: Literal["check", "cost", "fleet", "serve"] = "check"
    cost: dict[str, Any] | None = None
    users: int | None = None
    load: dict[str, Any] | None = None
    limits: dict[str, Any] | None = None
    seed: int | None = None
    machines: list[str | dict[str, Any]] | None = None
    network: str | None = None


_ONLY_OF: Final = {
    "cost": ("cost",),
    "serve": ("users", "load", "limits", "seed"),
    "fleet": ("machines", "network"),
}
_AMOUNTS: Final = (
    *("total_bytes", "limit_bytes", "used_bytes", "reserve_bytes"),
    *("total_low_bytes", "limit_low_bytes"),
)
_RATES: Final = (
    *("bandwidth_bytes_per_s", "fp16_flops_per_s", "power_watts"),
    *("cores", "fast_cores", "clock_hz"),
)
_NOT_OF_FLEET: Final = ("machine", "placement", "force")
_ADAPTERS: dict[Any, TypeAdapter[Any]] = {}


def _adapter(kind: type[_T]) -> TypeAdapter[_T]:
    """Return the adapter of a class, built once."""
    if kind not in _ADAPTERS:
        _ADAPTERS[kind] = TypeAdapter(kind)
    return _ADAPTERS[kind]


def validated(kind: type[_T], value: object, *, what: str) -> _T:
    """Return `value` as `kind`; text is no number, and true is not 1.

    Raises:
        InvalidRequestError: naming the first field that is wrong.
    """
    try:
        # JSON once more, because strict validation takes a list for a tuple only there
        valid = _adapter(kind).validate_json(json.dumps(value), strict=True)
    except (TypeError, ValueError, RecursionError) as error:
        if not isinstance(error, ValidationError):
            raise _not_json(value, what=what) from error
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        shown = first.get("input")
        if first["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
            raise _unknown_field(kind, first["loc"], what=what) from None
        if first["type"] in ("missing", "missing_argument"):
            raise InvalidRequestError(
                what=f"field '{place}' of {what} is missing", next_step="it has no default"
            ) from None
        raise InvalidRequestError(
            what=f"{what}.{place}" if place else what,
            got=_short(shown),
            allowed=str(first["msg"]).removeprefix("Input should be ").strip(),
        ) from None
    return valid


def _not_json(value: object, *, what: str) -> InvalidRequestError:
    """Return what is wrong with what JSON cannot carry: of its fields the first such one."""
    fields_of = value.items() if isinstance(value, dict) else ()
    for name, item in fields_of:
        try:
            json.dumps(item)
        except (TypeError, ValueError, RecursionError):
            what, value = f"{what}.{name}", item
            break
    return InvalidRequestError(
        what=what, got=_kind(value), allowed="what JSON can carry: int(), float(), bool(), str()"
    )


def _kind(value: object) -> str:
    """Return the name of a value's class, with its module where that is not Python itself."""
    kind = type(value)
    return kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"


def _unknown_field(
    kind: type[Any], place: tuple[int | str, ...], *, what: str
) -> InvalidRequestError:
    names = ", ".join(field.name for field in fields(kind)) if len(place) == 1 else ""
    path = ".".join(str(part) for part in place)
    return InvalidRequestError(what=f"unknown field of {what}:", got=path, allowed=names)


def _short(value: object) -> str:
    return value if isinstance(value, str) else repr(value)


def _named_split(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return a placement with the runtime's own text forms taken apart.

    `tensor_split` may be `3,1`; overrides may be `pattern=device` strings or an object.
    """
    changed = dict(value)
    split = changed.get("tensor_split")
    if isinstance(split, str):
        changed["tensor_split"] = _numbers(split)
    overrides = changed.get("overrides")
    if isinstance(overrides, str):
        overrides = [part for part in overrides.split(",") if part]
    if isinstance(overrides, dict):
        changed["overrides"] = list(overrides.items())
    elif isinstance(overrides, (list, tuple)):
        changed["overrides"] = [
            tuple(item.rpartition("=")[::2]) if isinstance(item, str) else item
            for item in overrides
        ]
    elif overrides is None:
        changed.pop("overrides", None)
    if changed.get("repack") is None:
        changed.pop("repack", None)
    return changed


def _numbers(split: str) -> list[float]:
    try:
        return [float(part) for part in split.replace("/", ",").split(",") if part]
    except ValueError:
        raise InvalidRequestError(
            what="placement.tensor_split", got=split, allowed="numbers with commas, as '3,1'"
        ) from None


def _without_nulls(value: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """Return `value` without null fields whose type has no null: null means the default."""
    return {key: item for key, item in value.items() if item is not None or key not in names}


def _checked_object(value: object, *, what: str) -> None:
    """Refuse what is no object with fields, as a list.

    Raises:
        InvalidRequestError: it is none.
    """
    if not isinstance(value, Mapping):
        raise InvalidRequestError(
            what=what, got=_kind(value), allowed="an object with fields, as a dict, or its class"
        )


def workload_from_object(value: Mapping[str, Any]) -> Workload:
    """Return a Workload from a JSON object.

    Raises:
        InvalidRequestError: a field is unknown or of the wrong kind.
    """
    _checked_object(value, what="workload")
    known = _without_nulls(value, "program", "flash_attention", "lora")
    return validated(Workload, known, what="workload")


def placement_from_object(value: Mapping[str, Any]) -> PlacementRequest:
    """Return a PlacementRequest from a JSON object.

    Raises:
        InvalidRequestError: a field is unknown or of the wrong kind.
    """
    _checked_object(value, what="placement")
    return validated(PlacementRequest, _named_split(value), what="placement")


def _check_pools(machine: Machine) -> None:
    """Refuse amounts below nothing, and lower ends above what they are the lower end of.

    Who edits a saved total may not see that its lower end stands beside it: what is promised rests
    on that one.

    Raises:
        InvalidRequestError: one of them is so.
    """
    for pool in machine.pools:
        for name in _AMOUNTS:
            amount = getattr(pool, name)
            most = getattr(pool, name.replace("_low", "")) if "_low" in name else None
            allowed = ""
            if amount is not None and amount < 0:
                allowed = "0 or more"
            elif amount is not None and most is not None and amount > most:
                exact = name.replace("_low", "")
                allowed = f"at most {exact}, {most}; leave it out where that is exact"
            if allowed:
                raise InvalidRequestError(
                    what=f"machine: {name} of pool {pool.id!r}", got=amount, allowed=allowed
                )


def _check_rates(machine: Machine) -> None:
    """Refuse rates that nothing can have.

    Raises:
        InvalidRequestError: a bandwidth, an arithmetic rate, a power, a clock or a count of cores
            that is nothing, or no number.
    """
    rated: list[tuple[str, object]] = [(f"device {d.id!r}", d) for d in machine.devices]
    rated += [(f"link to {link.to!r}", link) for link in machine.links]
    for where, holder in rated:
        for name in _RATES:
            rate = getattr(holder, name, None)
            if rate is not None and not 0 < rate < inf:
                raise InvalidRequestError(
                    what=f"machine: {name} of {where}", got=rate, allowed="more than 0, or null"
                )


def _check_ids(found: Machine) -> None:
    pools = {pool.id for pool in found.pools}
    if len(pools) != len(found.pools):
        raise InvalidRequestError(what="machine.pools", allowed="pools with different ids")
    if len({device.id for device in found.devices}) != len(found.devices):
        raise InvalidRequestError(what="machine.devices", allowed="devices with different ids")
    for device in found.devices:
        if device.pool not in pools:
            raise InvalidRequestError(
                what=f"machine: pool of device {device.id!r}",
                got=device.pool,
                allowed=", ".join(sorted(pools)) or "a pool of the machine",
            )


def _whole_numbers(value: Any) -> Any:  # noqa: ANN401 - JSON is untyped
    """Return `value` with 1e12 as the whole number it is: people write machines by hand."""
    if isinstance(value, dict):
        return {key: _whole_numbers(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_whole_numbers(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def machine_from_object(value: Mapping[str, Any]) -> Machine:
    """Return a Machine from a JSON object, or from the `machine` of a saved hardware report.

    Raises:
        InvalidRequestError: a field is unknown or wrong, or a device names no pool.
    """
    _checked_object(value, what="machine (a name is text)")
    inner = value.get("machine")
    described = inner if isinstance(inner, dict) else value
    found = validated(Machine, _whole_numbers(described), what="machine")
    _check_ids(found)
    _check_pools(found)
    _check_rates(found)
    disk = found.disk_bandwidth_bytes_per_s
    if disk is not None and disk < 1:
        raise InvalidRequestError(
            what="machine: disk_bandwidth_bytes_per_s", got=disk, allowed="more than 0, or null"
        )
    if found.calibration is not None:
        fault = calibration_fault(found.calibration, {device.id for device in found.devices})
        if fault is not None:
            raise InvalidRequestError(
                what=f"machine: calibration.{fault.what}", got=fault.got, allowed=fault.allowed
            )
    return found


def request_from_object(value: object) -> Request:
    """Return one batch request.

    Raises:
        InvalidRequestError: it is no object, lacks `model`, or has an unknown field.
    """
    if not isinstance(value, dict):
        raise InvalidRequestError(
            what="request", got=type(value).__name__, allowed='a JSON object with "model"'
        )
    known = _without_nulls(value, "force", "question")
    request = validated(Request, known, what="request")
    _refuse_strays(request)
    return request


def _refuse_strays(request: Request) -> None:
    """Refuse fields of another question than the one that is asked.

    Raises:
        InvalidRequestError: naming the first of them, or `machines` where a fleet has none.
    """
    for question, names in _ONLY_OF.items():
        strays = [name for name in names if getattr(request, name) is not None]
        if request.question != question and strays:
            raise InvalidRequestError(
                what="field of request:",
                got=strays[0],
                allowed=f'only with "question": "{question}"',
                next_step="or leave it out",
            )
    if request.question != "fleet":
        return
    if request.machines is None:
        raise InvalidRequestError(
            what="field 'machines' of request is missing",
            allowed="a list of names, or of reports that 'whatfits hardware --json' wrote",
        )
    for name in _NOT_OF_FLEET:
        if getattr(request, name):
            raise InvalidRequestError(
                what="field of request:",
                got=name,
                allowed='not with "question": "fleet"',
                next_step="each of 'machines' is a machine",
            )
