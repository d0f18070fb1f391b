"""A server as its scheduler sees it: sequences at once, tokens of a step, room in the cache."""

from __future__ import annotations

from whatfits.sizing.named_tuples import NamedTuple

__all__ = ["PagedRoom", "Server"]


class PagedRoom(NamedTuple):
    """A pool of blocks that requests take from as they grow.

    A request of `tokens` takes `request_blocks + token_blocks x tokens`: a line through what the
    runtime gives it at its shortest and at its longest.

    Attributes:
        blocks: that can be given away.
        request_blocks: that each request takes whatever its length.
        token_blocks: for each of its tokens.
    """

    blocks: float
    request_blocks: float
    token_blocks: float

    def of_request(self, tokens: float) -> float:
        """Return the blocks of one request."""
        return self.request_blocks + self.token_blocks * tokens


class Server(NamedTuple):
    """What a server does at once.

    Attributes:
        slots: sequences at most.
        step_tokens: tokens of one step at most; prompts are read in pieces of what is left.
        room: the paged cache; None where every slot has its own.
        queue: requests that may wait; None: any number.
        starts: whether the cache holds one of the longest requests; without that vLLM ends.
    """

    slots: int
    step_tokens: int
    room: PagedRoom | None = None
    queue: int | None = None
    starts: bool = True
