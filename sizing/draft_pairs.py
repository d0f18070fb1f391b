"""Which models can draft for which: both have to read and write the same tokens.

Source: llama.cpp (0c1e57098) common/speculative.cpp, common_speculative_are_compatible;
tools/server/server-context.cpp: where they differ the server says so in its log, puts the draft
model away again, and goes on without drafts.
"""

from __future__ import annotations

from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Final

    from whatfits.sizing.model import ModelSpec

__all__ = [
    "LARGEST_VOCABULARY_DIFFERENCE",
    "are_close_vocabularies",
    "check_pair",
    "has_close_vocabulary",
    "pair_notes",
]

LARGEST_VOCABULARY_DIFFERENCE: Final = 128


def are_close_vocabularies(first: int, second: int) -> bool:
    """Return whether vocabularies of so many tokens may be the same, as llama.cpp takes it."""
    return abs(first - second) <= LARGEST_VOCABULARY_DIFFERENCE


def has_close_vocabulary(model: ModelSpec, draft: ModelSpec) -> bool:
    """Return whether both vocabularies are of about one length, as far as they are known."""
    if model.weights is not None or draft.weights is not None:  # a length may be a stand-in
        return True
    return are_close_vocabularies(model.hparams.n_vocab, draft.hparams.n_vocab)


def check_pair(model: ModelSpec, draft: ModelSpec) -> None:
    """Refuse a model that cannot draft for another.

    Raises:
        InvalidRequestError: one of them writes nothing, or their vocabularies differ.
    """
    for spec in (model, draft):
        if spec.embeds:
            raise InvalidRequestError(
                what="draft",
                got=f"{draft.name} for {model.name}",
                allowed=f"two models that write: {spec.name} only embeds",
            )
    if not has_close_vocabulary(model, draft):
        raise InvalidRequestError(
            what="draft model",
            got=f"{draft.name} with a vocabulary of {draft.hparams.n_vocab:,} tokens",
            allowed=f"one within {LARGEST_VOCABULARY_DIFFERENCE} of the {model.hparams.n_vocab:,} "
            f"of {model.name}, and of the same tokens",
            next_step="take a smaller model of the same family; llama-server puts this one away "
            "and writes without drafts",
        )


def pair_notes(model: ModelSpec, draft: ModelSpec) -> tuple[str, ...]:
    """Return what was not compared of two models of different kinds."""
    if draft.architecture == model.architecture:
        return ()
    compared = "lengths of vocabularies were compared, tokens were not"
    return (f"{draft.name} drafts only if its tokens are those of {model.name}: {compared}.",)
