"""Asks other estimators about the cases of `peer_cases`, and llama.cpp for the truth.

usage: record_peers.py truth | node-llama-cpp | llmfit | hf-mem | whichllm
Writes tests/recorded/peers/NAME.json: version, date, the command line of every case and the figure
it printed. Each peer is expected on PATH or, where it is a Python package, in this interpreter;
what has no way to read a local file offline is called at the function its command calls.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from peer_cases import CASES

if TYPE_CHECKING:
    from collections.abc import Callable

    from peer_cases import Case

RECORDED: Final = Path(__file__).parents[1] / "recorded" / "peers"
_HEADER_BYTES: Final = 32_000_000
_TIMEOUT_S: Final = 120


def truth(case: Case, path: Path) -> dict[str, Any]:
    """Return llama.cpp's dry run: weights, cache and compute on the CPU, nothing repacked.

    The compute buffer is there twice: for one row of logits, as a server asks for, and for those of
    a whole micro-batch, as programs that use the library's defaults get.
    """
    from whatfits.bench.llama_cpp import reserve
    from whatfits.bench.run_settings import RunSettings

    settings = RunSettings(case.context_tokens, outputs_max=1, swa_full=False, repack=False)
    rows = reserve(path, settings).buffers.values()
    whole = reserve(path, replace(settings, outputs_max=0)).buffers.values()
    parts = {
        "weights_bytes": sum(row.model for row in rows),
        "kv_cache_bytes": sum(row.context for row in rows),
        "compute_bytes": sum(row.compute for row in rows),
        "compute_all_logits_bytes": sum(row.compute for row in whole),
    }
    return {"command": "whatfits.bench.llama_cpp.reserve(FILE, RunSettings(…))", **parts}


def node_llama_cpp(case: Case, path: Path) -> dict[str, Any]:
    """Return what `inspect estimate` prints for the same file."""
    command = [
        *("node-llama-cpp", "inspect", "estimate", str(path), "--gpu", "false"),
        *("--gpuLayers", "0", "--contextSize", str(case.context_tokens)),
    ]
    printed = _printed(command)
    found = re.search(r"RAM usage:\s*([\d.]+\s*[KMGT]?B)", printed)
    return _row(command, found and found[1], path)


def llmfit(case: Case, path: Path) -> dict[str, Any]:
    """Return the memory `plan` asks for on the path where all of the model is in one memory."""
    quant = "mxfp4" if case.model.file_type.startswith("MXFP4") else case.model.file_type
    command = [
        *("llmfit", "plan", case.model.hub, "--context", str(case.context_tokens)),
        *("--quant", quant, "--json"),
    ]
    printed = _printed(command)
    if not printed.startswith("{"):
        return _row(command, None, path)
    paths = {each["path"]: each for each in json.loads(printed)["run_paths"]}
    return _row(command, f"{paths['gpu']['minimum']['vram_gb']} vram_gb", path)


def hf_mem(case: Case, path: Path) -> dict[str, Any]:
    """Return weights and cache from the function its command calls on a file's header."""
    from hf_mem.gguf.metadata import parse_gguf_metadata

    call = f"parse_gguf_metadata(FILE, experimental=True, max_model_len={case.context_tokens})"
    with path.open("rb") as file:
        header = file.read(_HEADER_BYTES)
    try:
        found = parse_gguf_metadata(header, experimental=True, max_model_len=case.context_tokens)
    except RuntimeError as error:
        return {"command": f"hf_mem.gguf.metadata.{call}", "printed": None, "said": str(error)}
    total = found.bytes_count + found.kv_cache.cache_size
    return _row(["hf_mem.gguf.metadata." + call], f"{total} bytes", path)


def whichllm(case: Case, path: Path) -> dict[str, Any]:
    """Return the estimate behind `plan`, given the file's true size and the catalog's counts."""
    from whichllm.engine.vram import estimate_vram
    from whichllm.models.sliding_window import _SWA_ARCH_DEFAULTS, _swa_key_from_arch
    from whichllm.models.types import GGUFVariant, ModelInfo

    from whatfits.sizing.sources.catalog_model import load_catalog_model

    spec = load_catalog_model(case.model.name, file_type=case.model.file_type)
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
    total = estimate_vram(model, variant, case.context_tokens)
    call = f"estimate_vram(MODEL, FILE, {case.context_tokens})"
    return _row(["whichllm.engine.vram." + call], f"{total} bytes", path)


def _printed(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    return done.stdout


def _row(command: list[str], printed: str | None, path: Path) -> dict[str, Any]:
    return {"command": " ".join(command).replace(str(path), "FILE.gguf"), "printed": printed}


PEERS: Final[dict[str, Callable[[Case, Path], dict[str, Any]]]] = {
    "truth": truth,
    "node-llama-cpp": node_llama_cpp,
    "llmfit": llmfit,
    "hf-mem": hf_mem,
    "whichllm": whichllm,
}


def _version(name: str) -> str:
    if name == "truth":
        from whatfits.bench.verify import REFERENCE

        return REFERENCE
    if name in ("hf-mem", "whichllm"):
        return version(name)
    return _printed([name, "--version"]).split()[-1]


def main(name: str) -> None:
    """Ask one of them about every case and write what it said."""
    from whatfits.bench.synthetic import write_catalog_model

    rows, written = [], None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.gguf"
        for case in CASES:
            if written != case.model:
                write_catalog_model(path, case.model.name, file_type=case.model.file_type)
                written = case.model
            sys.stderr.write(f"{case.model.name} {case.context_tokens}\n")
            row = {"model": case.model.name, "context_tokens": case.context_tokens}
            rows.append({**row, **PEERS[name](case, path)})
    today = datetime.now(UTC).date().isoformat()
    head = {"name": name, "version": _version(name), "date": today}
    lines = ",\n".join(json.dumps(row) for row in rows)
    text = f'{json.dumps(head)[:-1]}, "rows": [\n{lines}\n]}}\n'
    (RECORDED / f"{name}.json").write_text(text, "utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
