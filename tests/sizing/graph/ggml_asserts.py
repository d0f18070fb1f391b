"""What ggml asserts of the tensors that its operations are given; who breaks it ends the process.

A graph that llama.cpp runs meets every one of these; a shape that is wrong in one place nearly
always breaks one.
Source: llama.cpp ggml/src/ggml.c, the GGML_ASSERTs of the functions named after the operations;
of masks also ggml/src/ggml-cpu/ops.cpp.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from whatfits.sizing.graph.tensor import Tensor, is_contiguous

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_ARITHMETIC: Final = ("ADD", "SUB", "MUL", "DIV")


def broken(node: Tensor) -> list[str]:
    """Return the assertions that a node breaks, in words; none of a node that ggml takes."""
    check = _CHECKS.get(node.op)
    return [] if check is None else [said for holds, said in check(node) if not holds]


def repeats(small: Tensor, large: Tensor) -> bool:
    """Whether whole copies of one tensor fill another (ggml_can_repeat)."""
    return all(big % n == 0 for n, big in zip(small.ne, large.ne, strict=True))


_Said = tuple[bool, str]


def _view(node: Tensor) -> Iterator[_Said]:
    yield node.n_bytes <= node.root.n_bytes, "the view ends behind its source"
    yield all(n >= 0 for n in node.ne), "a dimension is below zero"
    # no assertion of ggml's, but no view of llama.cpp's graphs reads a number twice
    yield not _overlaps(node), "rows of the view overlap"
    yield all(nb % node.root.nb[0] == 0 for nb in node.nb), "a row begins within a number"


def _overlaps(node: Tensor) -> bool:
    """Whether elements of a view share bytes: an axis steps over less than what the others span."""
    spanned = 0
    steps = sorted((nb, n) for n, nb in zip(node.ne, node.nb, strict=True) if n > 1)
    for step, n in steps:
        if step < spanned:
            return True
        spanned = step * n
    return False


def _reshape(node: Tensor) -> Iterator[_Said]:
    (source,) = node.srcs
    yield is_contiguous(source), "the source has gaps"
    yield node.n_elements == source.n_elements, "the numbers of elements differ"


def _copy(node: Tensor) -> Iterator[_Said]:
    yield node.n_elements == node.srcs[0].n_elements, "the numbers of elements differ"


def _arithmetic(node: Tensor) -> Iterator[_Said]:
    yield repeats(node.srcs[1], node.srcs[0]), "the second does not fill the first"


def _repeat(node: Tensor) -> Iterator[_Said]:
    yield repeats(node.srcs[0], node), "the source does not fill the result"


def _mul_mat(node: Tensor) -> Iterator[_Said]:
    a, b = node.srcs
    yield a.ne[0] == b.ne[0], "rows differ in length"
    yield b.ne[2] % a.ne[2] == 0 and b.ne[3] % a.ne[3] == 0, "a is not repeated whole times"
    yield a.nb[0] <= a.nb[1], "a is transposed"


def _mul_mat_id(node: Tensor) -> Iterator[_Said]:
    experts, b, ids = node.srcs
    yield experts.ne[0] == b.ne[0], "rows differ in length"
    yield experts.ne[3] == b.ne[3] == ids.ne[2] == ids.ne[3] == 1, "a dimension too many"
    yield ids.ne[1] == b.ne[2], "not one row of numbers a token"
    yield ids.ne[0] % b.ne[1] == 0, "b is not repeated whole times"
    yield ids.type == "I32", "experts are chosen by whole numbers"


def _get_rows(node: Tensor) -> Iterator[_Said]:
    a, ids = node.srcs
    yield (a.ne[2], a.ne[3], 1) == (ids.ne[1], ids.ne[2], ids.ne[3]), "planes differ"
    yield ids.type == "I32", "rows are chosen by whole numbers"


def _set_rows(node: Tensor) -> Iterator[_Said]:
    rows, ids, target = node.srcs
    yield target.ne[0] == rows.ne[0], "rows differ in length"
    yield target.ne[2:] == rows.ne[2:], "planes differ"
    yield rows.ne[1] == ids.ne[0], "not one number a row"
    yield rows.ne[2] % ids.ne[1] == 0 and rows.ne[3] % ids.ne[2] == 0, "numbers are not repeated"
    yield ids.ne[3] == 1, "a dimension too many"
    yield ids.type in {"I64", "I32"}, "rows are chosen by whole numbers"


def _concat(node: Tensor) -> Iterator[_Said]:
    a, b = node.srcs
    differing = [axis for axis in range(4) if node.ne[axis] != a.ne[axis]]
    yield len(differing) <= 1, "longer along more than one axis"
    others = [axis for axis in range(4) if axis not in differing]
    yield all(a.ne[axis] == b.ne[axis] for axis in others), "the other dimensions differ"
    yield a.type == b.type, "the types differ"


def _glu(node: Tensor) -> Iterator[_Said]:
    gate = node.srcs[0]
    if len(node.srcs) > 1:
        yield gate.ne == node.srcs[1].ne, "gate and input differ in shape"
        yield gate.type == node.srcs[1].type, "gate and input differ in type"
    yield gate.nb[0] * gate.ne[0] <= gate.nb[1], "rows have gaps"


def _add_id(node: Tensor) -> Iterator[_Said]:
    a, b, ids = node.srcs
    yield a.ne[0] == b.ne[0], "rows differ in length"
    yield (a.ne[1], a.ne[2]) == (ids.ne[0], ids.ne[1]), "not one number a row"
    yield ids.type == "I32", "rows are chosen by whole numbers"


def _attention(node: Tensor) -> Iterator[_Said]:
    q, k, v, *rest = node.srcs
    yield k.ne[0] == q.ne[0], "queries and keys differ in length"
    yield q.ne[2] % k.ne[2] == 0 and q.ne[3] == k.ne[3], "keys do not serve whole groups of heads"
    yield v.ne[1:] == k.ne[1:], "not one value a key"
    for mask in rest[:1]:
        yield is_contiguous(mask), "the mask has gaps"
        yield mask.ne[0] == k.ne[1] or mask.ne[1] == 1, "the mask has another length"
        yield q.ne[2] % mask.ne[2] == 0 and q.ne[3] % mask.ne[3] == 0, "the mask is not repeated"


def _soft_max(node: Tensor) -> Iterator[_Said]:
    a, *rest = node.srcs
    yield is_contiguous(a), "the scores have gaps"
    for mask in rest[:1]:
        yield mask.type in {"F16", "F32"}, "the mask's type"
        yield mask.ne[0] == a.ne[0] and mask.ne[1] >= a.ne[1], "the mask has another shape"
        yield a.ne[2] % mask.ne[2] == 0 and a.ne[3] % mask.ne[3] == 0, "the mask is not repeated"


def _rope(node: Tensor) -> Iterator[_Said]:
    a, positions = node.srcs[:2]
    yield positions.type == "I32" and positions.ne[1:] == (1, 1, 1), "positions are no vector"
    yield positions.ne[0] in {a.ne[2], 4 * a.ne[2]}, "not one position a token, nor four"


def _ssm_conv(node: Tensor) -> Iterator[_Said]:
    inputs, kernel = node.srcs
    n_taps, n_inner = kernel.ne[:2]
    yield inputs.ne[1] == n_inner, "not one row a channel"
    yield node.ne[1] == inputs.ne[0] - n_taps + 1, "state and inputs do not make these tokens"
    yield (node.ne[0], node.ne[2]) == (n_inner, inputs.ne[2]), "the result has another shape"


_CHECKS: Final[dict[str, Callable[[Tensor], Iterator[_Said]]]] = {
    "VIEW": _view,
    "RESHAPE": _reshape,
    "CPY": _copy,
    "CONT": _copy,
    **dict.fromkeys(_ARITHMETIC, _arithmetic),
    "REPEAT": _repeat,
    "MUL_MAT": _mul_mat,
    "MUL_MAT_ID": _mul_mat_id,
    "GET_ROWS": _get_rows,
    "SET_ROWS": _set_rows,
    "CONCAT": _concat,
    "GLU": _glu,
    "ADD_ID": _add_id,
    "FLASH_ATTN_EXT": _attention,
    "SOFT_MAX": _soft_max,
    "ROPE": _rope,
    "SSM_CONV": _ssm_conv,
}
