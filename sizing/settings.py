"""A workload made concrete: what `llama_context` makes of the flags it is given.

Source: llama.cpp (0c1e57098) src/llama-context.cpp, constructor and llama_init_from_model;
tools/server/server-context.cpp, server_output_limits; tools/server/server.cpp (the batch of a
server of embeddings); common/common.h, defaults.
"""

from __future__ import annotations

from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.model import LatentAttention
from whatfits.sizing.quants.file_types import find_kv_type
from whatfits.sizing.quants.ggml_types import GGML_TYPES
from whatfits.sizing.speculation import drafted_tokens, state_snapshots
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.units import pad
from whatfits.sizing.values import dataclass

if TYPE_CHECKING:
    from typing import Final

    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.workload import Workload

__all__ = [
    "DEFAULT_CONTEXT_TOKENS",
    "MAX_CONTEXT_TOKENS",
    "MAX_SEQUENCES",
    "Settings",
    "default_context_tokens",
    "longest_input",
    "resolve_settings",
    "told_batches",
    "whole_within",
]

DEFAULT_CONTEXT_TOKENS: Final = 8192
MAX_CONTEXT_TOKENS: Final = 2**31 - 256
_CONTEXT_PADDING: Final = 256
MAX_SEQUENCES: Final = 256
_DEFAULT_BATCH: Final = 2048
_DEFAULT_MICRO_BATCH: Final = 512
_NO_FLASH_ARCHITECTURES: Final = frozenset({"grok"})
# Rows for keys and values both, in plain attention. Source: llama-context.cpp (0c1e57098),
# llama_init_from_model: is_mla() or this one.
_ONE_CACHE_TYPE: Final = frozenset({"deepseek4"})
_RESERVED_AS_ONE_SEQUENCE: Final = frozenset({"kimi-linear", "minimax-01"})


@dataclass(frozen=True, slots=True)
class Settings:
    """What is really allocated for.

    Attributes:
        requested_context_tokens: the context as asked for, or its default.
        context_tokens: all cells of the cache, after padding.
        sequence_tokens: cells one sequence sees.
        sequences: sequences served at once.
        streams: separate caches (1 when unified).
        batch_tokens: logical batch.
        micro_batch_tokens: physical batch.
        graph_tokens: tokens of the worst-case graph.
        output_rows: rows of logits the worst-case graph computes.
        kv_type_k: ggml type of keys.
        kv_type_v: ggml type of values.
        flash_attention: whether attention is fused.
        flash_automatic: fused was llama.cpp's own choice: it takes it back where the operation
            lands on another device than its layer.
        transposed_values: values are stored transposed: without fused attention, unless that was
            only found out after the cache had been made (`auto` on a device that cannot fuse).
        swa_full: window layers keep the full context.
        embeddings: the output buffer also holds embeddings.
        state_snapshots: earlier states a recurrent layer keeps so that drafts can be taken back.
    """

    requested_context_tokens: int
    context_tokens: int
    sequence_tokens: int
    sequences: int
    streams: int
    batch_tokens: int
    micro_batch_tokens: int
    graph_tokens: int
    output_rows: int
    kv_type_k: str
    kv_type_v: str
    flash_attention: bool
    transposed_values: bool
    swa_full: bool
    embeddings: bool = False
    state_snapshots: int = 0
    flash_automatic: bool = False


