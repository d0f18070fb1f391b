"""What a term of the glossary comes to on the reader's own machine, in figures."""

from __future__ import annotations

from whatfits.sizing.explain import free_text
from whatfits.sizing.named_tuples import NamedTuple
from whatfits.sizing.overhead import overhead_of
from whatfits.sizing.quants.ggml_types import GGML_TYPES
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.units import GB, GIB, MIB, format_bytes, format_tokens

if TYPE_CHECKING:
    from typing import Final

    from whatfits.sizing.machine import Machine, Pool

__all__ = [
    "bandwidths",
    "bits_in_all",
    "cache_per_token",
    "fast_memory",
    "four_bits",
    "layers_in_all",
    "memory_of_a_mac",
    "overheads",
    "sizes_of_pools",
    "units",
    "what_is_free",
]

# Widths of Llama 3.1 8B (its config.json), the example everyone knows.
_EXAMPLE: Final = "Llama 3.1 8B"
_EXAMPLE_LAYERS: Final = 32
_EXAMPLE_KV_WIDTH: Final = 8 * 128
_EXAMPLE_MATRIX: Final = 128_256 * 4096  # of the embedding; of the output once more
_EXAMPLE_PARAMETERS: Final = 8_030_261_312
_EXAMPLE_BITS: Final = 4.89  # of its Q4_K_M, over all tensors: 'whatfits quants llama-3.1-8b'
_CLASSES: Final = (
    "A card of 8 GB holds a 7B and one of 16 GB a 13B: Llama 2 7B takes 3.8 GiB of weights and, at "
    "512 KiB a token, 2.0 GiB of cache for 4,096 tokens; Llama 2 13B 7.3 GiB and, at 800 KiB, "
    "3.1 GiB. Newer ones keep less a token, so that larger ones fit."
)
_OVERHEAD_SHARE: Final = 0.85


class FastMemory(NamedTuple):
    """The fastest memory there is: of every accelerator, over which layers are dealt out, or RAM.

    `where` names it, `words` say what is free there.
    """

    free_low_bytes: int
    where: str
    words: str


def fast_memory(machine: Machine) -> FastMemory | None:
    """Return the fastest memory; None where nothing of it is free, or that is not known."""
    fast = {device.pool for device in machine.accelerators}
    pools = [p for p in machine.pools if p.id in fast and p.kind != "ram" and p.free_low_bytes]
    pools = pools or [pool for pool in machine.pools if pool.free_low_bytes][:1]
    if not pools:
        return None
    low = sum(pool.free_low_bytes or 0 for pool in pools)
    high = sum(pool.free_bytes or 0 for pool in pools)
    *others, last = (pool.id for pool in pools)
    where = f"{', '.join(others)} and {last} together" if others else last
    ends = dict.fromkeys(format_bytes(n_bytes) for n_bytes in (low, high))
    return FastMemory(low, where, f"{' to '.join(ends)} are free in {where}")


def four_bits(machine: Machine) -> tuple[str, ...]:
    """Return what weights of 4 bits take, and how many of them fit in fast memory."""
    q4_k = GGML_TYPES["Q4_K"].bits_per_weight
    seven = (
        "7 billion weights x 4.85 bits (Q4_K_M as it comes out on a 7B) / 8 = 4.2 GB = 4.0 GiB; "
        f"the block type alone is {q4_k} bits, some tensors get more."
    )
    lines = [
        seven,
        "70 billion x 4.8 bits / 8 = 42 GB = 39 GiB; at 16 bits it would be 140 GB.",
        _CLASSES,
    ]
    fast = fast_memory(machine)
    if fast is not None:
        billions = fast.free_low_bytes * _OVERHEAD_SHARE * 8 / 4.85 / 1e9
        lines.append(
            f"Here: {fast.words}; keeping 15 % for cache and buffers, about {billions:.0f} billion "
            "weights at 4 bits."
        )
    return tuple(lines)


def bits_in_all(_machine: Machine) -> tuple[str, ...]:
    """Return the bits of a block, and those of a whole file of it."""
    block = GGML_TYPES["Q4_K"].bits_per_weight
    weights = format_bytes(round(_EXAMPLE_PARAMETERS * _EXAMPLE_BITS / 8))
    said = (
        f"{_EXAMPLE}: a block of Q4_K has {block} bits a weight, the whole Q4_K_M {_EXAMPLE_BITS}: "
        f"{_EXAMPLE_PARAMETERS:,} x {_EXAMPLE_BITS} / 8 = {weights}."
    )
    return (said,)


