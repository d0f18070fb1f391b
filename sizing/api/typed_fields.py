"""Fields of a request that was made in Python: nobody has looked at their kinds yet.

What comes in as JSON goes through pydantic; this is the same for objects, without it.
"""

from __future__ import annotations

from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import annotations_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Final

__all__ = ["KINDS", "check_fields"]


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_switch(value: object) -> bool:
    return isinstance(value, bool)


def _each(is_one: Callable[[object], bool]) -> Callable[[object], bool]:
    return lambda value: isinstance(value, (tuple, list)) and all(map(is_one, value))


def _pairs(value: object) -> bool:
    return _each(lambda pair: _each(_is_text)(pair) and len(pair) == 2)(value)  # type: ignore[arg-type] # noqa: PLR2004


def _one_of(*names: str) -> tuple[Callable[[object], bool], str]:
    return (lambda value: _is_text(value) and value in names), ", ".join(names)


_TEXTS: Final = (_each(_is_text), "a tuple of texts")
KINDS: Final[dict[str, tuple[Callable[[object], bool], str]]] = {
    "int": (_is_whole, "a whole number"),
    "bool": (_is_switch, "True or False"),
    "str": (_is_text, "text"),
    "Program": _one_of("server", "api"),
    "OnOff": _one_of("auto", "on", "off"),
    "SpecType": _one_of("none", "draft-simple", "draft-mtp"),
    "Literal['layer', 'row', 'none']": _one_of("layer", "row", "none"),
    "tuple[str, ...]": _TEXTS,
    "tuple[float, ...]": (_each(_is_number), "a tuple of numbers"),
    "tuple[tuple[str, str], ...]": (_pairs, "a tuple of pairs of texts"),
}
"""What a field of an annotation may hold, and how that is called; `| None` is taken off."""
_OR_NONE: Final = " | None"


def check_fields(value: Any, *, what: str) -> None:  # noqa: ANN401 - any request
    """Refuse a field of another kind than its annotation says.

    Raises:
        InvalidRequestError: naming the first such field.
    """
    for name, annotation in annotations_of(value):
        given = getattr(value, name)
        if given is None and annotation.endswith(_OR_NONE):
            continue
        fits, allowed = KINDS[annotation.removesuffix(_OR_NONE)]
        if not fits(given):
            raise InvalidRequestError(what=f"{what}.{name}", got=given, allowed=allowed)
