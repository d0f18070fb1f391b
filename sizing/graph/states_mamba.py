"""Recurrent states of a graph, and the state-space mixers that use them: Mamba 1 and 2.

Source: llama.cpp src/llama-graph.cpp (build_rs), src/models/mamba-base.cpp,
src/llama-memory-recurrent.cpp; ggml/src/ggml.c (ggml_ssm_conv, ggml_ssm_scan).
"""

from __future__ import annotations

from whatfits.sizing.graph.tensor import Tensor
from whatfits.sizing.named_tuples import NamedTuple
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Final

    from whatfits.sizing.graph.context import GraphContext, Part

__all__ = ["Scan", "States", "convolve", "mamba1", "mamba2", "scanned"]

_F32: Final = "F32"


class States:
    """The recurrent states of one model: one row a sequence, all sequences in use."""

    def __init__(self, context: GraphContext) -> None:
        """Make the input that says which row each sequence goes on from."""
        self._c = context
        rows = context.input("I32", context.n_seqs, name="rs_s_copy")
        self._used = context.view(rows, (context.n_seqs,))
        self._unused = context.view(rows, (0,))

    def shift(self, layer: int) -> Tensor:
        """Return a layer's convolution or token-shift rows, as they lie in memory."""
        state = self._c.spec(layer).recurrent
        assert state is not None
        home = self._c.cache_home(layer)
        return self._c.held(_F32, state.shift_elements, self._c.n_seqs, home=home, name="cache_r")

    def state(self, layer: int) -> Tensor:
        """Return a layer's rows of the recurrent state proper, as they lie in memory."""
        state = self._c.spec(layer).recurrent
        assert state is not None
        home = self._c.cache_home(layer)
        return self._c.held(_F32, state.state_elements, self._c.n_seqs, home=home, name="cache_s")

    def load(self, rows: Tensor, read: Callable[[Tensor, Tensor], Tensor] | None = None) -> Tensor:
        """Return the sequences' rows, or what `read` makes of (rows, their numbers).

        A row is cleared first, and the rows of no sequence are copied (none are, in a full cache).
        """
        c, width = self._c, rows.ne[0]
        flat = c.reshape(rows, *rows.ne)
        c.expand(c.inplace("SCALE", c.view(flat, (width,))))
        taken = (read or c.get_rows)(flat, self._used)
        c.expand(taken)
        rest = c.get_rows(flat, self._unused)
        c.expand(c.copy(rest, c.view(rows, (width, 0), (rows.nb[1],))))
        return taken

    def store(self, new: Tensor, rows: Tensor, *, ne: Sequence[int] = ()) -> None:
        """Copy the sequences' new rows back, seen as `ne` (one dimension unless given)."""
        c = self._c
        c.expand(c.copy(new, c.view(rows, ne or (rows.n_elements,))))


def convolve(x: Tensor, kernel: Tensor) -> Tensor:
    """Return a causal convolution of x (tokens first) along its tokens (ggml_ssm_conv)."""
    ne = (kernel.ne[1], x.ne[0] - kernel.ne[0] + 1, x.ne[2], 1)
    return Tensor("SSM_CONV", _F32, ne, srcs=(x, kernel))


class Scan(NamedTuple):
    """Sources of a scan besides the state."""

    x: Tensor
    dt: Tensor
    a: Tensor
    b: Tensor
    c: Tensor


def scanned(
    c: GraphContext, states: States, rows: Tensor, scan: Scan, shape: tuple[int, int, int]
) -> Tensor:
    """Return outputs and new states, one behind the other; rows are seen as `shape`."""

    def read(flat: Tensor, ids: Tensor) -> Tensor:
        state = c.reshape(flat, *shape, c.n_seqs)
        n_elements = scan.x.n_elements + flat.n_elements
        return Tensor("SSM_SCAN", _F32, (n_elements, 1, 1, 1), srcs=(state, *scan, ids))

    return states.load(rows, read)


def mamba1(c: GraphContext, states: States, x: Tensor, part: Part, layer: int) -> Tensor:
    """Return a Mamba 1 mixer's output."""
    n, n_seqs = c.n_seq_tokens, c.n_seqs
    d_conv, d_inner = part.need("ssm_conv1d.weight").ne[:2]
    a = part.need("ssm_a")
    d_state = a.ne[0]
    shift, state = states.shift(layer), states.state(layer)
    before = c.reshape(states.load(shift), d_conv - 1, d_inner, n_seqs)
    x = c.reshape(x, x.ne[0], n, n_seqs)
    xz = c.linear(part.need("ssm_in.weight"), x, part("ssm_in.scale"))
    x = c.view(xz, (d_inner, n, n_seqs), xz.nb[1:])
    z = c.view(xz, (d_inner, n, n_seqs), xz.nb[1:])
    x = c.concat(before, c.transpose(x), 0)
    states.store(c.view(x, (d_conv - 1, d_inner, n_seqs), x.nb[1:]), shift)
    x = convolve(x, part.need("ssm_conv1d.weight"))
    x = c.unary(c.like("ADD", x, part.need("ssm_conv1d.bias")))
    dt, b, c_state = _steps(c, x, part, layer, d_state)
    dt = c.like("ADD", c.linear(part.need("ssm_dt.weight"), dt), part.need("ssm_dt.bias"))
    heads = c.reshape(x, 1, d_inner, n, n_seqs)
    scan = Scan(heads, dt, a, b, c_state)
    y_state = scanned(c, states, state, scan, (d_state, 1, d_inner))
    states.store(c.view(y_state, (d_state * d_inner * n_seqs,)), state)
    y = c.view(y_state, (d_inner, n, n_seqs), heads.nb[2:])
    y = c.like("ADD", y, c.like("MUL", x, part.need("ssm_d")))
    y = c.glu(c.cont(z), y)
    y = c.linear(part.need("ssm_out.weight"), y, part("ssm_out.scale"))
    return c.reshape(y, y.ne[0], n * n_seqs)


