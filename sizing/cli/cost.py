"""`whatfits cost MODEL`: this machine against APIs and rented GPUs."""

from __future__ import annotations

import datetime as dt
import sys

from whatfits.sizing.api import cost
from whatfits.sizing.cli.machine_options import add_machine_options, machine_of
from whatfits.sizing.cli.options import (
    add_placement_options,
    add_workload_options,
    placement_of,
    workload_of,
)
from whatfits.sizing.cli.parser import Parser, add_output_options, parsed
from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.json_values import dump_json
from whatfits.sizing.runtimes import DEFAULT_RUNTIME
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.units import ungrouped
from whatfits.sizing.values import field_names

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from typing import Final

    from whatfits.sizing.costing.moving import Spreads
    from whatfits.sizing.costing.ownership import Ownership
    from whatfits.sizing.costing.usage import Usage

__all__ = ["run"]

_THOUSANDS: Final = {"k": 1e3, "m": 1e6, "g": 1e9}  # of a bill, not of a context: k is 1,000


def _parser() -> Parser:
    parser = Parser(command="cost", description="MODEL here, at an API, or on rented GPUs?")
    parser.add_argument("model", metavar="MODEL", help="a catalog name, a .gguf, a checkpoint")
    parser.add_argument("--file-type", metavar="TYPE", help="quantisation, as Q4_K_M")
    parser.add_argument(
        "--runtime",
        action=parsed(str.casefold),
        default=DEFAULT_RUNTIME,
        help="whose rules to use",
    )
    parser.add_argument(
        "--against",
        action="append",
        default=[],
        metavar="NAME",
        help="compare with a provider, a model, or provider/model; may be repeated",
    )
    parser.add_argument("--prices", metavar="FILE", help="own prices, TOML or JSON")
    parser.add_argument(
        "--router",
        metavar="litellm",
        help="print a starting configuration for the router instead of the costs",
    )
    _add_usage_options(parser)
    _add_ownership_options(parser)
    add_machine_options(parser)
    add_workload_options(parser)
    add_placement_options(parser)
    add_output_options(parser)
    return parser


def _add_usage_options(parser: Parser) -> None:
    group = parser.add_argument_group(
        "usage, on a day of use",
        "of these tokens k is 1,000 and M 1,000,000; of --context k is 1,024",
    )
    tokens, share = parsed(_tokens), parsed(_number)
    for flag, name, action, metavar, text in (
        ("--tokens-in", "input_tokens_per_day", tokens, "TOKENS", "tokens of prompts, as 2M"),
        ("--tokens-out", "output_tokens_per_day", tokens, "TOKENS", "tokens written, as 500k"),
        ("--cached-share", "cached_share", share, "0-1", "part of the prompts read before"),
        ("--cache-write-share", "cache_write_share", share, "0-1", "part of the rest to be stored"),
        ("--hours-on", "hours_on_per_day", share, "HOURS", "the machine is on, or rented"),
        ("--days-a-week", "days_per_week", share, "DAYS", "days of use"),
        ("--use-spread", "use", share, "0-1", "tokens may be so much more or fewer"),
    ):
        group.add_argument(flag, dest=name, action=action, metavar=metavar, help=text)


def _add_ownership_options(parser: Parser) -> None:
    group = parser.add_argument_group("the machine")
    for flag, name, metavar, text in (
        ("--buy-price", "purchase_usd", "USD", "what is bought; 0 when it is there anyway"),
        ("--life-years", "life_years", "YEARS", "until it is replaced"),
        ("--resale", "resale_share", "0-1", "part of the price that a sale then brings"),
        ("--kwh-price", "usd_per_kwh", "USD", "price of a kWh"),
        ("--idle-watts", "idle_watts", "WATTS", "the whole machine when it does nothing"),
        ("--load-watts", "load_watts", "WATTS", "on top of that while it works"),
        ("--price-spread", "price", "0-1", "prices may be so much higher or lower"),
    ):
        group.add_argument(flag, dest=name, action=parsed(_number), metavar=metavar, help=text)
    group.add_argument("--region", help="whose price of a kWh to take, as germany")


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not 0 <= value < float("inf"):  # so is what is no number
        raise InvalidRequestError(what="number", got=text, allowed="0 or more, as '0.25'")
    return value


def _tokens(text: str) -> float:
    """Return tokens a day: `2M`, `500k`, `1,000,000`."""
    plain = ungrouped(text) or ""
    factor = _THOUSANDS.get(plain[-1:], 1.0)
    try:
        return _number(plain[:-1] if factor > 1 else plain) * factor
    except InvalidRequestError:
        raise InvalidRequestError(
            what="tokens", got=text, allowed="a number, as 2M or 500k"
        ) from None


def _given(
    options: argparse.Namespace, kind: type[Usage | Ownership | Spreads]
) -> dict[str, float]:
    """Return the fields of a kind of value that were given as options."""
    values = {name: getattr(options, name) for name in field_names(kind()) or ()}
    return {name: value for name, value in values.items() if value is not None}


def run(arguments: Sequence[str]) -> int:
    """Run the command; 0 when the model runs on the machine, 1 when it does not."""
    from whatfits.sizing.costing.moving import Spreads
    from whatfits.sizing.costing.ownership import Ownership
    from whatfits.sizing.costing.usage import Usage

    options = _parser().read(arguments)
    usage, owned, spreads = (_given(options, kind) for kind in (Usage, Ownership, Spreads))
    given = {"usage": usage, "ownership": owned, "spreads": spreads}
    answer = cost(
        options.model,
        today=dt.datetime.now(tz=dt.UTC).date(),
        file_type=options.file_type,
        runtime=options.runtime,
        machine=machine_of(options),
        workload=workload_of(options),
        placement=placement_of(options),
        usage=Usage(**usage),
        ownership=Ownership(**owned),
        spreads=Spreads(**spreads),
        given=[f"{group}.{name}" for group, values in given.items() for name in values],
        region=options.region,
        against=options.against,
        prices=options.prices,
        router=options.router,
    )
    if options.json:
        sys.stdout.write(dump_json(answer) + "\n")
    elif answer.router is not None:
        sys.stdout.write(answer.router)
    else:
        from whatfits.sizing.cli.cost_text import cost_document
        from whatfits.sizing.cli.render import show

        show(cost_document(answer), plain=options.plain)
    return 1 if answer.local is None else 0
