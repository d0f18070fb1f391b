"""What the text of `serve` says only where it is so."""

from __future__ import annotations

from typing import TYPE_CHECKING

from whatfits.sizing import serve
from whatfits.sizing.cli.serve_text import serve_document
from whatfits.sizing.document import Facts, Lines
from whatfits.sizing.serving.profile import Lengths, LoadProfile

if TYPE_CHECKING:
    from whatfits.sizing.serving.serve_plan import ServePlan

CARD = "rtx-4090 + 64gb"


def facts(found: ServePlan) -> dict[str, str]:
    blocks = serve_document(found).blocks
    return dict(row for block in blocks if isinstance(block, Facts) for row in block.rows)


def lines(found: ServePlan) -> list[str]:
    blocks = serve_document(found).blocks
    return [line for block in blocks if isinstance(block, Lines) for line in block.lines]


def test_other_seeds_are_told_of_where_something_is_drawn() -> None:
    drawn = LoadProfile(Lengths(512, 1024), Lengths(64))
    assert any(" seeds " in line for line in lines(serve("llama-3.1-8b", machine=CARD, load=drawn)))
    equal = LoadProfile(Lengths(512), Lengths(64))
    assert not any(
        " seeds " in one for one in lines(serve("llama-3.1-8b", machine=CARD, load=equal))
    )


def test_a_full_queue_is_told_of() -> None:
    few, many = (
        serve("llama-3.1-8b", machine=CARD, runtime="ollama", users=users, workload={"parallel": 1})
        for users in (2, 1024)
    )
    assert "Turned away" not in facts(few)
    share = many.at_users.turned_away_share
    assert share > 0.1
    assert facts(many)["Turned away"] == f"{share:.0%} of requests: the queue is full"


def test_one_user_is_not_said_in_the_plural() -> None:
    load = LoadProfile(Lengths(4000), Lengths(1))
    found = serve("llama-3.1-8b", machine=CARD, load=load, workload={"parallel": 1})
    assert found.knee_users == 1
    assert any(line.startswith("The knee is at 1 user: ") for line in lines(found))
