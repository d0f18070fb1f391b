"""What a simulation leaves behind: moments of each request, and what the server did meanwhile."""

from __future__ import annotations

from whatfits.sizing.named_tuples import NamedTuple
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from whatfits.sizing.serving.batch import Batch
    from whatfits.sizing.serving.server import Server

__all__ = ["Log", "Meter"]


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


class Meter:
    """A clock, and what is summed up while it goes on.

    Attributes:
        now_s: the time.
        idle_s: of it without anything to do.
        batch_s: integral of the requests that are let in, over time.
        waiting_s: integral of those that are not.
        arithmetic_s, no_slot_s, no_room_s: as in `Log`.
    """

    def __init__(self, server: Server) -> None:
        """Begin at 0."""
        self._slots = server.slots
        self.now_s = self.idle_s = 0.0
        self.batch_s = self.waiting_s = self.arithmetic_s = 0.0
        self.no_slot_s = self.no_room_s = 0.0

    def wait_until(self, moment_s: float) -> None:
        """Let time pass without anything to do."""
        self.idle_s += moment_s - self.now_s
        self.now_s = moment_s

    def work(self, seconds: float, arithmetic_s: float, batch: Batch) -> None:
        """Let time pass on what a batch has inside, while others wait."""
        inside, waiting = len(batch.ends) + len(batch.reading), len(batch.waiting)
        self.now_s += seconds
        self.arithmetic_s += arithmetic_s
        self.batch_s += inside * seconds
        if waiting:
            self.waiting_s += waiting * seconds
            if inside >= self._slots:
                self.no_slot_s += seconds
            elif batch.lacks_room:
                self.no_room_s += seconds
