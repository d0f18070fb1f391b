"""What a file type costs in quality, as a number and as text for a table."""

from __future__ import annotations

from whatfits.sizing.catalog.quality import loss_text, perplexity_loss, quality_rows


def test_of_several_measurements_the_worst_is_told() -> None:
    rows = quality_rows("Q4_K_M")
    assert len(rows) > 1
    assert perplexity_loss("Q4_K_M") == max(row.perplexity_change for row in rows)
    assert loss_text("Q4_K_M") == "+0.18"


def test_what_nobody_measured_is_a_question_mark() -> None:
    assert perplexity_loss("MXFP4") is None
    assert loss_text("MXFP4") == "?"
