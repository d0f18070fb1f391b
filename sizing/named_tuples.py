"""`NamedTuple` of the standard library, made at half of its cost.

`typing.NamedTuple` compiles each annotation, and to make Python's compiler ready for the first one
takes a millisecond; a command makes some fifty of these classes before it can answer. Here
annotations stay the texts that they are. The classes are `collections.namedtuple`'s all the same.
Error: the same classes, held against the standard library's by tests/sizing/test_named_tuples.py.
"""

from __future__ import annotations

import collections
from typing import TYPE_CHECKING, Any, Final

__all__ = ["NamedTuple"]

# under another name: checkers take a call of it for a class
_make: Any = collections.namedtuple  # noqa: PYI024 - typing's is what this stands in for
_GIVEN: Final = frozenset({"__module__", "__annotations__"})


class _Maker(type):
    """Makes a class of named fields of what a class says."""

    def __new__(cls, name: str, bases: tuple[type, ...], said: dict[str, Any]) -> Any:  # noqa: ANN401 - a class
        """Return the class; `NamedTuple` itself is none."""
        if not bases:
            return super().__new__(cls, name, bases, said)
        fields = list(said["__annotations__"])
        with_default = [field for field in fields if field in said]
        if with_default != fields[len(fields) - len(with_default) :]:
            raise TypeError(f"{name}: a field without a default follows one with a default")
        made: Any = _make(
            name,
            fields,
            defaults=[said[field] for field in with_default],
            module=said["__module__"],
        )
        made.__annotations__ = made.__new__.__annotations__ = said["__annotations__"]
        for key, value in said.items():
            if key not in _GIVEN and key not in with_default:
                setattr(made, key, value)
        return made


if TYPE_CHECKING:
    from typing import NamedTuple
else:

    class NamedTuple(metaclass=_Maker):
        """What a class of named fields begins with."""
