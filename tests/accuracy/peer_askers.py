"""How each other estimator is asked about a case: what is called, and what it printed.

A command is called where a local file and the settings can be given to it offline; elsewhere the
function that its command calls. `WHATFITS_PEERS_NODE` is the folder of node modules that holds
node-llama-cpp and llm-checker.
"""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from peer_cases import Case

    from whatfits.sizing.model import ModelSpec

__all__ = ["ASKED", "Asked"]

_HERE: Final = Path(__file__).parent
_MODULES: Final = Path(os.environ.get("WHATFITS_PEERS_NODE", "node_modules"))
_HEADER_BYTES: Final = 32_000_000
_TIMEOUT_S: Final = 120
_HUGE_BYTES: Final = 1 << 50


@dataclass(frozen=True)
class Answer:
    """What was called and the figure that it gave with its unit; None with why there is none."""

    command: str
    printed: str | None
    said: str | None = None


@dataclass(frozen=True)
class Asked:
    """An estimator: the fields of settings it has an option for, and how to ask it."""

    name: str
    options: frozenset[str]
    ask: Callable[[Case, ModelSpec, Path], Answer]
    version: Callable[[], str]


def _node_llama_cpp(case: Case, _: ModelSpec, path: Path) -> Answer:
    """Return what the library's estimate gives: the command has no option for sequences."""
    settings = case.settings
    question: dict[str, Any] = {
        "contextSize": settings.context_tokens // settings.parallel,
        "sequences": settings.parallel,
        "batchSize": settings.micro_batch,
        "flashAttention": settings.flash_attention != "off",
        "swaFullCache": settings.swa_full,
        "kvCacheKeyType": _GGML_NUMBERS[settings.kv_type_k],
        "kvCacheValueType": _GGML_NUMBERS[settings.kv_type_v],
    }
    if case.gpus:
        question["gpuLayers"] = settings.gpu_layers
    module = (_MODULES / "node-llama-cpp" / "dist" / "index.js").resolve()
    script = str(_HERE / "ask_node_llama_cpp.mjs")
    said = _printed(["node", script, str(module), str(path)], json.dumps([question]))
    found = json.loads(said)
    way = "estimate…ResourceRequirements" + ("" if case.gpus else "V2")
    figure = found["vram"] if case.gpus else found["ram"]
    return Answer(f"GgufInsights.{way}({json.dumps(question)})", f"{figure} bytes")


_GGML_NUMBERS: Final = {"f16": 1, "q4_0": 2, "q8_0": 8}


def _llmfit(case: Case, _: ModelSpec, __: Path) -> Answer:
    """Return the memory `plan` asks for on the path where all of the model is in one memory."""
    quant = "mxfp4" if case.model.file_type.startswith("MXFP4") else case.model.file_type
    command = [
        *("llmfit", "plan", case.model.hub, "--context", str(case.settings.context_tokens)),
        *("--quant", quant),
        *(("--kv-quant", case.settings.kv_type_k) if "kv_type_k" in case.needs else ()),
        "--json",
    ]
    printed = _printed(command)
    if not printed.startswith("{"):
        return Answer(" ".join(command), None, "no such model in its list")
    paths = {each["path"]: each for each in json.loads(printed)["run_paths"]}
    return Answer(" ".join(command), f"{paths['gpu']['minimum']['vram_gb']} GB")


def _hf_mem(case: Case, _: ModelSpec, path: Path) -> Answer:
    """Return weights and cache from the function its command calls on a file's header."""
    from hf_mem.gguf.metadata import parse_gguf_metadata

    settings = case.settings
    arguments = {
        "max_model_len": settings.context_tokens // settings.parallel,
        "batch_size": settings.parallel,
        "kv_cache_dtype": settings.kv_type_k.upper(),
    }
    given = ", ".join(f"{name}={value!r}" for name, value in arguments.items())
    call = f"hf_mem.gguf.metadata.parse_gguf_metadata(HEADER, experimental=True, {given})"
    with path.open("rb") as file:
        header = file.read(_HEADER_BYTES)
    try:
        found = parse_gguf_metadata(header, experimental=True, **arguments)
    except RuntimeError as error:
        return Answer(call, None, str(error))
    return Answer(call, f"{found.bytes_count + found.kv_cache.cache_size} bytes")


def _whichllm(case: Case, spec: ModelSpec, path: Path) -> Answer:
    """Return the estimate behind `plan`, less the constant it adds for a framework."""
    from whichllm.constants import FRAMEWORK_OVERHEAD_BYTES
    from whichllm.engine.vram import estimate_vram
    from whichllm.models.sliding_window import _SWA_ARCH_DEFAULTS, _swa_key_from_arch
    from whichllm.models.types import GGUFVariant, ModelInfo

    mixed = bool(spec.hparams.n_expert)
    window = _SWA_ARCH_DEFAULTS.get(_swa_key_from_arch(spec.architecture) or "", (None, None))
    model = ModelInfo(
        id=case.model.hub,
        family_id=case.model.hub,
        name=case.model.name,
        parameter_count=spec.parameters,
        parameter_count_active=spec.active_parameters if mixed else None,
        architecture=spec.architecture,
        is_moe=mixed,
        sliding_window=window[0],
        sliding_window_global_ratio=window[1],
    )
    variant = GGUFVariant("", case.model.file_type, path.stat().st_size)
    context = case.settings.context_tokens
    total = estimate_vram(model, variant, context) - FRAMEWORK_OVERHEAD_BYTES
    call = f"whichllm.engine.vram.estimate_vram(MODEL, FILE, {context})"
    return Answer(f"{call} - FRAMEWORK_OVERHEAD_BYTES", f"{total} bytes")


