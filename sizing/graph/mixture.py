"""Routed experts with shared experts beside them, as several families have them.

Source: llama.cpp src/llama-graph.cpp (build_moe_ffn), src/models/deepseek2.cpp, qwen3next.cpp,
qwen35moe.cpp, kimi-linear.cpp.
"""

from __future__ import annotations

from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Final

    from whatfits.sizing.graph.context import GraphContext, Part
    from whatfits.sizing.graph.tensor import Tensor

__all__ = ["GATINGS", "feed_forward_or_mixture"]

# Values of the metadata key `expert_gating_func`; source: src/llama-hparams.h.
GATINGS: Final = {1: "softmax", 2: "sigmoid", 3: "softmax_weight", 4: "sqrt_softplus"}
_SHARED: Final = ("ffn_up_shexp", "ffn_gate_shexp", "ffn_down_shexp")


def feed_forward_or_mixture(
    c: GraphContext,
    x: Tensor,
    part: Part,
    *,
    gating: str,
    normalised: bool,
    activation: str = "glu",
    expert_activation: str = "glu",
) -> Tensor:
    """Return the feed-forward part: dense without a router, else routed plus shared experts.

    The shared experts are gated when the layer has a gate for them; `activation` is theirs and
    that of the dense part.
    """
    if part("ffn_gate_inp.weight") is None:
        return c.feed_forward(x, part, activation=activation)
    routed = c.experts(
        x,
        part,
        n_used=c.model.hparams.n_expert_used,
        gating=gating,
        normalised=normalised,
        scale=c.metadata("expert_weights_scale"),
        activation=expert_activation,
        groups=(
            int(c.metadata("expert_group_count")),
            int(c.metadata("expert_group_used_count")),
        ),
    )
    if part("ffn_up_shexp.weight") is None:
        return routed
    shared = c.feed_forward(x, part, names=_SHARED, activation=activation)
    gate = part("ffn_gate_inp_shexp.weight")
    if gate is not None:
        shared = c.like("MUL", shared, c.unary(c.mul_mat(gate, x)))
    return c.like("ADD", routed, shared)
