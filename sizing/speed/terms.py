"""The time of a step as a sum of terms: an amount at its peak rate, times costs that are fitted.

Decoding: bytes of weights over bandwidth, by storage type; bytes of cache, and of states that are
scanned, which is far from the bandwidth (ggml/src/ggml-cuda/ssm-scan.cu); a constant an operation,
of which a layer has as many as weights or more, and one a layer with experts or a state; one a
token, one a change of device. On a processor one a row of a matrix, where that was measured:
beginning and ending a product of vectors; and one a thread and operation: after each all threads
add to one counter, one after the other, and wait for the last (ggml/src/ggml-cpu/ggml-cpu.c,
ggml_barrier). Where memory is fast beside the shaders, what unpacking weights takes beyond reading
them (`Rates.unpacking_share`).
A prompt: operations over the arithmetic rate by storage type; operations of attention;
activations that layers pass on; weights read, and those on the host copied, once a micro-batch.
Source: this is what llama.cpp's graphs do (src/llama-graph.cpp, ggml/src/ggml-backend.cpp for
offloaded operations); the costs are fitted on public benchmarks (`speed.costs`).
"""

from __future__ import annotations

from whatfits.sizing.named_tuples import NamedTuple
from whatfits.sizing.speed.attention import attended, prompt_attention_flops
from whatfits.sizing.speed.work import step_work, touched_share
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Final

    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.placement import Placement
    from whatfits.sizing.settings import Settings
    from whatfits.sizing.speed.rates import Rates
    from whatfits.sizing.speed.work import DeviceWork, StepWork

__all__ = [
    "ACTIVATION_BYTES",
    "BARRIER",
    "LEAST_OFFLOADED_TOKENS",
    "OPERATION",
    "ROW",
    "UNPACKING",
    "WEIGHTS",
    "Term",
    "at_peak_rates",
    "cut_over_ranks",
    "decode_terms",
    "is_of_rows",
    "prompt_terms",
]

_FLOPS_PER_ELEMENT: Final = 2  # a multiplication and an addition
# A state is decayed, added to and read: two operations an element each.
_FLOPS_PER_STATE_BYTE: Final = 6 / 8
ACTIVATION_BYTES: Final = 4  # float32, as wide as the model
# Fewer tokens are computed where the weights lie. Source: ggml-cuda.cu, op_offload_min_batch_size.
LEAST_OFFLOADED_TOKENS: Final = 32
ROW: Final = "row"
BARRIER: Final = "barrier_"  # before a constant's name: the same, times the threads
OPERATION: Final = "operation"
WEIGHTS: Final = "weights."
UNPACKING: Final = "unpacking"  # a mark: its cost is one


class Term(NamedTuple):
    """A part of a time.

    Attributes:
        device: index of the device whose family sets the costs; the host is the last.
        amount: seconds at the peak rate, or a count.
        costs: names of the costs it is multiplied with.
    """

    device: int
    amount: float
    costs: tuple[str, ...]


def decode_terms(
    model: ModelSpec,
    settings: Settings,
    placement: Placement,
    rates: Sequence[Rates],
    *,
    depth: int,
    sequences: int = 1,
    one_cache: bool = False,
    step: StepWork | None = None,
) -> list[Term]:
    """Return the terms of one step that writes a token in each of `sequences` sequences.

    Every device with work needs a bandwidth. Dense weights are read once for all sequences, the
    experts that any of them goes through once, the cache of each apart; `one_cache` when they are
    tokens of one sequence. `step` is the work where it
    has been worked out already.
    """
    step = step or step_work(model, placement)
    read = attended(model, settings, placement, depth)
    met = prompt_attention_flops(model, placement, tokens=1, depth=max(0, depth - 1))
    share = _touched(model, sequences)
    host = len(step.devices) - 1
    # states by a delta rule are gone through like a cache; others are scanned, which is far slower
    by_delta = any(work.delta_layers for work in step.devices)
    state_cost = "cache" if by_delta else "state"
    terms: list[Term] = []
    for index, work in enumerate(step.devices):
        caches = 1 if one_cache else sequences
        cache, state = read.cache_bytes[index] * caches, read.state_bytes[index] * caches
        if not (work.is_used or cache or state):
            continue
        peak = rates[index].bytes or 1.0
        terms += [Term(index, n / peak, (f"weights.{k}",)) for k, n in work.dense_bytes.items()]
        terms += [
            Term(index, n * share / peak, (f"weights.{k}", "experts"))
            for k, n in work.expert_bytes.items()
        ]
        terms += _unpacking(terms, index, rates[index], work)
        if cache:
            terms.append(Term(index, cache / peak, ("cache",)))
        if state:
            terms.append(Term(index, state / peak, (state_cost,)))
        if met[index]:
            terms.append(Term(index, met[index] * sequences / peak, ("decode_attention",)))
        constant = [Term(index, work.operations, (OPERATION,))] if work.operations else []
        constant += _per_layer(index, work, "")
        terms += [*constant, *_barriers(constant, index, rates[index])]
        terms += _rows(index, work, share) if index == host else ()
        if sequences > 1 and rates[index].flops:
            # the arithmetic of those beyond the first, as a prompt's is counted
            terms += _products(index, work, model, rates[index], sequences - 1)
    return [*terms, *_per_token(step)]


