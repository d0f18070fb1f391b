"""Other estimators are asked the same, fairly, and this engine is nearer to the truth than they."""

from __future__ import annotations

import re

import peer_errors
import pytest
from peer_askers import ASKED
from peer_cases import CASES, FIELD, LOADS
from peer_errors import (
    KINDS,
    NO_ANSWER,
    NO_OPTION,
    PEERS,
    given,
    our_errors,
    read,
    reading_of,
)
from peer_errors import peer_errors as errors_of_peer
from peer_section import aims
from tables import errors_of

NAMES = [peer.name for peer in PEERS]
BY_NAME = {peer.name: peer for peer in PEERS}


def test_there_are_as_many_cases_as_promised() -> None:
    assert len({case.key for case in CASES}) == len(CASES) >= 60
    assert len(KINDS["loads"]()) >= 30
    changed = frozenset().union(*(case.needs for case in CASES))
    assert changed == {
        *("parallel", "kv_type_k", "micro_batch", "flash_attention", "swa_full", "gpus")
    }


@pytest.mark.parametrize("name", NAMES)
def test_each_was_asked_about_every_case_that_it_has_options_for(name: str) -> None:
    asked = ASKED[name]
    recorded = [row["case"] for row in read(name)["rows"]]
    due = [case.key for case in CASES if case.needs <= asked.options]
    assert recorded[: len(due)] == due
    assert len(recorded) == len(due) + len(LOADS) + len(FIELD)
    missing = [error for error in errors_of_peer(BY_NAME[name], "plans") if error == NO_OPTION]
    assert len(missing) == len(CASES) - len(due)


@pytest.mark.parametrize("name", NAMES)
def test_each_answered_thirty_cases_and_more(name: str) -> None:
    assert len(given(errors_of_peer(BY_NAME[name], "plans"))) >= 30
    assert len(given(errors_of_peer(BY_NAME[name], "loads"))) >= 20


@pytest.mark.parametrize("name", NAMES)
def test_a_case_without_a_figure_says_why(name: str) -> None:
    silent = [row for row in read(name)["rows"] if row["printed"] is None]
    assert all(row["said"] for row in silent)
    unanswered = [error for error in errors_of_peer(BY_NAME[name], "plans") if error == NO_ANSWER]
    assert len(unanswered) <= len(silent)


@pytest.mark.parametrize("name", NAMES)
def test_the_reading_is_the_one_that_favours_it(name: str) -> None:
    peer = BY_NAME[name]
    chosen = reading_of(peer)
    least = errors_of(given(peer_errors._errors(peer, chosen, "plans"))).median
    for unit in (1, 10**9, 2**30):
        for parts in peer.truths:
            other = peer_errors.Reading(unit, parts, "")
            assert least <= errors_of(given(peer_errors._errors(peer, other, "plans"))).median


@pytest.mark.parametrize("kind", ["plans", "loads"])
def test_the_aims_beside_other_estimators_are_met(kind: str) -> None:
    assert [aim.text for aim in aims(kind) if not aim.is_met] == []


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", ["plans", "loads"])
def test_no_other_estimator_is_nearer(kind: str, name: str) -> None:
    ours = errors_of(our_errors(kind))
    theirs = errors_of(given(errors_of_peer(BY_NAME[name], kind)))
    assert ours.median <= theirs.median
    assert ours.p95 <= theirs.p95
    assert ours.worst <= theirs.worst


def test_no_log_of_other_peoples_machines_is_missed_by_more_than_three_percent() -> None:
    assert errors_of(our_errors("logs")).worst <= 0.03


def test_a_wrong_answer_of_ours_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    right = peer_errors.Question.error
    monkeypatch.setattr(
        peer_errors.Question, "error", lambda self, size, parts: right(self, size * 0.96, parts)
    )
    assert [aim.text for aim in aims("loads") if not aim.is_met] != []


def test_a_recorded_figure_is_a_number_with_its_unit() -> None:
    for name in NAMES:
        for row in read(name)["rows"]:
            assert row["command"]
            if row["printed"] is not None:
                number, unit = row["printed"].split()
                assert float(number) > 0
                assert unit in ("GB", "bytes")


def test_the_recordings_keep_no_path_of_the_machine_they_were_made_on() -> None:
    for path in sorted(peer_errors.RECORDED.iterdir()):
        assert not re.search(r"""[\s"'(=]/\w""", path.read_text("utf-8")), path
