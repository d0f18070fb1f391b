"""How commands read their arguments: complaints are our own one-line errors."""

from __future__ import annotations

import argparse

from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Final, NoReturn

__all__ = [
    "Parser",
    "add_output_options",
    "parsed",
    "refuse_strays",
    "requests_an_hour",
    "seconds_up_to",
    "tokens_per_s",
    "whole_number",
]

_HELP_COLUMNS: Final = 79
_OF_A_MACHINE: Final = frozenset({"--cpu", "--gpu", "--gpus", "--memory", "--ram", "--vram"})


class _Formatter(argparse.HelpFormatter):
    """Help of a fixed width: asking the terminal would load shutil, for every option there is."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=_HELP_COLUMNS)


class Parser(argparse.ArgumentParser):
    """An argument parser whose complaints are our own one-line errors."""

    def __init__(self, *, command: str, description: str) -> None:
        """Name the command; abbreviations of options are not accepted."""
        super().__init__(
            prog=f"whatfits {command}".strip(),
            description=description,
            allow_abbrev=False,
            formatter_class=_Formatter,
        )

    def read(self, arguments: Sequence[str], *, mixed: bool = False) -> argparse.Namespace:
        """Return the options that were given; `mixed` lets them stand between values of a list.

        Raises:
            InvalidRequestError: an option is unknown, or one has no value or a wrong one.
        """
        parse = self.parse_known_intermixed_args if mixed else self.parse_known_args
        options, extra = parse(arguments)
        if extra:
            self._refuse(extra[0])
        return options

    def _refuse(self, given: str) -> NoReturn:
        name = given.partition("=")[0]
        known = sorted(self._option_string_actions)
        near: list[str] = []
        help_text = f"see '{self.prog} --help'"
        if name in _OF_A_MACHINE and "--machine" in known:
            help_text = "a machine is told in one piece, as --machine 'rtx-4090 + 64gb' or '8gb'"
        elif given.startswith("-"):
            from difflib import get_close_matches

            near = get_close_matches(name, known, n=1, cutoff=0.6)
        raise InvalidRequestError(
            what="unknown option" if given.startswith("-") else "one argument too many:",
            got=name,
            next_step=f"did you mean '{near[0]}'? {help_text}" if near else help_text,
        )

    def error(self, message: str) -> NoReturn:
        """Raise instead of printing usage and exiting.

        Raises:
            InvalidRequestError: always.
        """
        raise InvalidRequestError(what=message, next_step=f"see '{self.prog} --help'")


def parsed(parse: Callable[[str], object]) -> type[argparse.Action]:
    """Return an action that stores what `parse` makes of a value.

    As `type=`, `parse` would lose its message: argparse replaces every ValueError by its own.
    """

    class Parsed(argparse.Action):
        def __call__(
            self,
            parser: argparse.ArgumentParser,  # noqa: ARG002 - argparse passes it
            namespace: argparse.Namespace,
            values: object,
            option_string: str | None = None,
        ) -> None:
            try:
                value = parse(str(values))
            except InvalidRequestError as error:
                raise InvalidRequestError(
                    what=f"{option_string or self.dest}: {error.what}",
                    got=error.got,
                    allowed=error.allowed,
                    next_step=error.next_step,
                ) from None
            setattr(namespace, self.dest, value)

    return Parsed


def add_output_options(parser: Parser) -> None:
    """Add `--json` and `--plain`."""
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    parser.add_argument("--plain", action="store_true", help="one fact a line, no colour, no boxes")


def whole_number(text: str) -> int:
    """Return a whole number, as typed.

    Raises:
        InvalidRequestError: it is none.
    """
    try:
        return int(text)
    except ValueError:
        raise InvalidRequestError(what="number", got=text, allowed="a whole number") from None


def seconds_up_to(longest_s: float) -> Callable[[str], float]:
    """Return what reads a time in seconds, above 0 and no longer than that.

    Raises:
        InvalidRequestError: when it reads anything else.
    """

    def read(text: str) -> float:
        try:
            found = float(text)
        except ValueError:
            found = 0.0
        if not 0 < found <= longest_s:  # so is what is no number
            raise InvalidRequestError(
                what="seconds", got=text, allowed=f"a number above 0, at most {longest_s:,.0f}"
            )
        return found

    return read


def refuse_strays(options: Iterable[tuple[str, object, bool, str]]) -> None:
    """Refuse options beside which they mean nothing: (name, value, belongs here, owner).

    Raises:
        InvalidRequestError: one was given that does not belong; its owner is named.
    """
    for name, given, belongs, owner in options:
        if given and not belongs:
            raise InvalidRequestError(what="option", got=name, allowed=f"only with {owner}")


def tokens_per_s(text: str) -> float:
    """Return a speed, as typed.

    Raises:
        InvalidRequestError: it is no number above 0.
    """
    return _above_zero(text, what="speed", unit="tokens a second")


def requests_an_hour(text: str) -> float:
    """Return a rate, as typed.

    Raises:
        InvalidRequestError: it is no number above 0.
    """
    return _above_zero(text, what="rate", unit="requests an hour")


def _above_zero(text: str, *, what: str, unit: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not 0 < rate < float("inf"):
        raise InvalidRequestError(what=what, got=text, allowed=f"{unit}, above 0")
    return rate
