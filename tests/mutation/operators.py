"""The changes that a mutant makes to one node of a syntax tree.

Comparisons move their edge or turn round, arithmetic takes the other sign, numbers go up and down
by one, conditions lose a part, guards and statements go, functions answer None. A string, an
annotation and the words of an error are nobody's arithmetic: they are left alone (`mutants.py`).
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

_COMPARED: Final[dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
}
_COMPUTED: Final[dict[type[ast.operator], type[ast.operator]]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.FloorDiv: ast.Mult,
    ast.Div: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
_OTHER_CALL: Final = {"min": "max", "max": "min", "any": "all", "all": "any"}


class Change(NamedTuple):
    """What is changed, in words, and the node that stands there instead."""

    kind: str
    node: ast.AST


def changes(node: ast.AST) -> Iterator[Change]:  # noqa: C901 - one case an operator
    """Yield every change of a node; none of them touches the node itself."""
    match node:
        case ast.Compare():
            yield from _comparisons(node)
        case ast.BoolOp():
            yield from _conditions(node)
        case ast.UnaryOp(op=ast.Not() | ast.USub(), operand=operand):
            yield Change(f"{type(node.op).__name__} gone", operand)
        case ast.BinOp(op=operator) if type(operator) in _COMPUTED:
            other = _COMPUTED[type(operator)]
            name = f"{type(operator).__name__} to {other.__name__}"
            yield Change(name, ast.BinOp(node.left, other(), node.right))
        case ast.Constant(value=value):
            yield from _constants(value)
        case ast.IfExp() if not _turned_elsewhere(node.test):
            yield Change("choices swapped", ast.IfExp(node.test, node.orelse, node.body))
        case ast.If():
            yield from _branches(node)
        case ast.Call(func=ast.Name(id=name)) if name in _OTHER_CALL:
            yield from _calls(node, name)
        case ast.Slice():
            yield from _slices(node)
        case ast.stmt():
            yield from _statements(node)


def _comparisons(node: ast.Compare) -> Iterator[Change]:
    for index, operator in enumerate(node.ops):
        for other in _COMPARED[type(operator)]:
            ops = [*node.ops[:index], other(), *node.ops[index + 1 :]]
            name = f"{type(operator).__name__} to {other.__name__}"
            yield Change(name, ast.Compare(node.left, ops, node.comparators))
    if len(node.ops) > 1:
        first, *rest = node.comparators
        yield Change("lower end gone", ast.Compare(first, node.ops[1:], rest))
        kept = ast.Compare(node.left, node.ops[:-1], node.comparators[:-1])
        yield Change("upper end gone", kept)


def _conditions(node: ast.BoolOp) -> Iterator[Change]:
    other = ast.Or if isinstance(node.op, ast.And) else ast.And
    yield Change(f"{type(node.op).__name__} to {other.__name__}", ast.BoolOp(other(), node.values))
    for index in range(len(node.values)):
        rest = [*node.values[:index], *node.values[index + 1 :]]
        kept = ast.BoolOp(node.op, rest) if len(rest) > 1 else rest[0]
        yield Change(f"part {index + 1} gone", kept)


def _constants(value: object) -> Iterator[Change]:
    if isinstance(value, bool):
        yield Change(f"{value} to {not value}", ast.Constant(not value))
    elif isinstance(value, (int, float)):
        for other in (value + 1, value - 1):
            yield Change(f"{value} to {other}", ast.Constant(other))


def _turned_elsewhere(test: ast.expr) -> bool:
    """Whether a change of the test itself already takes the other branch."""
    return isinstance(test, (ast.Compare, ast.UnaryOp))


def _branches(node: ast.If) -> Iterator[Change]:
    if isinstance(node.body[-1], ast.Raise):
        yield Change("guard gone", ast.If(ast.Constant(False), node.body, node.orelse))
    elif not _turned_elsewhere(node.test):
        turned = ast.UnaryOp(ast.Not(), node.test)
        yield Change("test turned", ast.If(turned, node.body, node.orelse))


def _calls(node: ast.Call, name: str) -> Iterator[Change]:
    other = _OTHER_CALL[name]
    swapped = ast.Call(ast.Name(other, ast.Load()), node.args, node.keywords)
    yield Change(f"{name} to {other}", swapped)
    if name in {"min", "max"} and len(node.args) == 2:
        for index, kept in enumerate(reversed(node.args)):
            if not isinstance(kept, ast.Starred):
                yield Change(f"bound {index + 1} gone", kept)


def _slices(node: ast.Slice) -> Iterator[Change]:
    for end in ("lower", "upper", "step"):
        if getattr(node, end) is not None:
            ends = {"lower": node.lower, "upper": node.upper, "step": node.step, end: None}
            yield Change(f"{end} gone", ast.Slice(**ends))


def _statements(node: ast.stmt) -> Iterator[Change]:
    match node:
        case ast.Return(value=ast.expr() as value):
            # None is as false as False, whose own change says more
            if not (isinstance(value, ast.Constant) and repr(value.value) in {"None", "False"}):
                yield Change("None returned", ast.Return(ast.Constant(None)))
        case ast.Expr(value=ast.Call() | ast.Yield() | ast.YieldFrom()):
            yield Change("statement gone", ast.Pass())
        case ast.Assign(targets=[ast.Attribute() | ast.Subscript()]):
            yield Change("statement gone", ast.Pass())
        case ast.AugAssign(op=operator):
            yield Change("statement gone", ast.Pass())
            if type(operator) in _COMPUTED:
                other = _COMPUTED[type(operator)]
                name = f"{type(operator).__name__} to {other.__name__}"
                yield Change(name, ast.AugAssign(node.target, other(), node.value))
        case ast.Continue():
            yield Change("continue to break", ast.Break())
        case ast.Break():
            yield Change("break gone", ast.Pass())
