"""`whatfits list --local`: the models on this disk, and what each would need here."""

from __future__ import annotations

import os
import sys

from whatfits.sizing.cli.free_disk import free_disk_bytes
from whatfits.sizing.document import Document, Lines, Table
from whatfits.sizing.errors import BadInputError, InvalidRequestError, printable
from whatfits.sizing.explain import machine_sentence, rate_cell
from whatfits.sizing.json_values import dump_json
from whatfits.sizing.ranking.local_models import (
    LocalExtra,
    LocalModel,
    LocalName,
    LocalStore,
    need_of,
    sort_local,
)
from whatfits.sizing.sources.stores import read_stores
from whatfits.sizing.sources.stores.merging import merged
from whatfits.sizing.sources.stores.surroundings import here
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.units import format_bytes, format_tokens
from whatfits.sizing.version import SCHEMA_VERSION

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence
    from typing import Final

    from whatfits.sizing.cli.answers import LocalListAnswer
    from whatfits.sizing.document import Block
    from whatfits.sizing.machine import Machine
    from whatfits.sizing.ranking.local_models import LocalNeed
    from whatfits.sizing.sources.stores.stored import StoreContents, StoredModel
    from whatfits.sizing.workload import Workload

__all__ = ["RULE", "run_local"]

RULE: Final = (
    "every model that Ollama, LM Studio, Jan, llama.cpp and Hugging Face's cache keep here; the "
    "same files under several names are one row; a checkpoint is sized as the GGUF it becomes"
)
_NOT_HERE: Final = ("family", "kind", "file_type")
_INCOMPLETE: Final = "partial"
# as llama.cpp's options call them
_EXTRAS: Final = {"projector": "mmproj", "adapter": "lora", "draft": "draft"}


def run_local(options: argparse.Namespace, machine: Machine, workload: Workload) -> int:
    """Answer for the models on this disk; 0, also when a file cannot be read (that is a row).

    Raises:
        InvalidRequestError: an option is for the catalog alone.
    """
    for name in _NOT_HERE:
        if getattr(options, name) is not None:
            raise InvalidRequestError(
                what=f"--{name.replace('_', '-')} with --local",
                got=getattr(options, name),
                allowed="--sort, --verdict, --limit, and what shapes machine and workload",
            )
    if options.sort == "released":
        raise InvalidRequestError(
            what="--sort with --local", got=options.sort, allowed="size, memory, disk, name"
        )
    contents = read_stores(here())
    rows = [_row(group, machine, workload) for group in merged(contents)]
    rows = [row for row in rows if options.verdict in (None, row.verdict)]
    rows = sort_local(rows, options.sort)
    shown = rows[: options.limit] if options.limit else rows
    stores = tuple(_store(one) for one in contents)
    if options.json:
        sys.stdout.write(dump_json(_answer(machine, shown, stores)) + "\n")
    else:
        from whatfits.sizing.cli.render import show

        show(_document(machine, shown, stores, left=len(rows) - len(shown)), plain=options.plain)
    return 0


def _answer(
    machine: Machine, rows: Sequence[LocalModel], stores: tuple[LocalStore, ...]
) -> LocalListAnswer:
    from whatfits.sizing.cli.answers import LocalListAnswer

    return LocalListAnswer(SCHEMA_VERSION, machine, RULE, tuple(rows), stores)


def _row(group: Sequence[StoredModel], machine: Machine, workload: Workload) -> LocalModel:
    """Return the row of the same files under one or several names; their header is read here."""
    from whatfits.sizing.sources.stores.loading import Missing, load_stored_model, missing_of

    first = group[0]
    need: LocalNeed | None = None
    problem: str | None = None
    missing = Missing((), ())
    try:
        if first.refusal:
            problem = f"{first.refusal}."
        else:
            spec = load_stored_model(first)
            need, missing = need_of(spec, machine, workload), missing_of(spec)
    except BadInputError as error:
        problem = f"{error}."
    findings = [f"{line}." for model in group for line in model.findings]
    return LocalModel(
        model=first.name,
        names=tuple(dict.fromkeys(LocalName(model.store, model.name) for model in group)),
        paths=first.paths,
        format=first.format,
        file_bytes=first.file_bytes,
        extras=tuple(LocalExtra(e.kind, e.path, e.file_bytes) for e in first.extras),
        complete=all(model.complete for model in group) and not missing.bytes_or_files,
        verdict="unknown" if need is None else need.verdict,
        need=need,
        problem=problem,
        findings=tuple(dict.fromkeys((*findings, *missing.bytes_or_files, *missing.companions))),
    )