def resolve_settings(
    model: ModelSpec, workload: Workload, *, flash_supported: bool = True
) -> Settings:
    """Return the settings llama.cpp would run with.

    `flash_supported` is False when a device that has layers cannot run fused attention; `auto`
    then turns it off for the whole context.

    Raises:
        InvalidRequestError: a value is out of range, or llama.cpp refuses the combination.
    """
    context = whole_within(
        "context_tokens",
        workload.context_tokens,
        default=default_context_tokens(model),
        high=MAX_CONTEXT_TOKENS,
    )
    sequences = whole_within("parallel", workload.parallel, default=1, high=MAX_SEQUENCES)
    unified = bool(workload.kv_unified)
    total, per_sequence = _padded_context(context, sequences, unified=unified)
    batch, micro = _batches(
        model, workload, context=context, longest=pad(longest_input(model, per_sequence), sequences)
    )
    for name in ("prompt_tokens", "output_tokens"):
        whole_within(name, getattr(workload, name), default=1, high=MAX_CONTEXT_TOKENS)
    kv_type_k = find_kv_type(workload.kv_type_k or "f16")
    kv_type_v = find_kv_type(workload.kv_type_v or "f16")
    flash = _flash_attention(model, workload, kv_type_v, supported=flash_supported)
    _check_cache_types(model, kv_type_k, kv_type_v, flash=flash)
    graph_tokens = min(total, micro)
    if not unified:
        _check_shares(model, graph_tokens, sequences)
    server = workload.program == "server"
    return Settings(
        requested_context_tokens=context,
        context_tokens=total,
        sequence_tokens=per_sequence,
        sequences=sequences,
        streams=1 if unified else sequences,
        batch_tokens=batch,
        micro_batch_tokens=micro,
        graph_tokens=graph_tokens,
        output_rows=min(
            graph_tokens, _outputs_max(model, workload, batch=batch, sequences=sequences)
        ),
        kv_type_k=kv_type_k,
        kv_type_v=kv_type_v,
        flash_attention=flash,
        transposed_values=not flash and (flash_supported or workload.flash_attention != "auto"),
        swa_full=(not server) if workload.swa_full is None else workload.swa_full,
        embeddings=model.embeds,
        state_snapshots=state_snapshots(model, workload),
        flash_automatic=flash
        and workload.flash_attention == "auto"
        and GGML_TYPES[kv_type_v].block_elements == 1,
    )


def whole_within(name: str, value: int | None, *, default: int, low: int = 1, high: int) -> int:
    """Return a value that was asked for, else its default.

    Raises:
        InvalidRequestError: it is no whole number, or out of range.
    """
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise InvalidRequestError(
            what=name, got=value, allowed=f"a whole number from {low:,} to {high:,}"
        )
    return value


def default_context_tokens(model: ModelSpec) -> int:
    """Return the context where none is asked for: 8,192, or that of the training if smaller."""
    return min(DEFAULT_CONTEXT_TOKENS, model.hparams.context_train_tokens or DEFAULT_CONTEXT_TOKENS)


def longest_input(model: ModelSpec, sequence_tokens: int) -> int:
    """Return the longest input of a slot: its context, at most what the model was trained for.

    Source: llama.cpp tools/server/server-context.cpp, n_ctx_slot.
    """
    return min(sequence_tokens, model.hparams.context_train_tokens or sequence_tokens)


def _batches(
    model: ModelSpec, workload: Workload, *, context: int, longest: int
) -> tuple[int, int]:
    """Return the logical and the physical batch.

    A server refuses an input that must go into one micro-batch and is longer than that, so unset
    it is as long as the longest; for embeddings both batches are the same.
    """
    micro, batch = _DEFAULT_MICRO_BATCH, _DEFAULT_BATCH
    hands_out = workload.program == "server" and model.embeds
    if hands_out and not model.reads_in_parts:
        micro = max(micro, longest)
    micro = whole_within("micro_batch", workload.micro_batch, default=micro, high=2**20)
    if hands_out:
        batch = max(batch, micro)
    batch = whole_within("batch", workload.batch, default=batch, high=2**20)
    if model.hparams.causal:
        batch = min(context, batch)
    micro = min(batch, micro)
    return (micro if hands_out else batch), micro


def told_batches(
    model: ModelSpec, workload: Workload, settings: Settings
) -> tuple[int | None, int | None]:
    """Return both batches as a program is told them: as asked for, None where it is not told.

    For embeddings they are what they are, unless the program's own are as long as that.
    """
    if model.embeds and settings.micro_batch_tokens > _DEFAULT_MICRO_BATCH:
        return settings.batch_tokens, settings.micro_batch_tokens
    return workload.batch, workload.micro_batch