def _unpacking(
    terms: Sequence[Term], index: int, rates: Rates, work: DeviceWork | None = None
) -> list[Term]:
    """Return what a device takes to unpack the weights of these terms beyond reading them.

    It is off by the same share as reading: the longer of both is what weights take. `work` tells
    the bits of types that do not.
    """
    unpacking = rates.unpacking
    if unpacking is None:
        return []
    found = []
    for term in terms:
        name, *more = term.costs
        if term.device != index or not name.startswith(WEIGHTS) or (unpacking.is_dense and more):
            continue
        type_name = name.removeprefix(WEIGHTS)
        elements = 0 if work is None else work.dense_elements.get(type_name, 0)
        bits = 8 * work.dense_bytes[type_name] / elements if work and elements else None
        beyond = term.amount * rates.unpacking_share(type_name, bits)
        found += [Term(index, beyond, (UNPACKING, *term.costs))] if beyond else []
    return found


def _touched(model: ModelSpec, tokens: float) -> float:
    return touched_share(model.hparams.n_expert, model.hparams.n_expert_used, tokens)


def _per_layer(index: int, work: DeviceWork, phase: str) -> Iterator[Term]:
    states = (("state_layer", work.state_layers), ("delta_layer", work.delta_layers))
    for name, count in (("expert_layer", work.expert_layers), *states):
        if count:
            yield Term(index, count, (phase + name,))


def _barriers(terms: Sequence[Term], index: int, rates: Rates) -> list[Term]:
    """Return what the operations and layers of these terms cost for each thread of a processor."""
    return [
        Term(index, term.amount * rates.threads, (BARRIER + term.costs[0],))
        for term in terms
        if rates.threads and term.device == index and _waits(term)
    ]


def _rows(index: int, work: DeviceWork, touched: float) -> Iterator[Term]:
    """Yield the rows that a processor multiplies one by one.

    Source: ggml/src/ggml-cpu/ggml-cpu.c (ggml_compute_forward_mul_mat_one_chunk: vec_dot a row).
    """
    for name, rows in work.dense_rows.items():
        yield Term(index, rows, (f"{ROW}.{name}",))
    for name, rows in work.expert_rows.items():
        yield Term(index, rows * touched, (f"{ROW}.{name}",))


def _per_token(step: StepWork) -> list[Term]:
    used = [index for index, work in enumerate(step.devices) if work.is_used]
    terms = [Term(used[0], 1.0, ("token",))] if used else []
    if step.hops:
        terms.append(Term(used[0] if used else 0, step.hops, ("hop",)))
    return terms


def _products(
    index: int, work: DeviceWork, model: ModelSpec, rates: Rates, tokens: float
) -> Iterator[Term]:
    """Yield the arithmetic of so many tokens with the matrices here: of experts, their share."""
    factor = _FLOPS_PER_ELEMENT * tokens
    for name, elements in work.dense_elements.items():
        yield Term(index, elements * factor / rates.of_weights(name), rates.prompt_costs(name))
    share = _touched(model, 1)
    for name, elements in work.expert_elements.items():
        seconds = elements * share * factor / rates.of_weights(name)
        yield Term(index, seconds, (*rates.prompt_costs(name), "prompt_experts"))


