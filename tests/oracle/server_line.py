"""Reads a `llama-server` line as that program does, into the settings of llama.cpp's C API.

Strict: a flag that is not listed, one given twice and a value out of its range end in ValueError.
Source: llama.cpp (0c1e57098) common/arg.cpp (flags, values, defaults), common/common.cpp
(common_model_params_to_llama, common_context_params_to_llama), tools/server/server.cpp (an
embedding server's batch is its micro-batch), tools/server/server-context.cpp
(server_output_limits).
"""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

from whatfits.bench.run_settings import RunSettings
from whatfits.sizing.runtimes.cuda_order import BY_BUS

if TYPE_CHECKING:
    from collections.abc import Callable

_CACHE_TYPES = ("f32", "f16", "bf16", "q8_0", "q4_0", "q4_1", "iq4_nl", "q5_0", "q5_1")
_EXPERTS = r"blk\.{}\.ffn_(up|down|gate_up|gate)_(ch|)exps"
_SWITCHES = {
    "--kv-unified",
    "--swa-full",
    "--embeddings",
    "--reranking",
    "--no-kv-offload",
    "--no-op-offload",
    "--no-repack",
}


def _count(text: str) -> int:
    if not text.isdecimal():
        raise ValueError(f"no whole number: {text!r}")
    return int(text)


def _one_of(*allowed: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in allowed:
            raise ValueError(f"{text!r} is none of {allowed}")
        return text

    return read


def _shares(text: str) -> tuple[float, ...]:
    return tuple(float(part) for part in re.split("[,/]+", text))


def _overrides(text: str) -> tuple[tuple[str, str], ...]:
    pairs = []
    for pair in text.split(","):
        pattern, equals, buffer_type = pair.partition("=")
        if not equals:
            raise ValueError(f"no buffer type: {pair!r}")
        re.compile(pattern)
        pairs.append((pattern, buffer_type))
    return tuple(pairs)


_VALUES: dict[str, Callable[[str], object]] = {
    "-m": str,
    "-c": _count,
    "-np": _count,
    "-ngl": _count,
    "--n-cpu-moe": _count,
    "--device": lambda text: () if text == "none" else tuple(text.split(",")),
    "-ts": _shares,
    "-sm": _one_of("none", "layer", "row", "tensor"),
    "-ot": _overrides,
    "-lm": _one_of("auto", "none", "mmap", "mlock", "mmap+mlock", "dio"),
    "-ctk": _one_of(*_CACHE_TYPES),
    "-ctv": _one_of(*_CACHE_TYPES),
    "-fa": _one_of("on", "off", "auto"),
    "-b": _count,
    "-ub": _count,
    "--ctx-checkpoints": _count,
    "--cache-ram": _count,
    "--port": _count,
}


def parse(line: str) -> dict[str, object]:
    """Return the flags of a line in their order, each with its value (switches: True)."""
    program, *words = shlex.split(line)
    if program == BY_BUS:  # pretended cards are counted as they are listed
        program, *words = words
    if program != "llama-server":
        raise ValueError(f"another program: {program!r}")
    given: dict[str, object] = {}
    rest = iter(words)
    for flag in rest:
        if flag in given:
            raise ValueError(f"{flag} is given twice")
        if flag in _SWITCHES:
            given[flag] = True
        elif flag in _VALUES:
            given[flag] = _VALUES[flag](next(rest, ""))
        else:
            raise ValueError(f"llama-server has no {flag}")
    return given


def settings_of(line: str, *, device_name: Callable[[str], str] = str) -> RunSettings:
    """Return what the C API is called with; `device_name` translates llama.cpp's device names."""
    given = parse(line)
    slots = int(str(given["-np"]))
    micro_batch = int(str(given.get("-ub", 512)))
    batch = int(str(given.get("-b", 2048)))
    context = int(str(given["-c"]))
    embeds = "--embeddings" in given or "--reranking" in given
    if embeds:
        batch = min(batch, micro_batch)
    rows = batch if embeds else max(1, min(batch, slots))
    devices = given.get("--device")
    shares = given.get("-ts", ())
    assert isinstance(shares, tuple)
    assert devices is None or isinstance(devices, tuple)
    return RunSettings(
        context_tokens=context,
        parallel=slots,
        batch=batch,
        micro_batch=micro_batch,
        kv_type_k=str(given.get("-ctk", "f16")),
        kv_type_v=str(given.get("-ctv", "f16")),
        flash_attention=str(given.get("-fa", "auto")),
        kv_unified="--kv-unified" in given,
        swa_full="--swa-full" in given,
        outputs_max=rows,
        embeddings=embeds,
        repack="--no-repack" not in given,
        gpu_layers=int(str(given.get("-ngl", -1))),
        tensor_split=shares,
        split_mode=str(given.get("-sm", "layer")),
        devices=None if devices is None else tuple(map(device_name, devices)),
        overrides=tuple(_by_name(given, device_name)),
        kv_offload="--no-kv-offload" not in given,
        op_offload="--no-op-offload" not in given,
    )


def _by_name(given: dict[str, object], device_name: Callable[[str], str]) -> list[tuple[str, str]]:
    """Return the pairs that `-ot` and `--n-cpu-moe` add, in the order of the line."""
    pairs = []
    for flag, value in given.items():
        if flag == "-ot":
            assert isinstance(value, tuple)
            pairs += [(pattern, device_name(name)) for pattern, name in value]
        elif flag == "--n-cpu-moe":
            pairs += [(_EXPERTS.format(layer), "CPU") for layer in range(int(str(value)))]
    return pairs
