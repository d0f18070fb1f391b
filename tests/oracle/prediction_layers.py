"""llama.cpp's plan of a model's own context and of the one its prediction layers get beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from whatfits.bench.llama_library import Registered, backend, breakdown, captured_log
from whatfits.bench.reservation import Buffers
from whatfits.bench.run_settings import RunSettings, context_params, model_params
from whatfits.bench.synthetic import write_synthetic_gguf

if TYPE_CHECKING:
    from pathlib import Path

    from whatfits.sizing.model import ModelSpec

CONTEXT_OF_PREDICTIONS = 1  # LLAMA_CONTEXT_TYPE_MTP


def plan_both(
    model: ModelSpec,
    path: Path,
    *,
    drafted: int,
    **wanted: Any,  # noqa: ANN401 - fields of RunSettings
) -> tuple[Buffers, Buffers]:
    """Return the sums over all buffers: the main context as llama-server sets it, then the other.

    The model's column is that of the main context, prediction layers loaded.
    """
    metadata = {**model.metadata, "tokenizer.ggml.model": "none"}
    metadata.setdefault(f"{model.architecture}.context_length", 8192)
    tensors = (*model.tensors, *model.prediction_tensors)
    write_synthetic_gguf(path, metadata=metadata, tensors=tensors)
    parallel = wanted.get("parallel", 1)
    settings = RunSettings(swa_full=False, outputs_max=parallel, **wanted)
    binding = backend()
    with captured_log(binding):
        params, _ = model_params(binding, settings, real=False, backends=Registered())
        params.load_mtp = True
        loaded = binding.llama_model_load_from_file(str(path).encode(), params)
        main_params = context_params(binding, settings)
        main_params.n_rs_seq = drafted
        main_params.n_outputs_max = (1 + drafted) * parallel
        main = binding.llama_init_from_model(loaded, main_params)
        other_params = context_params(binding, settings)
        other_params.ctx_type = CONTEXT_OF_PREDICTIONS
        other_params.ctx_other = main
        other = binding.llama_init_from_model(loaded, other_params)
        plans = tuple(_sum(breakdown(context)) for context in (main, other))
        for context in (other, main):
            binding.llama_free(context)
        binding.llama_model_free(loaded)
    return plans[0], plans[1]


def _sum(rows: dict[str, Buffers]) -> Buffers:
    return Buffers(
        model=sum(row.model for row in rows.values()),
        context=sum(row.context for row in rows.values()),
        compute=sum(row.compute for row in rows.values()),
    )
