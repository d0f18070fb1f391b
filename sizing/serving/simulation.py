"""One server under one load, step by step, as its scheduler works.

Continuous batching: every step writes a token in each sequence that has its prompt behind it, and
reads prompts, first come first served, in pieces of what is left of the step. A request is let in
when there is a slot and, in a paged cache, room for its prompt; when the cache runs full, the
request let in last goes back to the head of the queue and is read anew (vLLM's recomputation).
Steps that are alike are taken at once, up to the next end, arrival or full cache.
Source: vllm-project/vllm 0.33.0 vllm/v1/core/sched/scheduler.py; llama.cpp (0c1e57098)
tools/server/server-context.cpp, update_slots. Error: against closed forms and conservation laws,
tests/sizing/serving.
"""

from __future__ import annotations

from collections import deque
from heapq import heappop, heappush
from math import ceil, inf, isnan, sqrt
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from whatfits.sizing.serving.arrivals import Arrivals
    from whatfits.sizing.serving.batching import StepCosts
    from whatfits.sizing.serving.draws import Draws
    from whatfits.sizing.serving.server import Server

__all__ = ["Log", "Piece", "simulate"]

_UNKNOWN: Final = float("nan")
_RETRY_S: Final = 1.0  # whoever is turned away asks again no sooner


class Piece(NamedTuple):
    """A piece of a prompt that one step reads."""

    request: int
    tokens: int
    depth: int


class Log(NamedTuple):
    """What happened to each request, in the order they came, and to the server.

    Attributes:
        arrived_s: when it came.
        admitted_s: when its prompt was begun for the first time; NaN when it was turned away.
        first_s: when its first token was there.
        finished_s: when its last was.
        written: tokens it got.
        turned_away: requests that found the queue full.
        sent_back: times that a request lost its place in the cache.
        end_s: when all was done.
        system_s: integral of the requests in the server, waiting ones among them, over time.
        batch_s: integral of those let in.
        busy_s: time it worked.
        arithmetic_s: the part of it that was arithmetic.
        no_slot_s: time that requests waited for a slot.
        no_room_s: time that requests waited for room in the cache.
    """

    arrived_s: list[float]
    admitted_s: list[float]
    first_s: list[float]
    finished_s: list[float]
    written: list[int]
    turned_away: int
    sent_back: int
    end_s: float
    system_s: float
    batch_s: float
    busy_s: float
    arithmetic_s: float
    no_slot_s: float
    no_room_s: float


def simulate(
    server: Server, costs: StepCosts, draws: Draws, arrivals: Arrivals, *, prefix_tokens: int = 0
) -> Log:
    """Return what becomes of all requests; the first `prefix_tokens` of each lie in the cache."""
    run = _Run(server, costs, draws, arrivals, prefix_tokens)
    while run.goes_on():
        pieces = run.pieces()
        if pieces:
            run.mixed_step(pieces)
        else:
            run.writing_steps()
    return run.log()