def _store(contents: StoreContents) -> LocalStore:
    return LocalStore(
        contents.store,
        contents.folder,
        len(contents.models),
        free_disk_bytes(contents.folder),
        contents.findings,
    )


def _document(
    machine: Machine, rows: Sequence[LocalModel], stores: Sequence[LocalStore], *, left: int
) -> Document:
    blocks: list[Block] = [Lines((f"{machine.name}: {machine_sentence(machine)}",))]
    needs = [row.need for row in rows if row.need is not None]
    if rows:
        most = max((need.context_tokens for need in needs), default=0)
        context = f", with {format_tokens(most)} tokens of context" if most else ""
        blocks.append(_table(rows, title=f"On this disk{context}"))
    if stores:
        blocks.append(_stores_table(stores))
    said = [*_remarks(rows), *(f"{s.store}: {line}" for s in stores for line in s.findings)]
    if said:
        blocks.append(Lines(tuple(said), title="Remarks", tone="warn"))
    blocks.append(Lines(tuple(_notes(rows, stores, left)), tone="dim"))
    return Document(tuple(blocks))


def _table(rows: Sequence[LocalModel], *, title: str) -> Table:
    columns = ("model", "kept by", "type", "on disk", "verdict", "needs", "tokens/s")
    cells = tuple(
        (
            " = ".join(dict.fromkeys(name.name for name in row.names)),
            ", ".join(dict.fromkeys(name.store for name in row.names)),
            _type(row),
            format_bytes(row.file_bytes + sum(extra.file_bytes for extra in row.extras)),
            row.verdict if row.complete else f"{row.verdict}, {_INCOMPLETE}",
            "?" if row.need is None else format_bytes(row.need.total_bytes),
            "?" if row.need is None else rate_cell(row.verdict, row.need.decode_tokens_per_s),
        )
        for row in rows
    )
    return Table(columns, cells, title=title, right=("on disk", "needs", "tokens/s"))


def _type(row: LocalModel) -> str:
    """Return what the files are: a GGUF's own type, or the format and what it is planned as."""
    kinds = dict.fromkeys(_EXTRAS[extra.kind] for extra in row.extras)
    extras = "".join(f" +{kind}" for kind in kinds)
    if row.need is None or not row.need.file_type:
        return (row.format or "?") + extras
    if row.need.planned:
        return f"{row.format} as {row.need.file_type}{extras}"
    return row.need.file_type + extras


def _stores_table(stores: Sequence[LocalStore]) -> Table:
    cells = tuple(
        (
            one.store,
            one.folder,
            str(one.n_models),
            "?" if one.free_disk_bytes is None else format_bytes(one.free_disk_bytes),
        )
        for one in stores
    )
    columns = ("kept by", "folder", "models", "free disk")
    return Table(columns, cells, title="Where they lie", right=columns[2:])


def _remarks(rows: Sequence[LocalModel]) -> Iterator[str]:
    for row in rows:
        if row.problem is not None:
            yield f"{printable(row.model)}: {row.problem}"
        yield from (f"{printable(row.model)}: {line}" for line in row.findings)


def _notes(rows: Sequence[LocalModel], stores: Sequence[LocalStore], left: int) -> Iterator[str]:
    if not stores:
        yield "No store of models was found; to see what could be downloaded: whatfits list"
    elif not rows:
        yield "No model on this disk answers to these filters."
    if left:
        yield f"{left} more rows: --limit 0 shows all."
    sized = [row for row in rows if row.need is not None]
    example = next((row for row in sized if row.complete), next(iter(sized), None))
    if example is not None:
        ollama = next((name.name for name in example.names if name.store == "Ollama"), None)
        name = f"ollama:{ollama}" if ollama else _quoted(example.paths[0])
        yield f"To see one in full: whatfits check {name}"


def _quoted(path: str) -> str:
    if os.name == "nt":
        return f'"{path}"'
    import shlex

    return shlex.quote(path)
