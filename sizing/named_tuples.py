"""`NamedTuple` of the standard library, made at a tenth of its cost.

`typing.NamedTuple` compiles each annotation and `collections.namedtuple` a method for each class;
a command makes some fifty of these classes before it can answer. Here annotations stay the texts
that they are, and classes of as many fields share the compiled code of one `collections.namedtuple`
under names of their own.
Error: the same classes, held against the standard library's by tests/sizing/test_named_tuples.py.
"""

from __future__ import annotations

import collections
from types import FunctionType

from whatfits.sizing.typed import TYPE_CHECKING

__all__ = ["NamedTuple"]

_templates: Final[dict[int, Any]] = {}


class _Maker(type):
    """Makes a class of named fields of what a class says."""

    def __new__(cls, name: str, bases: tuple[type, ...], said: dict[str, Any]) -> Any:  # noqa: ANN401 - a class
        """Return the class; `NamedTuple` itself is none."""
        if not bases:
            return super().__new__(cls, name, bases, said)
        fields = (*said["__annotations__"],)
        defaults = {field: said[field] for field in fields if field in said}
        if (*defaults,) != fields[len(fields) - len(defaults) :]:
            raise TypeError(f"{name}: a field without a default follows one with a default")
        template = _template(len(fields))
        own = vars(template)
        places = dict(zip(fields, [own[field] for field in template._fields], strict=True))
        new = _renamed(name, template.__new__, fields, (*defaults.values(),))
        new.__annotations__ = said["__annotations__"]
        shared = {kept: own[kept] for kept in ("_make", "_asdict", "__getnewargs__")}
        described = {"__doc__": f"{name}({', '.join(fields)})", "__qualname__": name}
        listed = {"_fields": fields, "__match_args__": fields, "_field_defaults": defaults}
        methods = {"__new__": new, "_replace": _replace, "__repr__": _repr}
        if "__replace__" in own:  # of Python 3.13 and newer
            methods["__replace__"] = _replace
        made = {"__slots__": (), **shared, **described, **listed, **methods, **said, **places}
        return type(name, (tuple,), made)


def _template(count: int) -> Any:  # noqa: ANN401 - a class
    """Return a class of so many fields, made once."""
    if count not in _templates:
        # not under the function's own name: checkers take a call of it for a class
        make: Any = collections.namedtuple  # noqa: PYI024 - typing's is what this stands in for
        _templates[count] = make("_template", [f"field_{number}" for number in range(count)])
    return _templates[count]


def _renamed(owner: str, new: Any, fields: tuple[str, ...], defaults: tuple[object, ...]) -> Any:  # noqa: ANN401 - functions
    """Return a `__new__` that does what another does, its parameters renamed."""
    code = new.__code__.replace(co_varnames=("_cls", *fields))
    renamed = FunctionType(code, new.__globals__, "__new__", defaults)
    renamed.__qualname__ = f"{owner}.__new__"
    renamed.__doc__ = f"Create new instance of {owner}({', '.join(fields)})"
    return renamed


def _replace(self: Any, /, **changes: object) -> Any:  # noqa: ANN401 - of any class made here
    """Return a copy with some fields changed."""
    made = self._make(map(changes.pop, self._fields, self))
    if changes:
        raise TypeError(f"Got unexpected field names: {[*changes]!r}")
    return made


def _repr(self: Any) -> str:  # noqa: ANN401 - of any class made here
    shown = ", ".join(f"{name}={value!r}" for name, value in zip(self._fields, self, strict=True))
    return f"{self.__class__.__name__}({shown})"


if TYPE_CHECKING:
    from typing import Any, Final, NamedTuple
else:

    class NamedTuple(metaclass=_Maker):
        """What a class of named fields begins with."""
