"""`whatfits verify --suite`: every architecture against llama.cpp's own plan."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from pathlib import Path

from whatfits.sizing.document import Document, Lines, Table
from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.json_values import dump_json
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.version import SCHEMA_VERSION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from whatfits.bench.suite_report import SuiteAnswer

__all__ = ["run_suite"]


def run_suite(*, quick: bool, write: str | None, as_json: bool, plain: bool) -> int:
    """Run the suite and show its table; 0 when every truth lies in its interval, else 1.

    `quick` bounds it: the smallest model of each architecture, under settings that take turns.
    """
    from whatfits.bench import suite
    from whatfits.bench.suite_report import SuiteAnswer, markdown_table, suite_rows
    from whatfits.bench.verify import REFERENCE

    if write:
        _write(write, "")  # what cannot be written is said before anything is asked
    shapes = suite.smallest_shapes() if quick else suite.suite_shapes()
    turns = suite.QUICK_TURNS if quick else None
    with _progress(len(shapes), quiet=as_json) as progress:
        rows = suite_rows(suite.run_suite(shapes, turns=turns, progress=progress))
    answer = SuiteAnswer(SCHEMA_VERSION, REFERENCE, rows)
    if write:
        _write(write, markdown_table(rows))
    if as_json:
        sys.stdout.write(dump_json(answer) + "\n")
    else:
        from whatfits.sizing.cli.render import show

        show(_document(answer), plain=plain)
    whole = rows[-1]
    held = whole.weights_exact == whole.cache_exact == whole.inside == whole.cases
    return 0 if held and not whole.refused_otherwise else 1


def _write(name: str, text: str) -> None:
    try:
        with Path(name).open("a", encoding="utf-8") as file:
            if text:
                file.truncate(0)
            file.write(text)
    except OSError as error:
        raise InvalidRequestError(
            what="file to write",
            got=name,
            allowed=f"one that can be written ({error.strerror})",
        ) from error


def _document(answer: SuiteAnswer) -> Document:
    whole = answer.rows[-1]
    sentence = (
        f"{whole.cases:,} plans of {whole.shapes} models: weights {whole.weights_exact:,}, cache "
        f"{whole.cache_exact:,}, compute {whole.compute_exact:,} equal to the byte; "
        f"{whole.inside:,} inside their interval. Reference: {answer.reference}."
    )
    columns = ("architecture", "cases", "weights", "cache", "compute", "inside", "p95 of total")
    rows = tuple(
        (
            row.architecture,
            f"{row.cases:,}",
            f"{row.weights_exact:,}",
            f"{row.cache_exact:,}",
            f"{row.compute_exact:,}",
            f"{row.inside:,}",
            f"{row.p95_error:.3%}",
        )
        for row in answer.rows
    )
    return Document((Lines((sentence,)), Table(columns, rows, right=columns[1:])))


@contextmanager
def _progress(total: int, *, quiet: bool) -> Iterator[Callable[[str], None] | None]:
    """Show a bar on standard error, on a terminal only."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("asking llama.cpp", total=total)

        def advance(model: str) -> None:
            bar.update(task, advance=1, description=model)

        yield advance
