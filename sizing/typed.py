"""What modules take of `typing` at work, without the cost of its import.

Annotations here are texts, which no command evaluates: names that only they use are imported for
checkers. To import `typing` for the rest would take a twentieth of a whole `check` (2.7 of 55 ms).
Modules that no command needs at its start, as pydantic's answers, import `typing` itself.
Error: none; docs/schema.json holds fast what becomes of the words (tests/sizing/test_typed.py).
"""

from __future__ import annotations

TYPE_CHECKING = False

__all__ = ["TYPE_CHECKING", "Any", "Literal", "Protocol", "assert_never", "cast"]

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Literal, Protocol, assert_never, cast
else:
    Any = object  # pydantic describes both as anything

    class Literal:
        """Some words, which become `typing.Literal` where somebody reads them."""

        def __init__(self, words: tuple[str, ...]) -> None:
            """Keep the words, under the name that `typing` has for them."""
            self.__args__ = words

        def __class_getitem__(cls, words: str | tuple[str, ...]) -> Literal:
            """Return the words of one alias."""
            return cls(words if isinstance(words, tuple) else (words,))

        def __or__(self, other: object) -> object:
            """Return the union with another, of `typing`."""
            return self._read() | other

        def __get_pydantic_core_schema__(
            self, _: object, handler: Callable[[object], object]
        ) -> object:
            """Return what pydantic makes of the words."""
            return handler(self._read())

        def _read(self) -> object:
            from typing import Literal  # noqa: PLC0415 - only where somebody asks for it

            return Literal[self.__args__]

    class Protocol:
        """What a class that describes others begins with."""

        __slots__ = ()

    def cast(_: object, value: object) -> object:
        """Return the value."""
        return value

    def assert_never(value: object) -> None:
        """Fail where checkers were promised that nothing comes."""
        raise AssertionError(f"{value!r} was not to come")
