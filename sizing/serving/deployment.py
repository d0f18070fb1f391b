"""A server as the printed command starts it: its plan, its scheduler and its steps."""

from __future__ import annotations

from whatfits.sizing.named_tuples import NamedTuple
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from whatfits.sizing.estimate import Plan
    from whatfits.sizing.serving.batching import BatchModel
    from whatfits.sizing.serving.server import Server

__all__ = ["Deployment"]


class Deployment(NamedTuple):
    """One server.

    Attributes:
        plan: its memory, verdict and commands, as `check` gives them.
        servers: what its scheduler has with the least, the expected and the most room, in the
            order of `ENDS` (fast: the most).
        model: what its steps cost.
        context_tokens: the longest request of one user.
        caches_prefixes: whether a prompt's beginning is read once for all.
        cache_tokens: as vLLM prints `GPU KV cache size`; None without a paged cache.
        longest_requests: how many requests of the whole context the cache holds at once, as vLLM
            prints it; None without a paged cache.
        least_ttft_s: to a first token at least, at each of `ENDS`.
        front_s: of a web front, to a first token, for each request at work at the same time;
            likewise.
        notes: what was decided, one sentence each.
    """

    plan: Plan
    servers: tuple[Server, Server, Server]
    model: BatchModel
    context_tokens: int
    caches_prefixes: bool
    cache_tokens: int | None = None
    longest_requests: float | None = None
    least_ttft_s: tuple[float, float, float] = (0.0, 0.0, 0.0)
    front_s: tuple[float, float, float] = (0.0, 0.0, 0.0)
    notes: tuple[str, ...] = ()
