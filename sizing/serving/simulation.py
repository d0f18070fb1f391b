"""One server under one load, step by step, as its scheduler works.

Continuous batching: every step writes a token in each sequence that has its prompt behind it, and
reads prompts, first come first served, in pieces of what is left of the step. A request is let in
when there is a slot and, in a paged cache, room for its prompt; when the cache runs full, the
request let in last goes back to the head of the queue and is read anew (vLLM's recomputation).
Steps that are alike are taken at once, up to the next end, arrival or full cache.
Source: see batch. Error: against closed forms and conservation laws, tests/sizing/serving.
"""

from __future__ import annotations

from math import ceil, inf, isnan, sqrt

from whatfits.sizing.serving.batch import Batch
from whatfits.sizing.serving.log import Log, Meter
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Final

    from whatfits.sizing.serving.arrivals import Arrivals
    from whatfits.sizing.serving.batch import Piece
    from whatfits.sizing.serving.draws import Draws
    from whatfits.sizing.serving.server import Server
    from whatfits.sizing.serving.step_costs import StepCosts

__all__ = ["simulate"]

_UNKNOWN: Final = float("nan")
_RETRY_S: Final = 1.0  # whoever is turned away asks again no sooner


def simulate(
    server: Server, costs: StepCosts, draws: Draws, arrivals: Arrivals, *, prefix_tokens: int = 0
) -> Log:
    """Return what becomes of all requests; the first `prefix_tokens` of each lie in the cache."""
    run = _Run(server, costs, Batch(server, draws, prefix_tokens), arrivals, len(draws.pauses))
    run.play()
    return run.log()


class _Run:
    """A batch under a clock: who comes when, and how long each step takes."""

    def __init__(
        self, server: Server, costs: StepCosts, batch: Batch, arrivals: Arrivals, count: int
    ) -> None:
        self._slots, self._queue = server.slots, server.queue
        self._costs, self._batch, self._arrivals = costs, batch, arrivals
        self._meter = Meter(server)
        self._arrived = [_UNKNOWN] * count
        self._first = [_UNKNOWN] * count
        self._finished = [_UNKNOWN] * count
        self._came = self._turned_away = 0

    def play(self) -> None:
        """Go from one moment at which something changes to the next, until all is done."""
        batch, meter, arrivals = self._batch, self._meter, self._arrivals
        while batch.ends or batch.waiting or batch.reading or self._wait_for_more():
            while arrivals.next_s <= meter.now_s:
                self._come(arrivals.next_s)
            if batch.reading or (batch.waiting and len(batch.ends) < self._slots):
                pieces = batch.pieces(meter.now_s)
                if pieces:
                    self._read(pieces)
                    continue
            self._write()

    def _wait_for_more(self) -> bool:
        """Wait for what comes next; return whether there is any."""
        if self._arrivals.next_s == inf:
            return False
        if self._arrivals.next_s > self._meter.now_s:
            self._meter.wait_until(self._arrivals.next_s)
        return True

    def _come(self, at_s: float) -> None:
        request, self._came = self._came, self._came + 1
        self._arrived[request] = at_s
        self._arrivals.take()
        waiting, now_s = self._batch.waiting, self._meter.now_s
        if self._queue is not None and len(waiting) >= self._queue:
            self._turned_away += 1
            self._arrivals.answered(request, now_s + _RETRY_S)
            return
        self._meter.waiting_s += now_s - at_s
        waiting.append(request)

    def _read(self, pieces: list[Piece]) -> None:
        """Read pieces of prompts, and write a token in every other sequence."""
        batch, costs = self._batch, self._costs
        if batch.is_full():
            batch.send_back()
            return
        tokens, pairs = 0, 0.0
        for _, piece, depth in pieces:
            tokens += piece
            pairs += piece * depth + piece * (piece + 1) / 2
        cost_s = costs.mixed_s(len(batch.ends), batch.depth_tokens, tokens, pairs)
        self._meter.work(*cost_s, batch)
        now_s = self._meter.now_s
        for request in batch.write(1):
            self._finish(request, now_s)
        for request in batch.read(pieces):
            if isnan(self._first[request]):
                self._first[request] = now_s
            if request not in batch.ends:
                self._finish(request, now_s)

    def _write(self) -> None:
        """Write tokens until a sequence ends, a request can be let in or the cache is full."""
        batch, costs = self._batch, self._costs
        writing, steps = len(batch.ends), batch.steps_alike()
        if not steps:
            batch.send_back()
            return
        first_s = costs.writing_s(writing, batch.depth_tokens)
        more_s = costs.depth_s * writing
        if costs.overlaps and steps > 1:  # on a line between the first and the last
            deepest = batch.depth_tokens + writing * (steps - 1)
            more_s = (costs.writing_s(writing, deepest) - first_s) / (steps - 1)
        seconds = steps * first_s + more_s * steps * (steps - 1) / 2
        if not batch.waiting and writing < self._slots:
            wait_s = self._arrivals.next_s - self._meter.now_s
            if seconds > wait_s:
                steps = min(steps, _steps_within(wait_s, first_s, more_s))
                seconds = steps * first_s + more_s * steps * (steps - 1) / 2
        self._meter.work(seconds, steps * costs.arithmetic_s[writing], batch)
        for request in batch.write(steps):
            self._finish(request, self._meter.now_s)

    def _finish(self, request: int, now_s: float) -> None:
        self._finished[request] = now_s
        self._arrivals.answered(request, now_s)

    def log(self) -> Log:
        """Return what happened."""
        batch, meter = self._batch, self._meter
        return Log(
            arrived_s=self._arrived,
            admitted_s=batch.admitted_s,
            first_s=self._first,
            finished_s=self._finished,
            written=batch.written,
            turned_away=self._turned_away,
            sent_back=batch.sent_back,
            end_s=meter.now_s,
            system_s=meter.batch_s + meter.waiting_s,
            batch_s=meter.batch_s,
            busy_s=meter.now_s - meter.idle_s,
            arithmetic_s=meter.arithmetic_s,
            no_slot_s=meter.no_slot_s,
            no_room_s=meter.no_room_s,
        )


def _steps_within(seconds: float, first_s: float, more_s: float) -> int:
    """Return the fewest steps, at least one, that take so long: each takes `more_s` more."""
    slope = more_s / 2
    first = first_s - slope
    steps = seconds / first
    if slope > 0:
        steps = (sqrt(first * first + 4 * slope * seconds) - first) / (2 * slope)
    return max(1, ceil(steps))
