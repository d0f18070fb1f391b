"""The project's `NamedTuple` makes what the standard library's makes."""

from __future__ import annotations

import copy
import inspect
import subprocess
import sys
import typing
from typing import TYPE_CHECKING, Any

import pytest

from whatfits.sizing import named_tuples

if TYPE_CHECKING:
    from collections.abc import Callable


class Point(named_tuples.NamedTuple):
    """A place."""

    x: int
    y: int | None = None
    names: tuple[str, ...] = ()

    @property
    def is_flat(self) -> bool:
        """Whether it has one coordinate."""
        return self.y is None

    def moved(self, by: int) -> Point:
        """Return it further to the right."""
        return self._replace(x=self.x + by)


class StandardPoint(typing.NamedTuple):
    """A place."""

    x: int
    y: int | None = None
    names: tuple[str, ...] = ()

    @property
    def is_flat(self) -> bool:
        """Whether it has one coordinate."""
        return self.y is None

    def moved(self, by: int) -> StandardPoint:
        """Return it further to the right."""
        return self._replace(x=self.x + by)


def behaviour(cls: type[Any]) -> tuple[object, ...]:
    """Return all that can be seen of a class, its own name left out."""
    value = cls(1, names=("a",))
    x, y, names = value
    return (
        cls.__bases__,
        cls.__doc__,
        cls.__module__,
        cls._fields,
        cls._field_defaults,
        typing.get_type_hints(cls),
        inspect.signature(cls).parameters.keys(),
        [parameter.default for parameter in inspect.signature(cls).parameters.values()],
        (x, y, names, value[0], value.is_flat, value.moved(2), len(value)),
        (value == cls(1, None, ("a",)), value == cls(2), hash(value), value < cls(2)),
        repr(value).partition("(")[2],
        value._asdict(),
        copy.deepcopy(value),
        {cls(1): "kept"}[cls(1)],
        outcome(cls).partition("__new__()")[2],
        outcome(lambda: cls(1, 2, (), 3)).partition("__new__()")[2],
        outcome(lambda: setattr(value, "x", 2)),
    )


def outcome(act: Callable[[], object]) -> str:
    """Return the words of a failure."""
    with pytest.raises((TypeError, AttributeError)) as caught:
        act()
    return str(caught.value)


def test_such_a_class_is_what_the_standard_library_makes() -> None:
    assert behaviour(Point) == behaviour(StandardPoint)
    assert Point.__name__ == Point.__qualname__ == "Point"


def test_a_field_without_a_default_may_not_follow_one_with_a_default() -> None:
    with pytest.raises(TypeError, match="Wrong: a field without a default"):

        class Wrong(named_tuples.NamedTuple):
            """Python's own would not have it either."""

            first: int = 0
            second: int  # type: ignore[misc]


def test_to_make_one_compiles_nothing() -> None:
    script = (
        "import sys\n"
        "from whatfits.sizing.named_tuples import NamedTuple\n"
        "compiled = []\n"
        "def look(_, event, called):\n"
        "    if event == 'c_call' and called is compile:\n"
        "        compiled.append(called)\n"
        "sys.setprofile(look)\n"
        "class Row(NamedTuple):\n"
        "    size: 'int | None'\n"
        "sys.setprofile(None)\n"
        "sys.exit(len(compiled))\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
