"""The form of the catalog's files of models, devices and rents; unknown keys are refused.

Units are in the field names. A field that nobody read is left out, never filled with a guess;
`unverified` names the fields that were filled from memory and not re-read at a source.
Only `build` and the tests import this module.
"""

from __future__ import annotations

import datetime as dt  # noqa: TC003 - pydantic resolves it
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = [
    "DeviceFile",
    "DeviceRow",
    "DriverTotalRow",
    "DriverTotalsFile",
    "ModelFile",
    "ModelRow",
    "RentalPricesFile",
    "RentalRow",
    "Row",
]

Id = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.\-]*$")]
Text = Annotated[str, Field(min_length=1)]
Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(gt=0)]
PositiveFloat = Annotated[float, Field(gt=0)]
Month = Annotated[str, Field(pattern=r"^20[0-9]{2}-(0[1-9]|1[0-2])$")]


class Row(BaseModel):
    """A row or a file: unknown fields and other kinds of values are refused."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class CountCheck(Row):
    """How the counted parameters compare with the published figure."""

    status: Literal["ok", "resolved", "rounded", "not-compared", "approximate", "not-computed"]
    difference_percent: float | None = None
    compared_to: Positive | None = None
    reason: Text | None = None
    scope: Text | None = None
    confidence: Text | None = None


class CrossCheck(Row):
    """Bytes of a published 16-bit checkpoint against the count."""

    bf16_checkpoint_bytes: Positive
    params_from_bytes: Positive
    ratio_to_params_total: PositiveFloat
    source: Text


class ModelRow(Row):
    """One model: `config` holds the names of its Hugging Face `config.json` (text part).

    `lists` holds the long lists of `config` and `vision` in short form (`runs.py`), by dotted path;
    `null_fields` the paths that are null in the configuration.
    """

    id: Id
    name: Text
    aliases: tuple[Text, ...] = Field(default=(), strict=False)
    family: Text
    hf_id: Annotated[str, Field(pattern=r"^[^/\s]+/[^/\s]+$")]
    kind: Literal["llm", "vlm", "embedding"]
    moe: bool
    licence: Text | None = None
    licence_basis: Text | None = None
    released: Month | None = None
    released_basis: Text | None = None
    params_total: Positive | None = None
    params_active: Positive | None = None
    params_expert: Count | None = None
    params_vision_audio: Count | None = None
    params_embedding: Positive | None = None
    params_mtp: Positive | None = None
    params_published: Positive | None = None
    params_active_published: Positive | None = None
    params_published_basis: Text | None = None
    count_method: Text | None = None
    native_quantisation: Text | None = None
    native_quantisation_scope: Text | None = None
    derivative_quantisation: Text | None = None
    attention_pattern: Text | None = None
    unknown: tuple[Text, ...] = Field(default=(), strict=False)
    unverified: tuple[Text, ...] = Field(default=(), strict=False)
    derived: tuple[Text, ...] = Field(default=(), strict=False)
    null_fields: tuple[Text, ...] = Field(default=(), strict=False)
    note: Text | None = None
    source: Text
    checked: dt.date
    check: CountCheck
    cross_check: CrossCheck | None = None
    config: dict[str, Any]
    lists: dict[str, Text] = Field(default_factory=dict)
    layer_counts: dict[str, Positive] = Field(default_factory=dict)
    vision: dict[str, Any] | None = None


class ModelFile(Row):
    """`models/<family>.toml`."""

    models: list[ModelRow]


class BandwidthOfMemory(Row):
    """Bandwidth of one memory option, where the options differ."""

    memory_gib: Positive
    bandwidth_bytes_per_s: Positive


class DeviceRow(Row):
    """One accelerator, or the GPU of a machine with one memory for CPU and GPU.

    Rates are dense; `fp16_flops_per_s` accumulates in FP32 where the chip has matrix units.
    `nvlink_bytes_per_s` is the total of both directions. `dies`: devices that one card shows.
    """

    id: Id
    vendor: Literal["NVIDIA", "AMD", "Intel", "Apple"]
    name: Text
    aliases: tuple[Text, ...] = Field(default=(), strict=False)
    kind: Literal[
        "discrete", "laptop", "workstation", "datacentre", "embedded", "unified", "integrated"
    ]
    chip: Text | None = None
    driver_names: tuple[Text, ...] = Field(strict=False)
    memory_gib: tuple[Positive, ...] = Field(strict=False)
    memory_type: Text | None = None
    memory_bus_bits: Positive | None = None
    bandwidth_bytes_per_s: Positive | None = None
    bandwidth_by_memory: tuple[BandwidthOfMemory, ...] = Field(default=(), strict=False)
    bandwidth_basis: Text | None = None
    fp32_flops_per_s: Positive | None = None
    fp16_flops_per_s: Positive | None = None
    fp16_accumulate_fp16_flops_per_s: Positive | None = None
    bf16_flops_per_s: Positive | None = None
    fp8_flops_per_s: Positive | None = None
    fp4_flops_per_s: Positive | None = None
    int8_ops_per_s: Positive | None = None
    tensor_basis: Text | None = None
    power_watts: Positive | None = None
    pcie_gen: Positive | None = None
    pcie_lanes: Positive | None = None
    nvlink_bytes_per_s: Positive | None = None
    compute_capability: Annotated[str, Field(pattern=r"^[0-9]+\.[0-9]+$")] | None = None
    gfx_target: Annotated[str, Field(pattern=r"^gfx[0-9a-f]+$")] | None = None
    gpu_cores: tuple[Positive, ...] = Field(default=(), strict=False)
    dies: Positive = 1
    released: Month | None = None
    launch_price_usd: Positive | None = None
    launch_price_basis: Text | None = None
    unified_memory: bool
    unverified: tuple[Text, ...] = Field(default=(), strict=False)
    note: Text | None = None
    source: Text
    checked: dt.date


class DeviceFile(Row):
    """`devices/<vendor>.toml`."""

    devices: list[DeviceRow]


TotalClass = Literal["gddr", "gddr intel", "gddr with ecc", "hbm", "unified", "embedded"]


class DriverTotalRow(Row):
    """One observed total of one marketed size."""

    # "class" is a Python keyword
    total_class: TotalClass = Field(alias="class")
    devices: tuple[Id, ...] = Field(strict=False, min_length=1)
    memory_gib: Positive
    total_mib: Positive
    total_low_mib: Positive | None = None
    interface: Text
    confidence: Literal["high", "low"]
    source: Text


class DriverTotalsFile(Row):
    """`driver_totals.toml`."""

    checked: dt.date
    margin_ratio: Annotated[float, Field(ge=0, lt=0.1)]
    rows: list[DriverTotalRow]


class RentalRow(Row):
    """A price by the hour: `offered_as` is the provider's name of the GPU, `terms` its words."""

    provider: Text
    device: Id
    offered_as: Text
    terms: Text
    usd_per_gpu_hour: PositiveFloat
    least_gpus: Annotated[int, Field(ge=1, le=8)]
    unverified: tuple[Text, ...] = Field(default=(), strict=False)
    note: Text | None = None
    as_of: dt.date
    source: Text
    checked: dt.date


class RentalPricesFile(Row):
    """`rental_prices.toml`."""

    offers: list[RentalRow]
