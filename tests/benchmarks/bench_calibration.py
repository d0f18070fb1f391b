"""Predicted after `bench` against measured: other shapes and file types, at two depths.

    python tests/benchmarks/bench_calibration.py --table docs/calibration.md

The models of `whatfits bench` and others are loaded at once and timed in turn, round after
round until the time is over, so that a busy machine slows all of them alike. The calibration is
made of the first kind alone; the others are then predicted as any answer would. Between two models
a control is timed, one step of the calibration: a run whose control spreads by more than a tenth is
void. Only repeats that nobody disturbed count. The last table says what threads bring.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parent))

from bench_gguf import say

from whatfits.bench.calibrate import calibrated
from whatfits.bench.micro import DEPTH_TOKENS, Measured, Target, Trial, trials
from whatfits.bench.session import cache_bytes, host_threads, versions
from whatfits.bench.shapes import Shape, draw, write_shape
from whatfits.bench.speed_process import LoadedModel, Step
from whatfits.bench.timing import median, spread
from whatfits.probes import detect
from whatfits.probes.measurements import fingerprint
from whatfits.sizing import load_model
from whatfits.sizing.api import answer
from whatfits.sizing.calibration import CALIBRATION_SCHEMA_VERSION, Calibration
from whatfits.sizing.workload import PlacementRequest, Workload

if TYPE_CHECKING:
    from collections.abc import Iterator

    from whatfits.bench.timing import Timing
    from whatfits.sizing.estimate import RateRange
    from whatfits.sizing.machine import Machine

JUDGES = (
    (Shape("A", 1536, 10, 4096, 24, 6, vocabulary=16_384), "Q5_K_M"),
    (Shape("B", 2560, 5, 6912, 40, 8, vocabulary=12_288), "Q8_0"),
    (Shape("C", 1280, 16, 3584, 20, 5, vocabulary=10_240), "Q4_K_S"),
    (Shape("D", 1792, 9, 4864, 28, 7, vocabulary=14_336), "Q4_0"),
)
PAGE = """# Speed after `bench`

`python tests/benchmarks/bench_calibration.py --table docs/calibration.md` writes this page: {day},
{cores} cores of an {name}, Linux. The models of `whatfits bench` and others of other shapes and
file types were timed in turn within one run of llama.cpp. The calibration is made of the first
kind alone; the others are predicted from it, as any answer would. A run whose control, one step
timed between all others, spread by more than 10 % is VOID.
"""
VOID_SPREAD = 0.1
WITHIN = 0.1
FIRST_DEPTH = 24
PATIENCE_S = 1.5


def judge(threads: int, shape: Shape, file_type: str) -> Trial:
    """Return what is timed of a model that is to be predicted."""
    steps = (
        Step("decode", 16, 0, threads, 3),
        Step("decode", 16, DEPTH_TOKENS, threads, 3),
        Step("prefill", 512, 0, threads, 1),
        Step("decode", 16, 0, 1, 2),
    )
    return Trial(draw(shape, file_type), steps)


def measure(
    target: Target, chosen: list[Trial], minutes: float, paths: dict[str, Path]
) -> tuple[list[Measured], list[float]]:
    """Return every step with its repeats of all rounds, and the control's seconds."""
    found: dict[tuple[int, Step], Timing] = {}
    controls: list[float] = []
    control = chosen[0].steps[0]
    with ExitStack() as stack:
        models = [
            stack.enter_context(LoadedModel(paths[trial.drawn.name], target.settings))
            for trial in chosen
        ]
        ends_s = time.monotonic() + 60 * minutes
        number = 0
        while number == 0 or time.monotonic() < ends_s:
            number += 1
            for index, trial in enumerate(chosen):
                timed = models[0].time(replace(control, longest_s=PATIENCE_S))
                controls += [repeat.seconds for repeat in timed.clean]
                for step in trial.steps:
                    timing = models[index].time(replace(step, longest_s=PATIENCE_S))
                    known = found.get((index, step))
                    found[index, step] = timing if known is None else known.with_more(timing)
            say(f"round {number} ended at {time.strftime('%H:%M:%S')}")
    rows = [Measured(chosen[index].drawn, step, timing) for (index, step), timing in found.items()]
    return rows, controls


def predicted(machine: Machine, path: Path, step: Step) -> RateRange | None:
    """Return what an answer says of a step."""
    tokens = step.tokens if step.kind == "prefill" else max(step.depth, FIRST_DEPTH)
    workload = Workload(context_tokens=4096, program="api", prompt_tokens=tokens)
    plan = answer(
        load_model(str(path)), machine=machine, workload=workload, request=PlacementRequest()
    )
    is_prompt = step.kind == "prefill"
    return plan.speed.prefill_tokens_per_s if is_prompt else plan.speed.decode_tokens_per_s


