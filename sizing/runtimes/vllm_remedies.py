"""What would make vLLM start, or start for sure: each change is judged as a request of its own."""

from __future__ import annotations

from contextlib import suppress

from whatfits.sizing.errors import BadInputError
from whatfits.sizing.estimate import Remedy
from whatfits.sizing.remedies.elsewhere import card_price
from whatfits.sizing.remedies.larger_cards import larger_cards
from whatfits.sizing.runtimes.vllm_file_types import requantised_checkpoint
from whatfits.sizing.runtimes.vllm_settings import resolve_vllm
from whatfits.sizing.runtimes.vllm_verdict import judged
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.units import GIB, format_bytes, format_tokens
from whatfits.sizing.values import dataclass, replace
from whatfits.sizing.verdict import VERDICT_ORDER

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, Final

    from whatfits.sizing.machine import Device, Machine
    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.runtimes.vllm_settings import VllmSettings
    from whatfits.sizing.runtimes.vllm_verdict import Judged
    from whatfits.sizing.workload import PlacementRequest, Workload

__all__ = ["VllmRemedies"]

_SHORTEST_USEFUL_TOKENS: Final = 512
_FEW_SEQUENCES, _SMALL_BATCH_TOKENS = 16, 1024
_SMALLER_TYPES: Final = ("fp8", "awq")
_NOT_MEASURED: Final = "quality was not measured by a source of the catalog"


