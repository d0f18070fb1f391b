"""Options that commands share, and what they become."""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, NoReturn

from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.units import parse_bytes, parse_tokens

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from whatfits.sizing.machine import Machine
    from whatfits.sizing.workload import PlacementRequest, Workload

__all__ = [
    "Parser",
    "add_beside_options",
    "add_device_option",
    "add_disk_option",
    "add_machine_options",
    "add_output_options",
    "add_placement_options",
    "add_workload_options",
    "beside_of",
    "devices_of",
    "machine_of",
    "parsed",
    "placement_of",
    "tokens_per_s",
    "whole_number",
    "with_chosen_devices",
    "with_disk",
    "workload_of",
]


_HELP_COLUMNS: Final = 79


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

    def read(self, arguments: Sequence[str]) -> argparse.Namespace:
        """Return the options that were given.

        Raises:
            InvalidRequestError: an option is unknown, or one has no value or a wrong one.
        """
        options, extra = self.parse_known_args(arguments)
        if extra:
            self._refuse(extra[0])
        return options

    def _refuse(self, given: str) -> NoReturn:
        name = given.partition("=")[0]
        known = sorted(self._option_string_actions)
        near: list[str] = []
        if given.startswith("-"):
            from difflib import get_close_matches

            near = get_close_matches(name, known, n=1, cutoff=0.6)
        help_text = f"see '{self.prog} --help'"
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


def add_machine_options(parser: Parser) -> None:
    """Add the options that choose or change the machine."""
    parser.add_argument(
        "--machine",
        metavar="NAME|FILE",
        help="another machine: 'rtx-4090 + 64gb', 'm4 max 64gb', '64gb', or a saved report",
    )
    parser.add_argument(
        "--idle", action="store_true", help="as after a restart: nothing held by other programs"
    )
    parser.add_argument(
        "--reserve",
        action="append",
        default=[],
        metavar="SIZE|POOL=SIZE",
        help="memory to keep free, of the host's pool or of a named one",
    )


def add_workload_options(parser: Parser) -> None:
    """Add the options that shape the request; names and defaults are llama.cpp's."""
    group = parser.add_argument_group("workload")
    group.add_argument(
        "-c", "--context", action=parsed(parse_tokens), metavar="TOKENS", help="8192, 32k, …"
    )
    group.add_argument(
        "-np", "--parallel", action=parsed(whole_number), metavar="N", help="sequences at once"
    )
    group.add_argument("--kv-type", metavar="TYPE", help="keys and values: f16, q8_0, q4_0, …")
    group.add_argument("-ctk", "--kv-type-k", metavar="TYPE", help="keys only")
    group.add_argument("-ctv", "--kv-type-v", metavar="TYPE", help="values only")
    group.add_argument(
        "-b", "--batch", action=parsed(whole_number), metavar="TOKENS", help="logical batch"
    )
    group.add_argument(
        "-ub", "--ubatch", action=parsed(whole_number), metavar="TOKENS", help="micro-batch"
    )
    group.add_argument("-fa", "--flash-attn", choices=("auto", "on", "off"), default="auto")
    group.add_argument("--kv-unified", action="store_true", default=None)
    group.add_argument("--swa-full", action="store_true", default=None)
    group.add_argument(
        "--outputs-max", action=parsed(whole_number), metavar="ROWS", help="rows of logits reserved"
    )
    group.add_argument(
        "--prompt", action=parsed(parse_tokens), metavar="TOKENS", help="prompt length for speed"
    )
    group.add_argument(
        "--program",
        choices=("server", "api"),
        default="server",
        help="llama-server (default), or the defaults of the C API",
    )


def add_beside_options(parser: Parser) -> None:
    """Add the options that name what is loaded beside the model; names are llama.cpp's."""
    group = parser.add_argument_group("beside the model")
    group.add_argument("-mm", "--mmproj", metavar="FILE", help="vision or audio projector")
    group.add_argument("-md", "--model-draft", metavar="MODEL", help="drafts tokens ahead")
    group.add_argument("--spec-type", choices=("none", "draft-simple", "draft-mtp"))
    group.add_argument(
        "--spec-draft-n-max", action=parsed(whole_number), metavar="N", help="tokens drafted ahead"
    )
    group.add_argument("-ctkd", "--cache-type-k-draft", metavar="TYPE", help="the draft's keys")
    group.add_argument("-ctvd", "--cache-type-v-draft", metavar="TYPE", help="the draft's values")
    group.add_argument("--lora", action="append", default=[], metavar="FILE", help="LoRA adapter")
    group.add_argument(
        "-cram", "--cache-ram", action=parsed(whole_number), metavar="MIB", help="earlier prompts"
    )
    group.add_argument(
        "-ctxcp",
        "--ctx-checkpoints",
        action=parsed(whole_number),
        metavar="N",
        help="saved states a slot",
    )


