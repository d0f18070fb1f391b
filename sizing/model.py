"""What a model is, whichever file, catalog entry or page it was read from.

Shapes are in GGUF order: the first dimension is the row length, the contiguous one.
"""

from __future__ import annotations

from whatfits.sizing.typed import TYPE_CHECKING, Literal
from whatfits.sizing.values import dataclass, field

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final

    from whatfits.sizing.extras import Companion

__all__ = [
    "LAST_POOLING",
    "AttentionCache",
    "ByteRange",
    "CheckpointFacts",
    "CompressedRows",
    "FullAttention",
    "Hparams",
    "LatentAttention",
    "LayerSpec",
    "ModelSpec",
    "RecurrentState",
    "SlidingWindow",
    "TensorRole",
    "TensorShape",
    "TensorSpec",
]

TensorRole = Literal["input", "layer", "output", "shared"]
"""Where llama.cpp puts a tensor: `input` tensors stay with the CPU, `layer` tensors follow their
layer, `output` tensors follow the output layer, `shared` ones are copied to each device that has a
layer.  Source: llama.cpp src/llama-arch.cpp (tensor infos), src/llama-model.cpp:load_tensors."""

# What is made of the rows of an input. Source: llama.cpp include/llama.h, enum llama_pooling_type.
LAST_POOLING: Final = 3
_NO_POOLING, _RANK_POOLING = 0, 4
_READ_IN_PARTS: Final = (_NO_POOLING, LAST_POOLING, _RANK_POOLING)


@dataclass(frozen=True, slots=True)
class TensorShape:
    """A tensor before a file type gave it a storage type.

    Attributes:
        name: GGUF name, as `blk.0.attn_q.weight`.
        shape: dimensions, row length first.
        fixed_type: storage type when no file type may change it (norms, biases: `F32`).
    """

    name: str
    shape: tuple[int, ...]
    fixed_type: str | None = None

    @property
    def n_elements(self) -> int:
        """Product of the dimensions."""
        product = 1
        for dimension in self.shape:
            product *= dimension
        return product


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """A tensor as it lies in a file.

    Attributes:
        name: GGUF (or safetensors) name.
        shape: dimensions, row length first.
        type: storage type, as `Q4_K`, `F32`, `MXFP4`.
        n_bytes: exact bytes of its data.
        role: which device it follows.
        layer: layer index for role `layer`, or the layer it follows; None otherwise.
        file_index: which file of a split model holds it.
        offset_bytes: where its data starts in that file's data section; None when unknown.
    """

    name: str
    shape: tuple[int, ...]
    type: str
    n_bytes: int
    role: TensorRole
    layer: int | None = None
    file_index: int = 0
    offset_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class FullAttention:
    """Keys and values of every token.

    Attributes:
        key_width: elements of one token's keys in this layer (KV heads × key length).
        value_width: elements of one token's values in this layer.
    """

    key_width: int
    value_width: int


@dataclass(frozen=True, slots=True)
class SlidingWindow:
    """Keys and values of the last `window_tokens` tokens only.

    Attributes:
        key_width: elements of one token's keys in this layer.
        value_width: elements of one token's values in this layer.
        window_tokens: length of the window.
    """

    key_width: int
    value_width: int
    window_tokens: int


@dataclass(frozen=True, slots=True)
class LatentAttention:
    """Multi-head latent attention: one compressed row per token, no separate values.

    Attributes:
        key_width: elements of one token's row (latent rank + rotary part), index keys included.
        index_width: how many of them are index keys, which lie in a tensor of their own.
    """

    key_width: int
    index_width: int = 0


@dataclass(frozen=True, slots=True)
class CompressedRows:
    """One row for every `ratio` tokens of the past, beside a window of plain ones.

    Attributes:
        key_width: elements of one row.
        ratio: tokens a row stands for.
    """

    key_width: int
    ratio: int


AttentionCache = FullAttention | SlidingWindow | LatentAttention


