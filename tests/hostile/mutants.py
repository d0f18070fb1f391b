"""Small changes to a module's source, each of which takes a guard away or moves its edge.

A guard is an `if` that raises, a call of something that refuses, one side of a comparison or of a
condition, one end of a range. A test must fail for every change that matters.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_EDGES: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}
_REFUSES = re.compile(r"_?(check|require|refuse|expect)\w*")
_SHOWN_LETTERS = 90


class Mutant(NamedTuple):
    """One change.

    Attributes:
        key: what was changed where, without line numbers: module, function, kind, original text.
        line: where it stands now.
        source: returns the module with the change.
    """

    key: str
    line: int
    source: Callable[[], str]


class _Change(NamedTuple):
    kind: str
    apply: Callable[[], None]


def mutants_of(module: str, source: str) -> Iterator[Mutant]:
    """Yield every mutant of a module, in the order of its source."""
    seen: Counter[str] = Counter()
    for place, (function, node) in enumerate(_nodes(ast.parse(source))):
        changes = _changes(node)
        if not changes:
            continue
        original = " ".join(ast.unparse(_shown(node)).split())[:_SHOWN_LETTERS]
        for which, change in enumerate(changes):
            key = f"{module} {function}: {change.kind}: {original}"
            seen[key] += 1
            key += f" #{seen[key]}" if seen[key] > 1 else ""
            yield Mutant(key, node.lineno, partial(_changed, source, place, which))


def _changed(source: str, place: int, which: int) -> str:
    tree = ast.parse(source)
    _changes(_nodes(tree)[place][1])[which].apply()
    return ast.unparse(ast.fix_missing_locations(tree))


def _nodes(tree: ast.Module) -> list[tuple[str, ast.expr | ast.stmt]]:
    """Return (function, node) of everything that is executed inside a function."""
    found: list[tuple[str, ast.expr | ast.stmt]] = []

    def visit(node: ast.AST, function: str) -> None:
        for child in ast.iter_child_nodes(node):
            inner = function
            if isinstance(child, (ast.FunctionDef, ast.ClassDef)):
                inner = f"{function}.{child.name}".lstrip(".")
            if function and isinstance(child, (ast.expr, ast.stmt)):
                found.append((function, child))
            visit(child, inner)

    visit(tree, "")
    return found


def _shown(node: ast.AST) -> ast.AST:
    return node.test if isinstance(node, ast.If) else node


def _changes(node: ast.AST) -> list[_Change]:
    """Return the changes that can be made to one node, in place."""
    match node:
        case ast.If() if isinstance(node.body[-1], ast.Raise):
            return [_Change("guard gone", lambda: setattr(node, "test", ast.Constant(False)))]
        case ast.Expr(value=ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name))):
            if _REFUSES.fullmatch(name):
                return [_Change("call gone", lambda: setattr(node, "value", ast.Constant(None)))]
        case ast.Compare():
            return list(_comparisons(node))
        case ast.BoolOp():
            return [
                _Change(f"part {index + 1} gone", lambda index=index: node.values.pop(index))  # type: ignore[misc]
                for index in range(len(node.values))
            ]
        case ast.Call(func=ast.Name(id="min" | "max"), args=[_, _]):
            return [_Change(f"bound {index + 1} gone", _without(node, index)) for index in (0, 1)]
    return []


def _comparisons(node: ast.Compare) -> Iterator[_Change]:
    for index, operator in enumerate(node.ops):
        other = _EDGES[type(operator)]

        def swap(index: int = index, other: type[ast.cmpop] = other) -> None:
            node.ops[index] = other()

        yield _Change(f"{type(operator).__name__} to {other.__name__}", swap)
    if len(node.ops) > 1:

        def drop_first() -> None:
            node.left = node.comparators.pop(0)
            node.ops.pop(0)

        def drop_last() -> None:
            node.comparators.pop()
            node.ops.pop()

        yield _Change("lower end gone", drop_first)
        yield _Change("upper end gone", drop_last)


def _without(node: ast.Call, index: int) -> Callable[[], None]:
    def apply() -> None:
        node.args.pop(index)
        node.func = ast.Name("int", ast.Load())

    return apply
