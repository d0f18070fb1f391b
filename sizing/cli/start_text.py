"""`whatfits start` in words: the two layers, what is here, what to begin with, how to connect."""

from __future__ import annotations

from whatfits.sizing.document import Document, Facts, Lines, Table, Verbatim
from whatfits.sizing.explain import machine_sentence
from whatfits.sizing.programs import find_program
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.units import format_bytes, format_tokens

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from whatfits.probes.runtimes.report import LoadedModel, RunningServer
    from whatfits.sizing.cli.start_answer import StartAnswer
    from whatfits.sizing.document import Block
    from whatfits.sizing.starting import Pick

__all__ = ["start_document"]

# What may answer here without being recommended: it is no program of `programs`.
_ONLY_FOUND: Final = {"sglang": "SGLang", "llama-cpp-python": "llama-cpp-python"}
# programs name models in their own ways: a file, a name of their library, a repository
_WHICH: Final = "Which model, and the lines with its name as each program knows it"


def start_document(answer: StartAnswer, *, machine_option: str) -> Document:
    """Return the answer as a document; `machine_option` is repeated in the commands to go on."""
    machine = answer.machine
    facts = [(layer.name, layer.meaning) for layer in answer.layers]
    facts.insert(0, ("Machine", f"{machine.name}: {machine_sentence(machine)}"))
    blocks: list[Block] = [Facts(tuple(facts))]
    blocks += _here(answer) if answer.looked else []
    chosen = next(pick for pick in answer.picks if pick.level == answer.level)
    blocks += _pick(chosen)
    others = tuple(
        f"{pick.level}: {pick.runtime_label}" for pick in answer.picks if pick.level != answer.level
    )
    blocks.append(Lines(others, title="At another level (--level)", tone="dim"))
    blocks += _connect(answer)
    further = (f"whatfits list{machine_option}", f"whatfits plan MODEL{machine_option}")
    blocks.append(Verbatim(further, title=_WHICH))
    return Document(tuple(blocks))


def _here(answer: StartAnswer) -> Iterator[Block]:
    if answer.installed:
        rows: tuple[tuple[str, ...], ...] = tuple(
            (found.label, found.layer, found.version or "unknown", found.path)
            for found in answer.installed
        )
        yield Table(("program", "layer", "version", "where"), rows, title="Installed here")
    else:
        yield Lines(("No runtime or app was found in the usual places.",), title="Installed here")
    if answer.servers:
        rows = tuple(
            (server.label, server.base_url, server.version or "unknown", _loaded(server))
            for server in answer.servers
        )
        yield Table(("server", "base URL", "version", "loaded"), rows, title="Running here")
    else:
        yield Lines(("No server answers on the usual ports.",), title="Running here")
    if answer.findings:
        texts = tuple(f"{finding.severity}: {finding.text}" for finding in answer.findings)
        yield Lines(texts, title="Findings", tone="dim")


def _loaded(server: RunningServer) -> str:
    if server.needs_key:
        return "wants an API key"
    if server.loaded is None:
        return "does not say"
    return ", ".join(_model(model) for model in server.loaded) or "nothing"


def _model(model: LoadedModel) -> str:
    facts = []
    if model.context_tokens is not None:
        facts.append(f"{format_tokens(model.context_tokens)} tokens")
    if model.held_bytes is not None:
        facts.append(format_bytes(model.held_bytes))
    return f"{model.name} ({', '.join(facts)})" if facts else model.name


def _pick(chosen: Pick) -> Iterator[Block]:
    program = find_program(chosen.runtime)
    state = "" if chosen.state == "unknown" else f" ({chosen.state})"
    rows: list[tuple[str, str]] = [
        (chosen.level, f"{chosen.runtime_label}{state}: {program.summary}")
    ]
    rows += [("Runtime", chosen.engine), ("App", chosen.app)]
    if chosen.others:
        labels = ", ".join(find_program(other).label for other in chosen.others)
        rows.append(("Would do as well", labels))
    yield Facts(tuple(rows), title="Begin with")
    yield Lines(chosen.rules, tone="dim")
    if chosen.state not in ("installed", "running"):
        lines = tuple(
            line.line if len(chosen.install) == 1 else f"{line.os}: {line.line}"
            for line in chosen.install
        )
        yield Verbatim(lines, title="Install")
    if chosen.state != "running":
        yield Verbatim(chosen.start, title="Start")


def _connect(answer: StartAnswer) -> Iterator[Block]:
    connection = answer.connection
    own = _ONLY_FOUND.get(connection.runtime)
    label = find_program(connection.runtime).label if own is None else own
    state = "answers now" if connection.is_running else "once it runs"
    key = ", wants an API key" if connection.needs_key else ""
    yield Facts(
        (("Base URL", f"{connection.base_url} ({label}, {state}{key})"),),
        title="Connect any OpenAI-compatible client",
    )
    yield Verbatim((connection.curl,))
    yield Verbatim(connection.python)
