"""The command line of a llama-server, read back into a request.

Source: llama.cpp (0c1e57098) common/arg.cpp, names and aliases of the flags. What the flags leave
out is llama.cpp's default; what the environment adds (`LLAMA_ARG_…`) is not in a command line.
"""

from __future__ import annotations

from whatfits.sizing.named_tuples import NamedTuple
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.workload import PlacementRequest, Workload

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final

__all__ = ["ALL_LAYERS", "ReadFlags", "read_flags"]

_MODEL: Final = frozenset(("-m", "--model"))
_NUMBERS: Final = {
    "-c": "context_tokens",
    "--ctx-size": "context_tokens",
    "-np": "parallel",
    "--parallel": "parallel",
    "-b": "batch",
    "--batch-size": "batch",
    "-ub": "micro_batch",
    "--ubatch-size": "micro_batch",
    "-cram": "cache_ram_mib",
    "--cache-ram": "cache_ram_mib",
    "-ctxcp": "ctx_checkpoints",
    "--ctx-checkpoints": "ctx_checkpoints",
    "-ngl": "gpu_layers",
    "--gpu-layers": "gpu_layers",
    "--n-gpu-layers": "gpu_layers",
    "-ncmoe": "cpu_moe_layers",
    "--n-cpu-moe": "cpu_moe_layers",
}
_TEXTS: Final = {
    "-ctk": "kv_type_k",
    "--cache-type-k": "kv_type_k",
    "-ctv": "kv_type_v",
    "--cache-type-v": "kv_type_v",
    "-fa": "flash_attention",
    "--flash-attn": "flash_attention",
    "-mm": "mmproj",
    "--mmproj": "mmproj",
    "-sm": "split_mode",
    "--split-mode": "split_mode",
    "-ts": "tensor_split",
    "--tensor-split": "tensor_split",
    "-dev": "devices",
    "--device": "devices",
    "-ot": "overrides",
    "--override-tensor": "overrides",
}
_SWITCHES: Final[dict[str, tuple[str, object]]] = {
    "-kvu": ("kv_unified", True),
    "--kv-unified": ("kv_unified", True),
    "-no-kvu": ("kv_unified", False),
    "--no-kv-unified": ("kv_unified", False),
    "--swa-full": ("swa_full", True),
    "-nkvo": ("kv_offload", False),
    "--no-kv-offload": ("kv_offload", False),
    "--no-op-offload": ("op_offload", False),
    "--no-mmap": ("mmap", False),
    "-nr": ("repack", "off"),
    "--no-repack": ("repack", "off"),
}
_OF_PLACEMENT: Final = frozenset(
    (
        *("gpu_layers", "cpu_moe_layers", "split_mode", "tensor_split", "devices", "overrides"),
        *("kv_offload", "op_offload", "mmap", "repack"),
    )
)
_NOT_UNDERSTOOD: Final = frozenset(
    (
        *("-md", "--model-draft", "--lora", "--lora-scaled", "--control-vector", "--rpc"),
        *("-cmoe", "--cpu-moe", "--spec-type", "--mlock", "-lm", "--load-mode"),
    )
)
_MAY_BE_BARE: Final = frozenset(("-fa", "--flash-attn"))
ALL_LAYERS: Final = 9999
_OPEN: Final = object()  # the flag says that the program may choose
_METAL_NAMES: Final = ("mtl", "metal")


class ReadFlags(NamedTuple):
    """What a command line asks for.

    Attributes:
        model_file: the file it names; None when it names none.
        workload: with the fields it sets.
        request: with the fields it sets.
        left_out: flags that change memory and are not understood here.
    """

    model_file: str | None
    workload: Workload
    request: PlacementRequest
    left_out: tuple[str, ...]


def read_flags(command: Sequence[str]) -> ReadFlags:
    """Return the request that a command line of llama-server stands for.

    A value that makes no sense counts as a flag that is not understood: the program itself would
    have refused it, or means something newer by it.
    """
    found: dict[str, object] = {}
    model_file: str | None = None
    left_out: list[str] = []
    words = list(command[1:])
    while words:
        flag, equals, inline = words.pop(0).partition("=")
        if flag in _SWITCHES:
            name, value = _SWITCHES[flag]
            found[name] = value
            continue
        if flag in _NOT_UNDERSTOOD:
            left_out.append(flag)
            continue
        if flag not in _NUMBERS and flag not in _TEXTS and flag not in _MODEL:
            continue
        if flag in _MAY_BE_BARE and not equals and words[:1] not in (["on"], ["off"], ["auto"]):
            found["flash_attention"] = "on"  # as builds before 2025-09 took it
            continue
        text = inline if equals else (words.pop(0) if words else "")
        if flag in _MODEL:
            model_file = text or None
            continue
        name = _NUMBERS.get(flag) or _TEXTS[flag]
        value = _number(name, text) if flag in _NUMBERS else _text(name, text)
        if value is None:
            left_out.append(flag)
        else:
            found[name] = value
    settings = {name: value for name, value in found.items() if value is not _OPEN}
    placed = {name: settings[name] for name in settings.keys() & _OF_PLACEMENT}
    asked = {name: settings[name] for name in settings.keys() - _OF_PLACEMENT}
    return ReadFlags(
        model_file,
        Workload(**asked),  # type: ignore[arg-type]
        PlacementRequest(**placed),  # type: ignore[arg-type]
        tuple(left_out),
    )


def _number(name: str, text: str) -> object:
    if name == "gpu_layers" and text in ("auto", "-1"):
        return _OPEN
    if name == "gpu_layers" and text in ("all", "-2"):
        return ALL_LAYERS
    if name == "context_tokens" and text == "0":
        return _OPEN
    if name == "parallel" and text in ("-1", "auto"):
        return _OPEN
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 10):  # noqa: PLR2004 - 32 bits
        return None
    return int(text) if not text.startswith("-") else None


def _text(name: str, text: str) -> object:
    match name:
        case "tensor_split":
            try:
                return tuple(float(part) for part in text.replace("/", ",").split(","))
            except ValueError:
                return None
        case "devices":
            none = text.lower() in ("none", "")
            return () if none else tuple(_device(part) for part in text.split(","))
        case "overrides":
            pairs = [part.rpartition("=")[::2] for part in text.split(",")]
            return tuple((pattern, _device(to)) for pattern, to in pairs if pattern) or None
        case "flash_attention":
            return text if text in ("on", "off", "auto") else None
        case "split_mode":
            return text if text in ("layer", "none") else None
        case _:
            return text or None


def _device(name: str) -> str:
    """Return the id of a device as it is named here: `CUDA0` is `cuda0`, `MTL0` is `metal`."""
    lower = name.strip().lower()
    return "metal" if lower.rstrip("0123456789") in _METAL_NAMES else lower
