"""Options that shape a request: the workload, what stands beside the model, the placement."""

from __future__ import annotations

from whatfits.sizing.cli.machine_options import add_device_option, devices_of
from whatfits.sizing.cli.parser import parsed, whole_number
from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.units import parse_tokens
from whatfits.sizing.values import replace

if TYPE_CHECKING:
    import argparse
    from typing import Final

    from whatfits.sizing.cli.parser import Parser
    from whatfits.sizing.workload import PlacementRequest, Workload

__all__ = [
    "add_beside_options",
    "add_placement_options",
    "add_workload_options",
    "beside_of",
    "placement_of",
    "workload_of",
]

_LAYERS: Final = "layers on accelerators: a number, all, or auto"
_LAYER_WORDS: Final = {"all": -1, "auto": None}
_EVERY_LAYER: Final = 2**31 - 1


def add_workload_options(parser: Parser) -> None:
    """Add the options that shape the request; names and defaults are llama.cpp's."""
    group = parser.add_argument_group("workload")
    group.add_argument(
        "-c",
        "--context",
        action=parsed(parse_tokens),
        metavar="TOKENS",
        help="8192, 32k, …: k is 1,024",
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
    group.add_argument("-ngl", "--gpu-layers", action=parsed(_layers), metavar="N", help=_LAYERS)
    group.add_argument("-ts", "--tensor-split", action=parsed(_numbers), metavar="N0,N1,…")
    group.add_argument(
        "--n-cpu-moe",
        action=parsed(whole_number),
        metavar="N",
        help="experts of N layers on the host",
    )
    group.add_argument(
        "--cpu-moe",
        dest="n_cpu_moe",
        action="store_const",
        const=_EVERY_LAYER,
        help="those of all layers",
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
    group.add_argument("-ngld", "--gpu-layers-draft", action=parsed(_layers), metavar="N")
    group.add_argument("--no-mmproj-offload", action="store_true", help="projector on the host")


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


def _layers(text: str) -> int | None:
    """Return a number of layers as llama.cpp reads it: below zero is all, None is its own choice.

    Source: llama.cpp common/arg.cpp (--gpu-layers).
    """
    if text in _LAYER_WORDS:
        return _LAYER_WORDS[text]
    try:
        return int(text)
    except ValueError:
        allowed = "a whole number, all or auto"
        raise InvalidRequestError(what="layers", got=text, allowed=allowed) from None


def _numbers(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.replace("/", ",").split(","))
    except ValueError:
        raise InvalidRequestError(
            what="tensor split", got=text, allowed="numbers with commas, as '3,1'"
        ) from None


def _override(text: str) -> tuple[str, str]:
    pattern, equals, device = text.rpartition("=")
    if not equals or not pattern or not device:
        raise InvalidRequestError(
            what="override", got=text, allowed="REGEX=DEVICE, as 'ffn_.*_exps=CPU'"
        )
    return pattern, device