@dataclass(frozen=True, slots=True)
class VllmRemedies:
    """A search for changes around a request that is tight or does not fit.

    Attributes:
        model: the model that was asked for.
        machine: where it shall run.
        workload: what was asked of it.
        request: where it was asked to lie.
        settings: what that means to vLLM.
        found: the verdict on it.
    """

    model: ModelSpec
    machine: Machine
    workload: Workload
    request: PlacementRequest
    settings: VllmSettings
    found: Judged

    def remedies(self) -> tuple[Remedy, ...]:
        """Return the changes that better the verdict, cheapest first; none when it fits."""
        if self.found.runs or self.found.verdict == "unknown":
            return ()
        return (
            *self._close_others(),
            *self._fewer_cards(),
            *self._shorter_context(),
            *self._fewer_requests(),
            *self._smaller_batch(),
            *self._smaller_cache(),
            *self._smaller_type(),
            *self._larger_card(),
        )

    def _tried(
        self,
        key: str,
        text: str,
        *,
        change: dict[str, Any],
        cost: str,
        model: ModelSpec | None = None,
        machine: Machine | None = None,
    ) -> Iterator[Remedy]:
        """Yield the change when it betters the verdict."""
        spec, where = model or self.model, machine or self.machine
        workload = replace(self.workload, **change.get("workload", {}))
        request = replace(self.request, **change.get("placement", {}))
        try:
            other = judged(spec, where, resolve_vllm(spec, where, workload, request))
        except BadInputError:  # it cannot be cut over the devices in that way
            return
        if VERDICT_ORDER[other.verdict] < VERDICT_ORDER[self.found.verdict]:
            needs = None if key == "close" else other.memory.total_bytes
            yield Remedy(key, text, change, needs, other.verdict, cost)

    def _close_others(self) -> Iterator[Remedy]:
        used = {device.pool for device in self.settings.devices}
        pools = self.machine.pools
        held = sum(pool.used_bytes or 0 for pool in pools if pool.id in used)
        if held:
            closed = tuple(replace(p, used_bytes=0) if p.id in used else p for p in pools)
            yield from self._tried(
                "close",
                f"close other programs: they hold {format_bytes(held)}",
                change={},
                cost="other programs have to be closed",
                machine=replace(self.machine, pools=closed),
            )

    def _fewer_cards(self) -> Iterator[Remedy]:
        """Yield the most of the roomiest cards that do better than all of them.

        Each card takes an equal part and the same share of its memory, so the fullest or smallest
        one decides for all: without it each of the others takes more, and may.
        """
        tried = [found for kept in self._roomiest() for found in self._on_cards(kept)]
        yield from sorted(tried, key=lambda remedy: VERDICT_ORDER[remedy.verdict])[:1]

    def _roomiest(self) -> Iterator[tuple[Device, ...]]:
        """Yield all but the fullest card, all but the two fullest …, in the order of the cards."""
        used = self.settings.devices
        free_bytes = {d.id: self.machine.pool(d.pool).free_low_bytes or 0 for d in used}
        ranked = sorted(used, key=lambda device: -free_bytes[device.id])
        for count in range(len(used) - 1, 0, -1):
            kept = ranked[:count]
            yield tuple(device for device in used if device in kept)

    def _on_cards(self, kept: tuple[Device, ...]) -> Iterator[Remedy]:
        ids = tuple(device.id for device in kept)
        left = [device.id for device in self.settings.devices if device.id not in ids]
        yield from self._tried(
            "devices",
            f"use fewer cards: --device {','.join(ids)}",
            change={"placement": {"devices": ids}},
            cost=f"{' and '.join(left)} {'computes' if len(left) == 1 else 'compute'} nothing",
        )

    def _shorter_context(self) -> Iterator[Remedy]:
        asked, longest = self.settings.request_tokens, self.found.largest_context_tokens
        if longest is not None and _SHORTEST_USEFUL_TOKENS <= longest < asked:
            yield from self._tried(
                "context",
                f"use {format_tokens(longest)} tokens of context",
                change={"workload": {"context_tokens": longest}},
                cost=f"{format_tokens(asked - longest)} tokens less to remember",
            )

    def _fewer_requests(self) -> Iterator[Remedy]:
        """Yield as many requests at once as have a block for their states."""
        if self.settings.state_slots:
            free = judged(self.model, self.machine, replace(self.settings, sequences_asked=False))
            sequences = free.settings.sequences
            if sequences < self.settings.sequences:
                yield from self._tried(
                    "parallel",
                    f"serve {sequences:,} requests at once",
                    change={"workload": {"parallel": sequences}},
                    cost=f"{self.settings.sequences - sequences:,} requests at once fewer",
                )

    def _smaller_batch(self) -> Iterator[Remedy]:
        sequences = min(self.settings.sequences, _FEW_SEQUENCES)
        batch = min(self.settings.batch_tokens, _SMALL_BATCH_TOKENS)
        if (sequences, batch) != (self.settings.sequences, self.settings.batch_tokens):
            yield from self._tried(
                "batch",
                f"serve {sequences} requests at once in batches of {format_tokens(batch)} tokens",
                change={"workload": {"parallel": sequences, "batch": batch}},
                cost="fewer requests at once, prompts are read more slowly",
            )

    def _smaller_cache(self) -> Iterator[Remedy]:
        if self.settings.cache_type == "auto":
            yield from self._tried(
                "kv_type",
                "keep keys and values in fp8",
                change={"workload": {"kv_type_k": "fp8", "kv_type_v": "fp8"}},
                cost="a slight loss on long contexts; the cache takes 8 bits an element, not 16",
            )

    def _smaller_type(self) -> Iterator[Remedy]:
        """Yield the first quantisation that helps, at a shorter context where none does by itself.

        Only of a model published in 16 bits.
        """
        facts = self.model.checkpoint
        if facts is None or facts.label is not None:
            return
        others = []
        for name in _SMALLER_TYPES:
            with suppress(BadInputError):  # its rows are no multiple of the group
                others.append(requantised_checkpoint(self.model, facts, name, is_native=True))
        alone = (self._in_type(other) for other in others)
        shorter = (self._in_type(other, shorter=True) for other in others)
        yield from next((found for each in (alone, shorter) for found in each if found), [])

    def _in_type(self, other: ModelSpec, *, shorter: bool = False) -> list[Remedy]:
        """Return the change to another checkpoint, and to the longest context that fits with it."""
        name = other.file_type or ""
        text, cost = f"use {name}", _NOT_MEASURED
        change: dict[str, Any] = {"file_type": name}
        if shorter:
            asked, longest = self.settings.request_tokens, self._longest_in(other)
            if longest is None or not _SHORTEST_USEFUL_TOKENS <= longest < asked:
                return []
            text += f" and {format_tokens(longest)} tokens of context"
            cost += f"; {format_tokens(asked - longest)} tokens less to remember"
            change |= {"workload": {"context_tokens": longest}}
        sizes = (format_bytes(model.tensor_bytes) for model in (other, self.model))
        text += f": {' of weights instead of '.join(sizes)}"
        return list(self._tried("file_type", text, change=change, cost=cost, model=other))

    def _longest_in(self, other: ModelSpec) -> int | None:
        try:
            settings = resolve_vllm(other, self.machine, self.workload, self.request)
            return judged(other, self.machine, settings).largest_context_tokens
        except BadInputError:  # it cannot be cut over the devices in that way
            return None

    def _larger_card(self) -> Iterator[Remedy]:
        """Yield the smallest card that it fits on, in place of those that are there."""
        for card in larger_cards(self.machine):
            if card.memory_gib * GIB < self.model.tensor_bytes:
                continue
            found = [
                remedy
                for remedy in self._tried(
                    "machine",
                    f"use a card of {card.memory_gib} GiB, as the {card.name}",
                    change={"machine": card.expression},
                    cost=card_price(card.launch_price_usd),
                    machine=card.machine,
                )
                if remedy.verdict == "fits"
            ]
            if found:
                yield from found
                return
