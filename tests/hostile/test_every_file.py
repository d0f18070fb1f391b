"""Every hostile file is answered as its class says, at once, in one line and in little memory."""

from __future__ import annotations

import time
import tracemalloc
from collections import Counter
from functools import lru_cache
from typing import TYPE_CHECKING

import pytest
from gguf_case import ACCEPTED, NOTED, REFUSED
from hostile_files import CONFIG, READERS, cases_of, member_of, names, write

from whatfits.sizing.errors import (
    MalformedFileError,
    UnreadableFileError,
    UnsupportedArchitectureError,
)

if TYPE_CHECKING:
    from pathlib import Path

    from gguf_case import Case
    from hostile_files import Reader
    from split_cases import SetCase

SECONDS_ALLOWED = 0.25  # of processor time, in which another busy process does not count
BYTES_ALLOWED = 32_000_000  # beyond the interpreter and the file itself
TRIES = 3
MESSAGE_LETTERS = 1_000
REFUSALS = (MalformedFileError, UnreadableFileError, UnsupportedArchitectureError)
# Files a class has at the least: one that loses its members is noticed.
AT_LEAST = {
    "G1": 40,
    "G2": 60,
    "G3": 25,
    "G4": 45,
    "G5": 95,
    "G6": 35,
    "G7": 10,
    "G8": 240,
    "G9": 25,
    "G10": 14,
    "G11": 35,
    "G12": 18,
    "G13": 28,
    "G14": 135,
    "S1": 95,
    "S2": 125,
    "S3": 210,
    "S4": 85,
    "C1": 225,
}

held = lru_cache(maxsize=1)(cases_of)  # the files of one class, while its tests run


@pytest.fixture(scope="module", autouse=True)
def _imported(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What is imported for the first configuration is not that file's doing."""
    path = tmp_path_factory.mktemp("first") / "config.json"
    path.write_bytes(cases_of("C1 kinds")["class alone"].data)  # type: ignore[union-attr]
    CONFIG.read(path)


@pytest.mark.parametrize(("label", "name"), names(), ids=lambda part: part[:60])
def test_the_file_is_answered_as_its_class_says(
    label: str, name: str, request: pytest.FixtureRequest
) -> None:
    case, reader = held(label)[name], READERS[label]
    given = case.data if reader.takes_bytes else write(case, request.getfixturevalue("tmp_path"))
    seconds = float("inf")
    for _ in range(TRIES):
        started = time.process_time()
        answer, said = _answered(reader, given)
        seconds = min(seconds, time.process_time() - started)
        if seconds < SECONDS_ALLOWED / 10:
            break
    assert seconds < SECONDS_ALLOWED
    _check(case, reader, answer, said)
    tracemalloc.start()
    _answered(reader, given)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < BYTES_ALLOWED


def _answered(reader: Reader, given: Path | bytes) -> tuple[str, str]:
    """Return the answer and all it says; what is no refusal of ours ends the test."""
    try:
        said = reader.read(given)
    except REFUSALS as error:
        refusal = error
    else:
        assert all(line.isprintable() for line in said)
        return NOTED if said else ACCEPTED, "\n".join(said)
    assert str(refusal).isprintable()
    assert len(str(refusal)) < MESSAGE_LETTERS
    if isinstance(refusal, MalformedFileError):
        assert refusal.field
    return REFUSED, str(refusal)


def _check(case: Case | SetCase, reader: Reader, answer: str, said: str) -> None:
    if reader.always_speaks and answer == NOTED and case.answer == ACCEPTED:
        return
    assert answer == case.answer, said
    assert case.says in said or answer == ACCEPTED, said


def test_there_are_hundreds_of_files_in_every_class_and_none_is_there_twice() -> None:
    found = Counter(label.split()[0] for label, _ in names())
    for label, least in AT_LEAST.items():
        assert found[label] >= least, (label, found[label])
    assert set(found) == set(AT_LEAST)
    assert found.total() >= 1_500
    assert len({(label, member_of(name)) for label, name in names()}) >= 60
    for label in READERS:
        given = [name for of, name in names() if of == label]
        assert len(given) == len(set(given))
