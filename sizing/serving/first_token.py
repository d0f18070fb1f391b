"""The least time to a first token: what a program does for a request, however short its prompt.

It takes the prompt apart, schedules it and starts its kernels one by one; on small models that
takes longer than the arithmetic, which it hides behind on large ones. It depends on the host's
processor more than on the card, so that the interval is wide.
Source: servers of a model of half a billion parameters without a web front
(tests/recorded/serving): least, middle and most over the half of them that does not judge. Error:
docs/accuracy.md, over the other half. A web front adds its own, which is in no figure here.
"""

from __future__ import annotations

from typing import Final

__all__ = ["VLLM_LEAST_TTFT_S"]

VLLM_LEAST_TTFT_S: Final = (0.011, 0.025, 0.046)
"""At the fast end, the middle and the slow end."""
