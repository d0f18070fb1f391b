"""The recorded rows of llama.cpp's own bytes, as requests to this engine and what they must give.

`tests/recorded/llama_cpp/buffers.json` says where its rows come from. Three of its 27 groups were
made for shapes that differ from the catalog's; they are compared with the shape they were made for:

- gemma-3-27b and nomic-embed: the tokenizer's length (262,144 and 30,522) instead of the padded
  `vocab_size` of the configuration;
- gemma-3n-e4b: the same, and the reference kept in F32 what converters write in F16 (the altup,
  laurel and model-projection tensors: 105,955,328 bytes more).

rwkv6 is not in the catalog; its shape is written out below. The reference kept its five mixing
weights apart, as early files do; converters fuse them now.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from whatfits.sizing.architectures import spec_from_config
from whatfits.sizing.catalog.lookup import find_model
from whatfits.sizing.machine import Device, Machine, Pool
from whatfits.sizing.placement import resolve_placement
from whatfits.sizing.quants.ggml_types import tensor_bytes
from whatfits.sizing.runtimes.llama_cpp import Bill
from whatfits.sizing.settings import resolve_settings
from whatfits.sizing.sources.catalog_model import load_catalog_model
from whatfits.sizing.units import GIB
from whatfits.sizing.workload import PlacementRequest, Workload

if TYPE_CHECKING:
    from whatfits.sizing.estimate import Memory
    from whatfits.sizing.model import ModelSpec, TensorSpec
    from whatfits.sizing.placement import Placement
    from whatfits.sizing.settings import Settings

__all__ = ["GROUPS", "Group", "Row"]

PATH: Final = Path(__file__).parents[1] / "recorded" / "llama_cpp" / "buffers.json"
TOKENIZER_LENGTHS: Final = {
    "gemma-3-27b": 262_144,
    "gemma-3n-e4b": 262_144,
    "nomic-embed-text-v1.5": 30_522,
}
RWKV6: Final = {
    "model_type": "rwkv6",
    "hidden_size": 4096,
    "num_hidden_layers": 32,
    "head_size": 64,
    "intermediate_size": 14336,
    "vocab_size": 65536,
}
FLASH: Final = {-1: "auto", 0: "off", 1: "on"}
HOST_FEATURES: Final = ("avx2",)


@dataclass(frozen=True)
class Row:
    """One recorded reservation.

    Attributes:
        settings: llama.cpp's parameters, by their short names.
        buffers: buffer type → (model, context, compute) bytes.
        raw: everything that was recorded.
    """

    settings: dict[str, Any]
    buffers: dict[str, tuple[int, int, int]]
    raw: dict[str, Any]

    @property
    def is_mapped(self) -> bool:
        return bool(self.settings.get("mmap"))

    @cached_property
    def accelerator_names(self) -> list[str]:
        """Names of accelerator buffers that can occur, in device order."""
        if "rpc" in self.raw["device"]:
            return ["RPC0[127.0.0.1:50061]", "RPC0[127.0.0.1:50062]"]
        return [f"FAKE{i}" for i in range(int(self.raw["device_env"].get("FAKE_GPUS", 0)))]

    @property
    def kind(self) -> str:
        """`cpu`, `rpc`, `1 gpu` or `2 gpus`."""
        count = len(self.accelerator_names)
        if "rpc" in self.raw["device"]:
            return "rpc"
        return "cpu" if not count else f"{count} gpu{'s' * (count > 1)}"

    def device_columns(self, index: int) -> tuple[int, int, int]:
        """Return what an accelerator reserves: model, context, compute."""
        return self.buffers.get(self.accelerator_names[index], (0, 0, 0))

    def host_columns(self) -> tuple[int, int, int]:
        """Return what the host reserves over all its buffers."""
        host = [v for k, v in self.buffers.items() if k not in self.accelerator_names]
        return sum(c[0] for c in host), sum(c[1] for c in host), sum(c[2] for c in host)

    @property
    def flash_supported(self) -> bool:
        return "FAKE_NOFA" not in self.raw["device_env"]

    @property
    def machine(self) -> Machine:
        """A machine like the one the row was made on: pretend GPUs behave like CUDA's."""
        kind = "rpc" if self.kind == "rpc" else "cuda"
        count = len(self.accelerator_names)
        features = [] if self.flash_supported else ["no_flash_attention"]
        if self.raw["device_env"].get("FAKE_ASYNC") == "0":
            features.append("no_async")
        pools = [Pool(f"vram{i}", "vram", 24 * GIB) for i in range(count)]
        devices = [
            Device(f"gpu{i}", kind, f"pretend GPU {i}", f"vram{i}", features=tuple(features))
            for i in range(count)
        ]
        return Machine(
            pools=(*pools, Pool("ram", "ram", 64 * GIB)),
            devices=(*devices, Device("cpu", "cpu", "x86-64", "ram", features=HOST_FEATURES)),
        )

    @property
    def workload(self) -> Workload:
        s = self.settings
        return Workload(
            program="api",
            context_tokens=s["c"],
            parallel=s["np"],
            kv_type_k=s["ctk"],
            kv_type_v=s["ctv"],
            batch=s["b"],
            micro_batch=s["ub"],
            flash_attention=FLASH[s["fa"]],  # type: ignore[arg-type]
            kv_unified=bool(s["kvu"]),
            swa_full=bool(s["swaf"]),
            outputs_max=s.get("nout"),
        )

    @property
    def request(self) -> PlacementRequest:
        s = self.settings
        override = s.get("ot")
        split = s.get("ts")
        return PlacementRequest(
            gpu_layers=s.get("ngl"),
            tensor_split=tuple(float(x) for x in split.split(",")) if split else None,
            overrides=((override.rpartition("@")[0], "CPU"),) if override else (),
            kv_offload=False if s.get("kqv") == 0 else None,
            op_offload=False if s.get("opo") == 0 else None,
            split_mode="none" if s.get("sm") == 0 else None,
            mmap=self.is_mapped,
            repack="off" if s.get("repack") == 0 else "auto",
        )