def _steps(
    c: GraphContext, x: Tensor, part: Part, layer: int, d_state: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Return Mamba 1's time step and its two state projections, normalised where models do."""
    n, n_seqs = c.n_seq_tokens, c.n_seqs
    joined = c.linear(part.need("ssm_x.weight"), x)
    dt = c.view(joined, (joined.ne[0] - 2 * d_state, n, n_seqs), joined.nb[1:])
    strides = (d_state * joined.nb[0], *joined.nb[1:])
    b = c.view(joined, (d_state, 1, n, n_seqs), strides)
    c_state = c.view(joined, (d_state, 1, n, n_seqs), strides)
    norms = [part(f"ssm_{name}_norm.weight") for name in ("dt", "b", "c")]
    if not c.metadata("ssm.dt_b_c_rms") and None in norms:
        return c.cont(dt), b, c_state
    dt, b, c_state = (
        c.norm(t, weight, layer=layer) for t, weight in zip((dt, b, c_state), norms, strict=True)
    )
    return dt, b, c_state


def mamba2(c: GraphContext, states: States, x: Tensor, part: Part, layer: int) -> Tensor:
    """Return a Mamba 2 mixer's output."""
    n, n_seqs = c.n_seq_tokens, c.n_seqs
    d_conv, width = part.need("ssm_conv1d.weight").ne[:2]
    a, out = part.need("ssm_a"), part.need("ssm_out.weight")
    n_head, d_inner = a.ne[1], out.ne[0]
    d_head, d_state = d_inner // n_head, int(c.metadata("ssm.state_size"))
    n_group = (width - d_inner) // (2 * d_state)
    shift, state = states.shift(layer), states.state(layer)
    before = c.reshape(states.load(shift), d_conv - 1, width, n_seqs)
    joined = c.linear(part.need("ssm_in.weight"), x, part("ssm_in.scale"))
    joined = c.reshape(joined, joined.ne[0], n, n_seqs)
    z = c.view(joined, (d_head, n_head, n, n_seqs), (4 * d_head, *joined.nb[1:]))
    x = c.view(joined, (width, n, n_seqs), joined.nb[1:])
    dt = c.view(joined, (n_head, n, n_seqs), joined.nb[1:])
    x = c.concat(before, c.transpose(x), 0)
    last = c.view(x, (d_conv - 1, width, n_seqs), x.nb[1:])
    states.store(last, shift, ne=shift.ne)
    x = convolve(x, part.need("ssm_conv1d.weight"))
    x = c.unary(c.like("ADD", x, part.need("ssm_conv1d.bias")))
    b = c.view(x, (d_state, n_group, n, n_seqs), (4 * d_state, *x.nb[1:]))
    c_state = c.view(x, (d_state, n_group, n, n_seqs), (4 * d_state, *x.nb[1:]))
    x = c.view(x, (d_head, n_head, n, n_seqs), (4 * d_head, *x.nb[1:]))
    dt = c.like("ADD", c.cont(dt), part.need("ssm_dt.bias"))
    scan = Scan(x, dt, a, b, c_state)
    y_state = scanned(c, states, state, scan, (d_state, d_head, n_head))
    rows = (state.ne[0], n_seqs, 1)
    row_bytes = state.nb[1]
    new = c.view(y_state, rows, (row_bytes, row_bytes * n_seqs))
    states.store(new, state, ne=state.ne)
    per_token = n_head * x.nb[1]
    y = c.view(y_state, x.ne, (x.nb[1], per_token, n * per_token))
    y = c.like("ADD", y, c.like("MUL", x, part.need("ssm_d")))
    y = c.glu(c.cont(z), y)
    norm = part("ssm_norm.weight")
    if norm is not None:
        y = c.norm(c.reshape(y, d_inner // n_group, n_group, n, n_seqs), norm, layer=layer)
    y = c.reshape(y, d_inner, n * n_seqs)
    return c.linear(out, y, part("ssm_out.scale"))