def add_placement_options(parser: Parser) -> None:
    """Add the options that place layers; names are llama.cpp's."""
    group = parser.add_argument_group("placement")
    group.add_argument("-ngl", "--gpu-layers", action=parsed(whole_number), metavar="N")
    group.add_argument("-ts", "--tensor-split", action=parsed(_numbers), metavar="N0,N1,…")
    group.add_argument(
        "--n-cpu-moe",
        action=parsed(whole_number),
        metavar="N",
        help="experts of N layers on the host",
    )
    group.add_argument(
        "-ot", "--override-tensor", action="append", default=[], metavar="REGEX=DEVICE"
    )
    group.add_argument("-sm", "--split-mode", choices=("layer", "none"))
    add_device_option(group)
    group.add_argument("--no-kv-offload", action="store_true")
    group.add_argument("--no-op-offload", action="store_true")
    group.add_argument("--no-mmap", action="store_true")
    group.add_argument("--no-repack", action="store_true")
    group.add_argument("-ngld", "--gpu-layers-draft", action=parsed(whole_number), metavar="N")
    group.add_argument("--no-mmproj-offload", action="store_true", help="projector on the host")


def add_device_option(parser: argparse._ActionsContainer) -> None:
    """Add the option that leaves some accelerators out."""
    parser.add_argument("--device", metavar="ID,…|none", help="accelerators to use")


def add_disk_option(parser: Parser) -> None:
    """Add the option that says how fast the disk is."""
    parser.add_argument(
        "--disk-bandwidth",
        action=parsed(_bandwidth),
        metavar="SIZE/s",
        help="read bandwidth of the disk with the model, as 3.5GB/s: for the time of a load",
    )


def with_disk(machine: Machine, options: argparse.Namespace) -> Machine:
    """Return the machine with the disk's speed that was given."""
    given = options.disk_bandwidth
    return machine if given is None else replace(machine, disk_bandwidth_bytes_per_s=given)


def _bandwidth(text: str) -> int:
    n_bytes = parse_bytes(text.removesuffix("/s"))
    if n_bytes < 1:
        raise InvalidRequestError(what="bandwidth", got=text, allowed="more than 0, as '3.5GB/s'")
    return n_bytes


def whole_number(text: str) -> int:
    """Return a whole number, as typed.

    Raises:
        InvalidRequestError: it is none.
    """
    try:
        return int(text)
    except ValueError:
        raise InvalidRequestError(what="number", got=text, allowed="a whole number") from None


def tokens_per_s(text: str) -> float:
    """Return a speed, as typed.

    Raises:
        InvalidRequestError: it is no number above 0.
    """
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not 0 < rate < float("inf"):
        raise InvalidRequestError(what="speed", got=text, allowed="tokens a second, above 0")
    return rate


def _numbers(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.replace("/", ",").split(","))
    except ValueError:
        raise InvalidRequestError(
            what="tensor split", got=text, allowed="numbers with commas, as '3,1'"
        ) from None


def workload_of(options: argparse.Namespace) -> Workload:
    """Return the workload that the options describe."""
    from whatfits.sizing.workload import Workload

    return Workload(
        program=options.program,
        context_tokens=options.context,
        parallel=options.parallel,
        kv_type_k=options.kv_type_k or options.kv_type,
        kv_type_v=options.kv_type_v or options.kv_type,
        batch=options.batch,
        micro_batch=options.ubatch,
        flash_attention=options.flash_attn,
        kv_unified=options.kv_unified,
        swa_full=options.swa_full,
        outputs_max=options.outputs_max,
        prompt_tokens=options.prompt,
    )


