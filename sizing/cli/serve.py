"""`whatfits serve MODEL --users N`: how many users a server carries, and what each gets."""

from __future__ import annotations

import sys

from whatfits.sizing.api import load_model, serve
from whatfits.sizing.cli.machine_options import (
    add_disk_option,
    add_machine_options,
    machine_of,
    with_disk,
)
from whatfits.sizing.cli.options import (
    add_placement_options,
    add_workload_options,
    placement_of,
    workload_of,
)
from whatfits.sizing.cli.parser import (
    Parser,
    add_output_options,
    parsed,
    requests_an_hour,
    seconds_up_to,
    tokens_per_s,
    whole_number,
)
from whatfits.sizing.json_values import dump_json
from whatfits.sizing.runtimes import DEFAULT_RUNTIME, find_runtime
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.units import parse_tokens
from whatfits.sizing.verdict import MAY_RUN

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from typing import Final

    from whatfits.sizing.serving.profile import Limits, LoadProfile

__all__ = ["run"]

_A_DAY_S: Final = 86_400.0


def _parser() -> Parser:
    parser = Parser(command="serve", description="How many users a server of MODEL carries.")
    parser.add_argument("model", metavar="MODEL", help="a catalog name, a .gguf, a checkpoint")
    parser.add_argument("--file-type", metavar="TYPE", help="quantisation, as Q4_K_M")
    parser.add_argument(
        "--runtime",
        action=parsed(str.casefold),
        default=DEFAULT_RUNTIME,
        help="what serves: llama.cpp, ollama, vllm",
    )
    parser.add_argument(
        "--users", action=parsed(whole_number), default=1, metavar="N", help="at the same time"
    )
    parser.add_argument(
        "--engine-version",
        metavar="VERSION",
        help="of vLLM, where it is not today's, as 0.7.3; or unknown",
    )
    parser.add_argument("--force", action="store_true", help="print the command in any case")
    _add_load_options(parser)
    add_machine_options(parser)
    add_disk_option(parser)
    add_workload_options(parser)
    add_placement_options(parser)
    add_output_options(parser)
    return parser


def _add_load_options(parser: Parser) -> None:
    """Add what users do and put up with; `--prompt` and `--context` are workload options."""
    group = parser.add_argument_group(
        "users", "--context is that of one user, --prompt their usual prompt; of tokens, k is 1,024"
    )
    group.add_argument(
        "--prompt-p95",
        action=parsed(parse_tokens),
        metavar="TOKENS",
        help="19 of 20 prompts are shorter; without it all are as long as --prompt",
    )
    group.add_argument(
        "--output",
        action=parsed(parse_tokens),
        metavar="TOKENS",
        help="usual length of an answer (default 256)",
    )
    group.add_argument(
        "--output-p95",
        action=parsed(parse_tokens),
        metavar="TOKENS",
        help="19 of 20 answers are shorter; without it all are as long as --output",
    )
    group.add_argument(
        "--shared-prefix",
        action=parsed(parse_tokens),
        metavar="TOKENS",
        help="the same at the head of every prompt",
    )
    group.add_argument(
        "--rate",
        action=parsed(requests_an_hour),
        metavar="REQUESTS",
        help="an hour, of each user; without it each asks again when the answer is there",
    )
    group.add_argument(
        "--think", action=parsed(seconds_up_to(_A_DAY_S)), metavar="S", help="pause before that"
    )
    group.add_argument(
        "--ttft-limit",
        action=parsed(seconds_up_to(_A_DAY_S)),
        metavar="S",
        help="to the first token, for 19 of 20 requests",
    )
    group.add_argument(
        "--min-speed", action=parsed(tokens_per_s), metavar="TOKENS/S", help="of 19 of 20 answers"
    )
    group.add_argument(
        "--seed", action=parsed(whole_number), default=0, metavar="N", help="of random numbers"
    )


def run(arguments: Sequence[str]) -> int:
    """Run the command; 0 when the users are served, 1 when they are not or it is unknown."""
    options = _parser().read(arguments)
    entry = find_runtime(options.runtime)  # before anything is read
    found = serve(
        load_model(options.model, file_type=options.file_type, runtime=entry.id),
        users=options.users,
        runtime=entry.id,
        machine=with_disk(machine_of(options), options),
        workload=workload_of(options),
        placement=placement_of(options),
        load=_load_of(options),
        limits=_limits_of(options),
        seed=options.seed,
        force=options.force,
        engine_version=options.engine_version,
    )
    if options.json:
        sys.stdout.write(dump_json(found) + "\n")
    else:
        from whatfits.sizing.cli.render import show
        from whatfits.sizing.cli.serve_text import serve_document

        show(serve_document(found), plain=options.plain)
    return 0 if found.verdict in MAY_RUN else 1


def _load_of(options: argparse.Namespace) -> LoadProfile:
    from whatfits.sizing.serving.profile import Lengths, LoadProfile

    usual = LoadProfile()
    return LoadProfile(
        prompt=Lengths(
            usual.prompt.median_tokens if options.prompt is None else options.prompt,
            options.prompt_p95,
        ),
        output=Lengths(
            usual.output.median_tokens if options.output is None else options.output,
            options.output_p95,
        ),
        shared_prefix_tokens=options.shared_prefix or 0,
        requests_per_hour=options.rate,
        think_s=options.think or 0.0,
    )


def _limits_of(options: argparse.Namespace) -> Limits:
    from whatfits.sizing.serving.profile import Limits

    usual = Limits()
    return Limits(
        ttft_p95_s=options.ttft_limit or usual.ttft_p95_s,
        tokens_per_s=options.min_speed or usual.tokens_per_s,
    )
