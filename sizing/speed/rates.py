"""Peak rates of devices: memory, arithmetic and the way from the host, as told or as assumed."""

from __future__ import annotations

import re

from whatfits.sizing.calibration import quant_kind
from whatfits.sizing.named_tuples import NamedTuple
from whatfits.sizing.quants.ggml_types import GGML_TYPES
from whatfits.sizing.speed.families import family_of
from whatfits.sizing.speed.processors import arithmetic_of
from whatfits.sizing.speed.unknown_memory import assumed_memory
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Final

    from whatfits.sizing.calibration import DeviceCalibration
    from whatfits.sizing.machine import Device, Machine
    from whatfits.sizing.speed.processors import Arithmetic
    from whatfits.sizing.speed.unknown_memory import AssumedMemory

__all__ = ["Rates", "measured_device", "peak_rates"]

# PCIe 4.0 with eight lanes: 16 GT/s x 8 x 128/130 / 8 bits.
_UNKNOWN_LINK_BYTES_PER_S: Final = 15.75e9
_SHARED: Final = frozenset({"integrated", "unified"})
# Hopper's peak is that of `wgmma`; `mma` attains 62.9 % of it on the average. Quantised weights and
# attention are multiplied by `mma` (ggml-cuda/mma.cuh), weights of 16 bits by cuBLAS, which has
# kernels of `wgmma` (ggml-cuda.cu, ggml_cuda_mul_mat_cublas).
# Source: Dissecting the NVIDIA Hopper Architecture (arXiv 2501.12084), tensor cores.
_HOPPER: Final = ("cuda", "hopper")
_HOPPER_MMA_SHARE: Final = 0.629
# Alchemist's peak is that of its matrix units, which Vulkan's shaders do not use there
# (ggml-vulkan.cpp, ggml_vk_khr_cooperative_matrix_support; llama.cpp pull request 24404): 128
# operations of FP16 an engine and cycle, where its vector engine does 32. Source: Intel's slides on
# the Xe HPG microarchitecture, as m.yd166.com/jingyan/5611804206_3.html retells them (read
# 2026-11-27).
_ALCHEMIST: Final = r"\bArc(?:\(TM\))? (?:Pro )?A\d"
_ALCHEMIST_SHADERS_SHARE: Final = 0.25
# Byte-wise dot products, four times the FP32 rate: half of it here, as every card's rate of prompts
# is half of what it multiplies bytes at. Source: NVIDIA Tesla P40 data sheet (12 TFLOPS, 47 TOPS
# of INT8); ggml/src/ggml-cuda/common.cuh (GGML_CUDA_CC_DP4A, no matrix units before 7.0).
_BYTEWISE: Final = "cc6.1"
_BYTEWISE_OVER_FLOATS: Final = 2
# From its fifth generation on the rate of Apple's GPUs is that of their matrix units, which no
# vector is multiplied on: 1,024 operations a core and cycle, where its shaders do 256.
# Source: T. Zakharko, Investigating the GPU Neural Accelerators on Apple A19/M5 (2025-10-15).
_FIRST_WITH_MATRIX_UNITS: Final = 5
_MATRICES_OVER_SHADERS: Final = 4
# What stands in for cores that nobody counted. Two channels of DDR5-8000 are the most of a PC.
_CORES_OF_A_PC: Final = 8
_CORES_OF_A_SERVER: Final = 32
_MOST_OF_A_PC_BYTES_PER_S: Final = 128e9
_FLOAT_KINDS: Final = frozenset({"float", "bf16"})
_BY_VLLM: Final = "prompt.BF16"
# What a shader does to multiply one packed element: it takes bits apart, converts, scales, adds.
# Source: ggml/src/ggml-metal/ggml-metal.metal, kernel_mul_mv_q4_K_f32_impl and its like; of
# counts from 16 to 28 the best over the half of the figures that is fitted on, each device left
# out. M1 Pro to Ultra have 25 operations for a byte of bandwidth, their successors 33 and more.
_BY_METAL: Final = {"k": 20}
# CUDA's (ggml-cuda/vecdotq.cuh) are told in instructions and by type: in proportions of a H200's
# figures of that half, all types of one model, of sizes from 0.7 to 1.1 times these the best over
# all cards of that half with HBM, each model left out in turn; of "fp4" 7, 10, 14 and 20 were tried
# likewise, of "iq" 7 and 8. That its kernels come nowhere near the bandwidth of HBM, as they do of
# GDDR, is llama.cpp issue 9817.
_BY_CUDA: Final = {
    "Q3_K": 12,
    "Q4_K": 8,
    "Q5_K": 11,
    "Q6_K": 14,
    "k": 11,
    "q8": 12,
    "legacy": 7,
    "iq": 8,
    "fp4": 10,
}
# Four bytes in one instruction came with compute capability 6.1. Without it each takes two to take
# out and three to multiply (ggml-cuda/common.cuh, ggml_cuda_dp4a; CUDA binary utilities: XMAD).
_WITHOUT_BYTEWISE: Final = 5
_NO_BYTEWISE: Final = "pascal-hbm"
_BY_CUDA_SINGLY: Final = {name: count + _WITHOUT_BYTEWISE for name, count in _BY_CUDA.items()}
# FP16 operations of a multiprocessor a cycle (256 on the shaders of P100; 1,024, 2,048, 4,096 and
# 8,192 on the matrix units after it) over the instructions of a thread that it issues (64 on P100,
# 128 after it), of the generations with HBM. Source: NVIDIA's white papers of the architectures.
_MATRICES_OVER_INSTRUCTIONS: Final = {
    _NO_BYTEWISE: 4,
    "volta": 8,
    "ampere-hbm": 16,
    "hopper": 32,
    "blackwell-hbm": 64,
}


