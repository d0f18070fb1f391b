"""The form of the catalog's file of file types: their sizes and what they cost in quality."""

from __future__ import annotations

import datetime as dt  # noqa: TC003 - pydantic resolves it

from whatfits.sizing.catalog.schema import Count, Positive, PositiveFloat, Row, Text

__all__ = ["QuantsFile"]


class PublishedSize(Row):
    """A file type of Llama-3.1-8B as llama.cpp's table gives it."""

    bits_per_weight: PositiveFloat
    size_gib: PositiveFloat
    pp512_tps: PositiveFloat
    tg128_tps: PositiveFloat


class FileTypeRow(Row):
    """What `llama-quantize` says of a file type; sizes are GiB of the model named."""

    name: Text
    ftype_id: Count
    listed_size_gib: PositiveFloat | None = None
    listed_perplexity_change: float | None = None
    listed_for_model: Text | None = None
    listed_bits_per_weight: PositiveFloat | None = None
    method: Text | None = None
    llama_3_1_8b: PublishedSize | None = None


class QualityRow(Row):
    """Perplexity and divergence of a file type, against F16."""

    file_type: Text
    importance_matrix: Text | None = None
    size_gib: PositiveFloat
    perplexity: PositiveFloat
    perplexity_change: float | None = None
    perplexity_change_percent: float | None = None
    kld_mean: PositiveFloat | None = None
    mean_probability_change_percent: float | None = None
    rms_probability_change_percent: float | None = None
    bits_per_weight: PositiveFloat | None = None


class GenerationQuality(Row):
    """One model's part of `quality_by_generation`."""

    perplexity_ratio: PositiveFloat
    kld_mean: PositiveFloat
    same_top_token_percent: PositiveFloat


class GenerationRow(Row):
    """One file type on an older and a newer model."""

    file_type: Text
    llama_2_7b: GenerationQuality
    llama_3_8b: GenerationQuality


class EffectiveSizeRow(Row):
    """A published Q4_K_M file."""

    model: Text
    params: Positive
    size_gb: PositiveFloat
    bits_per_weight: PositiveFloat


class FormatRow(Row):
    """A format other than ggml's: bits a weight by the arithmetic of its layout."""

    name: Text
    bits_per_weight: PositiveFloat | None = None
    group_size: Text | None = None
    formula: Text
    note: Text | None = None
    basis: Text


class MlxRow(Row):
    """An MLX repository as published."""

    repo: Text
    label: Text
    bytes: Positive
    params: Positive
    bits_per_weight: PositiveFloat


class LiteratureRow(Row):
    """Perplexities of 4-bit methods from a paper."""

    model: Text
    fp16: PositiveFloat
    rtn_g128: PositiveFloat
    gptq_g128: PositiveFloat
    gptq_reorder_g128: PositiveFloat
    awq_g128: PositiveFloat
    source: Text


class QuantsFile(Row):
    """`quants.toml`."""

    checked: dt.date
    file_types_source: Text
    quality_source: Text
    mlx_source: Text
    mlx_note: Text
    file_types: list[FileTypeRow]
    quality_llama_3_8b: list[QualityRow]
    quality_by_generation: list[GenerationRow]
    quality_llama_2_70b: list[QualityRow]
    effective_q4_k_m: list[EffectiveSizeRow]
    other_formats: list[FormatRow]
    mlx_measured: list[MlxRow]
    literature: list[LiteratureRow]