@dataclass(frozen=True, slots=True)
class RecurrentState:
    """State of fixed size per sequence (state-space, linear attention, RWKV, short convolution).

    Attributes:
        shift_elements: elements of the convolution or token-shift state.
        state_elements: elements of the recurrent state proper.
    """

    shift_elements: int
    state_elements: int


@dataclass(frozen=True, slots=True)
class LayerSpec:
    """One layer: what it remembers, and the widths that fix its working memory.

    Attributes:
        attention: cache of its attention; None when it has none or reuses another layer's.
        recurrent: recurrent state; None when it has none.
        n_head: query heads (0 without attention).
        n_head_kv: key/value heads.
        key_length: elements of one head's key (query) vector.
        value_length: elements of one head's value vector.
        n_ff: width of the dense feed-forward part (0 when there is none).
        n_expert: routed experts in this layer (0 when dense).
        reuses_cache: attends to the cache of an earlier layer.
        cache_layer: index of that layer; None when it has a cache of its own, or none.
        compressed: rows it keeps of its compressed past.
        own_streams: each sequence has a cache of its own even where sequences could share one.
    """

    attention: AttentionCache | None = None
    recurrent: RecurrentState | None = None
    n_head: int = 0
    n_head_kv: int = 0
    key_length: int = 0
    value_length: int = 0
    n_ff: int = 0
    n_expert: int = 0
    reuses_cache: bool = False
    cache_layer: int | None = None
    compressed: tuple[CompressedRows, ...] = ()
    own_streams: bool = False


@dataclass(frozen=True, slots=True)
class Hparams:
    """Whole-model figures that fix memory and work.

    Attributes:
        n_embd: width of the residual stream.
        n_vocab: length of the tokenizer's vocabulary (rows of logits are this wide).
        context_train_tokens: context the model was trained for; None when unknown.
        n_expert: routed experts a layer (0 when dense).
        n_expert_used: routed experts a token goes through.
        n_ff_exp: width of one routed expert.
        n_ff_shexp: width of the shared experts together.
        n_layer_nextn: next-token-prediction layers at the end; not loaded by default.
        causal: False for encoders, which keep no cache.
        gated: the feed-forward part has a gate matrix.
        logit_softcap: logits pass through one more activation.
        n_embd_out: width of embeddings when they are asked for.
        kv_lora_rank: rank of the latent cache (MLA), 0 without.
    """

    n_embd: int
    n_vocab: int
    context_train_tokens: int | None
    n_expert: int = 0
    n_expert_used: int = 0
    n_ff_exp: int = 0
    n_ff_shexp: int = 0
    n_layer_nextn: int = 0
    causal: bool = True
    gated: bool = True
    logit_softcap: bool = False
    n_embd_out: int | None = None
    kv_lora_rank: int = 0


@dataclass(frozen=True, slots=True)
class ByteRange:
    """A number of bytes that is only known to lie in an interval, and why."""

    low_bytes: int
    mid_bytes: int
    high_bytes: int
    reason: str


