"""Laws of speed: what slows it, what never does, and the order of its intervals."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from drawn import FEW, MODELS, large_machine, model
from hypothesis import given, settings
from hypothesis import strategies as st

from whatfits.sizing.placement import resolve_placement
from whatfits.sizing.settings import resolve_settings
from whatfits.sizing.speed import estimate_speed
from whatfits.sizing.workload import PlacementRequest, Workload

if TYPE_CHECKING:
    from whatfits.sizing.estimate import RateRange, Speed
    from whatfits.sizing.machine import Machine

DEPTHS = st.integers(64, 2**17)
BANDWIDTHS = st.integers(10**10, 4 * 10**12)
ROUNDING = 0.011  # three digits are told
KINDS = ("cuda", "rocm", "vulkan", "metal")


def _machine(
    kind: str = "cuda", *, card: int = 10**12, host: int = 6 * 10**10, flops: int | None = 10**14
) -> Machine:
    machine = large_machine(kind)
    gpu, cpu = machine.devices
    gpu = replace(gpu, bandwidth_bytes_per_s=card, fp16_flops_per_s=flops)
    return replace(machine, devices=(gpu, replace(cpu, bandwidth_bytes_per_s=host)))


def _speed(
    name: str,
    machine: Machine,
    *,
    layers: int | None = None,
    depth: int = 512,
    **asked: Any,  # noqa: ANN401 - fields of a Workload
) -> Speed:
    spec = model(name, None if name == "gpt-oss-20b" else "Q4_K_M")
    workload = Workload(**{"context_tokens": 2**17, **asked})
    placement = resolve_placement(spec, PlacementRequest(gpu_layers=layers), machine)
    return estimate_speed(
        spec,
        resolve_settings(spec, workload),
        placement,
        prompt_tokens=depth,
        machine=machine,
    )


def _decode(speed: Speed) -> RateRange:
    assert speed.decode_tokens_per_s is not None
    return speed.decode_tokens_per_s


@pytest.mark.parametrize("name", MODELS)
@settings(max_examples=FEW)
@given(depths=st.tuples(DEPTHS, DEPTHS), kind=st.sampled_from(KINDS))
def test_writing_never_gets_faster_with_depth(
    name: str, depths: tuple[int, int], kind: str
) -> None:
    near, far = (_speed(name, _machine(kind), depth=depth) for depth in sorted(depths))
    assert _decode(far).mid <= _decode(near).mid
    assert near.time_to_first_token_s is not None
    assert far.time_to_first_token_s is not None
    assert far.time_to_first_token_s.mid >= near.time_to_first_token_s.mid


def test_writing_falls_with_depth_where_a_cache_grows_and_not_where_none_does() -> None:
    for name in ("llama-3.1-8b", "qwen3-30b-a3b", "deepseek-v2-lite"):
        short, long = (_decode(_speed(name, _machine(), depth=d)).mid for d in (512, 2**16))
        assert long < 0.8 * short, name
    short, long = (
        _decode(_speed("falcon-mamba-7b", _machine(), depth=d)).mid for d in (512, 2**16)
    )
    assert long == short


@pytest.mark.parametrize("name", MODELS)
@settings(max_examples=FEW)
@given(card=BANDWIDTHS, host=BANDWIDTHS, layers=st.integers(0, 80), kind=st.sampled_from(KINDS))
def test_twice_the_bandwidth_slows_nothing(
    name: str, card: int, host: int, layers: int, kind: str
) -> None:
    plain = _speed(name, _machine(kind, card=card, host=host), layers=layers)
    for more in ({"card": 2 * card, "host": host}, {"card": card, "host": 2 * host}):
        faster = _speed(name, _machine(kind, **more), layers=layers)
        for field in ("decode_tokens_per_s", "prefill_tokens_per_s"):
            before, after = getattr(plain, field), getattr(faster, field)
            assert (before is None) == (after is None)
            assert before is None or after.mid >= before.mid


@pytest.mark.parametrize("name", MODELS)
@settings(max_examples=FEW)
@given(layers=st.tuples(st.integers(0, 80), st.integers(0, 80)))
def test_spilling_layers_to_slower_memory_never_speeds_up(
    name: str, layers: tuple[int, int]
) -> None:
    fewer, more = (_decode(_speed(name, _machine(), layers=count)).mid for count in sorted(layers))
    assert fewer <= more * (1 + ROUNDING)


@pytest.mark.parametrize("ratio", [5, 10, 20])
def test_a_model_in_the_hosts_memory_is_as_much_slower_as_that_memory_is(ratio: int) -> None:
    card = 10**12
    machine = _machine(card=card, host=card // ratio)
    on_card = _decode(_speed("llama-3.1-8b", machine)).mid
    on_host = _decode(_speed("llama-3.1-8b", machine, layers=0)).mid
    # the constants a layer weigh on the fast side, the shares of both peaks differ a little
    assert ratio / 1.6 < on_card / on_host < ratio * 1.6


@pytest.mark.parametrize("name", MODELS)
@settings(max_examples=FEW)
@given(sequences=st.integers(1, 32), depth=st.integers(64, 4096))
def test_one_more_sequence_never_lowers_the_throughput(
    name: str, sequences: int, depth: int
) -> None:
    fewer, more = (
        _speed(name, _machine(), depth=depth, parallel=count)
        for count in (sequences, sequences + 1)
    )
    before = fewer.throughput_tokens_per_s or fewer.decode_tokens_per_s
    after = more.throughput_tokens_per_s
    assert before is not None
    assert after is not None
    assert after.mid >= before.mid * (1 - ROUNDING)


@pytest.mark.parametrize("name", MODELS)
@settings(max_examples=FEW)
@given(
    kind=st.sampled_from(KINDS),
    depth=DEPTHS,
    layers=st.integers(0, 80),
    flops_and_parallel=st.tuples(st.sampled_from([None, 10**12, 10**15]), st.integers(1, 8)),
)
def test_ends_are_in_order_and_a_missing_rate_has_a_reason(
    name: str, kind: str, depth: int, layers: int, flops_and_parallel: tuple[int | None, int]
) -> None:
    flops, parallel = flops_and_parallel
    speed = _speed(
        name,
        _machine(kind, flops=flops),
        layers=layers,
        depth=depth,
        parallel=parallel,
    )
    for field in (
        "prefill_tokens_per_s",
        "decode_tokens_per_s",
        "time_to_first_token_s",
        "throughput_tokens_per_s",
    ):
        rate = getattr(speed, field)
        assert rate is None or 0 < rate.low <= rate.mid <= rate.high
    if speed.prefill_tokens_per_s is None:
        assert speed.time_to_first_token_s is None
        assert speed.reason is not None
        assert "arithmetic rate" in speed.reason


def test_an_unknown_bandwidth_is_said_and_nothing_is_told() -> None:
    machine = large_machine("cuda")
    speed = _speed("llama-3.1-8b", machine)
    assert speed.decode_tokens_per_s is None
    assert speed.provenance == "unknown"
    assert speed.reason == "memory bandwidth of a card is not known"
