"""The command line of llama-cpp-python's server, read back into a request.

Source: abetlen/llama-cpp-python 0.3.36 llama_cpp/server/settings.py (names, defaults), cli.py (how
values are written), llama_cpp/llama.py (one sequence; the batch is no longer than the context).
What the environment or a file of settings (`--config_file`) adds is not in a command line.
"""

from __future__ import annotations

from whatfits.sizing.runtimes.llama_server_flags import ALL_LAYERS, ReadFlags
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.workload import PlacementRequest, Workload

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final

__all__ = ["is_llama_cpp_python", "read_python_flags"]

_MODULES: Final = ("llama_cpp.server", "llama_cpp/server/__main__.py")
_NUMBERS: Final = {"n_ctx": 2048, "n_batch": 512, "n_ubatch": 512, "n_gpu_layers": 0}
_SWITCHES: Final = {"offload_kqv": True, "flash_attn": False, "use_mmap": True}
_TRUE: Final = frozenset(("true", "1", "t", "y", "yes", "on"))
_FALSE: Final = frozenset(("false", "0", "f", "n", "no", "off"))
_MOST_DIGITS: Final = 10
# Settings that change memory and are not understood here.
_LEFT_OUT: Final = frozenset(
    {
        *("config_file", "clip_model_path", "lora_path", "lora_base", "draft_model", "rpc_servers"),
        *("split_mode", "main_gpu", "tensor_split", "type_k", "type_v", "vocab_only", "embedding"),
        *("cache", "cache_type", "cache_size", "kv_overrides"),
    }
)


def is_llama_cpp_python(command: Sequence[str]) -> bool:
    """Return whether a command line is that of llama-cpp-python's server."""
    return any(word.replace("\\", "/").endswith(_MODULES) for word in command)


def read_python_flags(command: Sequence[str]) -> ReadFlags:
    """Return the request that a command line of the server stands for, its defaults filled in."""
    given = dict(_pairs(command))
    left_out = [f"--{name}" for name in given if name in _LEFT_OUT]
    numbers, switches = dict(_NUMBERS), dict(_SWITCHES)
    for name, text in given.items():
        number, switch = _number(text), _switch(text)
        if name in numbers and number is not None:
            numbers[name] = number
        elif name in switches and switch is not None:
            switches[name] = switch
        elif name in numbers or name in switches:
            left_out.append(f"--{name}")
    context = numbers["n_ctx"] or None  # 0: what the model was trained for
    batch = numbers["n_batch"] if context is None else min(numbers["n_batch"], context)
    layers = numbers["n_gpu_layers"]
    return ReadFlags(
        model_file=given.get("model"),
        workload=Workload(
            program="api",
            context_tokens=context,
            parallel=1,
            batch=batch,
            micro_batch=min(batch, numbers["n_ubatch"]),
            flash_attention="on" if switches["flash_attn"] else "off",
        ),
        request=PlacementRequest(
            gpu_layers=ALL_LAYERS if layers < 0 else layers,
            kv_offload=switches["offload_kqv"],
            mmap=switches["use_mmap"],
        ),
        left_out=tuple(left_out),
    )


def _pairs(command: Sequence[str]) -> list[tuple[str, str]]:
    """Return the options with their values."""
    found = []
    for word, following in zip(command, (*command[1:], ""), strict=True):
        if word.startswith("--"):
            name, equals, inline = word[2:].partition("=")
            found.append((name, inline if equals else following))
    return found


def _number(text: str) -> int | None:
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= _MOST_DIGITS):
        return None
    return int(text)


def _switch(text: str) -> bool | None:
    lower = text.lower()
    return True if lower in _TRUE else False if lower in _FALSE else None