def layers_in_all(machine: Machine) -> tuple[str, ...]:
    """Return what a layer of a known model takes, and how many of them fast memory holds."""
    layer = (_EXAMPLE_PARAMETERS - 2 * _EXAMPLE_MATRIX) / _EXAMPLE_LAYERS
    n_bytes = round(layer * _EXAMPLE_BITS / 8)
    example = (
        f"{_EXAMPLE}: {_EXAMPLE_LAYERS} layers of {layer / 1e6:.0f} million weights, about "
        f"{n_bytes / MIB:.0f} MiB each at Q4_K_M; embedding and output are beside them."
    )
    lines = [example]
    fast = fast_memory(machine)
    if fast is not None:
        held = min(_EXAMPLE_LAYERS, int(fast.free_low_bytes * _OVERHEAD_SHARE // n_bytes))
        lines.append(
            f"Here: {fast.words}; keeping 15 % for cache and buffers, "
            f"{held} of its {_EXAMPLE_LAYERS} layers."
        )
    return tuple(lines)


def cache_per_token(machine: Machine) -> tuple[str, ...]:
    """Return what the cache of a known model takes, and the context that its room allows."""
    per_token = 2 * 2 * _EXAMPLE_LAYERS * _EXAMPLE_KV_WIDTH
    arithmetic = (
        f"{_EXAMPLE}: 2 (keys and values) x {_EXAMPLE_LAYERS} layers x {_EXAMPLE_KV_WIDTH:,} "
        f"elements x 2 bytes = {format_bytes(per_token)} a token; "
        f"8,192 tokens take {format_bytes(8192 * per_token)}, "
        f"131,072 take {format_bytes(131072 * per_token)}."
    )
    lines = [arithmetic]
    fast = fast_memory(machine)
    weights = round(_EXAMPLE_PARAMETERS * _EXAMPLE_BITS / 8)
    if fast is not None:
        left = fast.free_low_bytes - weights
        tokens = max(0, left) // per_token // 256 * 256
        lines.append(
            f"Here: {format_bytes(fast.free_low_bytes)} free in {fast.where}, less "
            f"{format_bytes(weights)} of weights at Q4_K_M, leave room for at most "
            f"{format_tokens(tokens)} tokens of this model's cache; buffers take some of it."
        )
    return tuple(lines)


def what_is_free(machine: Machine) -> tuple[str, ...]:
    """Return what is free in every pool."""
    return tuple(
        f"Here: {pool.id}: {free_text(pool)} free of "
        f"{format_bytes(pool.total_bytes)}, {format_bytes(pool.reserve_bytes)} kept back."
        for pool in machine.pools
        if pool.free_bytes is not None and pool.total_bytes is not None
    )


def overheads(machine: Machine) -> tuple[str, ...]:
    """Return what a server loses on every device, and where that is known from."""
    known = ((device, overhead_of(machine, device, is_server=True)) for device in machine.devices)
    return tuple(
        f"Here: {device.id}: {format_bytes(found.low_bytes)} to {format_bytes(found.high_bytes)}, "
        f"likeliest {format_bytes(found.mid_bytes)}. {found.source[0].upper()}{found.source[1:]}."
        for device, found in known
    )


def sizes_of_pools(machine: Machine) -> tuple[str, ...]:
    """Return the size of every pool, and how much of it may be had."""
    return tuple(
        f"Here: {pool.id} has {format_bytes(pool.total_bytes)}"
        + (
            f", of which {_whom(pool)} at most {format_bytes(pool.limit_bytes)}."
            if pool.limit_bytes
            else "."
        )
        for pool in machine.pools
        if pool.total_bytes is not None
    )


def _whom(pool: Pool) -> str:
    return "the GPU gets" if pool.limit_scope == "accelerators" else "programs get"


def bandwidths(machine: Machine) -> tuple[str, ...]:
    """Return the pace that the memory of every device allows."""
    known = [device for device in machine.devices if device.bandwidth_bytes_per_s]
    lines = []
    for device in known:
        rate = device.bandwidth_bytes_per_s or 0
        per_second = rate / (_EXAMPLE_PARAMETERS * _EXAMPLE_BITS / 8)
        lines.append(
            f"Here: {device.name} reads {rate / GB:,.0f} GB/s at its peak: at most "
            f"{per_second:,.0f} tokens/s of {_EXAMPLE} at Q4_K_M, in practice half to nine tenths."
        )
    return tuple(lines) or ("Here: no device's bandwidth is known; nothing was measured yet.",)


def memory_of_a_mac(machine: Machine) -> tuple[str, ...]:
    """Return how much of its memory a Mac's GPU may have; nothing for any other machine."""
    is_mac = any(device.kind == "metal" for device in machine.devices)
    return sizes_of_pools(machine) if is_mac else ()


def units(_machine: Machine) -> tuple[str, ...]:
    """Return both units in bytes."""
    return (f"1 GiB = {GIB:,} bytes; 1 GB = 10^9: 7 % less. A file of 4.9 GB takes 4.6 GiB.",)
