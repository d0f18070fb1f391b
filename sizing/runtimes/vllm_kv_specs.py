"""What one layer keeps in vLLM's paged cache: bytes of a page, blocks of a request.

The cache is cut into blocks of so many tokens; one layer's share of a block is its page. A layer
with a state of fixed size (state space, linear attention) has pages too: each holds one state.
Source: vllm-project/vllm 0.33.0 vllm/v1/kv_cache_interface.py.
"""

from __future__ import annotations

from whatfits.sizing.quants.layouts.parts import ceil_div
from whatfits.sizing.typed import Literal
from whatfits.sizing.values import dataclass, replace

__all__ = ["CacheKind", "CacheSpec", "blocks_a_request", "enlarged", "padded"]

CacheKind = Literal["full", "latent", "window", "chunk", "state"]
"""`full`: every token's keys and values; `latent`: one compressed row a token (MLA), or its index
row; `window`: the last tokens; `chunk`: the current chunk of the text; `state`: fixed size."""


@dataclass(frozen=True, slots=True)
class CacheSpec:
    """One layer's pages on one rank; layers with equal values share a group.

    Attributes:
        kind: what is kept.
        block_tokens: tokens of a block; of a state, those of the attention layers beside it.
        page_bytes: bytes of a page, padding included.
        span_tokens: length of the window or the chunk; 0 for the other kinds.
        kept_states: states of a request: the current one, and one for each drafted token.
    """

    kind: CacheKind
    block_tokens: int
    page_bytes: int
    span_tokens: int = 0
    kept_states: int = 1


def blocks_a_request(spec: CacheSpec, *, request_tokens: int, in_flight_tokens: int) -> int:
    """Return the blocks of one group that a request of `request_tokens` is admitted with.

    `in_flight_tokens` are those of all batches on the way: what they may still write is reserved
    beside a window. Each state takes one block as long as prefixes are not cached.
    """
    tokens = spec.block_tokens
    match spec.kind:
        case "full" | "latent":
            return ceil_div(request_tokens, tokens)
        case "window":
            kept = min(spec.span_tokens - 1 + in_flight_tokens, request_tokens)
            return ceil_div(kept, tokens) + 1
        case "chunk":
            return ceil_div(min(spec.span_tokens + in_flight_tokens, request_tokens), tokens)
        case "state":
            return spec.kept_states


def enlarged(spec: CacheSpec, *, times: int) -> CacheSpec:
    """Return the layer with blocks of `times` as many tokens."""
    return replace(spec, block_tokens=spec.block_tokens * times, page_bytes=spec.page_bytes * times)


def padded(spec: CacheSpec, *, page_bytes: int) -> CacheSpec:
    """Return the layer with pages padded to `page_bytes`."""
    return replace(spec, page_bytes=page_bytes)