class _Run:
    """The state of a server between two steps."""

    def __init__(
        self,
        server: Server,
        costs: StepCosts,
        draws: Draws,
        arrivals: Arrivals,
        prefix_tokens: int,
    ) -> None:
        self._server, self._costs, self._arrivals = server, costs, arrivals
        self._prompt, self._output = draws.prompt_tokens, draws.output_tokens
        self._prefix = prefix_tokens
        count = len(draws.pauses)
        self._arrived = [_UNKNOWN] * count
        self._admitted = [_UNKNOWN] * count
        self._first = [_UNKNOWN] * count
        self._finished = [_UNKNOWN] * count
        self._written = [0] * count
        self._came = 0
        self._now = 0.0
        self._step = 0
        self._waiting: deque[int] = deque()
        self._reading: dict[int, int] = {}  # tokens of its prompt that are in the cache
        self._writing: list[tuple[int, int]] = []  # (step it ends with, request), a heap
        self._ends: dict[int, int] = {}  # the same by request
        self._stack: list[int] = []  # in the order they were let in; some have left
        self._depth = 0  # tokens before those that are written next, over all sequences
        self._held = 0.0  # blocks of the cache that are taken
        self._turned_away = self._sent_back = 0
        self._system_s = self._batch_s = self._busy_s = 0.0
        self._arithmetic_s = self._no_slot_s = self._no_room_s = 0.0

    def goes_on(self) -> bool:
        """Let in what has come by now; when there is nothing to do, wait for it."""
        if not (self._waiting or self._ends or self._reading):
            if self._arrivals.next_s == inf:
                return False
            self._now = max(self._now, self._arrivals.next_s)
        while self._arrivals.next_s <= self._now:
            self._come(self._arrivals.next_s)
        return True

    def _come(self, at_s: float) -> None:
        request, self._came = self._came, self._came + 1
        self._arrived[request] = at_s
        self._arrivals.take()
        queue = self._server.queue
        if queue is not None and len(self._waiting) >= queue:
            self._turned_away += 1
            self._arrivals.answered(request, self._now + _RETRY_S)
            return
        self._system_s += self._now - at_s
        self._waiting.append(request)

    def pieces(self) -> list[Piece]:
        """Return the prompts that the next step reads, letting in what there is place for."""
        found: list[Piece] = []
        if not (self._waiting or self._reading):
            return found
        left = self._server.step_tokens - len(self._ends)
        for request in self._candidates():
            if left <= 0:
                break
            done = self._reading[request]
            tokens = min(left, self._to_read(request) - done)
            found.append(Piece(request, tokens, done))
            left -= tokens
        return found

    def _candidates(self) -> Iterator[int]:
        """Yield requests whose prompts are not read yet, letting in one more at a time."""
        yield from list(self._reading)
        while self._waiting and self._has_place(self._waiting[0]):
            request = self._waiting.popleft()
            if isnan(self._admitted[request]):  # for the first time
                self._admitted[request] = self._now
            self._reading[request] = self._prefix
            self._stack.append(request)
            if self._server.room is not None:
                self._held += self._server.room.of_request(self._to_read(request))
            yield request

    def _has_place(self, request: int) -> bool:
        if len(self._ends) + len(self._reading) >= self._server.slots:
            return False
        room = self._server.room
        if room is None:
            return True
        # those that write come first: without that a request would come and go for ever
        coming = len(self._ends) * room.token_blocks
        return self._held + coming + room.of_request(self._to_read(request)) <= room.blocks

    def _to_read(self, request: int) -> int:
        """Return what has to be in the cache before it goes on: what was sent back is read anew."""
        return self._prompt[request] + self._written[request]

    def mixed_step(self, pieces: list[Piece]) -> None:
        """Read pieces of prompts, and write a token in every other sequence."""
        sequences = len(self._ends)
        if self._is_full(sequences):
            self._send_back()
            return
        tokens, pairs = 0, 0.0
        for piece in pieces:
            tokens += piece.tokens
            pairs += piece.tokens * piece.depth + piece.tokens * (piece.tokens + 1) / 2
        seconds = self._costs.mixed_s(sequences, self._depth, tokens, pairs)
        arithmetic_s = self._costs.mixed_arithmetic_s(sequences, tokens, pairs)
        self._pass(seconds, arithmetic_s=arithmetic_s)
        self._advance(sequences, 1)
        for piece in pieces:
            done = piece.depth + piece.tokens
            if done == self._to_read(piece.request):
                self._begin_writing(piece.request)
            else:
                self._reading[piece.request] = done

    def writing_steps(self) -> None:
        """Write tokens until a sequence ends, a request can be let in or the cache is full."""
        sequences = len(self._ends)
        if self._is_full(sequences):
            self._send_back()
            return
        steps = int(min(self._steps_to_end(), self._steps_to_full(sequences)))
        if not self._waiting and sequences < self._server.slots:
            steps = self._steps_until(self._arrivals.next_s - self._now, sequences, steps)
        seconds = self._costs.writing_s(sequences, self._depth, steps)
        self._pass(seconds, arithmetic_s=steps * self._costs.arithmetic_s[sequences])
        self._advance(sequences, steps)

    def _is_full(self, sequences: int) -> bool:
        """Return whether the next tokens find no room; one alone always has it."""
        room = self._server.room
        in_all = sequences + len(self._reading)
        return (
            room is not None
            and in_all > 1
            and (self._held + sequences * room.token_blocks > room.blocks)
        )

    def _steps_to_end(self) -> int:
        while True:
            end, request = self._writing[0]
            if self._ends.get(request) == end:
                return end - self._step
            heappop(self._writing)

    def _steps_to_full(self, sequences: int) -> float:
        room = self._server.room
        if room is None or sequences == 1 or not room.token_blocks:
            return inf
        return max(1, (room.blocks - self._held) // (sequences * room.token_blocks))

    def _steps_until(self, seconds: float, sequences: int, most: int) -> int:
        """Return the fewest steps that take at least so long, but no more than `most`."""
        if self._costs.writing_s(sequences, self._depth, most) <= seconds:
            return most
        slope = self._costs.depth_s * sequences / 2
        first = self._costs.writing_s(sequences, self._depth) - slope
        steps = seconds / first
        if slope > 0:
            steps = (sqrt(first * first + 4 * slope * seconds) - first) / (2 * slope)
        return min(most, max(1, ceil(steps)))

    def _pass(self, seconds: float, *, arithmetic_s: float) -> None:
        inside = len(self._ends) + len(self._reading)
        self._now += seconds
        self._busy_s += seconds
        self._arithmetic_s += arithmetic_s
        self._batch_s += inside * seconds
        self._system_s += (inside + len(self._waiting)) * seconds
        if self._waiting:
            if inside >= self._server.slots:
                self._no_slot_s += seconds
            elif self._server.room is not None:
                self._no_room_s += seconds

    def _advance(self, sequences: int, steps: int) -> None:
        """Write so many tokens in every sequence, and end those that have all of theirs."""
        self._step += steps
        self._depth += sequences * steps
        if self._server.room is not None:
            self._held += sequences * steps * self._server.room.token_blocks
        while self._writing and self._writing[0][0] <= self._step:
            end, request = heappop(self._writing)
            if self._ends.get(request) == end:
                del self._ends[request]
                self._written[request] = self._output[request]
                self._leave(request, self._to_read(request) - 1)
                self._finish(request)

    def _begin_writing(self, request: int) -> None:
        """Note the token that the end of a prompt gives, and what is still to come."""
        depth = self._to_read(request)
        del self._reading[request]
        if not self._written[request]:
            self._first[request] = self._now
        self._written[request] += 1
        left = self._output[request] - self._written[request]
        self._depth += depth
        if not left:
            self._leave(request, depth)
            self._finish(request)
            return
        self._ends[request] = self._step + left
        heappush(self._writing, (self._step + left, request))

    def _leave(self, request: int, depth: int) -> None:
        """Give back what a sequence of that depth holds."""
        self._depth -= depth
        if self._server.room is not None:
            self._held -= self._server.room.of_request(depth)
        if self._stack[-1] == request:
            self._stack.pop()

    def _finish(self, request: int) -> None:
        self._finished[request] = self._now
        self._arrivals.answered(request, self._now)

    def _send_back(self) -> None:
        """Send the request that was let in last to the head of the queue; what it wrote stays."""
        request = self._stack[-1]
        while request not in self._ends and request not in self._reading:
            self._stack.pop()
            request = self._stack[-1]
        self._sent_back += 1
        if request in self._reading:
            del self._reading[request]
            self._stack.pop()
            assert self._server.room is not None
            self._held -= self._server.room.of_request(self._to_read(request))
        else:
            left = self._ends.pop(request) - self._step
            self._written[request] = self._output[request] - left
            self._leave(request, self._to_read(request) - 1)
        self._waiting.appendleft(request)

    def log(self) -> Log:
        """Return what happened."""
        return Log(
            arrived_s=self._arrived,
            admitted_s=self._admitted,
            first_s=self._first,
            finished_s=self._finished,
            written=self._written,
            turned_away=self._turned_away,
            sent_back=self._sent_back,
            end_s=self._now,
            system_s=self._system_s,
            batch_s=self._batch_s,
            busy_s=self._busy_s,
            arithmetic_s=self._arithmetic_s,
            no_slot_s=self._no_slot_s,
            no_room_s=self._no_room_s,
        )
