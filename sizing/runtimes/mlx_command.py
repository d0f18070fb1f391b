"""What to type to run a model under mlx-lm as a plan was computed.

Source: ml-explore/mlx-lm 0.32.2 mlx_lm/convert.py, server.py, generate.py: the flags.
"""

from __future__ import annotations

import shlex

from whatfits.sizing.catalog.lookup import find_model
from whatfits.sizing.errors import UnknownModelError
from whatfits.sizing.hub_source import hub_source
from whatfits.sizing.runtimes.mlx_settings import DEFAULT_STEP_TOKENS
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Final

    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.runtimes.mlx_settings import MlxSettings
    from whatfits.sizing.runtimes.mlx_types import MlxType

__all__ = ["mlx_commands"]

_MB: Final = 10**6


def mlx_commands(
    model: ModelSpec,
    file_type: MlxType | None,
    settings: MlxSettings,
    *,
    cache_bytes: int,
    growth_limit_bytes: int,
    left_bytes: int | None,
) -> tuple[str, ...]:
    """Return the lines: a conversion where one is needed, then the program.

    Args:
        model: what is run.
        file_type: what it is converted to; None when it runs as it was published.
        settings: what the program is told.
        cache_bytes: of all sequences; the server's limit counts them in.
        growth_limit_bytes: what earlier prompts may take if nobody stops them.
        left_bytes: what is free beside the plan; None when that is not known.
    """
    where = _where(model)
    lines = []
    if file_type is not None:
        target = f"{model.name}-{file_type.name}-mlx"
        words = ["mlx_lm.convert", "--hf-path", where, "--mlx-path", target]
        lines.append(shlex.join([*words, *file_type.convert_flags()]))
        where = target
    program = "mlx_lm.server" if settings.program == "server" else "mlx_lm.generate"
    words = [program, "--model", where]
    if settings.program == "server":
        words += ["--decode-concurrency", str(settings.sequences)]
        words += ["--prompt-concurrency", str(settings.prompts_at_once)]
        words += _prompt_cache_flags(settings, cache_bytes, growth_limit_bytes, left_bytes)
    else:
        words += ["--prompt", "-"]  # from standard input
    if settings.answer_tokens > 1:
        words += ["--max-tokens", str(settings.answer_tokens)]
    if settings.step_tokens != DEFAULT_STEP_TOKENS:
        words += ["--prefill-step-size", str(settings.step_tokens)]
    if settings.kv_bits is not None:
        words += ["--kv-bits", str(settings.kv_bits), "--kv-group-size", str(settings.kv_group)]
    return (*lines, shlex.join(words))


def _where(model: ModelSpec) -> str:
    """Return where mlx-lm finds the model: a repository, or a folder."""
    if model.source == "catalog":
        try:
            return find_model(model.name).hf_id
        except UnknownModelError:
            return model.name
    place = hub_source(model.source)
    return model.source if place is None else place.repository


def _prompt_cache_flags(
    settings: MlxSettings, cache_bytes: int, growth_limit_bytes: int, left_bytes: int | None
) -> list[str]:
    """Return a limit for caches of earlier prompts, where what is left does not hold them all.

    The server's limit counts the caches in use as well.
    """
    if settings.prompt_cache_bytes is not None:
        kept = settings.prompt_cache_bytes
    elif left_bytes is not None and left_bytes < growth_limit_bytes:
        kept = max(0, left_bytes)
    else:
        return []
    return ["--prompt-cache-bytes", f"{(cache_bytes + kept) // _MB}MB"]
