"""What `whatfits fleet --write` leaves in a folder: a folder a plan, with what starts it."""

from __future__ import annotations

from whatfits.sizing.cli.render import clean
from whatfits.sizing.errors import BadInputError, InvalidRequestError
from whatfits.sizing.sources.kept_file import KeptFile
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from whatfits.sizing.fleets.plans import FleetPlan

__all__ = ["commands_text", "write_plans"]

_COMMANDS = "commands.txt"


def write_plans(plans: Sequence[FleetPlan], folder: Path, *, force: bool) -> None:
    """Write what starts each plan that may run; nothing where a file is there already.

    Raises:
        BadInputError: a file is there and `force` is not given, or the folder cannot be written.
    """
    files = dict(_files(plans, folder))
    try:
        there = [path for path in files if path.exists()]
        if there and not force:
            raise InvalidRequestError(
                what="file of --write that is there already:",
                got=there[0],
                next_step="give --force to write over it, or another folder",
            )
        for path, text in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            KeptFile(path, most_bytes=0).replace(text)  # whole, or what was there stays
    except OSError as error:
        raise BadInputError(
            what=f"folder of --write ({error.strerror}):",
            got=folder,
            next_step="name a folder that can be written",
        ) from error


def _files(plans: Sequence[FleetPlan], folder: Path) -> Iterator[tuple[Path, str]]:
    for number, plan in enumerate((plan for plan in plans if plan.may_run), start=1):
        place = folder / f"{number}-{plan.strategy}-{plan.runtime}"
        yield place / _COMMANDS, commands_text(plan)
        for file in plan.files:
            yield place / file.name, file.text


def commands_text(plan: FleetPlan) -> str:
    """Return the commands of a plan, those of one way together, each under its node."""
    verdict = clean(f"{plan.verdict}; {plan.verdict_reason}")  # it may name what a report says
    parts = [f"# {plan.strategy} under {plan.runtime}: {verdict}\n"]
    for way in dict.fromkeys(entry.way for entry in plan.commands):
        parts.append(f"\n## {way}\n")
        own = (entry for entry in plan.commands if entry.way == way)
        parts += (f"\n# on {e.node}\n" + "".join(f"{c}\n" for c in e.commands) for e in own)
    return "".join(parts)
