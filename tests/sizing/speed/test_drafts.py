"""What a draft model brings, and costs."""

from __future__ import annotations

from math import exp

from whatfits.sizing.api import check
from whatfits.sizing.speed.drafts import tokens_per_step

CARD = "rtx-4090 + 64gb"


def test_tokens_of_a_step_with_drafts_by_hand() -> None:
    assert tokens_per_step(0.0, 3) == 1
    assert tokens_per_step(0.5, 3) == 1 + 0.5 + 0.25 + 0.125
    assert tokens_per_step(1.0, 3) == 4


def test_a_small_model_that_drafts_speeds_a_large_one_up_and_a_large_one_does_not() -> None:
    def rates(draft: str) -> tuple[float, float]:
        speed = check(
            "llama-3.1-70b", machine="2x rtx-3090 + 64gb", workload={"model_draft": draft}
        ).speed
        assert speed is not None
        assert speed.decode_tokens_per_s is not None
        assert speed.speculative_tokens_per_s is not None
        assert speed.speculative_tokens_per_s.low < speed.speculative_tokens_per_s.high
        return speed.decode_tokens_per_s.mid, speed.speculative_tokens_per_s.mid

    plain, small = rates("llama-3.2-1b")
    assert 1.3 * plain < small < 4 * plain
    _, large = rates("llama-3.1-8b")
    assert large < small


def test_a_guessed_memory_speed_widens_what_drafts_bring() -> None:
    known, guessed = (
        check(
            "qwen3-32b",
            machine=f"rtx 4090 + {ram}",
            workload={"model_draft": "qwen3-0.6b", "context_tokens": 16_384},
        ).speed
        for ram in ("64gb ddr5-4800", "64gb")
    )
    assert known is not None
    assert guessed is not None
    told, wide = known.speculative_tokens_per_s, guessed.speculative_tokens_per_s
    assert told is not None
    assert wide is not None
    assert wide.mid == told.mid
    assert wide.low < told.low * exp(-0.05)
    assert wide.high > told.high * exp(0.05)


def test_nothing_is_told_of_drafts_that_nobody_makes() -> None:
    speed = check("llama-3.1-8b", machine=CARD).speed
    assert speed is not None
    assert speed.speculative_tokens_per_s is None
    assert speed.throughput_tokens_per_s is None
