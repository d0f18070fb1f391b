"""Makes the helpers of tests/oracle importable, and gives small models of each kind of cache."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tiny_configs import COMMON, HYBRID

from whatfits.sizing.architectures import spec_from_config
from whatfits.sizing.machine import Device, Machine, Pool
from whatfits.sizing.units import GIB

if TYPE_CHECKING:
    from whatfits.sizing.model import ModelSpec

ORACLE = Path(__file__).parents[2] / "oracle"
if str(ORACLE) not in sys.path:
    sys.path.insert(0, str(ORACLE))

_LLAMA = {
    "model_type": "llama",
    "hidden_size": 128,
    "intermediate_size": 256,
    "num_hidden_layers": 3,
    "tie_word_embeddings": True,
}
_GEMMA = {
    "model_type": "gemma3_text",
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 6,
    "sliding_window": 256,
    "sliding_window_pattern": 6,
}
_QWEN = {**HYBRID, "partial_rotary_factor": 0.25}


def _tiny(config: dict[str, object], file_type: str = "F16") -> ModelSpec:
    return spec_from_config(
        {**COMMON, **config}, name="tiny", source="tiny.gguf", file_type=file_type
    )


@pytest.fixture(scope="session")
def plain_model() -> ModelSpec:
    return _tiny(_LLAMA)


@pytest.fixture(scope="session")
def repacked_model() -> ModelSpec:
    return _tiny({**_LLAMA, "hidden_size": 256, "tie_word_embeddings": False}, "Q4_0")


@pytest.fixture(scope="session")
def window_model() -> ModelSpec:
    return _tiny(_GEMMA)


@pytest.fixture(scope="session")
def recurrent_model() -> ModelSpec:
    return _tiny(_QWEN)


@pytest.fixture(scope="session")
def host_box() -> Machine:
    return Machine(
        pools=(Pool("ram", "ram", 64 * GIB),),
        devices=(Device("cpu", "cpu", "x86-64", "ram", features=("avx2",)),),
    )


@pytest.fixture(scope="session")
def gpu_box() -> Machine:
    return Machine(
        pools=(
            Pool("vram0", "vram", 24 * GIB, used_bytes=0),
            Pool("vram1", "vram", 24 * GIB, used_bytes=0),
            Pool("ram", "ram", 64 * GIB, used_bytes=0),
        ),
        devices=(
            Device("gpu0", "cuda", "a GPU", "vram0"),
            Device("gpu1", "cuda", "a GPU", "vram1"),
            Device("cpu", "cpu", "x86-64", "ram", features=("avx2",)),
        ),
    )
