"""Writes docs/accuracy.* and webapp/accuracy.json from recorded truths and today's predictions.

python tests/accuracy/generate.py                  predict every case anew: some minutes
python tests/accuracy/generate.py ARCHITECTURE…    predict theirs anew, keep the others
python tests/accuracy/generate.py --speed          judge speeds anew, keep all cases
python tests/accuracy/generate.py --text           only write the text anew

`make accuracy` does the first. The truths are recorded by tests/oracle/record_plans.py and by
record_loads.py and record_peers.py beside this file.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
for folder in ("accuracy", "golden", "oracle", "sizing/quants"):  # whose helpers are used
    sys.path.append(str(ROOT / "tests" / folder))

import cases  # noqa: E402 - found by the line above
import page_summary  # noqa: E402 - same
import peer_section  # noqa: E402 - same
import plan_sections  # noqa: E402 - same
import recorded_sections  # noqa: E402 - same
import serving_section  # noqa: E402 - same
import speed_judged  # noqa: E402 - same
import speed_section  # noqa: E402 - same

from whatfits.bench.verify import REFERENCE  # noqa: E402 - after them

DOCUMENT: Final = ROOT / "docs" / "accuracy.md"

_HEAD: Final = f"""# How exact the figures are

Made by `make accuracy`; every case is in `accuracy.json` beside this file. The truth is llama.cpp
itself ({REFERENCE}): its own plan for a model (a *dry run*: every buffer reserved, nothing
allocated), or a real load. Errors are predicted over true, less one; *lowest* is the furthest below
the truth, *highest* the furthest above, *median* and *p95* go without signs, over totals of
weights, cache and compute buffers. *Exact* is equal to the byte.
"""
_MEANT: Final = """The compute buffer is the part that can miss. Where an architecture's graph is
replayed (`sizing/graph/models`), the interval has no width but where dry run and load differ, where
scratch space was not measured, where a back end changes the graph (`sizing/graph/fused`), and
beside devices on which the replay was seen to miss. Elsewhere a closed form gives the middle and
the interval is made to hold the truth in at least 95 of 100 cases. Weights, cache, states, the
output buffer and the context after padding have no interval where the tensor table is known. A
verdict is taken from the upper end.

A real card was asked too: of 2,016 dry runs on a H200, beside which nothing is pretended, 162 were
refused by llama.cpp and by this engine alike, and of the others weights are equal to the byte in
all, caches in all but one (512 bytes), and every compute buffer lies in its interval, 86 of 100
with no width (`tests/golden/test_plans_on_cuda.py`). What 19 real loads took of that card, the
driver's context and the pools of a full context among it, lies in the interval of the answer
(`tests/golden/test_loads_on_cuda.py`). Of other cards that part is an interval from published
figures, and several cards at once were pretended alone. Metal, Vulkan and ROCm have rules of their
own for scratch memory, which were read in their source and not measured. Which steps CUDA, Metal
and Vulkan
run as one, what they keep for these and in which order they run was held against their own code,
compiled without a GPU: 1,584 of 1,584 plans of 76 architectures came out to the byte. Older builds
differ, by up to a tenth of the buffer. Those before June 2026 differ by more: they reserve outputs
of a whole micro-batch (until llama.cpp pull 23861), hold the mask of fused attention in 32 bits
(until 23764), and take 16-bit copies of a quantised cache from a pool, not the buffer (until
23907). Without fused attention, and told of those outputs, their buffers on four cards are what is
predicted (`tests/recorded/field_memory`). Real loads are those on a CPU and on that card.
`whatfits verify MODEL.gguf` compares plan, real load and prediction on your own machine.
"""


def document() -> str:
    """Return the document as it should be, by docs/accuracy.json and the recordings."""
    groups = cases.load()
    sections = {
        "The suite: every architecture, on the CPU": plan_sections.suite_section(groups["suite"]),
        "Layers, experts and cache on GPUs": plan_sections.offload_section(groups["offload"]),
        "Reservations recorded apart": recorded_sections.reservations_section(),
        "Real loads": recorded_sections.loads_section(),
        "Sizes of published files": recorded_sections.files_section(),
        "Other estimators on the same cases": peer_section.section(),
        "Speeds": speed_section.section(),
        "Servers under load": serving_section.section(),
        "What intervals mean, and what was not measured": _MEANT,
    }
    parts = (f"## {title}\n\n{text.rstrip()}\n" for title, text in sections.items())
    return "\n".join((_HEAD, *parts))


def main(arguments: list[str]) -> None:
    """Predict what is asked for and write both files."""
    if arguments not in (["--text"], ["--speed"]):
        cases.save(cases.measure(arguments))
    if arguments in ([], ["--speed"]):
        speed_judged.save(speed_judged.judged())
    DOCUMENT.write_text(document(), "utf-8")
    page_summary.PATH.write_text(page_summary.text(cases.load()), "utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
