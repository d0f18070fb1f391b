"""The requests that a server has before it: waiting, having their prompts read, writing.

Source: vllm-project/vllm 0.33.0 vllm/v1/core/sched/scheduler.py (first come first served; prompts
in pieces of what is left of a step; recomputation of the request let in last where the cache runs
full); llama.cpp (0c1e57098) tools/server/server-context.cpp, update_slots.
"""

from __future__ import annotations

from collections import deque
from heapq import heapify, heappop, heappush
from math import inf, isnan

from whatfits.sizing.serving.server import PagedRoom
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final

    from whatfits.sizing.serving.draws import Draws
    from whatfits.sizing.serving.server import Server

__all__ = ["Batch", "Piece"]

Piece = tuple[int, int, int]
"""Of a prompt, what one step reads: the request, so many tokens, and how many before them."""

_UNKNOWN: Final = float("nan")
_ENDLESS: Final = PagedRoom(blocks=inf, request_blocks=0.0, token_blocks=0.0)


class Batch:
    """Tokens and blocks of all requests between two steps; what they cost is no matter of it.

    Attributes:
        waiting: requests before the door, the next one first.
        reading: tokens of its prompt that are in the cache, by request.
        ends: the step that it ends with, by request that writes.
        depth_tokens: before the tokens that are written next, over all that write.
        written: tokens that each request has.
        admitted_s: when it was let in for the first time.
        sent_back: how often one lost its place.
        lacks_room: whether the next one to be let in waits for room in the cache.
    """

    def __init__(self, server: Server, draws: Draws, prefix_tokens: int) -> None:
        """Let nothing in yet; the first `prefix_tokens` of every prompt lie in the cache."""
        self._slots, self._step_tokens = server.slots, server.step_tokens
        self._blocks, self._request_blocks, self._token_blocks = server.room or _ENDLESS
        self._prompt, self._output = draws.prompt_tokens, draws.output_tokens
        self._prefix = prefix_tokens
        self.waiting: deque[int] = deque()
        self.reading: dict[int, int] = {}
        self.ends: dict[int, int] = {}
        self.depth_tokens = 0
        self.written = [0] * len(draws.pauses)
        self.admitted_s = [_UNKNOWN] * len(draws.pauses)
        self.sent_back = 0
        self.lacks_room = False
        self._step = 0
        self._heap: list[int] = []  # end x requests + request: compares by both
        self._count = len(draws.pauses)
        self._order: list[int] = []  # as they were let in; some have left
        self._held = 0.0  # blocks of the cache that are taken

    def pieces(self, now_s: float) -> list[Piece]:
        """Return the prompts that the next step reads, letting in what there is place for."""
        found: list[Piece] = []
        self.lacks_room = False
        left = self._step_tokens - len(self.ends)
        for request, done in self.reading.items():
            if left <= 0:
                return found
            tokens = min(left, self._prompt[request] + self.written[request] - done)
            found.append((request, tokens, done))
            left -= tokens
        while left > 0 and self.waiting and self._lets_in(self.waiting[0], now_s):
            request = self.waiting.popleft()
            tokens = min(left, self._prompt[request] + self.written[request] - self._prefix)
            found.append((request, tokens, self._prefix))
            left -= tokens
        return found

    def _lets_in(self, request: int, now_s: float) -> bool:
        """Give a request a slot and the blocks of its prompt, where there are."""
        writing = len(self.ends)
        if writing + len(self.reading) >= self._slots:
            return False
        to_read = self._prompt[request] + self.written[request]
        blocks = self._request_blocks + self._token_blocks * to_read
        # those that write come first: without that a request would come and go for ever; one alone
        # always has room, see `is_full`
        is_alone = not self.ends and not self.reading
        taken = self._held + writing * self._token_blocks + blocks
        self.lacks_room = taken > self._blocks and not is_alone
        if self.lacks_room:
            return False
        if isnan(self.admitted_s[request]):
            self.admitted_s[request] = now_s
        self.reading[request] = self._prefix
        self._order.append(request)
        self._held += blocks
        return True

    def read(self, pieces: Sequence[Piece]) -> list[int]:
        """Take note of what a step has read; return the requests whose prompts are at their end.

        Each has the token that this gives; those that want more write on and are in `ends`.
        """
        found = []
        for request, tokens, depth in pieces:
            done = depth + tokens
            to_read = self._prompt[request] + self.written[request]
            if done < to_read:
                self.reading[request] = done
                continue
            del self.reading[request]
            self.written[request] += 1
            self.depth_tokens += to_read
            left = self._output[request] - self.written[request]
            if left:
                self.ends[request] = self._step + left
                heappush(self._heap, (self._step + left) * self._count + request)
            else:
                self._leave(request, to_read)
            found.append(request)
        return found

    def is_full(self) -> bool:
        """Return whether the next tokens find no room in the cache; one alone always has it."""
        writing = len(self.ends)
        if self._held + writing * self._token_blocks <= self._blocks:
            return False
        return writing + len(self.reading) > 1

    def steps_alike(self) -> int:
        """Return for how many steps on the same sequences write, whatever comes meanwhile.

        0 where the next one finds no room.
        """
        steps = self._heap[0] // self._count - self._step
        blocks = len(self.ends) * self._token_blocks
        if self._held + steps * blocks <= self._blocks:
            return steps
        if self.is_full():
            return 0
        if len(self.ends) == 1:
            return steps
        return max(1, int((self._blocks - self._held) // blocks))

    def write(self, steps: int) -> Sequence[int]:
        """Write so many tokens in every sequence; return those that have all of theirs."""
        tokens = len(self.ends) * steps
        self._step += steps
        self.depth_tokens += tokens
        self._held += tokens * self._token_blocks
        heap, beyond = self._heap, (self._step + 1) * self._count
        if not heap or heap[0] >= beyond:
            return ()
        found = []
        while heap and heap[0] < beyond:
            request = heappop(heap) % self._count
            del self.ends[request]
            self.written[request] = self._output[request]
            self._leave(request, self._prompt[request] + self._output[request] - 1)
            found.append(request)
        return found

    def _leave(self, request: int, depth: int) -> None:
        """Give back what a sequence of that depth holds."""
        self.depth_tokens -= depth
        self._held -= self._request_blocks + self._token_blocks * depth
        if self._order[-1] == request:
            self._order.pop()

    def send_back(self) -> None:
        """Send the request that was let in last to the head of the queue; what it wrote stays."""
        request = self._order[-1]
        while request not in self.ends and request not in self.reading:
            self._order.pop()
            request = self._order[-1]
        self.sent_back += 1
        if request in self.reading:
            del self.reading[request]
            self._order.pop()
            to_read = self._prompt[request] + self.written[request]
            self._held -= self._request_blocks + self._token_blocks * to_read
        else:
            end = self.ends.pop(request)
            self._heap.remove(end * self._count + request)
            heapify(self._heap)
            left = end - self._step
            self.written[request] = self._output[request] - left
            self._leave(request, self._prompt[request] + self.written[request] - 1)
        self.waiting.appendleft(request)
