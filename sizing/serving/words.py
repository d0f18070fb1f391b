"""The answer to `serve` in words, part by part, for command line and page alike."""

from __future__ import annotations

from whatfits.sizing.document import Facts, Table
from whatfits.sizing.explain import machine_sentence, rate_text, short_rate
from whatfits.sizing.runtimes import find_runtime
from whatfits.sizing.serving.curve import KNEE_SHARE
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.units import format_bytes, format_tokens

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final

    from whatfits.sizing.serving.curve import CurvePoint
    from whatfits.sizing.serving.profile import Lengths
    from whatfits.sizing.serving.sampling import Sampling
    from whatfits.sizing.serving.serve_plan import ServePlan

__all__ = ["curve_readings", "curve_table", "server_facts", "verdict_line"]

_WORDS: Final = {
    "fits": "Served",
    "tight": "Tight",
    "slow": "Served, but slow",
    "no": "Not served",
    "unknown": "Cannot be told",
}
_BINDS: Final = {
    "memory": "memory: the model with one user's context does not fit",
    "kv_cache": "the KV cache: requests wait for room in it",
    "slots": "the queue: requests wait for a slot",
    "arithmetic": "arithmetic: a step calculates longer than it reads",
    "bandwidth": "memory bandwidth: a step reads longer than it calculates",
}
_RANGES: Final = (
    "Ranges are simulations at both ends of the speed's interval; limits are judged at the slow "
    "one."
)
_COLUMNS: Final = (
    "users",
    "first token, half",
    "19 of 20",
    "tokens/s each",
    "tokens/s together",
    "at once",
    "within limits",
)


def verdict_line(found: ServePlan) -> str:
    """Return whether the users are served within the limits, and how many are."""
    return f"{_WORDS[found.verdict]}: {_users(found.users)}; {found.verdict_reason}."


def _users(count: int) -> str:
    return f"{count:,} user{'' if count == 1 else 's'}"


def server_facts(found: ServePlan) -> Facts:
    """Return the server, its users, and what they get."""
    plan = found.plan
    model = f"{plan.model.name} {plan.model.file_type or ''}".strip()
    memory = plan.memory
    rows = [
        ("Model", f"{model} under {find_runtime(plan.runtime).label}"),
        ("Machine", f"{plan.machine.name}: {machine_sentence(plan.machine)}"),
        ("Users", _load_text(found)),
        ("Server", f"{found.slots:,} at once, {found.step_tokens:,} tokens a step at most"),
        (
            "Memory",
            f"{format_bytes(memory.total_bytes)}, at most {format_bytes(memory.high_bytes)}",
        ),
    ]
    if found.cache_tokens is not None and found.longest_requests is not None:
        tokens = format_tokens(found.cache_tokens)
        rows.append(
            ("KV cache", f"{tokens} tokens, {found.longest_requests:.2f} of the longest requests")
        )
    if found.binds is not None:
        rows.append(("Held back by", _BINDS[found.binds]))
    if found.at_users is not None:
        rows += _figures(found.at_users)
    return Facts(tuple(rows))


def _figures(point: CurvePoint) -> list[tuple[str, str]]:
    rows = [("First token", f"{rate_text(point.ttft_p95_s, 's')} for 19 of 20 requests")]
    if point.tokens_per_s is not None:
        rows.append(("Writes for each", rate_text(point.tokens_per_s, "tokens/s")))
    rows.append(("Together", rate_text(point.throughput_tokens_per_s, "tokens/s")))
    if point.turned_away_share:
        rows.append(
            ("Turned away", f"{point.turned_away_share:.0%} of requests: the queue is full")
        )
    return rows


def _load_text(found: ServePlan) -> str:
    load = found.load
    what = f"prompts of {_lengths(load.prompt)}, answers of {_lengths(load.output)} tokens"
    if load.shared_prefix_tokens:
        what += f", the first {format_tokens(load.shared_prefix_tokens)} the same for all"
    if load.requests_per_hour is not None:
        return f"{what}; {load.requests_per_hour:g} requests an hour each, at random moments"
    if load.think_s:
        return f"{what}; each asks again {load.think_s:g} s after an answer, on the average"
    return f"{what}; each asks again as soon as the answer is there"


def _lengths(lengths: Lengths) -> str:
    if lengths.observed_tokens:
        return f"{len(lengths.observed_tokens)} observed lengths"
    if lengths.p95_tokens is None:
        return format_tokens(lengths.median_tokens)
    return f"{format_tokens(lengths.median_tokens)} (19 of 20 up to {lengths.p95_tokens:,})"


def curve_table(points: Sequence[CurvePoint]) -> Table:
    """Return what each number of users gets."""
    return Table(_COLUMNS, tuple(map(_row, points)), title="Users", right=_COLUMNS[:-1])


def _row(point: CurvePoint) -> tuple[str, ...]:
    return (
        f"{point.users:,}",
        f"{short_rate(point.ttft_p50_s)} s",
        f"{short_rate(point.ttft_p95_s)} s",
        short_rate(point.tokens_per_s),
        short_rate(point.throughput_tokens_per_s),
        f"{point.batch.mid:.1f}",
        "yes" if point.keeps_limits else "no",
    )


def curve_readings(found: ServePlan) -> tuple[str, ...]:
    """Return what the curve says in words."""
    lines = [_RANGES]
    if found.knee_users is not None:
        lines.append(
            f"The knee is at {_users(found.knee_users)}: {KNEE_SHARE:.0%} of the most throughput "
            "on this curve."
        )
    if found.balanced_batch is not None:
        lines.append(
            f"From {found.balanced_batch:,} sequences at once arithmetic outlasts reading; "
            "beyond it each one slows all."
        )
    if found.sampling is not None and _differs(found.sampling):
        spread = rate_text(found.sampling.throughput_tokens_per_s, "tokens/s")
        lines.append(
            f"{found.sampling.seeds} seeds at the middle speed give {spread} together, the first "
            f"token in {rate_text(found.sampling.ttft_p95_s, 's')}."
        )
    return tuple(lines)


def _differs(sampling: Sampling) -> bool:
    """Return whether the seed matters: it does not where lengths and moments are all given."""
    return any(
        spread.low < spread.high
        for spread in (sampling.throughput_tokens_per_s, sampling.ttft_p95_s)
    )
