"""Does vLLM start, and with what certainty: it needs room for one longest request.

vLLM fills what it may use with cache whatever the model, so the question is not whether the sum is
free but whether the cache that is left holds one request of the asked length.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from whatfits.sizing.named_tuples import NamedTuple
from whatfits.sizing.runtimes.vllm_bill import bill_of
from whatfits.sizing.units import format_bytes, format_tokens

if TYPE_CHECKING:
    from whatfits.sizing.estimate import Memory, Verdict
    from whatfits.sizing.machine import Machine
    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.runtimes.vllm_bill import Bill, DeviceBill
    from whatfits.sizing.runtimes.vllm_settings import VllmSettings

__all__ = ["Judged", "judged"]

_UNTRAINED_LIMIT_TOKENS: Final = 2**20


class Judged(NamedTuple):
    """A verdict and what it rests on.

    Attributes:
        verdict: `fits`, `tight`, `slow`, `no` or `unknown`.
        reason: one sentence with its numbers.
        bill: the bill it was taken from.
        memory: the same in the answer's terms.
        largest_context_tokens: the longest request that fits by the upper ends; None: none does.
    """

    verdict: Verdict
    reason: str
    bill: Bill
    memory: Memory
    largest_context_tokens: int | None

    @property
    def runs(self) -> bool:
        """Whether it runs for sure."""
        return self.verdict in ("fits", "slow")


def judged(model: ModelSpec, machine: Machine, settings: VllmSettings) -> Judged:
    """Return the verdict on a request."""
    bill = bill_of(model, machine, settings)
    trained = model.hparams.context_train_tokens or _UNTRAINED_LIMIT_TOKENS
    low, mid, _ = bill.n_blocks
    largest = bill.longest_request(low, most_tokens=trained)
    unsized = next((one.pool for one in bill.devices if one.pool.total_bytes is None), None)
    if unsized is not None:
        reason = f"the size of {unsized.id} is not known"
        return Judged("unknown", reason, bill, bill.memory(fits=False), None)
    if bill.admits(low):
        return _running(settings, machine, bill, largest)
    if bill.admits(mid):
        reason = (
            f"the cache holds a request of {format_tokens(settings.request_tokens)} tokens only "
            f"when nothing takes more than expected: {_lack(bill, worst=True)} in the worst case"
        )
        return Judged("tight", reason, bill, bill.memory(fits=True), largest)
    closed = bill_of(model, machine, settings, idle=True)
    if closed.admits(closed.n_blocks[1]):
        return Judged("tight", _held(bill), closed, closed.memory(fits=True), largest)
    return Judged("no", _lack(closed), bill, bill.memory(fits=False), largest)


def _running(settings: VllmSettings, machine: Machine, bill: Bill, largest: int | None) -> Judged:
    one = min(bill.devices, key=lambda device: device.pool.free_low_bytes or 0)
    share = f"{one.pool.id}: vLLM takes {format_bytes(bill.allowed_bytes(one))}"
    reason = (
        f"{share}, {bill.utilisation_permille / 10:g} % of it, and fills what is left with cache"
    )
    fast = [d for d in machine.accelerators if "unusable" not in d.features]
    if settings.on_host and any(d.pool != settings.devices[0].pool for d in fast):
        reason = f"everything is in {one.pool.id}; {reason}"
        return Judged("slow", reason, bill, bill.memory(fits=True), largest)
    return Judged("fits", reason, bill, bill.memory(fits=True), largest)


def _missing_bytes(bill: Bill, one: DeviceBill, *, worst: bool) -> int:
    """Return what a device lacks for one longest request."""
    parts = sum(part.high_bytes if worst else part.mid_bytes for part in one.subtracted)
    return parts + one.cache.request_bytes(bill.request_tokens) - bill.allowed_bytes(one)


def _need_bytes(bill: Bill, one: DeviceBill) -> int:
    """Return what vLLM has to be allowed to use of a device, as far as expected."""
    return _missing_bytes(bill, one, worst=False) + bill.allowed_bytes(one)


def _lack(bill: Bill, *, worst: bool = False) -> str:
    """Return which device lacks most, and how much."""
    one = max(bill.devices, key=lambda device: _missing_bytes(bill, device, worst=worst))
    short = format_bytes(max(0, _missing_bytes(bill, one, worst=worst)))
    if worst:
        return f"{one.pool.id} is up to {short} short"
    return (
        f"{one.pool.id} needs {format_bytes(_need_bytes(bill, one))} with one request of "
        f"{format_tokens(bill.request_tokens)} tokens, and vLLM may use "
        f"{format_bytes(bill.allowed_bytes(one))}: {short} short"
    )


def _held(bill: Bill) -> str:
    """Return what has to be let go of before it starts."""
    unread = next((one.pool for one in bill.devices if one.pool.used_bytes is None), None)
    if unread is not None:
        return f"{unread.id}: what other programs hold could not be read"
    one = min(bill.devices, key=lambda device: device.utilisation_permille())
    return (
        f"{one.pool.id} has {format_bytes(one.pool.free_bytes or 0)} free until other programs let "
        f"go of some of the {format_bytes(one.pool.used_bytes or 0)} they hold, and vLLM needs "
        f"{format_bytes(_need_bytes(bill, one))} with one request of "
        f"{format_tokens(bill.request_tokens)} tokens"
    )
