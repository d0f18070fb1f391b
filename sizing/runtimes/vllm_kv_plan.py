"""vLLM's cache planner: layers → groups of equal pages → blocks → tokens and concurrency.

All groups draw blocks of one size from one pool, so layers of different kinds are cut into groups
of equally many layers, and their pages are brought to one size first.
Source: vllm-project/vllm 0.33.0 vllm/v1/core/kv_cache_planning.py, kv_cache_utils.py. Error: none
against runs of those functions (tests/golden/test_recorded_vllm.py).
"""

from __future__ import annotations

from whatfits.sizing.errors import UnsupportedArchitectureError
from whatfits.sizing.quants.layouts.parts import ceil_div
from whatfits.sizing.runtimes.vllm_kv_specs import blocks_a_request, enlarged, padded
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final

    from whatfits.sizing.runtimes.vllm_kv_specs import CacheSpec

__all__ = ["NULL_BLOCKS", "CacheGroup", "CachePlan", "plan_cache", "plan_stages"]

NULL_BLOCKS: Final = 1  # one block is never given away
_EVEN: Final = 1.5  # counts of layers this close make groups of the larger count


@dataclass(frozen=True, slots=True)
class CacheGroup:
    """Layers that share a table of blocks; one block holds a page of each.

    Attributes:
        spec: the kind and the block of its layers.
        layers: the pages of its layers, in the order of the model; a stage may have none of them.
    """

    spec: CacheSpec
    layers: tuple[CacheSpec, ...]

    @property
    def pages_bytes(self) -> int:
        """Bytes of one block as far as this group fills it."""
        return sum(layer.page_bytes for layer in self.layers)


@dataclass(frozen=True, slots=True)
class CachePlan:
    """The groups of one rank.

    Attributes:
        groups: in the order in which their kinds first appear.
        in_flight_tokens: tokens of all batches on the way.
    """

    groups: tuple[CacheGroup, ...]
    in_flight_tokens: int

    @property
    def block_bytes(self) -> int:
        """Bytes of one block: those of the group that fills it most; 0 without any cache."""
        return max((group.pages_bytes for group in self.groups), default=0)

    def group_blocks(self, request_tokens: int) -> tuple[int, ...]:
        """Return the blocks that a request of so many tokens takes in each group."""
        return tuple(
            blocks_a_request(
                group.spec, request_tokens=request_tokens, in_flight_tokens=self.in_flight_tokens
            )
            for group in self.groups
        )

    def request_bytes(self, request_tokens: int) -> int:
        """Return the smallest pool that one request of so many tokens is admitted to."""
        return (sum(self.group_blocks(request_tokens)) + NULL_BLOCKS) * self.block_bytes

    def n_blocks(self, pool_bytes: int) -> int:
        """Return how many blocks a pool has."""
        return max(0, pool_bytes) // self.block_bytes

    def concurrency(self, n_blocks: int, *, request_tokens: int) -> float:
        """Return how many requests of so many tokens the blocks hold at once, as vLLM tells it."""
        return n_blocks / sum(self.group_blocks(request_tokens))

    def cache_tokens(self, n_blocks: int, *, request_tokens: int) -> int:
        """Return the `GPU KV cache size` that vLLM prints for a longest request."""
        return int(self.concurrency(n_blocks, request_tokens=request_tokens) * request_tokens)

    def admits(self, n_blocks: int, *, request_tokens: int) -> bool:
        """Return whether vLLM starts: one request of so many tokens fits."""
        return sum(self.group_blocks(request_tokens)) <= n_blocks - NULL_BLOCKS

    def longest_request(self, n_blocks: int, *, most_tokens: int) -> int | None:
        """Return the longest request that fits, at most `most_tokens`; None when none does."""
        if not self.admits(n_blocks, request_tokens=1):
            return None
        low, high = 1, most_tokens
        while low < high:
            middle = (low + high + 1) // 2
            if self.admits(n_blocks, request_tokens=middle):
                low = middle
            else:
                high = middle - 1
        return low


def plan_cache(layers: Sequence[CacheSpec], *, in_flight_tokens: int) -> CachePlan:
    """Return the groups that vLLM makes of the layers of one rank.

    Raises:
        UnsupportedArchitectureError: latent pages would have to be padded, which vLLM cannot do.
    """
    (plan,) = plan_stages([layers], in_flight_tokens=in_flight_tokens)
    return plan


def plan_stages(
    stages: Sequence[Sequence[CacheSpec]], *, in_flight_tokens: int
) -> tuple[CachePlan, ...]:
    """Return the groups on each stage: made of all layers, each with those that lie there.

    A request takes blocks of every group on every stage, of empty ones too.

    Raises:
        UnsupportedArchitectureError: latent pages would have to be padded, which vLLM cannot do.
    """
    layers = [layer for stage in stages for layer in stage]
    where = [index for index, stage in enumerate(stages) for _ in stage]
    if len({(layer.kind, layer.block_tokens, layer.span_tokens) for layer in layers}) > 1:
        layers = _unified(layers)
        groups = _groups(layers)
    else:
        groups = [list(range(len(layers)))] if layers else []
    return tuple(
        CachePlan(
            tuple(
                CacheGroup(layers[members[0]], tuple(layers[n] for n in members if where[n] == at))
                for members in groups
            ),
            in_flight_tokens,
        )
        for at in range(len(stages))
    )


def _unified(layers: Sequence[CacheSpec]) -> list[CacheSpec]:
    """Return the layers with pages of one size, that of the largest."""
    largest = max(layer.page_bytes for layer in layers)
    return [_brought_to(layer, largest) for layer in layers]


def _brought_to(layer: CacheSpec, largest: int) -> CacheSpec:
    times, rest = divmod(largest, layer.page_bytes)
    if layer.kind != "state" and rest == 0:
        return enlarged(layer, times=times)
    if layer.kind == "latent":
        raise UnsupportedArchitectureError(
            what=f"a cache of latent pages of {layer.page_bytes:,} bytes beside pages of",
            got=f"{largest:,} bytes",
            allowed="a page that divides the largest: vLLM cannot pad latent ones",
        )
    return padded(layer, page_bytes=largest)


def _groups(layers: Sequence[CacheSpec]) -> list[list[int]]:
    """Return groups of equally many layers, by their numbers; a missing one costs its page too."""
    kinds: dict[CacheSpec, list[int]] = {}
    for number, layer in enumerate(layers):
        kinds.setdefault(layer, []).append(number)
    counts = [len(members) for members in kinds.values()]
    fewest, most = min(counts), max(counts)
    size = most if most < _EVEN * fewest else fewest
    groups = []
    for members in kinds.values():
        n_groups = ceil_div(len(members), size)
        groups += [members[start::n_groups] for start in range(n_groups)]
    return groups
