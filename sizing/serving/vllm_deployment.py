"""vLLM under many users: continuous batching over one pool of cache blocks.

Source: vllm-project/vllm 0.33.0 vllm/v1/core/sched/scheduler.py; blocks as `vllm_bill` has them.
"""

from __future__ import annotations

from whatfits.sizing.runtimes.vllm_kv_plan import NULL_BLOCKS
from whatfits.sizing.runtimes.vllm_settings import resolve_vllm
from whatfits.sizing.runtimes.vllm_speed import vllm_placement, vllm_step_settings
from whatfits.sizing.runtimes.vllm_verdict import judged
from whatfits.sizing.serving.batching import BatchModel
from whatfits.sizing.serving.deployment import Deployment
from whatfits.sizing.serving.server import PagedRoom, Server
from whatfits.sizing.serving.vllm_host import (
    LEAST_TTFT_S,
    UNKNOWN_VERSION,
    VLLM_SPREAD,
    WEB_FRONT_S,
    host_work,
)
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import replace

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

    from whatfits.sizing.estimate import Plan
    from whatfits.sizing.machine import Machine
    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.runtimes.vllm_bill import Bill
    from whatfits.sizing.runtimes.vllm_kv_plan import CachePlan
    from whatfits.sizing.runtimes.vllm_settings import VllmSettings
    from whatfits.sizing.serving.profile import LoadProfile
    from whatfits.sizing.workload import PlacementRequest, Workload

__all__ = ["vllm_deployment"]

_FLOATS: Final = frozenset({"F32", "F16", "BF16"})


def vllm_deployment(
    planned: Callable[[], Plan],
    spec: ModelSpec,
    machine: Machine,
    *,
    workload: Workload,
    request: PlacementRequest,
    profile: LoadProfile,
    version: str | None = None,
) -> Deployment:
    """Return the server; `planned` gives its plan, and refuses what vLLM does not take.

    `version` is that of vLLM, as in `host_work`.

    Raises:
        InvalidRequestError: vLLM has no such setting, or it is out of range.
        UnsupportedArchitectureError: what vLLM keeps for this architecture is not known.
    """
    host = host_work(version)
    plan = planned()
    found = judged(spec, machine, resolve_vllm(spec, machine, workload, request))
    settings, bill = found.settings, found.bill
    low, mid, high = (_server(settings, bill, blocks, profile) for blocks in bill.n_blocks)
    cached = [one.cache for one in bill.devices if one.cache.groups]
    longest = settings.request_tokens
    blocks = bill.n_blocks[1]
    return Deployment(
        plan=plan,
        servers=(high, mid, low),
        model=BatchModel(
            spec,
            # a step may be longer than any one request
            replace(vllm_step_settings(spec, settings), micro_batch_tokens=settings.batch_tokens),
            vllm_placement(spec, machine, settings),
            machine,
            engine="vllm",
            ranks=settings.cut.ranks,
            host=host,
            spread=VLLM_SPREAD if _is_as_measured(spec, settings) else None,
        ),
        context_tokens=longest,
        least_ttft_s=LEAST_TTFT_S,
        front_s=WEB_FRONT_S,
        notes=_notes(version),
        caches_prefixes=not settings.has_states,
        cache_tokens=min(
            (cache.cache_tokens(blocks, request_tokens=longest) for cache in cached), default=None
        ),
        longest_requests=min(
            (cache.concurrency(blocks, request_tokens=longest) for cache in cached), default=None
        ),
    )


def _is_as_measured(spec: ModelSpec, settings: VllmSettings) -> bool:
    """Return whether servers of its kind were measured: dense, weights of 16 bits, one card."""
    plain = all(tensor.type in _FLOATS for tensor in spec.tensors)
    return plain and not spec.hparams.n_expert and settings.cut.ranks * settings.cut.stages == 1


def _notes(version: str | None) -> tuple[str, ...]:
    if version != UNKNOWN_VERSION:
        return ()
    said = (
        "The version of vLLM is not known: the slow end is that of 0.7 and older, whose host "
        "takes longer for each sequence; the middle and the fast end are today's."
    )
    return (said,)


def _server(settings: VllmSettings, bill: Bill, blocks: int, profile: LoadProfile) -> Server:
    """Return the scheduler with so many blocks; the device whose requests take most counts."""
    caches = [one.cache for one in bill.devices if one.cache.groups]
    rooms = [_room(cache, blocks, profile) for cache in caches]
    longest = settings.request_tokens
    return Server(
        slots=settings.sequences,
        step_tokens=settings.batch_tokens,
        room=max(rooms, key=lambda one: one.of_request(longest), default=None),
        starts=all(cache.admits(blocks, request_tokens=longest) for cache in caches),
    )


def _room(cache: CachePlan, blocks: int, profile: LoadProfile) -> PagedRoom:
    """Return the pool: a line through the blocks at a median prompt and at its answer's end.

    Blocks of a shared prefix are taken once for all.
    """
    shortest = profile.prompt.median_tokens
    longest = shortest + max(1, profile.output.median_tokens)
    low, high = (sum(cache.group_blocks(tokens)) for tokens in (shortest, longest))
    token_blocks = (high - low) / (longest - shortest)
    request_blocks = low - token_blocks * shortest
    shared = token_blocks * profile.shared_prefix_tokens
    return PagedRoom(
        blocks=blocks - NULL_BLOCKS - shared,
        request_blocks=request_blocks - shared,
        token_blocks=token_blocks,
    )
