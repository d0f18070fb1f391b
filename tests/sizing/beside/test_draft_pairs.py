"""Which models can draft for which: both have to know the same tokens."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from whatfits.sizing import check
from whatfits.sizing.api import load_model
from whatfits.sizing.draft_pairs import check_pair, has_close_vocabulary, pair_notes
from whatfits.sizing.errors import InvalidRequestError

if TYPE_CHECKING:
    from whatfits.sizing.model import ModelSpec

CARD = "rtx-4090 + 64gb"


def _of_tokens(spec: ModelSpec, n_vocab: int) -> ModelSpec:
    return replace(spec, hparams=replace(spec.hparams, n_vocab=n_vocab))


@pytest.mark.parametrize("more", [-129, -128, 0, 128, 129])
def test_vocabularies_may_differ_by_128_tokens(plain_model: ModelSpec, more: int) -> None:
    draft = _of_tokens(plain_model, plain_model.hparams.n_vocab + more)
    if abs(more) <= 128:  # SPEC_VOCAB_MAX_SIZE_DIFFERENCE
        check_pair(plain_model, draft)
        return
    with pytest.raises(InvalidRequestError, match="take a smaller model of the same family"):
        check_pair(plain_model, draft)


def test_a_draft_of_another_vocabulary_is_refused_in_one_line() -> None:
    with pytest.raises(InvalidRequestError) as refused:
        check("qwen3-32b", machine=CARD, workload={"model_draft": "llama-3.2-1b"})
    said = str(refused.value)
    assert "llama-3.2-1b with a vocabulary of 128,256 tokens" in said
    assert "the 151,936 of qwen3-32b" in said
    assert "\n" not in said


@pytest.mark.parametrize(
    ("model", "draft"), [("qwen3-8b", "qwen3-embedding-0.6b"), ("qwen3-embedding-4b", "qwen3-0.6b")]
)
def test_what_embeds_neither_drafts_nor_is_drafted_for(model: str, draft: str) -> None:
    with pytest.raises(InvalidRequestError, match="only embeds"):
        check(model, machine=CARD, workload={"model_draft": draft})


def test_what_was_not_compared_is_said(plain_model: ModelSpec) -> None:
    assert pair_notes(plain_model, plain_model) == ()
    other = replace(plain_model, architecture="other")
    assert "tokens were not" in pair_notes(plain_model, other)[0]
    said = check("qwen3-32b", machine=CARD, workload={"model_draft": "qwen2.5-0.5b"}).notes
    assert any("tokens were not" in note for note in said)


def test_no_smaller_model_is_named_that_the_draft_does_not_fit() -> None:
    def named(**workload: str) -> str:
        plan = check("deepseek-r1-distill-llama-70b", machine="8gb", workload=workload)
        return next(r.change["model"] for r in plan.remedies if r.key == "model")

    draft = load_model("llama-3.2-1b")
    assert not has_close_vocabulary(load_model(named()), draft)
    assert has_close_vocabulary(load_model(named(model_draft=draft.name)), draft)
