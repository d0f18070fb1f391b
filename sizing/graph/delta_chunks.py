"""The gated delta rule step by step over chunks, where it cannot be one fused operation.

Source: llama.cpp src/models/delta-net-base.cpp (build_delta_net_chunking,
build_delta_net_autoregressive).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from whatfits.sizing.graph.tensor import Tensor

if TYPE_CHECKING:
    from whatfits.sizing.graph.builder import GraphBuilder

__all__ = ["delta_in_chunks", "delta_step"]

_CHUNK: Final = 64
_CHUNK_OF_VECTOR_GATES: Final = 16


@dataclass(slots=True)
class _Chunks:
    """Tensors cut into chunks: (row, chunk, chunks, heads x sequences)."""

    q: Tensor
    k: Tensor
    k_beta: Tensor
    v: Tensor
    v_beta: Tensor
    sums: Tensor  # running sums of the gates along a chunk, transposed


def delta_in_chunks(
    c: GraphBuilder,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    gate: Tensor,
    beta: Tensor,
    state: Tensor,
) -> tuple[Tensor, Tensor]:
    """Return (outputs, new state) of several tokens a sequence."""
    width, n_head, n_tokens, n_seqs = v.ne
    by_vector = gate.ne[0] == q.ne[0] and gate.ne[1] == q.ne[1]
    size = _CHUNK_OF_VECTOR_GATES if by_vector else _CHUNK
    cut = _cut(c, q, k, v, gate, beta, size=size)
    n_chunks = cut.k.ne[2]
    similar, wanted = _similarities(c, cut, size=size, by_vector=by_vector)
    wanted = c.like("TRI", wanted)
    solved = _solved(c, similar, size=size)
    v = c.mul_mat(c.cont(c.transpose(cut.v_beta)), solved)
    decay = c.unary(cut.sums)
    k_decayed = c.mul_mat(c.like("MUL", c.cont(c.transpose(cut.k_beta)), decay), solved)
    q_decayed = c.like("MUL", cut.q, c.cont(c.transpose(decay)))
    last = c.cont(c.view(cut.sums, (1, *cut.sums.ne[1:]), cut.sums.nb[1:]))
    last_decay = c.transpose(c.unary(last))
    left = c.unary(c.like("SUB", cut.sums, last))
    k_left = c.like("MUL", cut.k, c.cont(c.transpose(c.unary(left))))
    k_left = c.cont(c.transpose(k_left))
    state = c.reshape(state, width, width, 1, n_head * n_seqs)
    v_turned = c.cont(c.transpose(v))
    for _ in range(n_chunks):
        one = [_slice(c, t) for t in (k_decayed, v_turned, wanted, q_decayed, k_left)]
        fresh = c.like("SUB", one[1], c.mul_mat(one[0], state))
        inside = c.mul_mat(fresh, one[2])
        output = c.like("ADD", c.mul_mat(state, one[3]), inside)
        v = c.inplace("SET", v, output)
        added = c.mul_mat(one[4], fresh)
        state = c.like("ADD", c.like("MUL", state, _slice(c, last_decay)), added)
    row = 4 * width
    strides = (row, row * size * n_chunks, row * size * n_chunks * n_head)
    outputs = c.permute(c.view(v, (width, n_tokens, n_head, n_seqs), strides), 0, 2, 1, 3)
    return outputs, c.reshape(state, width, width, n_head, n_seqs)


def _cut(
    c: GraphBuilder, q: Tensor, k: Tensor, v: Tensor, gate: Tensor, beta: Tensor, *, size: int
) -> _Chunks:
    """Return queries, keys, values and gates padded to whole chunks and cut."""
    q = c.like("SCALE", q)
    more = -v.ne[2] % size
    n_chunks = (v.ne[2] + more) // size
    q, k, v, gate, beta = (
        c.pad(c.permute(t, 0, 2, 1, 3), 0, more, 0, 0) for t in (q, k, v, gate, beta)
    )
    v_beta, k_beta = c.like("MUL", v, beta), c.like("MUL", k, beta)
    q, k, k_beta, v, v_beta, gate = (
        c.reshape(t, t.ne[0], size, n_chunks, t.ne[2] * t.ne[3])
        for t in (q, k, k_beta, v, v_beta, gate)
    )
    return _Chunks(q, k, k_beta, v, v_beta, c.like("CUMSUM", c.cont(c.transpose(gate))))


def _similarities(
    c: GraphBuilder, cut: _Chunks, *, size: int, by_vector: bool
) -> tuple[Tensor, Tensor]:
    """Return products of keys with keys and with queries inside each chunk, decayed."""
    if not by_vector:
        _, _, n_chunks, rows = cut.sums.ne
        mask = _decay_mask(c, cut.sums, c.reshape(cut.sums, 1, size, n_chunks, rows), size)
        similar = c.like("MUL", c.mul_mat(cut.k, cut.k_beta), mask)
        return similar, c.like("MUL", c.mul_mat(cut.k, cut.q), mask)
    width, _, n_chunks, rows = cut.k.ne
    each = n_chunks * rows
    later = c.reshape(cut.sums, size, 1, width, each)
    mask = _decay_mask(c, later, c.reshape(cut.sums, 1, size, width, each), size)
    mask = c.cont(c.permute(mask, 2, 1, 0, 3), width, size, size, each)
    k = c.reshape(cut.k, width, 1, size, each)
    made = []
    for left in (cut.k_beta, cut.q):
        product = c.mul_mat(c.like("MUL", mask, c.reshape(left, width, size, 1, each)), k)
        made.append(c.cont(c.transpose(c.reshape(product, size, size, n_chunks, rows))))
    return made[0], made[1]


def _decay_mask(c: GraphBuilder, later: Tensor, earlier: Tensor, size: int) -> Tensor:
    spread = c.repeat(earlier, size, size, *earlier.ne[2:])
    return c.unary(c.like("TRI", c.like("SUB", spread, later)))


def _solved(c: GraphBuilder, similar: Tensor, *, size: int) -> Tensor:
    """Return the inverse that gathers what the tokens of a chunk do to each other."""
    lower = c.like("TRI", similar)
    ones = c.like("FILL", c.view(lower, (size,)))
    identity = Tensor("DIAG", ones.type, (size, size, 1, 1), srcs=(ones,))
    left = c.like("ADD", lower, identity)
    right = c.unary(lower)
    solution = Tensor("SOLVE_TRI", right.type, right.ne, srcs=(left, right))
    return c.like("ADD", solution, identity)


def _slice(c: GraphBuilder, t: Tensor) -> Tensor:
    """Return one chunk of t."""
    return c.view(t, (t.ne[0], t.ne[1], 1, t.ne[3]), t.nb[1:])


def delta_step(
    c: GraphBuilder,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    gate: Tensor,
    beta: Tensor,
    state: Tensor,
) -> tuple[Tensor, Tensor]:
    """Return (outputs, new state) of one token a sequence."""
    _, n_head, _, n_seqs = v.ne
    q = c.like("SCALE", q)
    q, k, v = (c.permute(t, 0, 2, 1, 3) for t in (q, k, v))
    gate = c.unary(c.reshape(gate, 1, gate.ne[0], n_head, n_seqs))
    beta = c.reshape(beta, 1, 1, n_head, n_seqs)
    state = c.like("MUL", state, gate)
    known = c.sum_rows(c.like("MUL", state, k))
    change = c.like("MUL", c.like("SUB", v, c.transpose(known)), beta)
    spread = c.like("MUL", c.repeat(k, *state.ne), c.transpose(change))
    state = c.like("ADD", state, spread)
    outputs = c.sum_rows(c.like("MUL", state, q))
    return c.permute(outputs, 2, 0, 1, 3), state
