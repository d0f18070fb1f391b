"""`whatfits check MODEL`: verdict, breakdown, interval, largest context, speed."""

from __future__ import annotations

import sys

from whatfits.sizing.api import answer, load_model
from whatfits.sizing.cli.machine_options import (
    add_disk_option,
    add_machine_options,
    machine_of,
    with_disk,
)
from whatfits.sizing.cli.options import (
    add_beside_options,
    add_placement_options,
    add_workload_options,
    beside_of,
    placement_of,
    workload_of,
)
from whatfits.sizing.cli.parser import Parser, add_output_options, parsed
from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.json_values import dump_json
from whatfits.sizing.runtimes import DEFAULT_RUNTIME, find_runtime
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.units import format_bytes
from whatfits.sizing.values import replace
from whatfits.sizing.verdict import MAY_RUN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from whatfits.sizing.estimate import Plan
    from whatfits.sizing.model import ModelSpec

__all__ = ["run"]


def _parser() -> Parser:
    parser = Parser(command="check", description="Does MODEL fit, and what does it take?")
    parser.add_argument(
        "model", metavar="MODEL", help="a catalog name, a .gguf, a checkpoint, hf:org/repo[:TYPE]"
    )
    parser.add_argument("--file-type", metavar="TYPE", help="quantisation, as Q4_K_M")
    parser.add_argument(
        "--runtime",
        action=parsed(str.casefold),
        default=DEFAULT_RUNTIME,
        help="whose rules to use",
    )
    parser.add_argument(
        "--quick", action="store_true", help="an address: one request, weights as an interval"
    )
    parser.add_argument("--force", action="store_true", help="print the command in any case")
    parser.add_argument(
        "--exact",
        action="store_true",
        help="compute buffers from llama.cpp's own plan; needs: pip install 'whatfits[bench]'",
    )
    add_machine_options(parser)
    add_disk_option(parser)
    add_workload_options(parser)
    add_beside_options(parser)
    add_placement_options(parser)
    add_output_options(parser)
    return parser


def run(arguments: Sequence[str]) -> int:
    """Run the command; 0 when it fits, is tight or slow, 1 when it does not fit or is unknown."""
    options = _parser().read(arguments)
    entry = find_runtime(options.runtime)  # before anything is read
    if options.exact and not entry.starts_llama_cpp:
        raise InvalidRequestError(
            what="--exact with runtime",
            got=entry.id,
            allowed="a runtime that starts llama.cpp",
            next_step="leave it out",
        )
    workload, request = beside_of(options, workload_of(options)), placement_of(options)
    spec = load_model(
        options.model, file_type=options.file_type, quick=options.quick, runtime=entry.id
    )
    machine = with_disk(machine_of(options), options)
    exact = None
    if options.exact:
        from whatfits.sizing.cli.check_exact import ExactPlan

        exact = ExactPlan(spec, machine, workload, is_here=options.machine is None)
    plan = answer(
        spec,
        machine=machine,
        workload=workload,
        request=request,
        runtime=options.runtime,
        force=options.force,
        refined=None if exact is None else exact.refined,
    )
    if exact is not None:
        plan = exact.explained(plan)
    if options.machine is None:
        plan = _with_disk(plan, spec)
    if options.json:
        sys.stdout.write(dump_json(plan) + "\n")
    else:
        from whatfits.sizing.cli.render import show
        from whatfits.sizing.explain import plan_document

        show(plan_document(plan), plain=options.plain)
    return 0 if plan.verdict in MAY_RUN else 1


def _with_disk(plan: Plan, spec: ModelSpec) -> Plan:
    """Return a plan that says when a model that is not here yet has no room on this disk."""
    from whatfits.sizing.cli.free_disk import download_folder, free_disk_bytes

    folder = download_folder(spec)
    free = None if folder is None else free_disk_bytes(folder)
    needed = plan.model.file_bytes
    if free is None or needed is None or needed <= free:
        return plan
    note = (
        f"The model's file of {format_bytes(needed)} does not fit this disk: {format_bytes(free)} "
        f"free for {folder}."
    )
    return replace(plan, notes=(*plan.notes, note))
