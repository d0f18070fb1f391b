"""Random machines, and one model of each kind of layer, for the laws of this folder."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from whatfits.sizing.api import load_model
from whatfits.sizing.machine import Device, LimitScope, Machine, Pool
from whatfits.sizing.search.trials import Trials
from whatfits.sizing.units import GIB, MIB
from whatfits.sizing.workload import PlacementRequest, Workload

if TYPE_CHECKING:
    from hypothesis.strategies import DrawFn

    from whatfits.sizing.model import ModelSpec

__all__ = ["FEW", "MODELS", "large_machine", "limit_scopes", "machines", "model", "trials"]

FEW = 10
MODELS = (
    "smollm2-135m",  # grouped queries, tied embedding
    "llama-3.1-8b",  # grouped queries
    "gemma-3-4b",  # sliding windows
    "qwen3-30b-a3b",  # mixture of experts
    "gpt-oss-20b",  # experts, windows, native low-bit weights
    "deepseek-v2-lite",  # latent attention
    "falcon-mamba-7b",  # recurrent state
)


@cache
def model(name: str, file_type: str | None = None) -> ModelSpec:
    """Return a catalog model, loaded once."""
    return load_model(name, file_type=file_type)


def trials(
    name: str,
    machine: Machine,
    *,
    file_type: str | None = None,
    **asked: Any,  # noqa: ANN401 - fields of a Workload
) -> Trials:
    """Return the engine's search for a model on a machine, without the rest of an answer."""
    return Trials(model(name, file_type), machine, Workload(**asked), PlacementRequest())


def _gib(low: float, high: float) -> st.SearchStrategy[int]:
    return st.integers(round(low * 1024), round(high * 1024)).map(lambda mib: mib * MIB)


def limit_scopes(kind: str) -> st.SearchStrategy[LimitScope]:
    """Return whom the limit of a pool may bind: the GPU alone only where a CPU shares it."""
    return st.sampled_from(("pool", "accelerators")) if kind == "unified" else st.just("pool")


@st.composite
def _pools(draw: DrawFn, pool_id: str, kind: str, low: float, high: float) -> Pool:
    total = draw(_gib(low, high))
    share = st.integers(0, total)
    return Pool(
        id=pool_id,
        kind=kind,  # type: ignore[arg-type]
        total_bytes=total,
        limit_bytes=draw(st.none() | share),
        used_bytes=draw(st.just(0) | _gib(0, 4)),
        reserve_bytes=draw(st.just(0) | _gib(0, 2)),
        total_low_bytes=draw(st.none() | st.just(total - total // 20)),
        limit_scope=draw(limit_scopes(kind)),
    )


@st.composite
def machines(draw: DrawFn) -> Machine:
    """Draw a machine: RAM alone, RAM and up to three cards, or unified memory."""
    shape = draw(st.sampled_from(["ram", "cards", "unified"]))
    if shape == "unified":
        pools = (draw(_pools("unified", "unified", 4, 128)),)
        devices = (
            Device("metal", "metal", "an Apple GPU", "unified", 10**11),
            Device("cpu", "cpu", "an Apple CPU", "unified"),
        )
        return Machine(pools=pools, devices=devices, os="macos")
    count = draw(st.integers(1, 3)) if shape == "cards" else 0
    kind = draw(st.sampled_from(["cuda", "rocm", "vulkan"]))
    cards = tuple(draw(_pools(f"vram{index}", "vram", 1, 48)) for index in range(count))
    ram = draw(_pools("ram", "ram", 1, 128))
    devices = tuple(
        Device(f"{kind}{index}", kind, "a card", pool.id, 5 * 10**11)
        for index, pool in enumerate(cards)
    )
    cpu = Device("cpu", "cpu", "a CPU", "ram", 5 * 10**10, features=("avx2",))
    return Machine(pools=(*cards, ram), devices=(*devices, cpu))


def large_machine(kind: str = "cuda") -> Machine:
    """Return a machine on which everything fits on one accelerator."""
    pools = (
        Pool("vram0", "vram", 4096 * GIB),
        Pool("ram", "ram", 4096 * GIB),
    )
    devices = (Device("gpu0", kind, "a card", "vram0"), Device("cpu", "cpu", "a CPU", "ram"))
    return Machine(pools=pools, devices=devices)
