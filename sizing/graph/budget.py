"""How large a graph llama.cpp has room for: beyond it, the program ends itself.

Source: llama.cpp (0c1e57098) src/llama-context.cpp (graph_max_nodes), src/llama-graph.cpp (reset:
memory for so many tensors that a graph makes), ggml/src/ggml-backend.cpp (ggml_backend_sched_new:
one table for all nodes and leaves), ggml/src/ggml.c (ggml_hash_size).
"""

from __future__ import annotations

from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.named_tuples import NamedTuple
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Final

    from whatfits.sizing.model import ModelSpec

__all__ = ["GraphSize", "check_budget", "most_made", "table_size"]

_NODES_A_TENSOR: Final = 8
_FEWEST_NODES: Final = 1024
# (nodes a token, nodes a tensor) of graphs with more steps than tensors suggest
_LARGE: Final = (40, 32)
_LARGEST: Final = (160, 64)
_LARGE_GRAPHS: Final = {
    "bailingmoe3": _LARGE,
    "deepseek4": _LARGE,
    "glm5-next": _LARGEST,
    "kimi-k3": _LARGEST,
    "kimi-linear": _LARGE,
    "minimax-01": _LARGE,
    "minimax-m3": _LARGE,
    "qwen35": _LARGE,
    "qwen35moe": _LARGE,
    "qwen3next": _LARGE,
}
_NEXT_STEP: Final = "llama.cpp ends itself here; keep the cache in f16, or serve fewer sequences"
_TABLE_SIZES: Final = (
    *(1031, 2053, 4099, 8209, 16411, 32771, 65537, 131101, 262147, 524309),
    *(1048583, 2097169, 4194319, 8388617, 16777259, 33554467, 67108879, 134217757),
    *(268435459, 536870923, 1073741827, 2147483659),
)


class GraphSize(NamedTuple):
    """How large a graph is.

    Attributes:
        entries: nodes and leaves.
        made: those that are no weights and no cache.
    """

    entries: int
    made: int


def most_made(model: ModelSpec, *, n_tokens: int) -> int:
    """Return how many tensors a graph of a micro-batch may make."""
    n_tensors = len(model.tensors)
    large = _LARGE_GRAPHS.get(model.architecture)
    if large is None:
        return max(_FEWEST_NODES, _NODES_A_TENSOR * n_tensors)
    return max(large[0] * n_tokens, large[1] * n_tensors)


def table_size(model: ModelSpec, *, n_tokens: int) -> int:
    """Return how many nodes and leaves a graph of a micro-batch may have together."""
    made = most_made(model, n_tokens=n_tokens)
    return next(size for size in _TABLE_SIZES if size >= made)


def check_budget(model: ModelSpec, *, n_tokens: int, size: GraphSize) -> None:
    """Refuse a graph of more nodes and leaves than there is room for.

    Raises:
        InvalidRequestError: llama.cpp would end itself.
    """
    for count, allowed in (
        (size.entries, table_size(model, n_tokens=n_tokens)),
        (size.made, most_made(model, n_tokens=n_tokens)),
    ):
        if count > allowed:
            raise InvalidRequestError(
                what="size of the graph",
                got=f"{count:,} steps and tensors",
                allowed=f"at most {allowed:,} for {model.name}",
                next_step=_NEXT_STEP,
            )
