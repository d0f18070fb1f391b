"""Every way a source of a recorded machine can fail, one at a time."""

from __future__ import annotations

import json
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from whatfits.probes import detect
from whatfits.probes.answers import ERROR_KINDS
from whatfits.probes.once import OnceSystem
from whatfits.probes.replay import ReplaySystem

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

FOLDER = Path(__file__).parent.parent / "recorded" / "machines"
NAMES = sorted(path.stem for path in FOLDER.glob("*.json"))
JUNK = "\ufffd\x00\x1b[31m\x7f" * 40 + "99999999999999999999999999 kB\n:::\n"
TEXT_FAULTS = ("junk", "cut", "empty")
# What a driver gives in place of one of its values.
WRONG_VALUES: Mapping[str, object] = {
    "not supported": {"error": "NotSupported"},
    "null": None,
    "words": "\x1b[2Jmuch",
    "negative": -1,
    "all ones": 2**64 - 1,
    "a list": [[]],
}
SECTIONS = ("files", "directories", "links", "commands", "queries")
_MOST_DEVICES = 2  # of a list: the others are read as these are


@dataclass(frozen=True)
class Fault:
    """One source of one machine, or one value of it, that goes wrong.

    Attributes:
        section: of the recording.
        key: the source.
        kind: an error of the door, `junk`, `cut`, `empty`, or the name of a wrong value.
        path: where the value stands in a snapshot; empty where the whole source fails.
    """

    section: str
    key: str
    kind: str
    path: tuple[str | int, ...] = ()

    def __str__(self) -> str:
        """Return it as a person writes it."""
        place = "".join(f".{step}" for step in self.path)
        return f"{self.key}{place}: {self.kind}"


def recorded(name: str) -> dict[str, Any]:
    """Return a recording; of `/proc/cpuinfo`, which many shorten, every processor is shown."""
    recording: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text("utf-8"))
    online = _text(recording.get("files", {}).get("/sys/devices/system/cpu/online")).strip()
    lines = _text(recording.get("files", {}).get("/proc/cpuinfo")).splitlines()
    count = sum(line.startswith("processor\t") for line in lines)
    last = online.rpartition("-")[2]
    if count and last.isdecimal() and count < int(last) + 1 and "," not in online:
        more = [f"processor\t: {number}" for number in range(count, int(last) + 1)]
        recording["files"]["/proc/cpuinfo"] = [*lines, *more, ""]
    return recording


def asked_of(recording: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the sources that the probes ask and the machine answers."""
    system = OnceSystem(ReplaySystem(recording))
    detect(system)
    asked = []
    for section, key in system.answers:
        shown = " ".join(key) if isinstance(key, tuple) else key
        if shown in recording.get(section, {}) and not _is_error(recording[section][shown]):
            asked.append((section, shown))
    return asked


def faults_of(recording: Mapping[str, Any]) -> Iterator[Fault]:
    """Yield every fault of a machine, one after the other."""
    for section, key in asked_of(recording):
        answer = recording[section][key]
        for kind in ERROR_KINDS:
            yield Fault(section, key, kind)
        if section in ("files", "commands"):
            for kind in TEXT_FAULTS:
                if kind != "cut" or _can_be_cut(_text(answer)):
                    yield Fault(section, key, kind)
        if section == "queries":
            yield Fault(section, key, "junk")
            for path, value in _values(answer):
                for kind in WRONG_VALUES:
                    # other words in place of words are an answer that nobody can doubt
                    if not (kind == "words" and isinstance(value, str)):
                        yield Fault(section, key, kind, path)


def broken(recording: Mapping[str, Any], fault: Fault) -> dict[str, Any]:
    """Return the recording of the machine with that fault."""
    answer = recording[fault.section][fault.key]
    if fault.path:
        wrong = deepcopy(answer)
        place = wrong
        for step in fault.path[:-1]:
            place = place[step]
        place[fault.path[-1]] = WRONG_VALUES[fault.kind]
    elif fault.kind in ERROR_KINDS:
        wrong = {"error": fault.kind, "text": f"{fault.key} failed"}
    elif fault.section == "queries":
        wrong = {"memory": [1], "cpu": JUNK, "adapters": {"0": None}, "home": [JUNK], "version": 3}
    else:
        wrong = {"junk": JUNK, "cut": _cut(_text(answer)), "empty": ""}[fault.kind]
    return {**recording, fault.section: {**recording[fault.section], fault.key: wrong}}


def _cut(text: str) -> str:
    """Return the first half; not up to the end of a line: that would be a shorter file."""
    half = text[: len(text) // 2]
    return half.rstrip("\n")[:-1] if half.endswith("\n") else half


def _is_error(answer: object) -> bool:
    return isinstance(answer, dict) and "error" in answer


def _text(answer: object) -> str:
    if isinstance(answer, list):
        return "\n".join(answer)
    return answer if isinstance(answer, str) else ""


def _can_be_cut(text: str) -> bool:
    """A single number that loses digits stays a number, which nobody can tell; the kernel hands
    such a file over in one piece."""
    return len(text.splitlines()) > 1


def _values(
    answer: object, path: tuple[str | int, ...] = ()
) -> Iterator[tuple[tuple[str | int, ...], object]]:
    """Yield each value of a snapshot, and each group of values, behind the way to it."""
    steps: Sequence[tuple[str | int, object]] = ()
    if isinstance(answer, dict):
        steps = tuple(answer.items())
    elif isinstance(answer, list):
        steps = tuple(enumerate(answer))[:_MOST_DEVICES]
    for step, value in steps:
        yield (*path, step), value
        yield from _values(value, (*path, step))
