"""The command that starts vLLM as a plan was computed.

Source: vllm-project/vllm 0.33.0 vllm/engine/arg_utils.py; the arguments of the class `LLM` are
called as the flags are, with underscores.
"""

from __future__ import annotations

import json
import shlex

from whatfits.sizing.runtimes.cuda_order import BY_BUS, must_count_by_bus
from whatfits.sizing.runtimes.vllm_devices import capability
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Final

    from whatfits.sizing.machine import Machine
    from whatfits.sizing.model import CheckpointFacts
    from whatfits.sizing.runtimes.vllm_bill import Bill
    from whatfits.sizing.runtimes.vllm_settings import VllmSettings

__all__ = ["vllm_command", "vllm_options"]

_Value = str | int | float | bool | dict[str, str | int]
_BFLOAT16_CAPABILITY: Final = 8.0


def vllm_command(
    facts: CheckpointFacts, settings: VllmSettings, bill: Bill, machine: Machine
) -> str:
    """Return one shell line: the server, or the class `LLM` of a program that uses the library."""
    options = vllm_options(facts, settings, bill)
    words = _environment(settings, machine)
    if settings.offline:
        inner = "".join(f", {name.replace('-', '_')}={value!r}" for name, value in options.items())
        code = f"from vllm import LLM; LLM({facts.reference!r}{inner})"
        return shlex.join([*words, "python3", "-c", code])
    words += ["vllm", "serve", facts.reference]
    for name, value in options.items():
        if value is False:
            words.append(f"--no-{name}")
        else:
            words += [f"--{name}"] if value is True else [f"--{name}", _word(value)]
    return shlex.join(words)


def _word(value: _Value) -> str:
    """Return a flag's value as the shell line has it."""
    return json.dumps(value, separators=(",", ":")) if isinstance(value, dict) else str(value)


def vllm_options(facts: CheckpointFacts, settings: VllmSettings, bill: Bill) -> dict[str, _Value]:
    """Return the flags, the figures of the plan always written out."""
    options: dict[str, _Value] = {
        "max-model-len": settings.request_tokens,
        "gpu-memory-utilization": bill.utilisation_permille / 1000,
        "max-num-seqs": settings.sequences,
        "max-num-batched-tokens": settings.batch_tokens,
    }
    if settings.cut.ranks > 1:
        options["tensor-parallel-size"] = settings.cut.ranks
    if settings.cut.stages > 1:
        options["pipeline-parallel-size"] = settings.cut.stages
    if settings.cache_type != "auto":
        options["kv-cache-dtype"] = settings.cache_type
    if facts.revision is not None:
        options["revision"] = facts.revision
    if facts.quantised_on_load:
        options["quantization"] = "fp8"
    known = [capability(device) for device in settings.devices]
    if any(found is not None and found < _BFLOAT16_CAPABILITY for found in known):
        options["dtype"] = "half"
    if facts.has_other_parts:
        options["language-model-only"] = True
    return {**options, **_of_the_model(settings)}


def _of_the_model(settings: VllmSettings) -> dict[str, _Value]:
    """Return the flags that only some kinds of models take."""
    options: dict[str, _Value] = {}
    if settings.embeds:
        options["runner"] = "pooling"
    if settings.has_states:
        options["enable-prefix-caching"] = False
    if settings.drafted_tokens:
        drafts = settings.drafted_tokens
        options["speculative-config"] = {"method": "mtp", "num_speculative_tokens": drafts}
    return options


def _environment(settings: VllmSettings, machine: Machine) -> list[str]:
    """Return what keeps CUDA to the devices of the plan, when the machine has others."""
    kind = settings.devices[0].kind
    there = [device for device in machine.accelerators if device.kind == kind]
    is_number = not settings.devices[0].is_slice  # CUDA knows slices by their UUID alone
    if kind != "cuda" or len(there) == len(settings.devices) or not is_number:
        return []
    numbers = (device.id.removeprefix(kind) for device in settings.devices)
    order = [BY_BUS] if must_count_by_bus(machine) else []
    return [*order, f"CUDA_VISIBLE_DEVICES={','.join(numbers)}"]
