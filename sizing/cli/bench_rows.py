"""Measurements as rows of an answer."""

from __future__ import annotations

from whatfits.sizing.cli.bench_answer import KernelRow, TimingRow
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from whatfits.bench.bandwidth import KernelRate
    from whatfits.bench.micro import Measured

__all__ = ["kernel_row", "timing_row"]


def kernel_row(rate: KernelRate) -> KernelRow:
    """Return a kernel's rate as a row."""
    return KernelRow(
        threads=rate.threads,
        per_s=rate.per_s,
        best_per_s=rate.best_per_s,
        spread=rate.spread,
        cpu_share=rate.cpu_share,
        corrected_per_s=rate.corrected_per_s,
        is_measured=rate.is_measured,
    )


def timing_row(device: str, measured: Measured) -> TimingRow:
    """Return a timing of llama.cpp as a row."""
    timing, step = measured.timing, measured.step
    return TimingRow(
        device=device,
        model=measured.drawn.name,
        kind=step.kind,
        tokens=step.tokens,
        depth_tokens=step.depth,
        threads=step.threads,
        tokens_per_s=measured.tokens_per_s,
        spread=timing.spread,
        cpu_share=timing.cpu_share,
        repeats=len(timing.repeats),
        clean_repeats=len(timing.clean),
    )
