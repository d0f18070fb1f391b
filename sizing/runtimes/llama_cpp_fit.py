"""What llama.cpp's own fitting step makes of a request (`--fit`, on by default).

It plans the model without memory, and while a device would keep less than a margin it first
shortens a context that was left open, then moves layers, or experts of layers, to the host. Every
figure it goes by is a plan's: weights, cache and working memory; driver overheads and the output
buffer are left to the margin. Source: llama.cpp (0c1e57098) common/fit.cpp.
"""

from __future__ import annotations

from whatfits.sizing.flash_attention import layers_can_fuse
from whatfits.sizing.placement import resolve_placement
from whatfits.sizing.runtimes.known_shares import shares_of
from whatfits.sizing.settings import resolve_settings
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.units import GIB
from whatfits.sizing.values import dataclass, replace

if TYPE_CHECKING:
    from typing import Final

    from whatfits.sizing.graph.index import Replays
    from whatfits.sizing.machine import Machine
    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.settings import Settings
    from whatfits.sizing.workload import PlacementRequest, Workload

__all__ = ["DEFAULT_MARGIN_BYTES", "DEFAULT_MIN_CONTEXT_TOKENS", "FitDecision", "fit_to_memory"]

DEFAULT_MARGIN_BYTES: Final = GIB  # --fit-target: of every device
DEFAULT_MIN_CONTEXT_TOKENS: Final = 4096  # --fit-ctx
_CONTEXT_STEP: Final = 256
_DENSE_WASTE, _EXPERT_WASTE = 2, 6  # a device is expected to waste half a layer, or of one part
_ALL_EXPERTS: Final = r"blk\.\d+\.ffn_(up|down|gate_up|gate)_(ch|)exps"


@dataclass(frozen=True, slots=True)
class FitDecision:
    """What llama.cpp would run with.

    Attributes:
        context_tokens: the whole cache.
        request: the placement, `gpu_layers` None where all layers stay on the devices.
        fitted: whether the margins are kept by its own figures; False where it gives up, says so
            in its log and goes on with what it was asked for.
        reason: one sentence on what it changed, or why it did not.
    """

    context_tokens: int
    request: PlacementRequest
    fitted: bool
    reason: str


def fit_to_memory(
    model: ModelSpec,
    machine: Machine,
    workload: Workload,
    request: PlacementRequest,
    *,
    margin_bytes: int = DEFAULT_MARGIN_BYTES,
    min_context_tokens: int = DEFAULT_MIN_CONTEXT_TOKENS,
    replays: Replays | None = None,
) -> FitDecision:
    """Return what the fitting step decides for a request; an unset context is open to it.

    `replays` are those of the model under any file type.

    Raises:
        InvalidRequestError: a value is out of range.
    """
    planned = _Planned(model, machine, workload, request, replays)
    full = planned.context_when_open if workload.context_tokens is None else workload.context_tokens
    free = planned.free_bytes
    if any(amount is None for amount in free):
        return FitDecision(full, request, fitted=False, reason="a device does not say what is free")
    targets = [(amount or 0) - margin_bytes for amount in free]
    used = planned.used(request, full)
    if all(have <= most for have, most in zip(used, targets, strict=True)):
        return FitDecision(full, request, fitted=True, reason="everything fits, nothing is changed")
    context, is_enough = full, False
    if workload.context_tokens is None and sum(used) > sum(targets):
        context, is_enough = _shorter_context(
            planned, full, sum(used), sum(targets), min_context_tokens
        )
    if is_enough and len(free) == 1:
        reason = "the whole model fits with a shorter context"
        return FitDecision(context, request, fitted=True, reason=reason)
    blocked = _why_no_layers_move(planned, request)
    if blocked:
        return FitDecision(context, request, fitted=False, reason=blocked)
    from whatfits.sizing.runtimes.fit_layers import LayerFill  # noqa: PLC0415 - where layers move

    moe = _has_experts(model)
    fill = LayerFill(
        lambda changed: planned.used(changed, context),
        base=request,
        targets=targets,
        device_ids=planned.device_ids,
        n_layers=model.n_layers,
        has_experts=moe,
    )
    dense = planned.used(replace(request, overrides=((_ALL_EXPERTS, "CPU"),)), context)
    placed = fill.placement(experts_too=moe and sum(dense) < sum(targets))
    reason = "layers, or parts of them, go to the host where a device would be too full"
    return FitDecision(context, placed, fitted=True, reason=reason)


