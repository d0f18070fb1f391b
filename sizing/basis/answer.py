"""Why each number of an answer is what it is: formula, inputs, source, error."""

from __future__ import annotations

from collections import Counter

from whatfits.sizing.basis.beside import growth_basis, part_basis
from whatfits.sizing.basis.speed import speed_basis
from whatfits.sizing.basis.substituted import cache_sum, free_sum, parts_sum, product, weights_sum
from whatfits.sizing.compute import closed_form_range, compute_stages
from whatfits.sizing.estimate import Basis
from whatfits.sizing.graph.models import has_graph
from whatfits.sizing.kv_cache import cache_cells
from whatfits.sizing.model import FullAttention, LatentAttention, SlidingWindow
from whatfits.sizing.overhead import overhead_of, unfused_bytes
from whatfits.sizing.speed import told_depth
from whatfits.sizing.speed.load_time import load_basis, load_from_disk_s
from whatfits.sizing.speed.terms import decode_terms
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any, Final

    from whatfits.sizing.estimate import Memory, Speed
    from whatfits.sizing.machine import Machine
    from whatfits.sizing.model import AttentionCache, ByteRange, ModelSpec
    from whatfits.sizing.search.trial import Trial

__all__ = ["basis_of", "free_basis"]

_LLAMA_CPP = "llama.cpp (0c1e57098)"


def basis_of(
    model: ModelSpec,
    trial: Trial,
    machine: Machine,
    speed: Speed | None,
    *,
    prompt_tokens: int | None = None,
) -> tuple[Basis, ...]:
    """Return the reasons behind an answer, in the order of its fields.

    `prompt_tokens` are those that speeds are told for; None for the usual number.
    """
    reasons = [_weights(model, trial.memory), _cache(model, trial), _compute(model, trial)]
    reasons += [_output(model, trial), _overhead(model, trial, machine), free_basis(machine)]
    if model.file_header is not None:
        reasons.append(_file(model, model.file_header))
    reasons += [part_basis(part) for part in trial.memory.parts]
    if trial.memory.growth_limit_bytes:
        reasons.append(growth_basis(trial.growth))
    placement, settings = trial.placement, trial.settings
    reasons += speed_basis(
        speed,
        (*placement.accelerators, placement.host),
        machine,
        step=lambda rates: decode_terms(
            model, settings, placement, rates, depth=told_depth(prompt_tokens, settings)
        ),
    )
    if load_from_disk_s(model, trial.memory, machine) is not None:
        reasons.append(load_basis(model, trial.memory, machine))
    return tuple(reasons)


def _weights(model: ModelSpec, memory: Memory) -> Basis:
    if model.weights is not None:
        return Basis(
            key="memory.weights_bytes",
            formula="parameters x bits per weight / 8",
            inputs={
                "parameters": model.parameters,
                "file_type": model.file_type,
                "low_bytes": model.weights.low_bytes,
                "high_bytes": model.weights.high_bytes,
            },
            source=model.origin or model.source,
            error=model.weights.reason,
        )
    types = Counter[str]()
    for tensor in model.tensors:
        types[tensor.type] += tensor.n_bytes
    return Basis(
        key="memory.weights_bytes",
        formula="sum over tensors of rows x blocks per row x bytes per block, padded per buffer",
        inputs={
            "tensors": len(model.tensors),
            "bytes_by_type": dict(types.most_common()),
        },
        source=f"{model.origin or model.source}; {_LLAMA_CPP} ggml.c type traits, llama-quant.cpp",
        error="exact",
        substituted=weights_sum(
            dict(types.most_common()),
            beside_bytes=sum(part.weights_bytes for part in memory.parts),
            n_bytes=memory.weights_bytes,
        ),
    )


def _file(model: ModelSpec, header: ByteRange) -> Basis:
    """Return why a file that nobody has made yet is as large as it is said to be."""
    data_bytes = model.file_bytes or model.tensor_bytes
    return Basis(
        key="model.file_bytes",
        formula="tensors, each padded to 32 bytes + list of tensors + tokenizer and metadata",
        inputs={
            "data_bytes": data_bytes,
            "header_low_bytes": header.low_bytes,
            "header_bytes": header.mid_bytes,
            "header_high_bytes": header.high_bytes,
            "vocabulary": model.hparams.n_vocab,
        },
        source="ggml docs/gguf.md for the data and the list; published files for the tokenizer",
        error=header.reason,
        substituted=parts_sum(
            {"of tensors": data_bytes, "of header": header.mid_bytes},
            n_bytes=data_bytes + header.mid_bytes,
        ),
    )


def _cache(model: ModelSpec, trial: Trial) -> Basis:
    settings = trial.settings
    kinds = Counter[str]()
    for layer in model.layers:
        if layer.attention is not None:
            kinds[_describe(layer.attention, cache_cells(layer.attention, settings))] += 1
        if layer.recurrent is not None:
            state = layer.recurrent.shift_elements + layer.recurrent.state_elements
            kinds[f"state of {state:,} f32 elements a sequence"] += 1
        if layer.reuses_cache:
            kinds["reuses the cache of an earlier layer"] += 1
    inputs: dict[str, Any] = {
        "layers": dict(kinds),
        "type_k": settings.kv_type_k.lower(),
        "type_v": settings.kv_type_v.lower(),
        "streams": settings.streams,
        "sequences": settings.sequences,
    }
    error = "exact"
    if model.cache_interval:
        error = f"layout inferred from the metadata: within {model.cache_interval:.0%}"
    return Basis(
        key="memory.kv_cache_bytes",
        formula="sum over layers of (key row + value row) x cells x streams + states x sequences",
        inputs=inputs,
        source=f"{_LLAMA_CPP} llama-kv-cache*.cpp, llama-memory-recurrent.cpp",
        error=error,
        substituted=cache_sum(
            model,
            settings,
            beside_bytes=sum(part.kv_cache_bytes for part in trial.memory.parts),
            n_bytes=trial.memory.kv_cache_bytes,
        ),
    )


