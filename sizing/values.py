"""`dataclass` of the standard library, made at a quarter of its cost.

A command makes some sixty of these classes before it can answer; the standard library compiles six
methods for each. Here only `__init__` is compiled, the others are shared. The classes are
dataclasses all the same: `fields`, `replace`, `asdict` and pydantic see no difference.
Error: the same methods, held against the standard library's by tests/sizing/test_values.py.
"""

from __future__ import annotations

import dataclasses
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable
    from dataclasses import dataclass
else:

    def dataclass(
        **options: bool,
    ) -> Callable[[type[_T]], type[_T]]:
        """Return the decorator that makes such a class; the options are the standard library's."""
        return lambda cls: _made(cls, **options)


__all__ = ["dataclass"]

_T = TypeVar("_T")
_UNSET: Final = dataclasses.MISSING


def _made(
    cls: type[_T],
    *,
    frozen: bool = False,
    slots: bool = False,
    eq: bool = True,
    repr: bool = True,  # noqa: A002 - as the standard library names it
    kw_only: bool = False,
) -> type[_T]:
    """Return `cls` as a dataclass; methods that it has itself are kept."""
    own = frozenset(vars(cls))
    plain = dataclasses.dataclass(init=False, eq=False, repr=False, slots=slots, kw_only=kw_only)
    new: Any = plain(cls)
    given = dataclasses.fields(new)
    methods: dict[str, object] = {"__init__": _init(new, given)}
    if repr:
        methods["__repr__"] = _repr([field.name for field in given if field.repr])
    if eq:
        compared = [field.name for field in given if field.compare]
        methods["__eq__"] = _equal(compared)
        methods["__hash__"] = _hash(compared) if frozen else None
    if frozen:
        methods |= {"__setattr__": _refuse_to_set, "__delattr__": _refuse_to_delete}
        if slots:
            names = [field.name for field in given]
            methods |= {"__getstate__": _get_state(names), "__setstate__": _set_state(names)}
    for name, method in methods.items():
        if name not in own:
            setattr(new, name, method)
    parameters = new.__dataclass_params__
    parameters.init, parameters.frozen, parameters.eq, parameters.repr = True, frozen, eq, repr
    return new  # type: ignore[no-any-return]


def _init(cls: type[object], given: tuple[dataclasses.Field[Any], ...]) -> object:
    """Return `__init__`: the one method that has to know the fields by name.

    Fields that are no parameters are left to `__post_init__`.
    """
    known: dict[str, object] = {"_set": object.__setattr__, "_UNSET": _UNSET}
    parameters, body = ["self"], []
    for number, field in enumerate(field for field in given if field.init):
        name = value = field.name
        if field.kw_only and "*" not in parameters:
            parameters.append("*")
        if field.default_factory is not _UNSET:
            known[f"_make{number}"] = field.default_factory
            parameters.append(f"{name}=_UNSET")
            value = f"_make{number}() if {name} is _UNSET else {name}"
        elif field.default is not _UNSET:
            known[f"_default{number}"] = field.default
            parameters.append(f"{name}=_default{number}")
        else:
            parameters.append(name)
        body.append(f" _set(self, {name!r}, {value})\n")
    if hasattr(cls, "__post_init__"):
        body.append(" self.__post_init__()\n")
    text = f"def __init__({', '.join(parameters)}):\n{''.join(body) or ' pass'}"
    exec(text, known)  # noqa: S102 - fields of our own classes
    made: Any = known["__init__"]
    made.__qualname__ = f"{cls.__qualname__}.__init__"
    return made


def _values(names: list[str]) -> Callable[[Any], Any]:
    """Return what reads the named attributes of an object at once."""
    if len(names) > 1:
        return attrgetter(*names)
    return lambda self: tuple(getattr(self, name) for name in names)


def _equal(names: list[str]) -> object:
    values = _values(names)

    def __eq__(self: Any, other: object) -> bool:  # noqa: ANN401, N807 - it becomes the method
        if other.__class__ is not self.__class__:
            return NotImplemented
        return bool(values(self) == values(other))

    return __eq__


def _hash(names: list[str]) -> object:
    values = _values(names)

    def __hash__(self: Any) -> int:  # noqa: ANN401, N807 - it becomes the method
        return hash(values(self))

    return __hash__


def _repr(names: list[str]) -> object:
    def __repr__(self: Any) -> str:  # noqa: ANN401, N807 - it becomes the method
        shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in names)
        return f"{self.__class__.__qualname__}({shown})"

    return __repr__


def _refuse_to_set(_: object, name: str, __: object) -> None:
    raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")


def _refuse_to_delete(_: object, name: str) -> None:
    raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")


def _get_state(names: list[str]) -> object:
    return lambda self: [getattr(self, name) for name in names]


def _set_state(names: list[str]) -> object:
    def __setstate__(self: object, state: list[object]) -> None:  # noqa: N807 - see above
        for name, value in zip(names, state, strict=True):
            object.__setattr__(self, name, value)

    return __setstate__
