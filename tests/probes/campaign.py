"""Run every fault of every recorded machine and count what came of it.

usage: python tests/probes/campaign.py
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field

from contradictions import Sound
from faults import NAMES, Fault, broken, faults_of, recorded
from jsonschema import Draft202012Validator
from pydantic import TypeAdapter

from whatfits.probes import detect
from whatfits.probes.replay import ReplaySystem
from whatfits.probes.report import ProbeReport
from whatfits.sizing.cli.hardware import _answer
from whatfits.sizing.cli.schema import answer_schema
from whatfits.sizing.json_values import dump_json, to_json_value

DEADLINE_S = 3.0
_REPORT = TypeAdapter(ProbeReport)


@dataclass
class Outcome:
    """What the faults of one machine led to; every list is empty when all is well."""

    faults: int = 0
    sources: int = 0
    slowest_s: float = 0.0
    raised: list[str] = field(default_factory=list)
    invalid: list[str] = field(default_factory=list)
    contradicted: list[str] = field(default_factory=list)
    guessed: list[str] = field(default_factory=list)


def schema() -> Draft202012Validator:
    """Return the schema of `whatfits hardware --json`."""
    whole = answer_schema()
    return Draft202012Validator({**whole["answers"]["hardware"], "$defs": whole["$defs"]})


def run(name: str, validator: Draft202012Validator) -> Outcome:
    """Return what every fault of a recorded machine leads to."""
    recording = recorded(name)
    sound = Sound.of(recording, detect(ReplaySystem(recording)))
    outcome = Outcome()
    seen: set[str] = set()
    for fault in faults_of(recording):
        outcome.faults += 1
        started_s = time.perf_counter()
        try:
            report = detect(ReplaySystem(broken(recording, fault)))
        except Exception as error:  # noqa: BLE001 - that is what is looked for
            outcome.raised.append(f"{fault}: {type(error).__name__} {error}")
            continue
        outcome.slowest_s = max(outcome.slowest_s, time.perf_counter() - started_s)
        _judge(outcome, fault, sound, report)
        source = f"{fault.section} {fault.key}"
        if source not in seen:  # the whole schema once a source: it takes its time
            seen.add(source)
            errors = validator.iter_errors(to_json_value(_answer(report)))
            outcome.invalid += [f"{fault}: {error.message}" for error in errors]
    outcome.sources = len(seen)
    return outcome


def _judge(outcome: Outcome, fault: Fault, sound: Sound, report: ProbeReport) -> None:
    outcome.contradicted += [f"{fault}: {claim}" for claim in sound.contradicted_by(report)]
    # A system that says there is no such thing is believed: that machine has one source less. So
    # is a driver that does not know a value, but no device may get lost by that.
    if fault.path:
        is_guess = sound.has_lost_a_device_to(report)
    else:
        is_guess = fault.kind != "missing" and sound.is_guessed_by(report)
    if is_guess:
        outcome.guessed.append(str(fault))
    if _REPORT.validate_json(dump_json(report)) != report:
        outcome.invalid.append(f"{fault}: does not survive JSON")
    # A defect of ours shows as the name of a Python error.
    outcome.raised += [f"{fault}: {f.text}" for f in report.findings if "Error:" in f.text]


def main() -> int:
    """Print the figures; 1 when a fault was not answered as it should be."""
    validator = schema()
    outcomes = {name: run(name, validator) for name in NAMES}
    for name, outcome in outcomes.items():
        for title in ("raised", "invalid", "contradicted", "guessed"):
            for line in getattr(outcome, title):
                print(f"{name}: {title}: {line}")
    faults = sum(outcome.faults for outcome in outcomes.values())
    print(f"machines {len(outcomes)}, sources {sum(o.sources for o in outcomes.values())}")
    print(f"faults {faults}, slowest {max(o.slowest_s for o in outcomes.values()):.3f} s")
    bad = 0
    for title in ("raised", "invalid", "contradicted", "guessed"):
        count = sum(len(getattr(outcome, title)) for outcome in outcomes.values())
        print(f"{title} {count}")
        bad += count
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