def shown(row: Measured, told: RateRange | None) -> tuple[str, bool]:
    """Return a row of the table of what was predicted, and whether it is near enough."""
    ratio = None if told is None else told.mid / row.tokens_per_s
    is_inside = ratio is not None and abs(ratio - 1) <= WITHIN
    is_clean = bool(row.timing.clean)
    mark = "inside" if is_inside else "**outside**" if is_clean else "disturbed"
    kind = f"a prompt of {row.step.tokens}" if row.step.kind == "prefill" else "decode"
    cells = (
        row.drawn.name,
        kind,
        f"{row.step.depth:,}",
        f"{row.tokens_per_s:,.1f}",
        f"{row.timing.spread:.1%}",
        f"{len(row.timing.clean)} of {len(row.timing.repeats)}",
        "unknown" if told is None else f"{told.mid:,.1f}",
        "" if ratio is None else f"{ratio:.3f}",
        mark,
    )
    return f"| {' | '.join(cells)} |", is_inside and is_clean


def report(
    machine: Machine, rows: list[Measured], paths: dict[str, Path], threads: int
) -> Iterator[str]:
    """Yield predicted beside measured, and what threads bring, as tables."""
    yield (
        "| model | step | depth | measured, tokens/s | spread | undisturbed | predicted | ratio | |"
    )
    yield "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |"
    judged = [row for row in rows if row.step.threads == threads]
    inside = 0
    for row in judged:
        line, is_inside = shown(row, predicted(machine, paths[row.drawn.name], row.step))
        inside += is_inside
        yield line
    clean = sum(bool(row.timing.clean) for row in judged)
    yield f"\n{inside} of {clean} undisturbed within {WITHIN:.0%}.\n"
    if threads == 1:
        return
    yield f"| model | 1 thread, tokens/s | {threads} threads | ratio |"
    yield "| --- | ---: | ---: | ---: |"
    for row in rows:
        if row.step.threads == 1:
            step = replace(row.step, threads=threads, repeats=3)
            many = next(r for r in judged if r.drawn is row.drawn and r.step == step)
            rates = (row.tokens_per_s, many.tokens_per_s, many.tokens_per_s / row.tokens_per_s)
            yield f"| {row.drawn.name} | {rates[0]:,.1f} | {rates[1]:,.1f} | {rates[2]:.2f} |"


def judgement(controls: list[float]) -> str:
    """Return whether the run counts, by how steady its control was."""
    if not controls:
        return "No control was undisturbed: VOID."
    width = spread(controls)
    told = "VOID" if width > VOID_SPREAD else "valid"
    middle = f"{1e3 * median(controls):.1f} ms, spread {width:.1%}"
    return f"Control {middle}, {len(controls)} repeats: {told}."


def main() -> None:
    """Run everything and print it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--table", type=Path, help="write the page to this file")
    options = parser.parse_args()
    probed = detect()
    machine, threads = probed.machine, host_threads(probed)
    host = machine.host
    assert host is not None
    target = Target(host.id, host.name, None, threads)
    known = list(trials(threads=threads, cache_bytes=cache_bytes(probed)))
    others = [judge(threads, shape, file_type) for shape, file_type in JUDGES]
    with tempfile.TemporaryDirectory() as folder:
        paths = {}
        for trial in (*known, *others):
            paths[trial.drawn.name] = Path(folder) / f"{trial.drawn.name.replace(' ', '-')}.gguf"
            write_shape(paths[trial.drawn.name], trial.drawn)
        rows, controls = measure(target, [*known, *others], options.minutes, paths)
        names = {trial.drawn.name for trial in known}
        device = calibrated(target, [r for r in rows if r.drawn.name in names], None)
        calibration = Calibration(
            CALIBRATION_SCHEMA_VERSION, "now", fingerprint(machine), versions(probed), (device,)
        )
        judged = [row for row in rows if row.drawn.name not in names]
        lines = list(report(replace(machine, calibration=calibration), judged, paths, threads))
    page = "\n".join(
        (PAGE.format(day=time.strftime("%Y-%m-%d"), name=host.name, cores=threads), *lines)
    )
    page = f"{page}\n\n{judgement(controls)}\n"
    print(page)
    if options.table:
        options.table.write_text(page, "utf-8")


if __name__ == "__main__":
    main()
