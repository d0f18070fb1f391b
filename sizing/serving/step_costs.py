"""What the steps of a server cost, in a form that a simulation can ask a million times."""

from __future__ import annotations

from whatfits.sizing.values import dataclass

__all__ = ["StepCosts"]


@dataclass(frozen=True, slots=True)
class StepCosts:
    """Seconds of a step.

    Attributes:
        write_s: of writing a token in each of so many sequences, caches left out; by number.
        arithmetic_s: the part of that which is arithmetic; by number.
        cache_s: of one sequence's cache at depth 0, on the line through the profile's depths.
        depth_s: for each token of depth.
        read_s: of reading so many tokens of prompts, attention left out; by number.
        read_arithmetic_s: the part of that which is arithmetic; by number.
        pair_s: of attention for each pair of a prompt's token and one before it.
        ride_s: arithmetic of a token that is written while prompts are read.
        host_s: of the host for each sequence that writes, after the first.
        overlaps: the host prepares a step while the card works on the one before: the longer of
            both counts. Without, they take turns.
    """

    write_s: list[float]
    arithmetic_s: list[float]
    cache_s: float
    depth_s: float
    read_s: list[float]
    read_arithmetic_s: list[float]
    pair_s: float
    ride_s: float
    host_s: float = 0.0
    overlaps: bool = False

    def writing_s(self, sequences: int, depth_tokens: float) -> float:
        """Return seconds of a step that writes only; `depth_tokens` is the sum over sequences.

        Each step like it takes `depth_s` x sequences more than the one before, where the host is
        not what is waited for.
        """
        caches = sequences * self.cache_s + self.depth_s * depth_tokens
        return self._with_host(self.write_s[sequences] + caches, sequences - 1)

    def _with_host(self, card_s: float, sequences: int) -> float:
        """Return a step's time with the host's work for so many sequences beyond one.

        What the host does for one is in the costs of a step that writes in one.
        """
        host_s = sequences * self.host_s
        if not self.overlaps:
            return card_s + host_s
        return max(card_s, self.write_s[1] + host_s)

    def mixed_s(
        self, sequences: int, depth_tokens: float, prompt_tokens: int, pairs: float
    ) -> tuple[float, float]:
        """Return seconds of a step that also reads so many tokens of prompts, and its arithmetic.

        No less than without them: they do not speed anything up.
        """
        caches = sequences * self.cache_s + self.depth_s * depth_tokens
        attention, riding = self.pair_s * pairs, self.ride_s * sequences
        reading = self.read_s[prompt_tokens] + attention + riding
        writing = self.write_s[sequences]
        arithmetic = self.read_arithmetic_s[prompt_tokens] + attention + riding
        least = self.arithmetic_s[sequences]
        card_s = caches + max(reading, writing)
        return self._with_host(card_s, sequences), max(arithmetic, least)