@dataclass(frozen=True)
class Group:
    """One model under one file type, and its rows."""

    model: str
    architecture: str
    file_type: str
    metadata: dict[str, Any]
    model_bytes: int
    parameters: int
    rows: tuple[Row, ...]

    @property
    def name(self) -> str:
        return f"{self.model}-{self.file_type}"

    @cached_property
    def spec(self) -> ModelSpec:
        """The model in the shape the rows were made for."""
        if self.architecture == "rwkv6":
            fused = spec_from_config(
                RWKV6, name=self.model, source="recorded", file_type=self.file_type
            )
            return _with_mixing_apart(fused)
        vocabulary = TOKENIZER_LENGTHS.get(self.model)
        if vocabulary is None:
            return load_catalog_model(self.model, file_type=self.file_type)
        spec = spec_from_config(
            find_model(self.model).config,
            name=self.model,
            source="catalog",
            file_type=self.file_type,
            n_vocab_override=vocabulary,
        )
        return _with_f16_as_f32(spec) if self.architecture == "gemma3n" else spec

    @cached_property
    def bill(self) -> Bill:
        """The bill of the model, for any of its rows."""
        return Bill(self.spec)

    @cached_property
    def answers(self) -> tuple[tuple[Row, Settings, Placement, Memory], ...]:
        """Each row with what this engine makes of its request."""
        return tuple(self._answer(row) for row in self.rows)

    def _answer(self, row: Row) -> tuple[Row, Settings, Placement, Memory]:
        settings = resolve_settings(self.spec, row.workload, flash_supported=row.flash_supported)
        placement = resolve_placement(self.spec, row.request, row.machine)
        memory = self.bill.memory(settings, placement, row.machine, is_server=False)
        return row, settings, placement, memory


def _with_mixing_apart(spec: ModelSpec) -> ModelSpec:
    tensors: list[TensorSpec] = []
    for tensor in spec.tensors:
        if "lerp_fused" not in tensor.name:
            tensors.append(tensor)
            continue
        shape = tensor.shape[:1]
        size = tensor_bytes(tensor.type, shape)
        names = (tensor.name.replace("fused", letter) for letter in "wkvrg")
        tensors.extend(replace(tensor, name=name, shape=shape, n_bytes=size) for name in names)
    return replace(spec, tensors=tuple(tensors))


def _with_f16_as_f32(spec: ModelSpec) -> ModelSpec:
    tensors = tuple(
        replace(tensor, type="F32", n_bytes=tensor_bytes("F32", tensor.shape))
        if tensor.type == "F16"
        else tensor
        for tensor in spec.tensors
    )
    return replace(spec, tensors=tensors)


def _groups() -> tuple[Group, ...]:
    document = json.loads(PATH.read_text(encoding="utf-8"))
    return tuple(
        Group(
            model=group["model"],
            architecture=group["architecture"],
            file_type=group["file_type"],
            metadata=group["metadata"],
            model_bytes=group["model_bytes"],
            parameters=group["parameters"],
            rows=tuple(
                Row(row["settings"], {k: tuple(v) for k, v in row["buffers"].items()}, row)
                for row in group["rows"]
            ),
        )
        for group in document["groups"]
    )


GROUPS: Final = _groups()