class _Planned:
    """The figures the fitting step sees: a plan's bytes of each device, the host's without any."""

    def __init__(
        self,
        model: ModelSpec,
        machine: Machine,
        workload: Workload,
        request: PlacementRequest,
        replays: Replays | None,
    ) -> None:
        self.model = model
        self.request = request
        self._machine = machine
        self._workload = workload
        self._shares = shares_of(model, replays)
        placement = resolve_placement(model, request, machine)
        self.device_ids = tuple(device.id for device in placement.accelerators)
        pools = [machine.pool(device.pool) for device in placement.accelerators]
        # without devices it goes by all of the memory there is, not by what is free
        host = machine.pool(placement.host.pool)
        self.free_bytes = [pool.free_bytes for pool in pools] or [host.total_bytes]
        self.streams = self._settings(_CONTEXT_STEP, request).streams

    @property
    def context_when_open(self) -> int:
        """The context it starts from: what the model was trained for, once for each stream."""
        trained = self.model.hparams.context_train_tokens or DEFAULT_MIN_CONTEXT_TOKENS
        return trained * self.streams

    def _settings(self, context_tokens: int, request: PlacementRequest) -> Settings:
        placement = resolve_placement(self.model, request, self._machine)
        workload = replace(self._workload, context_tokens=context_tokens)
        types = workload.kv_type_k, workload.kv_type_v
        fuses = layers_can_fuse(self.model, placement, kv_types=types)
        return resolve_settings(self.model, workload, flash_supported=fuses)

    def weights_bytes(self) -> int:
        """Return the bytes of weights on devices under the request."""
        placement = resolve_placement(self.model, self.request, self._machine)
        return sum(self._shares.weights(placement).devices)

    def used(self, request: PlacementRequest, context_tokens: int) -> list[int]:
        """Return the bytes of weights, cache and working memory of each device."""
        placement = resolve_placement(self.model, request, self._machine)
        settings = self._settings(context_tokens, request)
        rows = self._shares.of(settings, placement, self._shares.weights(placement))
        sums = [row.weights_bytes + row.kv_cache_bytes + row.compute_bytes for row in rows]
        return sums[:-1] or sums


def _shorter_context(
    planned: _Planned, full: int, used: int, target: int, min_context_tokens: int
) -> tuple[int, bool]:
    """Return the context, and whether the model as a whole fits with it.

    What a token takes is taken to be the same from the shortest context to the longest.
    """
    least = min_context_tokens * planned.streams
    if full <= least:
        return full, False
    request = planned.request
    n_devices = len(planned.device_ids)
    if n_devices > 1:
        weights = planned.weights_bytes()
        waste = _EXPERT_WASTE if _has_experts(planned.model) else _DENSE_WASTE
        target -= (n_devices + 1) * (weights // planned.model.n_layers) // waste
    used_least = sum(planned.used(request, least))
    if not used_least < target or used <= used_least:
        return least, False
    context = least + (full - least) * (target - used_least) // (used - used_least)
    return max(context - context % (_CONTEXT_STEP * planned.streams), least), True


def _why_no_layers_move(planned: _Planned, request: PlacementRequest) -> str:
    """Return why the fitting step leaves the layers alone; empty when it does not."""
    if not planned.device_ids:
        return "without a device only the context could be shortened"
    if request.gpu_layers is not None:
        return "the number of layers on devices was given"
    if len(planned.device_ids) > 1 and any(request.tensor_split or ()):
        return "the split over devices was given"
    if len(planned.device_ids) > 1 and request.split_mode == "row":
        return "rows are split over devices"
    if request.overrides or request.cpu_moe_layers:
        return "tensors were placed by name"
    return ""


def _has_experts(model: ModelSpec) -> bool:
    return any(layer.n_expert for layer in model.layers)
