"""The inputs of serving: what the users do, and what they put up with."""

from __future__ import annotations

from typing import Final

from whatfits.sizing.serving.deploying import SERVE_RUNTIMES
from whatfits.webapp.one_input import Input, meaning

__all__ = ["SERVING_INPUTS"]

_MOST_TOKENS: Final = 2**20
# longer pauses and waits only make the simulation longer, not the answer better
_MOST_WAIT_S: Final = 60
_MOST_PAUSE_S: Final = 60
_MOST_AN_HOUR: Final = 3600

SERVING_INPUTS: Final = (
    Input(
        "server",
        "Server",
        SERVE_RUNTIMES[0],
        "What answers the users. llama.cpp and Ollama give each a slot; vLLM batches as its "
        "cache has room.",
        SERVE_RUNTIMES,
    ),
    Input(
        "clients",
        "Users of the server",
        8,
        "How many ask at the same time; the server is made for them.",
        most=256,
        least=1,
    ),
    Input(
        "output",
        "Answer length",
        256,
        "Tokens of an answer; about three quarters of a word each.",
        most=_MOST_TOKENS,
        least=1,
    ),
    Input(
        "prefix",
        "Shared beginning",
        0,
        f"Tokens at the head of every prompt, the same for all. {meaning('prefix cache')}",
        most=_MOST_TOKENS,
    ),
    Input(
        "rate",
        "Requests an hour, each",
        None,
        "At random moments. Empty: each user asks again when the answer is there. "
        f"{meaning('littles law')}",
        most=_MOST_AN_HOUR,
        least=1,
    ),
    Input(
        "think",
        "Pause before asking again (s)",
        0,
        "What a user takes to read and to type, on the average; not with requests an hour.",
        most=_MOST_PAUSE_S,
    ),
    Input(
        "ttft",
        "First token within (s)",
        10,
        f"For 19 of 20 requests. {meaning('time to first token')}",
        most=_MOST_WAIT_S,
        least=1,
    ),
    Input(
        "minspeed",
        "Tokens/s for each, at least",
        None,
        "For 19 of 20 answers. Empty: as fast as people read.",
        most=1000,
        least=1,
    ),
)