def _describe(cache: AttentionCache, cells: int) -> str:
    match cache:
        case FullAttention():
            return f"{cells:,} cells x ({cache.key_width:,} + {cache.value_width:,}) elements"
        case SlidingWindow():
            return (
                f"window {cache.window_tokens:,}: {cells:,} cells x "
                f"({cache.key_width:,} + {cache.value_width:,}) elements"
            )
        case LatentAttention():
            return f"{cells:,} cells x {cache.key_width:,} latent elements"


def _compute(model: ModelSpec, trial: Trial) -> Basis:
    settings = trial.settings
    inputs: dict[str, Any] = {
        "tokens": settings.graph_tokens,
        "logit_rows": settings.output_rows,
        "flash_attention": settings.flash_attention,
    }
    if has_graph(model):
        return Basis(
            key="memory.compute_bytes",
            formula="peak of the worst-case graph, laid out as llama.cpp's allocator does",
            inputs=inputs,
            source=f"{_LLAMA_CPP} llama-context.cpp:sched_reserve, src/models, ggml-alloc.c",
            error="what its dry run reports; the interval spans what a real load does otherwise "
            "on several devices, scratch space of CUDA and Metal (that of Metal was read, not "
            "measured), and the closed form where operations were seen to lie elsewhere; Vulkan "
            "puts operations in an order of its own, which took up to 9 % more in public logs",
        )
    stages = compute_stages(model, settings)
    low, high = closed_form_range(model, trial.placement)
    return Basis(
        key="memory.compute_bytes",
        formula="largest stage of the worst-case graph: logits, attention, feed-forward or state",
        inputs={
            **inputs,
            "logits_stage_bytes": stages.output,
            "layer_stage_bytes": stages.layers,
        },
        source=f"{_LLAMA_CPP} llama-context.cpp:sched_reserve, llama-graph.cpp, ggml-alloc.c",
        error=f"closed form; true sizes of measured models were {low:g} to {high:g} times it",
    )


def _output(model: ModelSpec, trial: Trial) -> Basis:
    return Basis(
        key="memory.output_bytes",
        formula="4 x vocabulary x sequences",
        inputs={"vocabulary": model.hparams.n_vocab, "sequences": trial.settings.sequences},
        source=f"{_LLAMA_CPP} llama-context.cpp:output_reserve",
        error="exact at start; grows when more rows of logits are asked for",
        substituted=product(
            {
                "byte": 4,
                "token of the vocabulary": model.hparams.n_vocab,
                "sequence": trial.settings.sequences,
            },
            n_bytes=trial.memory.output_bytes,
        ),
    )


def _overhead(model: ModelSpec, trial: Trial, machine: Machine) -> Basis:
    is_server = trial.memory.devices[-1].overhead_bytes > 0
    devices = (*trial.placement.accelerators, trial.placement.host)
    known = {d.id: overhead_of(machine, d, is_server=is_server) for d in devices}
    parts = {f"on {name}": o.mid_bytes for name, o in known.items()}
    accelerators = range(len(trial.placement.accelerators))
    scores = sum(
        unfused_bytes(model, trial.settings, trial.placement, at=at) for at in accelerators
    )
    if scores:
        parts["for scores in F16 of attention that is not fused"] = scores
    return Basis(
        key="memory.overhead_bytes",
        formula="driver context and pools of each accelerator + the program itself",
        inputs={
            name: {"low_bytes": o.low_bytes, "mid_bytes": o.mid_bytes, "high_bytes": o.high_bytes}
            for name, o in known.items()
        },
        source="; ".join(dict.fromkeys(o.source for o in known.values())),
        error="an interval: it depends on driver, back end and kernels used",
        substituted=parts_sum(parts, n_bytes=trial.memory.overhead_bytes),
    )


# by whom the limit binds
_FREE: Final = (
    ("pool", "min(limit, total) - held by others - reserve"),
    (
        "accelerators",
        "total - held by others - reserve, of which accelerators get at most the limit",
    ),
)


def free_basis(machine: Machine) -> Basis:
    """Return why what is free of each pool is what it is."""
    inputs = {
        pool.id: {
            "total_bytes": pool.total_bytes,
            "limit_bytes": pool.limit_bytes,
            "used_bytes": pool.used_bytes,
            "reserve_bytes": pool.reserve_bytes,
            "limit_scope": pool.limit_scope,
        }
        for pool in machine.pools
    }
    scopes = {pool.limit_scope for pool in machine.pools}
    limits = [f"{pool.id}: {pool.limit_source}" for pool in machine.pools if pool.limit_source]
    return Basis(
        key="memory.devices.free_bytes",
        formula="; ".join(text for scope, text in _FREE if scope in scopes),
        inputs=inputs,
        source="; ".join(limits) or "the machine as given",
        error="lower ends of totals and limits are used for a promise",
        substituted=free_sum(machine.pools),
    )
