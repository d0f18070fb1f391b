"""Puts a mutant's code into functions that are loaded already, in a forked child.

That is what makes a mutant cheap: nothing is imported or collected again. It cannot be done for
what a module says by itself (constants, defaults of fields and parameters) and for functions that
ran while it was imported; those mutants get a process of their own (`fresh.py`).
"""

from __future__ import annotations

import gc
import sys
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Final

from groups import PACKAGE, load_all
from mutants import changed_tree

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from mutants import Mutant

_Key = tuple[str, str, int]


def called_on_import() -> set[_Key]:
    """Import every mutated module; return which of their functions ran meanwhile."""
    ran: set[_Key] = set()

    def note(frame: FrameType, event: str, _: object) -> None:
        if event == "call":
            ran.add(_key(frame.f_code))

    sys.setprofile(note)
    try:
        load_all()
    finally:
        sys.setprofile(None)
    return ran


class Loaded:
    """The functions of the package that can be given other code."""

    def __init__(self, ran: set[_Key]) -> None:
        self._ran: Final = ran
        self._functions: Final[dict[_Key, list[FunctionType]]] = {}
        for found in gc.get_objects():
            if isinstance(found, FunctionType) and (found.__module__ or "").startswith(PACKAGE):
                self._functions.setdefault(_key(found.__code__), []).append(found)

    def can_swap(self, mutant: Mutant) -> bool:
        """Return whether a mutant's function is loaded, and did not run meanwhile."""
        return self._swapped(mutant) is not None

    def _swapped(self, mutant: Mutant) -> _Key | None:
        if mutant.unit is None:
            return None
        key = (sys.modules[f"{PACKAGE}.{mutant.module}"].__file__ or "", *mutant.unit)
        return key if key in self._functions and key not in self._ran else None

    def swap(self, mutant: Mutant, source: str) -> bool:
        """Give a mutant's function its code; return False where that cannot be done."""
        key = self._swapped(mutant)
        if key is None:
            return False
        changed = compile(changed_tree(source, mutant.number), key[0], "exec")
        code = next(code for code in _codes(changed) if _key(code) == key)
        for function in self._functions[key]:
            if function.__code__.co_freevars != code.co_freevars:
                return False
            function.__code__ = code
        return True


def _codes(code: CodeType) -> Iterator[CodeType]:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from _codes(constant)


def _key(code: CodeType) -> _Key:
    return code.co_filename, code.co_qualname, code.co_firstlineno
