"""The parts llama.cpp makes its models' graphs of: inputs, norms, feed-forward, experts.

Each method adds the operations of the function of llama.cpp's src/llama-graph.cpp it is named
after, in the same order; weights are looked up by name, and what has no weight is left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from whatfits.sizing.graph.builder import GraphBuilder, shape4
from whatfits.sizing.graph.situ import situ
from whatfits.sizing.graph.tensor import NONE, OUTPUT, Tensor, is_contiguous

if TYPE_CHECKING:
    from collections.abc import Callable

    from whatfits.sizing.graph.index import TensorIndex
    from whatfits.sizing.model import LayerSpec, ModelSpec, TensorSpec
    from whatfits.sizing.settings import Settings

__all__ = ["GraphContext", "Part"]

_F32: Final = "F32"


class Part:
    """Weights of one layer (or of the model as a whole) by their short names."""

    def __init__(self, context: GraphContext, prefix: str) -> None:
        """Look names up below `prefix`."""
        self._context = context
        self._prefix = prefix

    def __call__(self, name: str) -> Tensor | None:
        """Return a weight such as `attn_q.weight`; None when the model has none."""
        return self._context.weight(self._prefix + name)

    def need(self, name: str) -> Tensor:
        """Return a weight that the graph cannot do without.

        Raises:
            KeyError: the model has none of that name.
        """
        found = self(name)
        if found is None:
            raise KeyError(self._prefix + name)
        return found


class GraphContext(GraphBuilder):
    """Everything a model's graph is made from.

    Attributes:
        model: the model.
        settings: what it is reserved for.
        n_tokens: tokens of the micro-batch, a multiple of the sequences.
        n_outputs: rows of logits.
        layer_device: back end of each layer; `output_device` of the output layer.
        layers: indices of the layers the graph is made of.
        host: index of the host's back end, the last one.
    """

    def __init__(
        self,
        model: ModelSpec,
        settings: Settings,
        *,
        index: TensorIndex,
        layers: tuple[int, ...],
        weight_home: Callable[[TensorSpec, int | None], int],
        layer_home: Callable[[int], int],
        cache_home: Callable[[int], int],
        host: int,
        pinned_layers: bool,
        cache_on_host: bool = False,
    ) -> None:
        """Start an empty graph; homes say which back end holds what."""
        super().__init__()
        self.model = model
        self.settings = settings
        self.n_tokens = -(-settings.graph_tokens // settings.sequences) * settings.sequences
        self.n_seqs = settings.sequences
        self.n_seq_tokens = self.n_tokens // self.n_seqs
        self.n_outputs = min(self.n_tokens, settings.output_rows)
        self.layers = layers
        self.host = host
        self.layer_home = layer_home
        self.cache_home = cache_home
        self.pinned_layers = pinned_layers
        self.cache_on_host = cache_on_host
        self._weight_home = weight_home
        self._specs = index.by_name
        self._weights: dict[str, Tensor] = {}
        self.unfused: frozenset[str] = frozenset()  # operations that are made of smaller ones

    # weights and caches

    def weight(self, name: str, *, layer: int | None = None) -> Tensor | None:
        """Return the model's tensor of that name as a leaf; None when there is none.

        A shared tensor has a copy on each device with a layer: `layer` says whose is meant.
        """
        key = name if layer is None else f"{name}@{self.layer_home(layer)}"
        found = self._weights.get(key)
        if found is not None:
            return found
        spec = self._specs.get(name)
        if spec is None:
            return None
        leaf = Tensor(
            NONE,
            spec.type,
            shape4(spec.shape),
            home=self._weight_home(spec, layer),
            is_weight=True,
            name=name,
        )
        self._weights[key] = leaf
        return leaf

    def layer(self, index: int) -> Part:
        """Return the weights of a layer."""
        return Part(self, f"blk.{index}.")

    @property
    def whole(self) -> Part:
        """The weights that belong to no layer."""
        return Part(self, "")

    def held(self, kind: str, *ne: int, home: int, name: str = "") -> Tensor:
        """Return a tensor that lies in a cache: allocated beforehand, no weight."""
        return Tensor(NONE, kind, shape4(ne), home=home, name=name)

    def metadata(self, key: str, default: float = 0) -> float:
        """Return a number of the model's metadata, the architecture's prefix left out."""
        value = self.model.metadata.get(f"{self.model.architecture}.{key}", default)
        return value if isinstance(value, (int, float)) else default

    def rope_factors(self, layer: int) -> Tensor | None:
        """Return the factors of a layer's rotations: those for any context, else long or short."""
        fixed = self.weight("rope_freqs.weight", layer=layer)
        if fixed is not None:
            return fixed
        trained = self.model.hparams.context_train_tokens or 0
        original = self.metadata("rope.scaling.original_context_length", trained)
        length = "long" if self.settings.sequence_tokens > original else "short"
        return self.weight(f"rope_factors_{length}.weight", layer=layer)

    # inputs

    def input_embedding(self, table: Tensor) -> Tensor:
        """Return the embedded tokens; the input for ready embeddings is made as well, unused."""
        n_embd = table.ne[0]
        tokens = self.input("I32", self.n_tokens, name="inp_tokens")
        unused = self.input(_F32, n_embd, self.n_tokens, name="inp_embd")
        rows = self.get_rows(table, tokens)
        self.expand(rows)
        self.expand(unused)
        scale = self.metadata("embedding_scale")
        result = self.like("SCALE", rows) if scale else rows
        self.expand(result)
        return result

    def input_positions(self, per_token: int = 1) -> Tensor:
        """Return the positions of the tokens."""
        return self.input("I32", self.n_tokens * per_token, name="inp_pos")

    def input_out_ids(self) -> Tensor:
        """Return the rows that logits are wanted for."""
        return self.input("I32", self.n_outputs, name="out_ids")

    # layers' parts

    def pin(self, tensor: Tensor, layer: int) -> None:
        """Keep a tensor on its layer's device, where llama.cpp does so."""
        if self.pinned_layers and layer >= 0:
            tensor.wants = self.layer_home(layer)

    def norm(
        self,
        x: Tensor,
        weight: Tensor | None,
        bias: Tensor | None = None,
        *,
        rms: bool = True,
        layer: int = -1,
    ) -> Tensor:
        """Return a normalised tensor, scaled and shifted where there are weights."""
        x = self.like("RMS_NORM" if rms else "NORM", x)
        if weight is not None or bias is not None:
            self.pin(x, layer)
        if weight is not None:
            x = self.like("MUL", x, weight)
        if bias is not None:
            x = self.like("ADD", x, bias)
        return x

    def linear(self, weight: Tensor, x: Tensor, scale: Tensor | None = None) -> Tensor:
        """Return x through a matrix (and its scale, where the model has one)."""
        y = self.mul_mat(weight, x)
        return y if scale is None else self.like("MUL", y, scale)

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

        `activation`: `glu` (one fused gate), `act` (a plain activation), `relu_sqr`, or
        `fused_glu` (gate and up are halves of one matrix).
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
                return situ(self, gate, up)
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
        scale: float = 0.0,
        activation: str = "glu",
        n_groups: int = 0,
        n_groups_used: int = 0,
        weight_first: bool = False,
        logits: Tensor | None = None,
        selection_from_logits: bool = False,
        chosen: Tensor | None = None,
    ) -> Tensor:
        """Return the routed experts' part (build_moe_ffn).

        `gating`: `softmax`, `sigmoid`, `sqrt_softplus`, `softmax_weight` (softmax over the chosen
        ones).
        """
        n_embd, n_tokens = x.ne[0], x.ne[1]
        if logits is None:
            logits = self.mul_mat(part.need("ffn_gate_inp.weight"), x)
        logits = self.biased(logits, part("ffn_gate_inp.bias"))
        n_expert = logits.ne[0]
        probs = self._probabilities(logits, gating)
        chosen_by = self.biased(probs, part("exp_probs_b.bias"))
        if selection_from_logits:
            chosen_by = logits
        if n_groups > 1:
            chosen_by = self._within_groups(chosen_by, n_expert, n_groups, n_groups_used)
        ids = self.top_k(chosen_by, n_used) if chosen is None else chosen
        weights = self.get_rows(self.reshape(probs, 1, n_expert, n_tokens), ids)
        weights = self._expert_weights(weights, gating, normalised=normalised)
        if scale not in (0.0, 1.0):
            weights = self.like("SCALE", weights)
        self.expand(weights)
        x = self.reshape(x, n_embd, 1, n_tokens)
        if weight_first:
            x = self.like("MUL", self.repeat(x, n_embd, n_used, n_tokens), weights)
        y = self._through_experts(x, part, ids, activation)
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
        cells = self.reshape(grouped, 1, *grouped.ne[:3])
        pairs = self.get_rows(cells, best_two)
        sums = self.sum_rows(self.reshape(pairs, *pairs.ne[1:]))
        groups = self.top_k(self.reshape(sums, *sums.ne[1:3]), n_used)
        kept = self.get_rows(grouped, groups)
        masked = self.set_rows(self.like("FILL", grouped), kept, groups)
        return self.reshape(masked, n_expert, n_tokens)

    def _through_experts(self, x: Tensor, part: Part, ids: Tensor, activation: str) -> Tensor:
        merged = part("ffn_gate_up_exps.weight")
        gated = True
        if merged is not None:
            both = self._expert(x, part, "ffn_gate_up_exps", ids)
            half = both.ne[0] // 2
            gate = self.view(both, (half, *both.ne[1:3]), both.nb[1:3])
            up = self.view(both, (half, *both.ne[1:3]), both.nb[1:3])
        else:
            up = self._expert(x, part, "ffn_up_exps", ids)
            gated = part("ffn_gate_exps.weight") is not None
            gate = self._expert(x, part, "ffn_gate_exps", ids) if gated else up
        y = self._activated(gate, up, activation, gated=gated)
        return self._expert(y, part, "ffn_down_exps", ids)

    def _expert(self, x: Tensor, part: Part, name: str, ids: Tensor) -> Tensor:
        """Return x through the chosen experts' matrices, with their scales and biases."""
        y = self.mul_mat_id(part.need(f"{name}.weight"), x, ids)
        scale = part(f"{name}.scale")
        if scale is not None:
            n_expert = scale.ne[0]
            row = self.repeat(self.reshape(scale, 1, n_expert), 1, n_expert, x.ne[2])
            y = self.like("MUL", y, self.get_rows(row, ids))
        bias = part(f"{name}.bias")
        return y if bias is None else self.like("ADD_ID", y, bias, ids)

    def _summed(self, y: Tensor, n_embd: int, n_tokens: int, n_used: int) -> Tensor:
        self.expand(y)
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

    # the end

    def finish(
        self,
        x: Tensor,
        *,
        softcap: bool = False,
        norm_rms: bool = True,
        scaled: bool = False,
        rows: Tensor | None = None,
    ) -> None:
        """Add the last norm and the logits, both kept as outputs.

        `rows`: those that logits are wanted for, when the norm is over all of them.
        """
        whole = self.whole
        x = self.norm(x, whole("output_norm.weight"), whole("output_norm.bias"), rms=norm_rms)
        if rows is not None:
            x.flags |= OUTPUT
            x = self.get_rows(x, rows)
        self.head(x, softcap=softcap, scaled=scaled)

    def head(self, x: Tensor, *, softcap: bool = False, scaled: bool = False) -> None:
        """Add the logits of normalised rows; both are kept as outputs."""
        whole = self.whole
        x.flags |= OUTPUT
        output = whole("output.weight")
        if output is None:
            output = self.tied_output()
        logits = self.linear(output, x, whole("output.scale"))
        logits = self.biased(logits, whole("output.bias"))
        if scaled:
            logits = self.like("SCALE", logits)
        if softcap:
            logits = self.like("SCALE", self.unary(self.like("SCALE", logits)))
        logits.flags |= OUTPUT
        self.expand(logits)

    def tied_output(self) -> Tensor:
        """Return the embedding as output matrix, where the output layer lies."""
        spec = self._specs["token_embd.weight"]
        home = self.layer_home(self.n_layers_all)
        return Tensor(
            NONE, spec.type, shape4(spec.shape), home=home, is_weight=True, name="output.weight"
        )

    @property
    def n_layers_all(self) -> int:
        """Layers in the file, next-token-prediction layers included."""
        return self.model.n_layers + self.model.hparams.n_layer_nextn

    def spec(self, layer: int) -> LayerSpec:
        """Return the shape of a layer."""
        return self.model.layers[layer]

    def contiguous(self, x: Tensor) -> Tensor:
        """Return x without gaps: itself when it has none."""
        return x if is_contiguous(x) else self.cont(x)
