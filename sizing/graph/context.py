"""The parts llama.cpp makes its models' graphs of: inputs, norms, the end.

Each method adds the operations of the function of llama.cpp's src/llama-graph.cpp it is named
after, in the same order; weights are looked up by name, and what has no weight is left out.
"""

from __future__ import annotations

from whatfits.sizing.graph.builder import shape4
from whatfits.sizing.graph.pooling import PoolingBuilder
from whatfits.sizing.graph.tensor import NONE, OUTPUT, Tensor, is_contiguous
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import replace
from whatfits.sizing.weights import EMBEDDING_IS_OUTPUT

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

    from whatfits.sizing.graph.index import TensorIndex
    from whatfits.sizing.model import LayerSpec, ModelSpec, TensorSpec
    from whatfits.sizing.settings import Settings

__all__ = ["GraphContext", "Part"]

_F32: Final = "F32"
_LAYER: Final = "blk."


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


class GraphContext(PoolingBuilder):
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
        # by layer: fused attention of a model's own, of which llama.cpp keeps no list
        self.unlisted: dict[int, list[Tensor]] = {}
        self.unfused: frozenset[str] = frozenset()  # operations that are made of smaller ones

    # weights and caches

    def weight(self, name: str, *, layer: int | None = None) -> Tensor | None:
        """Return the model's tensor of that name as a leaf; None when there is none.

        A shared tensor has a copy on each device with a layer, but where it is placed by name:
        `layer` says whose is meant.
        """
        spec = self._specs.get(name)
        if spec is None:
            return None
        key = name if layer is None else f"{name}@{self._weight_home(spec, layer)}"
        found = self._weights.get(key)
        if found is not None:
            return found
        leaf = Tensor(
            NONE,
            spec.type,
            shape4(spec.shape),
            home=self._weight_home(spec, layer),
            is_weight=True,
            layer=spec.layer if name.startswith(_LAYER) else None,
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

    def pin(self, tensor: Tensor, layer: int | None) -> None:
        """Keep a tensor on its layer's device, where llama.cpp does so; None: of no layer."""
        if self.pinned_layers and layer is not None:
            tensor.wants = self.layer_home(layer)

    def norm(
        self,
        x: Tensor,
        weight: Tensor | None,
        bias: Tensor | None = None,
        *,
        rms: bool = True,
        layer: int | None = None,
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

    # the end

    def finish(
        self,
        x: Tensor,
        *,
        softcap: bool = False,
        norm_rms: bool = True,
        scaled: bool = False,
        rows_scaled: bool = False,
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
        self.head(x, softcap=softcap, scaled=scaled, rows_scaled=rows_scaled)

    def head(
        self, x: Tensor, *, softcap: bool = False, scaled: bool = False, rows_scaled: bool = False
    ) -> None:
        """Add the logits of normalised rows; both are kept as outputs, and what is pooled."""
        whole, rows = self.whole, x
        rows.flags |= OUTPUT
        x = self.like("SCALE", x) if rows_scaled else x
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
        self.pool(rows)

    def tied_output(self) -> Tensor:
        """Return the embedding as output matrix, where the output layer lies (or the embedding)."""
        if self.model.architecture in EMBEDDING_IS_OUTPUT:
            return self.whole.need("token_embd.weight")
        spec = replace(self._specs["token_embd.weight"], role="output")
        home = self._weight_home(spec, None)
        return Tensor(
            NONE, spec.type, shape4(spec.shape), home=home, is_weight=True, name="output.weight"
        )

    def spec(self, layer: int) -> LayerSpec:
        """Return the shape of a layer."""
        return self.model.layers[layer]

    def contiguous(self, x: Tensor) -> Tensor:
        """Return x without gaps: itself when it has none."""
        return x if is_contiguous(x) else self.cont(x)