class Unpacking(NamedTuple):
    """How a device unpacks weights: operations a second, and how many an element takes.

    `counts` go by storage type, or by kind for those that have none of their own; `is_dense`: it
    is not so of experts.
    """

    per_s: float
    counts: Mapping[str, int]
    is_dense: bool = False

    def per_element(self, type_name: str) -> int:
        """Return how many operations an element takes; 0 where that is never seen."""
        return self.counts.get(type_name) or self.counts.get(quant_kind(type_name), 0)


class Rates(NamedTuple):
    """Peak rates of one device, per second; None where unknown.

    `link_bytes` is the way from the host's memory to it; `assumed` stands in for a bandwidth that
    nobody told; `integer_flops` is what quantised weights are multiplied at where that is another
    rate, `float_flops` what those of 16 bits are; `unpacking` how quantised weights are
    unpacked where that may take longer than reading; `threads` how many of a processor wait for
    each other, None elsewhere; `processor` says by which kernels it multiplies; `products` are the
    rates for storage types that vLLM multiplies at others, None for other runtimes.
    """

    bytes: float | None
    flops: float | None
    link_bytes: float | None = None
    assumed: AssumedMemory | None = None
    integer_flops: float | None = None
    unpacking: Unpacking | None = None
    threads: int | None = None
    processor: Arithmetic | None = None
    float_flops: float | None = None
    products: Mapping[str, float] | None = None

    def unpacking_share(self, type_name: str, bits: float | None = None) -> float:
        """Return how much longer than its bytes a storage type takes to unpack, as a share.

        Both go on at the same time: nothing where reading takes longer. `bits` of an element, where
        the type does not say.
        """
        stored = GGML_TYPES.get(type_name)
        if stored is not None:
            bits = 8 * stored.block_bytes / stored.block_elements
        if self.unpacking is None or not bits or not self.bytes:
            return 0.0
        per_byte = self.unpacking.per_element(type_name) * 8 / bits
        return max(0.0, per_byte * self.bytes / self.unpacking.per_s - 1.0)

    def of_weights(self, type_name: str) -> float:
        """Return the arithmetic rate for weights of a storage type."""
        if self.products is not None:
            return self.products.get(type_name) or self.flops or 1.0
        return self.of_kind(quant_kind(type_name))

    def of_kind(self, kind: str) -> float:
        """Return the arithmetic rate for weights of a kind of quantisation."""
        own = self.float_flops if kind in _FLOAT_KINDS else self.integer_flops
        return own or self.flops or 1.0

    def prompt_costs(self, type_name: str) -> tuple[str, ...]:
        """Return the names of what multiplying weights of a storage type costs.

        Under vLLM each type reaches the same share of its rate.
        """
        if self.products is not None:
            return (_BY_VLLM,)
        more = () if self.processor is None else self.processor.costs(type_name)
        return (f"prompt.{type_name}", *more)