def beside_of(options: argparse.Namespace, workload: Workload) -> Workload:
    """Return the workload with what the options name beside the model."""
    return replace(
        workload,
        model_draft=options.model_draft,
        spec_type=options.spec_type,
        spec_draft_n_max=options.spec_draft_n_max,
        kv_type_k_draft=options.cache_type_k_draft,
        kv_type_v_draft=options.cache_type_v_draft,
        mmproj=options.mmproj,
        lora=tuple(options.lora),
        cache_ram_mib=options.cache_ram,
        ctx_checkpoints=options.ctx_checkpoints,
    )


def devices_of(options: argparse.Namespace) -> tuple[str, ...] | None:
    """Return the ids of the accelerators that may be used; None for all, empty for none."""
    if options.device is None:
        return None
    none = options.device.lower() in ("none", "cpu", "")
    return () if none else tuple(options.device.split(","))


def with_chosen_devices(machine: Machine, options: argparse.Namespace) -> Machine:
    """Return the machine with the accelerators that may be used, and their pools, alone.

    Raises:
        InvalidRequestError: it has no accelerator of a name.
    """
    chosen = devices_of(options)
    if chosen is None:
        return machine
    names = {device.id.lower() for device in machine.accelerators}
    for name in chosen:
        if name.lower() not in names:
            allowed = ", ".join(sorted(names)) or "none: there is no accelerator"
            raise InvalidRequestError(what="device", got=name, allowed=allowed)
    wanted = {name.lower() for name in chosen}
    kept = tuple(d for d in machine.devices if d.kind == "cpu" or d.id.lower() in wanted)
    pools = {device.pool for device in kept}
    return replace(
        machine,
        devices=kept,
        pools=tuple(p for p in machine.pools if p.kind != "vram" or p.id in pools),
    )


def placement_of(options: argparse.Namespace) -> PlacementRequest:
    """Return the placement that the options ask for."""
    from whatfits.sizing.workload import PlacementRequest

    return PlacementRequest(
        gpu_layers=options.gpu_layers,
        tensor_split=options.tensor_split,
        cpu_moe_layers=options.n_cpu_moe,
        overrides=tuple(
            _override(pair) for text in options.override_tensor for pair in text.split(",")
        ),
        kv_offload=False if options.no_kv_offload else None,
        op_offload=False if options.no_op_offload else None,
        split_mode=options.split_mode,
        devices=devices_of(options),
        mmap=False if options.no_mmap else None,
        repack="off" if options.no_repack else "auto",
        gpu_layers_draft=options.gpu_layers_draft,
        mmproj_offload=False if options.no_mmproj_offload else None,
    )


def _override(text: str) -> tuple[str, str]:
    pattern, equals, device = text.rpartition("=")
    if not equals or not pattern or not device:
        raise InvalidRequestError(
            what="override", got=text, allowed="REGEX=DEVICE, as 'ffn_.*_exps=CPU'"
        )
    return pattern, device


def machine_of(options: argparse.Namespace) -> Machine:
    """Return the machine that the options name, idle and with other reserves when asked."""
    from whatfits.sizing.api import load_machine

    machine = load_machine(options.machine)
    if options.idle:
        machine = _idle(machine)
    return _with_reserves(machine, options.reserve)


def _idle(machine: Machine) -> Machine:
    from whatfits.sizing.reserve import idle_ram_reserve_bytes, idle_unified_reserve_bytes

    pools = []
    for pool in machine.pools:
        changes: dict[str, Any] = {"used_bytes": 0}
        if pool.kind == "ram":
            changes["reserve_bytes"] = idle_ram_reserve_bytes(machine.os)
        elif pool.kind == "unified" and pool.total_bytes is not None:
            changes["reserve_bytes"] = idle_unified_reserve_bytes(
                os=machine.os, total_bytes=pool.total_bytes, limit_bytes=pool.limit_bytes
            )
        pools.append(replace(pool, **changes))
    return replace(machine, pools=tuple(pools))


def _with_reserves(machine: Machine, texts: Sequence[str]) -> Machine:
    host = machine.host_pool
    by_id = {pool.id: pool for pool in machine.pools}
    for text in texts:
        name, equals, size = text.rpartition("=")
        pool_id = name if equals else (host.id if host else "")
        if pool_id not in by_id:
            raise InvalidRequestError(
                what="pool of --reserve", got=pool_id, allowed=", ".join(by_id) or "no pool known"
            )
        by_id[pool_id] = replace(by_id[pool_id], reserve_bytes=parse_bytes(size))
    return replace(machine, pools=tuple(by_id.values()))
