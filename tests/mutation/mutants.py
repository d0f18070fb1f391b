"""Every mutant of a module: where it stands, what it is called, the tree with the change in it."""

from __future__ import annotations

import ast
from collections import Counter
from typing import TYPE_CHECKING, Final, NamedTuple

from operators import Change, changes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_SHOWN_LETTERS: Final = 100
# Read by people or by type checkers, not by the program.
_LEFT_ALONE: Final = (ast.JoinedStr, ast.Raise, ast.Assert, ast.Import, ast.ImportFrom)
_TYPES: Final = frozenset({"annotation", "returns", "decorator_list", "type_params"})


class Unit(NamedTuple):
    """The function or method whose code a change is in: its qualified name and first line."""

    name: str
    line: int


class Mutant(NamedTuple):
    """One change.

    Attributes:
        key: what was changed where, without line numbers: module, function, kind, original text.
        module: below `whatfits.sizing`.
        lines: the first and last line of its statement, or of the head of one with a body.
        unit: the function it is in; None for what a module or a class says by itself.
        number: which of the module's changes it is.
    """

    key: str
    module: str
    lines: tuple[int, int]
    unit: Unit | None
    number: int


class _Place(NamedTuple):
    """A node, the function it is in, and how another node is put there."""

    scope: str
    unit: Unit | None
    statement: ast.stmt
    node: ast.expr | ast.stmt | ast.Slice
    put: Callable[[ast.AST], None]


def mutants_of(module: str, source: str) -> Iterator[Mutant]:
    """Yield every mutant of a module, in the order of its source."""
    seen: Counter[str] = Counter()
    for number, (place, change) in enumerate(_all_changes(ast.parse(source))):
        shown = place.statement if isinstance(place.node, (ast.Constant, ast.Slice)) else place.node
        original = " ".join(ast.unparse(_head(shown)).split())[:_SHOWN_LETTERS]
        key = f"{module} {place.scope or 'itself'}: {change.kind}: {original}"
        seen[key] += 1
        key += f" #{seen[key]}" if seen[key] > 1 else ""
        yield Mutant(key, module, _lines(place.statement), place.unit, number)


def changed_tree(source: str, number: int) -> ast.Module:
    """Return the module's tree with one of its changes; every line keeps its number."""
    tree = ast.parse(source)
    place, change = _all_changes(tree)[number]
    place.put(ast.copy_location(change.node, place.node))
    return ast.fix_missing_locations(tree)


def _all_changes(tree: ast.Module) -> list[tuple[_Place, Change]]:
    return [(place, change) for place in _places(tree) for change in _fitting(place)]


def _fitting(place: _Place) -> Iterator[Change]:
    """Yield a place's changes; `A | B` outside functions is a type."""
    is_type = isinstance(place.node, ast.BinOp) and isinstance(place.node.op, ast.BitOr)
    if place.unit is not None or not is_type:
        yield from changes(place.node)


def _places(tree: ast.Module) -> Iterator[_Place]:
    """Yield everything that the program executes."""

    def visit(
        node: ast.AST, scope: str, unit: Unit | None, statement: ast.stmt
    ) -> Iterator[_Place]:
        for child, field, put in _children(node):
            if field in _TYPES or _is_left_alone(child):
                continue
            inner, its_unit, its_statement = scope, unit, statement
            if isinstance(child, ast.stmt):
                its_statement = child
            if isinstance(child, (ast.FunctionDef, ast.ClassDef)):
                inner = f"{scope}.{child.name}".lstrip(".")
            if isinstance(node, ast.FunctionDef) and field == "body" and unit is None:
                first = min(part.lineno for part in (node, *node.decorator_list))
                its_unit = Unit(scope, first)
            if isinstance(child, (ast.expr, ast.stmt, ast.Slice)):
                yield _Place(inner, its_unit, its_statement, child, put)
            yield from visit(child, inner, its_unit, its_statement)

    yield from visit(tree, "", None, ast.Pass())


def _children(node: ast.AST) -> Iterator[tuple[ast.AST, str, Callable[[ast.AST], None]]]:
    """Yield a node's children, each with its field and how another is put in its place."""
    for field, value in ast.iter_fields(node):
        if isinstance(value, ast.AST):
            yield value, field, lambda new, field=field: setattr(node, field, new)  # type: ignore[misc]
        elif isinstance(value, list):
            for index, child in enumerate(value):
                if isinstance(child, ast.AST):
                    yield (
                        child,
                        field,
                        lambda new, value=value, index=index: value.__setitem__(index, new),  # type: ignore[misc]
                    )


def _is_left_alone(node: ast.AST) -> bool:
    match node:
        case ast.If(test=ast.Name(id="TYPE_CHECKING")):
            return True
        case ast.Expr(value=ast.Call(func=ast.Name(id="assert_never"))):  # for type checkers
            return True
        case ast.keyword(arg="strict"):  # of zip: a guard against what other code would have to do
            return True
    return isinstance(node, _LEFT_ALONE)


def _lines(statement: ast.stmt) -> tuple[int, int]:
    """Return the first and last line of a statement without the statements in it."""
    match statement:
        case ast.Match(cases=[first, *_]):
            inside: ast.stmt | ast.pattern | None = first.pattern
        case _:
            inside = next(iter(getattr(statement, "body", [])), None)
    last = inside.lineno - 1 if inside else statement.end_lineno or statement.lineno
    return statement.lineno, max(statement.lineno, last)


def _head(node: ast.AST) -> ast.AST:
    """Return what names a statement that may be long: the test of an `if`, a loop's range."""
    match node:
        case ast.If() | ast.While():
            return node.test
        case ast.For():
            return node.iter
        case ast.FunctionDef():
            return node.args
        case ast.Match():
            return node.subject
    return node
