"""The page in time: what a browser waits for, what a change costs, and twenty visitors at once.

    python tests/benchmarks/bench_page.py [--rounds N]

Needs Chromium, playwright and the extra [web]. The control is an app of one line, under the same
settings and in the same turns: where its time to start, or to run again, spreads by more than a
quarter, the figures of this run are void. A start before the first turn does not count: it reads
Streamlit from the disk, the ones after it do not. Figures are seconds unless a row says otherwise,
the median with its quartiles; a row that is held against a bar by its 95th percentile says so.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1] / "browser"))

from browser_pages import FLAGS, WAIT_MS, Server, browser_path
from visitors import ask, connected, messages, resident_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

VOID_SPREAD = 0.25
VISITORS = 20
RERUNS = 40
QUESTIONS = (
    "model=llama-3.1-8b&machine=rtx-4090",
    "model=llama-3.3-70b&machine=rtx-3090",
    "model=deepseek-v3&machine=rtx-4090",
)
CONTEXTS = ("16k", "8k")
EMPTY_START = "start of an empty app"
SAYS_16K = (
    "[...document.querySelectorAll('p')].some("
    "e => e.textContent.includes('16,384 tokens of context'))"
)
EMPTY_SERVER = """
import sys
from pathlib import Path
from whatfits.webapp import launch
launch.__file__ = str(Path({folder!r}) / "launch.py")
from whatfits.sizing.cli import main
sys.exit(main(sys.argv[1:]))
"""


class Row(NamedTuple):
    """One line of the table; `most` is the bar, None where there is none."""

    what: str
    seconds: Sequence[float]
    most: float | None = None
    by_p95: bool = False

    @property
    def value(self) -> float:
        """What is held against the bar."""
        ordered = sorted(self.seconds)
        return ordered[-(-95 * len(ordered) // 100) - 1] if self.by_p95 else self.median

    @property
    def median(self) -> float:
        """The middle of what was measured."""
        return statistics.median(self.seconds)

    @property
    def spread(self) -> float:
        """The width of the middle half over the median."""
        low, _, high = statistics.quantiles(self.seconds, n=4)
        return (high - low) / self.median

    def line(self, *, void: bool) -> str:
        """Return the row as text."""
        low, _, high = statistics.quantiles(self.seconds, n=4)
        shown = f"{self.median:.3f} ({low:.3f} to {high:.3f})"
        if self.by_p95:
            shown += f", p95 {self.value:.3f}"
        if self.most is None:
            return f"{self.what:<44} {shown}"
        kept = "VOID" if void else "kept" if self.value <= self.most else "MISSED"
        return f"{self.what:<44} {shown:<44} at most {self.most:g}: {kept}"


def started(**more: Any) -> tuple[Server, float]:  # noqa: ANN401 - as Server
    """Return a server and how long it took until it answered."""
    begun = time.perf_counter()
    server = Server(**more)
    return server, time.perf_counter() - begun


async def reruns(server: Server, query: str, *, times: int) -> list[float]:
    """Return how long the page takes to run again, after a change where it has a context."""
    found = []
    async with connected(server) as connection:
        await ask(connection, query)
        widgets = re.findall(r"\$\$ID-[\w-]+-context\b", str(await messages(connection)))
        for number in range(times):
            begun = time.perf_counter()
            await changed(connection, query, widgets[:1], CONTEXTS[number % 2])
            await messages(connection)
            found.append(time.perf_counter() - begun)
    return found


async def changed(connection: Any, query: str, widgets: list[str], context: str) -> None:  # noqa: ANN401 - websockets'
    """Ask for the page again, with the slider of the context moved."""
    from streamlit.proto.BackMsg_pb2 import BackMsg

    asked = BackMsg()
    asked.rerun_script.query_string = query
    for widget in widgets:
        state = asked.rerun_script.widget_states.widgets.add(id=widget)
        state.string_array_value.data.append(context)
    await connection.send(asked.SerializeToString())


async def all_at_once(server: Server, query: str) -> list[float]:
    """Return what each run of twenty visitors took while all of them ask."""
    every = await asyncio.gather(*(reruns(server, query, times=3) for _ in range(VISITORS)))
    return [seconds for one in every for seconds in one]


def in_browser(browser: Any, server: Server, query: str) -> tuple[float, float, float]:  # noqa: ANN401 - playwright's
    """Return seconds until the verdict, until the chart, and for a change, in a fresh browser."""
    context = browser.new_context()
    page = context.new_page()
    begun = time.perf_counter()
    page.goto(f"{server.url}?{query}")
    page.get_by_test_id("stAlert").first.wait_for(timeout=WAIT_MS)
    verdict = time.perf_counter() - begun
    page.wait_for_selector('[data-testid="stVegaLiteChart"] svg.marks', timeout=WAIT_MS)
    chart = time.perf_counter() - begun
    begun = time.perf_counter()
    page.get_by_role("slider").press("ArrowRight")
    page.wait_for_function(SAYS_16K, timeout=WAIT_MS)
    change = time.perf_counter() - begun
    context.close()
    return verdict, chart, change


def measured(rounds: int, folder: str) -> tuple[list[Row], Row, float]:
    """Return the rows, the control, and the megabytes that the server holds in the end."""
    from playwright.sync_api import sync_playwright

    (Path(folder) / "app.py").write_text("import streamlit as st\nst.title('empty')\n", "utf-8")
    program = ("-c", EMPTY_SERVER.format(folder=folder))
    times: dict[str, list[float]] = {}
    control: list[float] = []
    megabytes = 0.0
    started(program=program)[0].stop()
    for _ in range(rounds):
        empty, seconds = started(program=program)
        times.setdefault(EMPTY_START, []).append(seconds)
        server, seconds = started()
        times.setdefault("start", []).append(seconds)
        with sync_playwright() as playwright:
            for query in QUESTIONS:
                browser = playwright.chromium.launch(executable_path=browser_path(), args=FLAGS)
                figures = in_browser(browser, server, query)
                browser.close()
                for what, figure in zip(("verdict", "chart", "change"), figures, strict=True):
                    times.setdefault(f"{what}: {query}", []).append(figure)
        control += asyncio.run(reruns(empty, "", times=RERUNS))
        asyncio.run(reruns(server, QUESTIONS[0], times=2))  # worked out once
        runs = asyncio.run(reruns(server, QUESTIONS[0], times=RERUNS))
        times.setdefault("run again after a change", []).extend(runs)
        waits = asyncio.run(all_at_once(server, QUESTIONS[0]))
        times.setdefault("each run of twenty visitors", []).extend(waits)
        megabytes = max(megabytes, resident_bytes(server) / 1e6)
        empty.stop()
        server.stop()
    bars = {"chart": 5.0, "change": 1.0, "run": 0.06, "each": 1.5}
    rows = [
        Row(what, seconds, bars.get(re.split(r"[: ]", what)[0]), what.startswith(("run", "each")))
        for what, seconds in times.items()
    ]
    return rows, Row("an empty app runs again", control), megabytes


def main(arguments: Sequence[str]) -> int:
    """Print the table; 1 where a bar was missed, 2 where the run is void."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        rows, control, megabytes = measured(max(2, options.rounds), folder)
    starts = next(row for row in rows if row.what == EMPTY_START)
    spread = max(control.spread, starts.spread)
    void = spread > VOID_SPREAD
    lines = [row.line(void=void) for row in (control, *rows)]
    kept = megabytes <= 300
    lines.append(
        f"{'resident':<44} {megabytes:.0f} MB, at most 300: {'kept' if kept else 'MISSED'}"
    )
    lines.append(f"control spread {spread:.0%}{': this run is VOID' if void else ''}")
    print("\n".join(lines))
    if void:
        return 2
    missed = [row for row in rows if row.most is not None and row.value > row.most]
    return int(bool(missed) or not kept)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