def _padded_context(context: int, sequences: int, *, unified: bool) -> tuple[int, int]:
    """Return (cells in all, cells a sequence sees); the whole can grow by the padding."""
    total = pad(context, _CONTEXT_PADDING)
    if unified:
        return total, total
    per_sequence = pad(max(total // sequences, 1), _CONTEXT_PADDING)
    return per_sequence * sequences, per_sequence


def _check_shares(model: ModelSpec, graph_tokens: int, sequences: int) -> None:
    """Refuse caches of their own that the worst-case graph of one sequence cannot be shared by.

    Source: llama-context.cpp, sched_reserve (TAG_RESERVE_DIAG_DECAY): the micro-batch is not
    rounded up to the sequences then, and attention divides it by the caches.
    """
    if model.architecture in _RESERVED_AS_ONE_SEQUENCE and graph_tokens % sequences:
        raise InvalidRequestError(
            what="parallel",
            got=sequences,
            allowed=f"a number that divides the micro-batch of {graph_tokens:,} tokens",
            next_step="llama.cpp ends itself here; change it or use kv_unified, one cache for all",
        )


def _outputs_max(model: ModelSpec, workload: Workload, *, batch: int, sequences: int) -> int:
    """Return how many rows of logits a batch may ask for.

    The server reserves one row a slot and one more for each token that may be drafted; the C API,
    encoders and embedding models a whole batch. Fewer than one a sequence ends llama.cpp
    (llama-context.cpp, output_reserve).

    Raises:
        InvalidRequestError: fewer rows than sequences.
    """
    if workload.outputs_max is not None:
        chosen = whole_within("outputs_max", workload.outputs_max, default=0, low=0, high=2**20)
        rows = chosen or batch
    elif workload.program == "server" and not model.embeds:
        rows = max(1, min(batch, sequences * (1 + drafted_tokens(workload))))
    else:
        rows = batch
    if rows < sequences:
        raise InvalidRequestError(
            what="parallel",
            got=sequences,
            allowed=f"at most {rows:,}, the rows of logits a batch may ask for",
            next_step="llama.cpp ends itself here; raise context, batch or outputs_max",
        )
    return rows


def _flash_attention(
    model: ModelSpec, workload: Workload, kv_type_v: str, *, supported: bool
) -> bool:
    """Return whether attention is fused.

    `auto` asks the devices; quantised values force it on whatever the devices say.
    """
    wanted = workload.flash_attention
    if wanted not in ("auto", "on", "off"):
        raise InvalidRequestError(what="flash_attention", got=wanted, allowed="auto, on, off")
    ruled_out = wanted == "off" or model.architecture in _NO_FLASH_ARCHITECTURES
    if GGML_TYPES[kv_type_v].block_elements > 1:
        if ruled_out:
            raise InvalidRequestError(
                what="kv_type_v",
                got=kv_type_v.lower(),
                allowed="f32, f16 or bf16 without flash attention",
                next_step="turn flash attention on, or keep the values in f16",
            )
        return True
    # without attention nothing asks the devices, and the switch stays on
    attends = any(layer.n_head for layer in model.layers)
    return not ruled_out and (supported or wanted == "on" or not attends)


def _check_cache_types(model: ModelSpec, kv_type_k: str, kv_type_v: str, *, flash: bool) -> None:
    latent = model.architecture in _ONE_CACHE_TYPE or any(
        isinstance(layer.attention, LatentAttention) for layer in model.layers
    )
    if latent and kv_type_k != kv_type_v:
        raise InvalidRequestError(
            what="kv_type_k and kv_type_v",
            got=f"{kv_type_k.lower()} and {kv_type_v.lower()}",
            allowed="the same type for both: this model keeps one row for keys and values",
        )
    if not flash:
        return
    for name, kv_type, attribute in (
        ("kv_type_k", kv_type_k, "key_length"),
        ("kv_type_v", kv_type_v, "value_length"),
    ):
        block = GGML_TYPES[kv_type].block_elements
        lengths = {getattr(layer, attribute) for layer in model.layers if layer.attention}
        uneven = sorted(length for length in lengths if length % block)
        if uneven:
            raise InvalidRequestError(
                what=name,
                got=kv_type.lower(),
                allowed=f"a type whose block ({block}) divides the head length {uneven[0]}, as f16",
            )
