"""The verdict in a few words: what somebody who reads one line has to know."""

from __future__ import annotations

from whatfits.sizing.explain import READING_TOKENS_PER_S, rate_text, spilled_sentence
from whatfits.sizing.pool_bills import pool_bills
from whatfits.sizing.speed import DEFAULT_PROMPT_TOKENS
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.units import format_bytes, format_tokens

if TYPE_CHECKING:
    from whatfits.sizing.estimate import Plan, Speed

__all__ = ["headline", "speed_sentences"]


def headline(plan: Plan) -> str:
    """Return the verdict with the one number that matters most: `Fits, 3.1 GiB to spare`."""
    if plan.verdict == "unknown":
        return f"Cannot be told: {plan.verdict_reason}"
    bills = [bill for bill in pool_bills(plan) if bill.spare_bytes is not None]
    if not bills:
        return f"Cannot be told: {plan.verdict_reason}"
    tightest = min(bills, key=lambda bill: bill.spare_bytes or 0)
    if plan.verdict == "fits":
        return f"Fits, {format_bytes(tightest.spare_bytes or 0)} to spare"
    if plan.verdict == "slow":
        return f"Fits, but slowly: {spilled_sentence(plan)}"
    if plan.verdict == "tight":
        return f"Tight: {plan.verdict_reason}"
    short = max(bills, key=lambda bill: bill.short_bytes)
    if not short.short_bytes:
        return f"Does not fit: {plan.verdict_reason}"
    return f"Does not fit: {format_bytes(short.short_bytes)} short in {short.label}"


def speed_sentences(plan: Plan) -> tuple[str, ...]:
    """Return how fast it writes and reads, each as a range, and how that is known."""
    speed = plan.speed
    if speed is None or (speed.decode_tokens_per_s or speed.prefill_tokens_per_s) is None:
        reason = speed.reason if speed is not None and speed.reason else "not estimated"
        return (f"Speed unknown: {reason}.",)
    said = []
    if speed.decode_tokens_per_s is not None:
        writes = rate_text(speed.decode_tokens_per_s, "tokens/s")
        does = "Would write" if plan.verdict == "no" else "Writes"
        said.append(f"{does} {writes}; people read about {READING_TOKENS_PER_S:.0f}.")
    if speed.full_decode_tokens_per_s is not None and speed.full_depth_tokens is not None:
        full = rate_text(speed.full_decode_tokens_per_s, "tokens/s")
        said.append(f"With all {format_tokens(speed.full_depth_tokens)} tokens in use: {full}.")
    if speed.time_to_first_token_s is not None:
        wait = rate_text(speed.time_to_first_token_s, "seconds")
        prompt = format_tokens(_prompt_tokens(plan))
        said.append(f"Reads a prompt of {prompt} tokens in {wait} before the first word.")
    elif speed.prefill_tokens_per_s is not None:
        said.append(f"Reads {rate_text(speed.prefill_tokens_per_s, 'tokens/s')}.")
    said.append(_known_from(speed))
    if speed.reason:
        said.append(f"{speed.reason[:1].upper()}{speed.reason[1:]}.")
    return tuple(said)


def _known_from(speed: Speed) -> str:
    if speed.prefill_provenance is None:
        return f"These speeds are {speed.provenance}."
    return f"Writing is {speed.provenance}, reading {speed.prefill_provenance}."


def _prompt_tokens(plan: Plan) -> int:
    """Return the length of the prompt that the time to the first token is for."""
    workload = plan.workload
    asked = workload.prompt_tokens or DEFAULT_PROMPT_TOKENS
    return min(asked, workload.context_tokens or asked)
