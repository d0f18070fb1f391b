"""The project's `dataclass` makes what the standard library's makes."""

from __future__ import annotations

import copy
import dataclasses
import inspect
from typing import TYPE_CHECKING, Any

import pytest

from whatfits.sizing import values

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

OPTIONS: tuple[dict[str, bool], ...] = (
    {"frozen": True, "slots": True},
    {"frozen": True, "slots": True, "kw_only": True},
    {"frozen": True, "slots": True, "eq": False, "repr": False},
    {"frozen": True},
    {"slots": True},
    {},
)


def two(options: dict[str, bool]) -> tuple[type[Any], type[Any]]:
    """Return the same class made by the standard library and by the project."""

    def made(module: ModuleType) -> type[Any]:
        @module.dataclass(**options)  # type: ignore[untyped-decorator]
        class Sample:
            """A value."""

            name: str
            numbers: tuple[int, ...] = ()
            kept: dict[str, int] = module.field(default_factory=dict, compare=False)
            hidden: int = module.field(default=1, repr=False)

            @property
            def longer(self) -> str:
                """The name, twice."""
                return self.name * 2

        return Sample

    return made(dataclasses), made(values)


def outcome(act: Callable[[], object]) -> object:
    """Return what comes of it, or the kind and the words of its failure."""
    try:
        return act()
    except (TypeError, AttributeError) as error:
        return type(error), str(error)


def behaviour(cls: type[Any], options: dict[str, bool]) -> tuple[object, ...]:
    """Return all that can be seen of a class."""
    one, same, other = cls(name="a"), cls(name="a", kept={"b": 1}), cls(name="b")
    return (
        outcome(lambda: cls("a").name),
        outcome(cls),
        outcome(lambda: cls(name="a", unknown=1)),
        one == same,
        one == other,
        one == "a",
        outcome(lambda: hash(one) == hash(same)) if options.get("eq", True) else None,
        repr(one) if options.get("repr", True) else None,
        outcome(lambda: setattr(one, "hidden", 3)),
        outcome(lambda: delattr(one, "hidden")) if options.get("frozen") else None,
        dataclasses.replace(one, numbers=(1, 2)).numbers,
        dataclasses.asdict(other),
        [(field.name, field.kw_only) for field in dataclasses.fields(cls)],
        copy.deepcopy(same).kept,
        copy.copy(one).name,
        hasattr(one, "__dict__"),
        cls.__match_args__,
        one.longer,
        str(inspect.signature(cls)),
        [cls(name="a", numbers=(number,)).numbers for number in range(9)],
        outcome(lambda: cls("a", name="b")),
        outcome(lambda: cls("a", (), {}, 1, 2)),
    )


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_both_behave_alike(options: dict[str, bool]) -> None:
    standard, ours = two(options)
    assert behaviour(ours, options) == behaviour(standard, options)


def test_default_containers_are_not_shared() -> None:
    _, ours = two({"slots": True})
    first, second = ours("a"), ours("b")
    first.kept["x"] = 1
    assert second.kept == {}


@values.dataclass(frozen=True, slots=True)
class Checked:
    """A value that works out a field of its own."""

    part: int
    twice: int = values.field(init=False)

    def __post_init__(self) -> None:
        """Work it out."""
        object.__setattr__(self, "twice", 2 * self.part)


def test_what_is_no_parameter_is_left_to_the_class() -> None:
    assert Checked(2).twice == 4
    assert Checked(2) == Checked(2) != Checked(3)


def test_copies_are_equal() -> None:
    assert copy.deepcopy(Checked(5)) == copy.copy(Checked(5)) == Checked(5)


def test_a_changed_copy_is_made_of_classes_of_either_kind() -> None:
    for cls in two({"frozen": True, "slots": True}):
        one = cls("a", hidden=3)
        changed = values.replace(one, numbers=(1, 2))
        assert (changed.name, changed.numbers, changed.hidden) == ("a", (1, 2), 3)
        assert one.numbers == ()
        with pytest.raises(TypeError, match="nothing"):
            values.replace(one, nothing=1)
