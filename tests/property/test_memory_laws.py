"""Laws of the memory bill: sums, order of the interval, and what grows with what."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from drawn import FEW, MODELS, large_machine, machines, model, trials
from hypothesis import given, settings
from hypothesis import strategies as st

from whatfits.sizing.quants.file_types import KV_TYPES
from whatfits.sizing.quants.ggml_types import GGML_TYPES

if TYPE_CHECKING:
    from whatfits.sizing.estimate import Memory
    from whatfits.sizing.machine import Machine

PARTS = ("weights_bytes", "kv_cache_bytes", "compute_bytes", "output_bytes", "overhead_bytes")
ENDS = ("total_bytes", "low_bytes", "high_bytes")
CONTEXTS = st.integers(1, 2**17)
# From fewer to more bits in every tensor: each step of llama-quantize's K family.
LADDER = (
    *("Q2_K", "Q3_K_S", "Q3_K_M", "Q3_K_L", "Q4_K_S", "Q4_K_M", "Q5_K_S", "Q5_K_M", "Q6_K"),
    *("Q8_0", "F16", "F32"),
)
# One type a number of bits: f16 and bf16 take the same cache, but not the same work. Over IQ4_NL
# CUDA fuses no attention, and brings the cache to the host.
KV_LADDER = sorted(
    set(KV_TYPES) - {"BF16", "IQ4_NL"}, key=lambda name: GGML_TYPES[name].bits_per_weight
)


def _memory(name: str, *, file_type: str | None = None, **asked: Any) -> Memory:  # noqa: ANN401
    return trials(name, large_machine(), file_type=file_type, **asked).best().memory


def _assert_no_less(larger: Memory, smaller: Memory, *keys: str) -> None:
    for key in keys:
        assert getattr(larger, key) >= getattr(smaller, key), key


@settings(max_examples=4 * FEW)
@given(
    name=st.sampled_from(MODELS), machine=machines(), context=CONTEXTS, parallel=st.integers(1, 8)
)
def test_totals_are_sums_of_rows_and_the_interval_is_in_order(
    name: str, machine: Machine, context: int, parallel: int
) -> None:
    context = max(context, parallel)  # fewer rows than sequences are refused
    memory = trials(name, machine, context_tokens=context, parallel=parallel).best().memory
    for key in (*PARTS, *ENDS):
        assert getattr(memory, key) == sum(getattr(row, key) for row in memory.devices)
    for row in (memory, *memory.devices):
        assert row.total_bytes == sum(getattr(row, part) for part in PARTS)
        assert all(getattr(row, part) >= 0 for part in PARTS)
        assert row.low_bytes <= row.total_bytes <= row.high_bytes


@pytest.mark.parametrize("name", MODELS)
@settings(max_examples=FEW)
@given(contexts=st.tuples(CONTEXTS, CONTEXTS))
def test_memory_never_shrinks_with_context(name: str, contexts: tuple[int, int]) -> None:
    less, more = (_memory(name, context_tokens=tokens) for tokens in sorted(contexts))
    # the lower end may: where compute is known in closed form only, its interval opens with tokens
    _assert_no_less(more, less, "kv_cache_bytes", "compute_bytes", "total_bytes", "high_bytes")


@pytest.mark.parametrize("name", MODELS)
@settings(max_examples=FEW)
@given(sequences=st.tuples(st.integers(1, 32), st.integers(1, 32)), tokens=st.integers(1, 8192))
def test_memory_never_shrinks_with_sequences_of_one_length(
    name: str, sequences: tuple[int, int], tokens: int
) -> None:
    few, many = (
        _memory(name, context_tokens=count * tokens, parallel=count) for count in sorted(sequences)
    )
    _assert_no_less(many, few, "kv_cache_bytes", "output_bytes", *ENDS)


@pytest.mark.parametrize("name", MODELS)
@settings(max_examples=FEW)
@given(kinds=st.tuples(st.sampled_from(KV_LADDER), st.sampled_from(KV_LADDER)), tokens=CONTEXTS)
def test_memory_never_shrinks_with_bits_of_the_cache(
    name: str, kinds: tuple[str, str], tokens: int
) -> None:
    small, large = (
        _memory(name, context_tokens=tokens, kv_type_k=kind, kv_type_v=kind)
        for kind in sorted(kinds, key=KV_LADDER.index)
    )
    _assert_no_less(large, small, "kv_cache_bytes", *ENDS)


# Not gpt-oss: its rows of 2,880 are no whole number of K blocks, and the types that llama-quantize
# falls back to are not in the order of those they stand in for.
@pytest.mark.parametrize("name", sorted(set(MODELS) - {"gpt-oss-20b"}))
def test_weights_never_shrink_with_bits_of_the_file_type(name: str) -> None:
    bills = [_memory(name, file_type=kind) for kind in LADDER]
    for small, large in pairwise(bills):
        _assert_no_less(large, small, "weights_bytes", *ENDS)
    files = [model(name, kind).file_bytes or 0 for kind in LADDER]
    assert files == sorted(files)
