"""What is to be said of contexts that a model was not trained for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from whatfits.sizing.units import format_tokens

if TYPE_CHECKING:
    from whatfits.sizing.model import ModelSpec

__all__ = ["beyond_training"]


def beyond_training(spec: ModelSpec, context_tokens: int) -> tuple[str, ...]:
    """Return a sentence where a sequence may get longer than what a model was trained for."""
    trained = spec.hparams.context_train_tokens
    if trained is None or context_tokens <= trained:
        return ()
    more = "memory for more is taken, and not made good use of"
    return (f"The model was trained for {format_tokens(trained)} tokens: {more}.",)