@dataclass(frozen=True, slots=True)
class CheckpointFacts:
    """What a runtime that loads checkpoints has to know beside the tensors.

    Attributes:
        reference: what it is given: a repository or a folder.
        revision: of the repository; None for the newest.
        label: the quantisation for people; None for 16 bits.
        must_be_found: nobody named a checkpoint of this quantisation; `reference` stands for it.
        quantised_on_load: `reference` is the 16-bit checkpoint, and the runtime quantises it.
        group: weights along a row, or rows, that share a scale: no cut may divide them.
        only_experts: nothing but the experts is quantised.
        states_in_f32: the configuration asks for recurrent states in 32 bits; None where it does
            not say.
        has_other_parts: it holds vision or audio parts as well, which `tensors` leave out.
        stored_bytes: what its tensors take by its own headers, other parts left out; None when
            they were not read.
    """

    reference: str
    label: str | None = None
    must_be_found: bool = False
    quantised_on_load: bool = False
    group: int = 1
    only_experts: bool = False
    states_in_f32: bool | None = None
    has_other_parts: bool = False
    stored_bytes: int | None = None
    revision: str | None = None


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A model, neutral to runtime, machine and workload.

    Attributes:
        name: short name for people.
        source: where the facts came from, as `catalog`, a path, or a URL.
        architecture: GGUF architecture, as `llama`, `qwen3moe`.
        file_type: quantisation, as `Q4_K_M`; None when the file does not say.
        file_bytes: bytes on disk of all files; None when unknown. Without what comes before the
            data where `file_header` says how much that is.
        tensors: every tensor with its exact size; empty when only `weights` is known.
        layers: one entry per layer that is loaded.
        hparams: whole-model figures.
        parameters: elements of all weights.
        active_parameters: weights used for one token, embeddings included.
        metadata: scalar and short-list GGUF metadata, as far as sizing needs it.
        weights: the interval of the weights when there is no tensor table.
        cache_interval: relative error of the cache when its layout is only inferred (0: exact).
        notes: what a reader must know about these facts, one sentence each.
        origin: publisher and date of the facts, for `Basis`.
        prediction_tensors: tensors of the next-token-prediction layers, which are only loaded to
            draft with them.
        planned: the GGUF of these facts is not `source` but has to be made of it.
        file: the path to write into a command, when that is not `source`.
        parts: all files of a model that is split over several, the first one first; empty for one
            in a single file.
        companions: what the model comes with, and is loaded beside it unless told otherwise.
        file_header: what a file that nobody has made yet has before its data (tokenizer, metadata,
            list of tensors); None for a file that was read.
        checkpoint: how its publisher's checkpoint stores it, when `tensors` have the bytes of that;
            None when they have those of a GGUF.
    """

    name: str
    source: str
    architecture: str
    file_type: str | None
    file_bytes: int | None
    tensors: tuple[TensorSpec, ...]
    layers: tuple[LayerSpec, ...]
    hparams: Hparams
    parameters: int | None
    active_parameters: int | None
    metadata: Mapping[str, object] = field(default_factory=dict)
    weights: ByteRange | None = None
    cache_interval: float = 0.0
    notes: tuple[str, ...] = ()
    origin: str = ""
    prediction_tensors: tuple[TensorSpec, ...] = ()
    planned: bool = False
    file: str | None = None
    parts: tuple[str, ...] = ()
    companions: tuple[Companion, ...] = ()
    file_header: ByteRange | None = None
    checkpoint: CheckpointFacts | None = None

    @property
    def n_layers(self) -> int:
        """Layers that are loaded (next-token-prediction layers left out)."""
        return len(self.layers)

    @property
    def embeds(self) -> bool:
        """Whether it hands out embeddings and writes nothing: an encoder, or a decoder that pools.

        Source: the key `pooling_type` of a file; llama.cpp src/llama-model.cpp:load_hparams.
        """
        return not self.hparams.causal or self._pooling > _NO_POOLING

    @property
    def reranks(self) -> bool:
        """Whether it says how well a text answers a question instead of handing out embeddings."""
        return self._pooling == _RANK_POOLING

    @property
    def reads_in_parts(self) -> bool:
        """Whether an input may go over several micro-batches: not for rows of both directions.

        Source: llama.cpp tools/server/server-context.cpp, server_slot::can_split.
        """
        return self.hparams.causal and self._pooling in _READ_IN_PARTS

    @property
    def _pooling(self) -> int:
        value = self.metadata.get(f"{self.architecture}.pooling_type")
        return value if isinstance(value, int) else _NO_POOLING

    @property
    def file_range(self) -> tuple[int, int, int] | None:
        """Least, expected and most bytes of all files on disk; None when nothing is known."""
        if self.file_bytes is None:
            return None
        data = (self.file_bytes, self.file_bytes, self.file_bytes)
        if self.weights is not None:
            data = (self.weights.low_bytes, self.file_bytes, self.weights.high_bytes)
        if self.file_header is None:
            return data
        head = self.file_header
        return (data[0] + head.low_bytes, data[1] + head.mid_bytes, data[2] + head.high_bytes)

    @property
    def tensor_bytes(self) -> int:
        """Sum of the exact tensor bytes; 0 when there is no tensor table."""
        return sum(tensor.n_bytes for tensor in self.tensors)