def prompt_terms(
    model: ModelSpec,
    settings: Settings,
    placement: Placement,
    rates: Sequence[Rates],
    *,
    tokens: int,
    depth: int,
    step: StepWork | None = None,
) -> list[Term]:
    """Return the terms of reading `tokens` tokens after `depth` others.

    Every device that computes needs an arithmetic rate, and one that host weights are copied to a
    link. `step` is the work where it has been worked out already.
    """
    step = step or step_work(model, placement)
    read = attended(model, settings, placement, 0)
    flops = prompt_attention_flops(model, placement, tokens=tokens, depth=depth)
    batch = min(tokens, settings.micro_batch_tokens)
    batches = -(-tokens // settings.micro_batch_tokens)
    many = _touched(model, batch)
    host = len(step.devices) - 1
    copied = _offloads(placement, batch)
    overlap = _overlap(step, batches)
    terms: list[Term] = []
    for index, work in enumerate(step.devices):
        at = 0 if index == host and copied else index
        peak = rates[at].flops or 1.0
        terms += _products(at, work, model, rates[at], tokens)
        if flops[index]:
            # with the cache on the host it stays there, whatever is copied
            there = at if placement.kv_offload else index
            terms.append(Term(there, flops[index] / (rates[there].flops or 1.0), ("attention",)))
        if read.state_bytes[index]:
            states = _FLOPS_PER_STATE_BYTE * read.state_bytes[index] * tokens
            terms.append(Term(at, states / peak, ("prompt_state",)))
        n_bytes = _streamed(work, many) * batches
        if n_bytes and at != index:
            terms.append(Term(at, n_bytes / (rates[at].link_bytes or 1.0), ("link",)))
        elif n_bytes:
            terms.append(Term(at, n_bytes / (rates[at].bytes or 1.0), ("prompt_weights",)))
        passed = ACTIVATION_BYTES * model.hparams.n_embd * work.layers * tokens
        if passed:
            terms.append(Term(at, passed / (rates[at].bytes or 1.0), ("activations",)))
        constant = [Term(at, work.layers, ("prompt_layer",))] if work.layers else []
        constant += _per_layer(at, work, "prompt_")
        terms += [t._replace(amount=t.amount * batches) for t in constant]
    if overlap == 1.0:
        return terms
    lost = [Term(t.device, t.amount * (1.0 - overlap), (*t.costs, "pipeline_loss")) for t in terms]
    return [*(t._replace(amount=t.amount * overlap) for t in terms), *lost]


def _overlap(step: StepWork, batches: int) -> float:
    """Return the share of the devices' summed time that passes.

    Accelerators that hold everything between them work on micro-batches that follow each other at
    the same time. Source: llama-context.cpp, pipeline_parallel.
    """
    used = sum(work.is_used for work in step.devices)
    if used <= 1 or step.devices[-1].is_used:
        return 1.0
    return (batches + used - 1) / (batches * used)


def _offloads(placement: Placement, tokens: int) -> bool:
    """Return whether weights on the host are copied to an accelerator for that many tokens."""
    enough = tokens >= LEAST_OFFLOADED_TOKENS
    return bool(placement.accelerators) and placement.op_offload and enough


def _streamed(work: DeviceWork, touched: float) -> float:
    """Return the bytes of weights that a micro-batch goes through: of experts those it touches."""
    return sum(work.dense_bytes.values()) + touched * sum(work.expert_bytes.values())


def cut_over_ranks(terms: Sequence[Term], ranks: int, layers: float = 0.0) -> list[Term]:
    """Return the terms where each matrix is cut over `ranks` devices like the first.

    They add up what they have after attention and after the feed-forward part: two hops a layer.
    Of a prompt no hops are counted, so its `layers` are not told: what is added up there grows with
    its tokens, and nobody measured it.
    Source: vLLM, vllm/model_executor/layers/linear.py (RowParallelLinear).
    """
    if ranks == 1:
        return [*terms]
    cut = [t if _is_count(t) else t._replace(amount=t.amount / ranks) for t in terms]
    return [*cut, Term(0, 2 * layers, ("hop",))] if layers else cut


def at_peak_rates(terms: Sequence[Term], rates: Sequence[Rates]) -> list[Term]:
    """Return terms of decoding that are in bytes as seconds at each device's peak rate."""
    timed = [
        t if _is_count(t) else t._replace(amount=t.amount / (rates[t.device].bytes or 1.0))
        for t in terms
    ]
    more = [
        term
        for index, rate in enumerate(rates)
        for term in (*_unpacking(timed, index, rate), *_barriers(timed, index, rate))
    ]
    return [*timed, *more]


def _is_count(term: Term) -> bool:
    return term.costs[0].endswith((OPERATION, "layer", "token", "hop")) or is_of_rows(term)


def _waits(term: Term) -> bool:
    """Return whether a processor's threads wait for each other in a term."""
    return term.costs[0].endswith((OPERATION, "layer")) and not term.costs[0].startswith(BARRIER)


def is_of_rows(term: Term) -> bool:
    """Return whether a term counts rows, which cost nothing where nobody measured them."""
    return term.costs[0].startswith(f"{ROW}.")