def _xllamacpp(case: Case, spec: ModelSpec, path: Path) -> Answer:
    """Return what Ollama's old rule, ported to Python, would take of one card without end."""
    from xllamacpp import memory

    def read(reader: Any, name: str) -> dict[str, Any]:  # noqa: ANN401 - of an untyped package
        found: dict[str, Any] = as_it_is(reader, name)
        # the rule counts the vocabulary by its list, which the file does without
        found["metadata"]["tokenizer.ggml.tokens"] = {"value": range(spec.hparams.n_vocab)}
        return found

    settings = case.settings
    arguments = {
        "projectors": [],
        "context_length": settings.context_tokens,
        "batch_size": settings.micro_batch,
        "num_parallel": settings.parallel,
        "kv_cache_type": settings.kv_type_k,
    }
    given = ", ".join(f"{name}={value!r}" for name, value in arguments.items())
    call = f"xllamacpp.memory.estimate_gpu_layers([CARD], FILE, {given}).vram_size"
    card = {"name": "CUDA", "memory_free": _HUGE_BYTES, "memory_min": 0}
    as_it_is, memory.dump_metadata_json = memory.dump_metadata_json, read
    try:
        found = memory.estimate_gpu_layers([card], str(path), **arguments)
    except (KeyError, TypeError, ZeroDivisionError) as error:
        return Answer(call, None, f"{type(error).__name__}: {error}")
    finally:
        memory.dump_metadata_json = as_it_is
    return Answer(call, f"{int(found.vram_size)} bytes")


def _modelinfo(case: Case, _: ModelSpec, path: Path) -> Answer:
    """Return what its command sums up from a file's header, less what it adds for CUDA."""
    from modelinfo.calculator import calculate_footprint
    from modelinfo.parsers.gguf import parse_gguf_header

    context = case.settings.context_tokens // case.settings.parallel
    call = f"calculate_footprint(parse_gguf_header(FILE), {context}, {case.settings.parallel})"
    try:
        found = calculate_footprint(parse_gguf_header(str(path)), context, case.settings.parallel)
    except (TypeError, ValueError, KeyError) as error:
        return Answer(f"modelinfo.{call}", None, f"{type(error).__name__}: {error}")
    total = found["total_memory_bytes"] - found["overhead_bytes"]
    return Answer(f"modelinfo.{call} less overhead_bytes", f"{int(total)} bytes")


def _llm_checker(case: Case, spec: ModelSpec, path: Path) -> Answer:
    """Return what its selector counts for a model of this size on disk."""
    model: dict[str, Any] = {
        "paramsB": spec.parameters / 1e9,
        "quant": case.model.file_type,
        "sizeGB": path.stat().st_size / 1e9,
    }
    if spec.hparams.n_expert:
        model["totalParamsB"], model["activeParamsB"] = (
            model["paramsB"],
            (spec.active_parameters / 1e9),
        )
    folder = str((_MODULES / "llm-checker").resolve())
    script = str(_HERE / "ask_llm_checker.cjs")
    context = str(case.settings.context_tokens)
    described = [json.dumps(model), case.model.file_type, context]
    said = _printed(["node", script, folder, *described]).strip()
    call = "DeterministicModelSelector.estimateMemoryBreakdown"
    return Answer(f"{call}({', '.join(described)}).requiredGB", f"{said} GB")


def _size_rule(_: Case, __: ModelSpec, path: Path) -> Answer:
    """Return the rule of thumb: the size of the file and a fifth, whatever the context."""
    return Answer("size of the file x 1.2", f"{path.stat().st_size * 12 // 10} bytes")


def _printed(command: list[str], given: str = "") -> str:
    done = subprocess.run(
        command, input=given, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
    )
    return done.stdout


def _of_module(name: str) -> str:
    document = json.loads((_MODULES / name / "package.json").read_text("utf-8"))
    return str(document["version"])


_CACHE: Final = {"context_tokens", "kv_type_k"}
_EVERY: Final = (
    Asked(
        "node-llama-cpp",
        frozenset(
            (*_CACHE, "parallel", "micro_batch", "batch", "flash_attention", "swa_full", "gpus")
        ),
        _node_llama_cpp,
        lambda: _of_module("node-llama-cpp"),
    ),
    Asked("llmfit", frozenset(_CACHE), _llmfit, lambda: version("llmfit")),
    Asked("whichllm", frozenset({"context_tokens"}), _whichllm, lambda: version("whichllm")),
    Asked("hf-mem", frozenset((*_CACHE, "parallel")), _hf_mem, lambda: version("hf-mem")),
    Asked(
        "xllamacpp",
        frozenset((*_CACHE, "parallel", "micro_batch")),
        _xllamacpp,
        lambda: version("xllamacpp"),
    ),
    Asked(
        "modelinfo-cli",
        frozenset({"context_tokens", "parallel"}),
        _modelinfo,
        lambda: version("modelinfo-cli"),
    ),
    Asked(
        "llm-checker",
        frozenset({"context_tokens"}),
        _llm_checker,
        lambda: _of_module("llm-checker"),
    ),
    Asked("size x 1.2", frozenset({"context_tokens"}), _size_rule, lambda: ""),
)
ASKED: Final = {asked.name: asked for asked in _EVERY}
