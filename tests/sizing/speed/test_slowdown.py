"""How much slower what spills writes: told from the engine's own speeds, or not at all."""

from __future__ import annotations

import pytest

from whatfits.sizing import check
from whatfits.sizing.basis.words import reason, title_of
from whatfits.sizing.explain import spilled_sentence, verdict_sentence
from whatfits.sizing.headline import headline
from whatfits.sizing.speed.slowdown import slower_words

CARD = "rtx-3090 + 64gb"
LARGE_CARD = "rtx-pro-6000-blackwell + 64gb"


def test_a_spilled_model_says_how_many_times_slower_it_writes() -> None:
    found = check("llama-3.3-70b", machine=CARD)
    assert found.verdict == "slow"
    assert found.speed is not None
    assert found.speed.decode_tokens_per_s is not None
    times = found.speed.times_slower
    assert times is not None
    assert times > 2
    for said in (headline(found), verdict_sentence(found), spilled_sentence(found)):
        assert f"about {times:.0f}x slower" in said
    assert verdict_sentence(found).count("slower") == 1
    assert found.verdict_reason.partition(";")[2] in verdict_sentence(found)


def test_it_is_held_against_the_same_request_with_every_layer_on_the_card() -> None:
    placed = check("llama-3.1-8b", machine=CARD, placement={"gpu_layers": 20})
    entire = check("llama-3.1-8b", machine=CARD)
    assert placed.speed is not None
    assert placed.speed.decode_tokens_per_s is not None
    assert entire.speed is not None
    assert entire.speed.decode_tokens_per_s is not None
    expected = entire.speed.decode_tokens_per_s.mid / placed.speed.decode_tokens_per_s.mid
    assert placed.speed.times_slower == pytest.approx(expected)


@pytest.mark.parametrize(
    ("model", "machine"),
    [
        ("llama-3.1-8b", CARD),  # nothing spills
        ("llama-3.3-70b", LARGE_CARD),
        ("llama-3.3-70b", "8gb"),  # does not run
        ("llama-3.1-8b", "64gb"),  # has no faster memory
        ("llama-3.1-8b", "m4-pro 48gb"),
    ],
)
def test_nothing_is_said_where_nothing_spilled(model: str, machine: str) -> None:
    found = check(model, machine=machine)
    assert found.verdict != "slow"
    assert found.speed is None or found.speed.times_slower is None
    assert "slower" not in verdict_sentence(found)
    assert "speed.times_slower" not in {basis.key for basis in found.basis}


def test_the_factor_has_its_reason() -> None:
    found = check("llama-3.3-70b", machine=CARD)
    (basis,) = [one for one in found.basis if one.key == "speed.times_slower"]
    assert title_of(basis).startswith("What spilling costs")
    entire, placed = basis.inputs["entire_tokens_per_s"], basis.inputs["placed_tokens_per_s"]
    assert found.speed is not None
    assert entire / placed == pytest.approx(found.speed.times_slower)
    assert dict(reason(basis, found).rows)["value"] == slower_words(found.speed.times_slower)


@pytest.mark.parametrize(
    ("times", "words"),
    [
        (None, ""),
        (0.9, ""),
        (1.04, ""),
        (1.1, "about 1.1x slower"),
        (2.94, "about 2.9x slower"),
        (5.2, "about 5x slower"),
        (41.6, "about 42x slower"),
    ],
)
def test_the_words_for_it(times: float | None, words: str) -> None:
    assert slower_words(times) == words
