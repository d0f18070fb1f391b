"""The context a model was trained for: how far one is looked for, and what is said of more."""

from __future__ import annotations

from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.units import format_tokens

if TYPE_CHECKING:
    from typing import Final

    from whatfits.sizing.model import ModelSpec

__all__ = ["beyond_sentence", "beyond_training", "longest_of_use"]

_UNTRAINED_LIMIT_TOKENS: Final = 2**20


def longest_of_use(spec: ModelSpec) -> int:
    """Return the longest context that is looked for: what a model was trained for.

    Where that is not known, and of an encoder, which reads it all at once, at most 2**20 tokens.
    """
    trained = spec.hparams.context_train_tokens or _UNTRAINED_LIMIT_TOKENS
    return trained if spec.hparams.causal else min(trained, _UNTRAINED_LIMIT_TOKENS)


def beyond_training(spec: ModelSpec, context_tokens: int) -> tuple[str, ...]:
    """Return a sentence where a sequence may get longer than what a model was trained for."""
    trained = spec.hparams.context_train_tokens
    if trained is None or context_tokens <= trained:
        return ()
    return (beyond_sentence(trained),)


def beyond_sentence(trained_tokens: int) -> str:
    """Return what is said of a context that is longer than what a model was trained for."""
    more = "memory for more is taken, and not made good use of"
    return f"The model was trained for {format_tokens(trained_tokens)} tokens: {more}."