def peak_rates(
    devices: Sequence[Device], machine: Machine | None, engine: str | None = None
) -> list[Rates]:
    """Return the peak rates of the devices, the host last; where unknown, what was measured here.

    Of memory whose speed nobody told, a usual one is assumed; nothing is copied where CPU and GPU
    share it. llama.cpp (`engine` None) multiplies quantised weights by `mma` instructions, which do
    not reach the peak of every generation.
    """
    links = {}
    if machine is not None:
        links = {link.to: link.bandwidth_bytes_per_s for link in machine.links}
    rates = []
    for device in devices:
        found = measured_device(device, machine)
        peak: float | None = device.bandwidth_bytes_per_s
        flops, floats, products = _arithmetic(device, engine)
        if found is not None:
            peak = peak or found.read_bytes_per_s
            if engine is not None:  # the rest is of llama.cpp's kernels
                found = None
        if found is not None:
            flops = flops or next((rate.flops_per_s for rate in found.prefill), None)
        is_told = device.kind != "cpu" or peak
        assumed = None if is_told else assumed_memory(device, machine)
        peak = peak if assumed is None else assumed.bytes_per_s
        is_shared = device.kind == "metal" or not _SHARED.isdisjoint(device.features)
        link = peak if is_shared else links.get(device.id) or _UNKNOWN_LINK_BYTES_PER_S
        bytewise = None
        if flops and _is_bytewise(device, engine) and not (found and found.prefill):
            bytewise = _BYTEWISE_OVER_FLOATS * flops
        unpacking = None if found and found.decode else _unpacking(device, engine)
        threads = _threads(device, None if assumed and assumed.is_shared else peak)
        # what was measured of prompts here has the kernels in it
        cores = None if flops or (found and found.prefill) else arithmetic_of(device)
        flops = flops or (cores and cores.flops)
        rates.append(
            Rates(
                peak,
                flops,
                link,
                assumed,
                integer_flops=bytewise,
                unpacking=unpacking,
                threads=threads,
                processor=cores,
                float_flops=floats,
                products=products,
            )
        )
    return rates


def _arithmetic(
    device: Device, engine: str | None
) -> tuple[float | None, float | None, Mapping[str, float] | None]:
    """Return the rate of an engine's kernels, that of 16 bits if another, and vLLM's by type."""
    flops: float | None = device.fp16_flops_per_s
    if not flops:
        return flops, None, None
    if engine == "vllm":
        from whatfits.sizing.speed.vllm_rates import vllm_rates  # noqa: PLC0415 - on use

        rate, products = vllm_rates(device, flops)
        return rate, None, products
    if engine is None and family_of(device) == _HOPPER:
        return flops * _HOPPER_MMA_SHARE, flops, None
    if device.kind == "vulkan" and re.search(_ALCHEMIST, device.name):
        return flops * _ALCHEMIST_SHADERS_SHARE, None, None
    return flops, None, None


def _threads(device: Device, peak: float | None) -> int | None:
    """Return how many threads of a processor wait for each other; None for other devices."""
    if device.kind != "cpu":
        return None
    is_server = (peak or 0.0) > _MOST_OF_A_PC_BYTES_PER_S
    return device.cores or (_CORES_OF_A_SERVER if is_server else _CORES_OF_A_PC)


def _unpacking(device: Device, engine: str | None) -> Unpacking | None:
    """Return how the engine's kernels unpack weights there; None where that is never seen."""
    kind, generation = family_of(device, engine)
    peak = device.fp16_flops_per_s
    if peak and (kind, generation) == ("vllm", _HOPPER[1]):
        from whatfits.sizing.speed.vllm_rates import BY_MACHETE  # noqa: PLC0415 - on use

        return Unpacking(peak / _MATRICES_OVER_INSTRUCTIONS[_HOPPER[1]], BY_MACHETE, is_dense=True)
    if not peak or kind != device.kind:
        return None
    if kind == "metal":
        has_matrix_units = int((generation or "m0")[1:]) >= _FIRST_WITH_MATRIX_UNITS
        return Unpacking(peak / (_MATRICES_OVER_SHADERS if has_matrix_units else 1), _BY_METAL)
    over = _MATRICES_OVER_INSTRUCTIONS.get(generation or "") if kind == "cuda" else None
    if over is None:
        return None
    return Unpacking(peak / over, _BY_CUDA if generation != _NO_BYTEWISE else _BY_CUDA_SINGLY)


def _is_bytewise(device: Device, engine: str | None) -> bool:
    """Return whether llama.cpp multiplies quantised weights by byte-wise dot products there."""
    return engine is None and device.kind == "cuda" and _BYTEWISE in device.features


def measured_device(device: Device, machine: Machine | None) -> DeviceCalibration | None:
    """Return what was measured of a device here; None without."""
    if machine is None or machine.calibration is None:
        return None
    return machine.calibration.device(device.id)
