"""Feed-forward parts of a graph: dense ones, and experts that a router chooses.

Source: llama.cpp src/llama-graph.cpp (build_ffn, build_moe_ffn).
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from whatfits.sizing.device_limits import F32_DOWN
from whatfits.sizing.graph.builder import GraphBuilder
from whatfits.sizing.graph.tensor import F32_SOURCE
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Literal

    from whatfits.sizing.graph.context import Part
    from whatfits.sizing.graph.tensor import Tensor
    from whatfits.sizing.model import ModelSpec

__all__ = ["FeedForwardBuilder"]


class FeedForwardBuilder(GraphBuilder, ABC):
    """Makes the feed-forward parts of layers; weights without a tensor are left out."""

    model: ModelSpec

    @abstractmethod
    def metadata(self, key: str, default: float = 0) -> float:
        """Return a number of the model's metadata, the architecture's prefix left out."""

    def biased(self, x: Tensor, bias: Tensor | None) -> Tensor:
        """Return x plus a bias, x itself without one."""
        return x if bias is None else self.like("ADD", x, bias)

    def feed_forward(
        self,
        x: Tensor,
        part: Part,
        *,
        names: tuple[str, str, str] = ("ffn_up", "ffn_gate", "ffn_down"),
        activation: str = "glu",
        parallel_gate: bool = True,
    ) -> Tensor:
        """Return the dense feed-forward part.

        `activation`: `glu` (one fused gate), `act` (a plain activation), `relu_sqr`, `fused_glu`
        (gate and up are halves of one matrix), or `clamped_glu` (both are kept within limits).
        """
        up_name, gate_name, down_name = names
        up_weight = part(f"{up_name}.weight")
        up = x if up_weight is None else self.mul_mat(up_weight, x)
        up = self.biased(up, part(f"{up_name}.bias"))
        up = self._scaled(up, part(f"{up_name}.scale"))
        gate_weight = part(f"{gate_name}.weight")
        if gate_weight is not None:
            gate = self.mul_mat(gate_weight, x if parallel_gate else up)
            gate = self.biased(gate, part(f"{gate_name}.bias"))
            gate = self._scaled(gate, part(f"{gate_name}.scale"))
        else:
            gate = up
        y = self._activated(gate, up, activation, gated=gate_weight is not None)
        down = part(f"{down_name}.weight")
        if down is not None:
            y = self.mul_mat(down, y)
        y = self.biased(y, part(f"{down_name}.bias"))
        return self._scaled(y, part(f"{down_name}.scale"))

    def _scaled(self, x: Tensor, scale: Tensor | None) -> Tensor:
        return x if scale is None else self.like("MUL", x, scale)

    def _activated(self, gate: Tensor, up: Tensor, activation: str, *, gated: bool) -> Tensor:
        match activation:
            case "fused_glu":
                return self.glu(gate)
            case "glu" if gated:
                return self.glu(gate, up)
            case "situ":
                from whatfits.sizing.graph.situ import situ  # noqa: PLC0415 - one model

                linear = self.metadata("activation.situ_linear_beta")
                return situ(self, gate, up, bounds_both=linear > 0)
            case "clamped_glu" if gated:
                return self.like(
                    "MUL", self.like("CLAMP", self.unary(gate)), self.like("CLAMP", up)
                )
            case "relu_sqr":
                y = self.like("SQR", self.unary(gate))
                return self.like("MUL", y, up) if gated else y
            case _:
                y = self.unary(gate)
                return self.like("MUL", y, up) if gated else y

    def experts(
        self,
        x: Tensor,
        part: Part,
        *,
        n_used: int,
        gating: str = "softmax",
        normalised: bool = True,
        scale: float | None = None,
        activation: str = "glu",
        groups: tuple[int, int] | None = None,
        weight_first: bool = False,
        logits: Tensor | None = None,
        chosen: Tensor | None = None,
        selection_from: Literal["probabilities", "logits", "sigmoid"] = "probabilities",
        stack: str = "exps",
        share: bool = False,
    ) -> Tensor:
        """Return the routed experts' part (build_moe_ffn).

        `gating`: `softmax`, `sigmoid`, `sqrt_softplus`, `softmax_weight` (softmax over the chosen
        ones). `groups`: how many there are of experts, and how many are chosen from. `stack` ends
        the matrices' names; `share`: several of the router's choices share an expert.
        """
        n_embd, n_tokens = x.ne[0], x.ne[1]
        if logits is None:
            logits = self.mul_mat(part.need("ffn_gate_inp.weight"), x)
        logits = self.biased(logits, part("ffn_gate_inp.bias"))
        n_expert = logits.ne[0]
        probs = self._probabilities(logits, gating)
        # some families name the bias without an end
        chosen_by = self.biased(probs, part("exp_probs_b.bias") or part("exp_probs_b"))
        if selection_from != "probabilities":
            chosen_by = logits if selection_from == "logits" else self.unary(logits)
        if groups is not None and groups[0] > 1:
            chosen_by = self._within_groups(chosen_by, n_expert, *groups)
        ids = self.top_k(chosen_by, n_used) if chosen is None else chosen
        if share:
            ids = self.cast(self.like("SCALE", self.cast(ids, "F32")), "I32")
        weights = self.get_rows(self.reshape(probs, 1, n_expert, n_tokens), ids)
        weights = self._expert_weights(weights, gating, normalised=normalised)
        if scale not in (None, 0.0, 1.0):
            weights = self.like("SCALE", weights)
        self.expand(weights)
        x = self.reshape(x, n_embd, 1, n_tokens)
        if weight_first:
            x = self.like("MUL", self.repeat(x, n_embd, n_used, n_tokens), weights)
        y = self._through_experts(x, part, ids, activation, stack)
        if not weight_first:
            y = self.like("MUL", y, weights)
        return self._summed(y, n_embd, n_tokens, n_used)

    def _probabilities(self, logits: Tensor, gating: str) -> Tensor:
        match gating:
            case "softmax":
                return self.like("SOFT_MAX", logits)
            case "sigmoid":
                return self.unary(logits)
            case "sqrt_softplus":
                return self.like("SQRT", self.unary(logits))
            case _:
                return logits

    def _expert_weights(self, weights: Tensor, gating: str, *, normalised: bool) -> Tensor:
        _, n_used, n_tokens, _ = weights.ne
        if gating == "softmax_weight":
            weights = self.like("SOFT_MAX", self.reshape(weights, n_used, n_tokens))
            weights = self.reshape(weights, 1, n_used, n_tokens)
        if normalised:
            flat = self.reshape(weights, n_used, n_tokens)
            total = self.like("CLAMP", self.sum_rows(flat))
            weights = self.reshape(self.like("DIV", flat, total), 1, n_used, n_tokens)
        return weights

    def _within_groups(self, scores: Tensor, n_expert: int, n_groups: int, n_used: int) -> Tensor:
        """Return scores with all but the best groups of experts masked out."""
        n_tokens = scores.ne[1]
        grouped = self.reshape(scores, n_expert // n_groups, n_groups, n_tokens)
        best_two = self.top_k(grouped, 2)
        cells = self.reshape(grouped, 1, *grouped.ne)
        pairs = self.get_rows(cells, best_two)
        sums = self.sum_rows(self.reshape(pairs, *pairs.ne[1:]))
        groups = self.top_k(self.reshape(sums, *sums.ne[1:]), n_used)
        kept = self.get_rows(grouped, groups)
        masked = self.set_rows(self.like("FILL", grouped), kept, groups)
        return self.reshape(masked, n_expert, n_tokens)

    def _through_experts(
        self, x: Tensor, part: Part, ids: Tensor, activation: str, stack: str
    ) -> Tensor:
        merged = part(f"ffn_gate_up_{stack}.weight")
        gated = True
        if merged is not None:
            both = self._expert(x, part, f"ffn_gate_up_{stack}", ids)
            half = both.ne[0] // 2
            gate = self.view(both, (half, *both.ne[1:]), both.nb[1:])
            up = self.view(both, (half, *both.ne[1:]), both.nb[1:])
        else:
            up = self._expert(x, part, f"ffn_up_{stack}", ids)
            gated = part(f"ffn_gate_{stack}.weight") is not None
            gate = self._expert(x, part, f"ffn_gate_{stack}", ids) if gated else up
        y = self._activated(gate, up, activation, gated=gated)
        return self._expert(y, part, f"ffn_down_{stack}", ids)

    def _expert(self, x: Tensor, part: Part, name: str, ids: Tensor) -> Tensor:
        """Return x through the chosen experts' matrices, with their scales and biases."""
        y = self.mul_mat_id(part.need(f"{name}.weight"), x, ids)
        if self.model.architecture in F32_DOWN and name.startswith("ffn_down"):
            y.flags |= F32_SOURCE
        scale = part(f"{name}.scale")
        if scale is not None:
            n_expert = scale.ne[0]
            row = self.repeat(self.reshape(scale, 1, n_expert), 1, n_expert, x.ne[2])
            y = self.like("MUL", y, self.get_rows(row, ids))
        bias = part(f"{name}.bias")
        return y if bias is None else self.like("ADD_ID", y, bias, ids)

    def _summed(self, y: Tensor, n_embd: int, n_tokens: int, n_used: int) -> Tensor:
        views = []
        for _ in range(n_used):
            one = self.view(y, (n_embd, n_tokens), (y.nb[2],))
            self.expand(one)
            views.append(one)
        total = views[0]
        for one in views[1:]:
            total = self.like("ADD", total, one)
            self.expand(total)
        return self.cont(total) if n_used == 1 else total
