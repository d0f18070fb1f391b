"""Recurrent states in a graph, and the gated delta rule over them.

Source: llama.cpp src/llama-graph.cpp (build_rs), src/models/delta-net-base.cpp,
src/llama-memory-recurrent.cpp; ggml/src/ggml.c (ggml_ssm_conv, ggml_gated_delta_net).
"""

from __future__ import annotations

from whatfits.sizing.graph.tensor import Tensor
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Final

    from whatfits.sizing.graph.builder import GraphBuilder
    from whatfits.sizing.graph.context import GraphContext

__all__ = ["States", "delta_rule", "l2_norm", "short_convolution"]

_F32: Final = "F32"


class States:
    """The recurrent states of a model's layers: which rows belong to the sequences at hand."""

    def __init__(self, context: GraphContext) -> None:
        """Make the input that names the rows: all of them, none to spare."""
        self._c = context
        rows = context.input("I32", context.n_seqs, name="rs_s_copy")
        self._ours = context.view(rows, (context.n_seqs,))
        self._spare = context.view(rows, (0,))

    def held(self, layer: int) -> tuple[Tensor, Tensor]:
        """Return a layer's (convolution or shift state, recurrent state), a row a sequence."""
        c = self._c
        state = c.spec(layer).recurrent
        assert state is not None
        home = c.cache_home(layer)
        return (
            c.held(_F32, state.shift_elements, c.n_seqs, home=home),
            c.held(_F32, state.state_elements, c.n_seqs, home=home),
        )

    def gather(self, held: Tensor) -> Tensor:
        """Return the sequences' rows; a fresh row is cleared first, spare ones are moved."""
        c, width = self._c, held.ne[0]
        rows = c.reshape(held, width, held.ne[1])
        c.expand(c.inplace("SCALE", c.view(rows, (width,))))
        ours = c.get_rows(rows, self._ours)
        c.expand(ours)
        spare = c.get_rows(rows, self._spare)
        c.expand(c.copy(spare, c.view(held, (width, 0), held.nb[1:])))
        return ours


def short_convolution(x: Tensor, kernel: Tensor) -> Tensor:
    """Return a causal convolution over each channel (ggml_ssm_conv)."""
    n_tokens = x.ne[0] - kernel.ne[0] + 1
    return Tensor("SSM_CONV", _F32, (kernel.ne[1], n_tokens, x.ne[2], 1), srcs=(x, kernel))


def l2_norm(c: GraphBuilder, x: Tensor) -> Tensor:
    """Return x with rows of length one, made of a root-mean-square norm and a factor."""
    return c.like("SCALE", c.like("RMS_NORM", x))


def delta_rule(
    c: GraphBuilder,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    gate: Tensor,
    beta: Tensor,
    state: Tensor,
) -> tuple[Tensor, Tensor]:
    """Return (outputs, new state) of the gated delta rule, which llama.cpp always fuses.

    Source: src/llama-context.cpp, fused_gdn_ar and fused_gdn_ch are set and never resolved.
    """
    width, n_head, n_tokens, n_seqs = v.ne
    ne = (width * n_head, (n_tokens + width) * n_seqs, 1, 1)
    both = Tensor("GATED_DELTA_NET", _F32, ne, srcs=(q, k, v, gate, beta, state))
    return c.view(both, v.ne), c.view(both, (width, width, n_head, n_seqs))
