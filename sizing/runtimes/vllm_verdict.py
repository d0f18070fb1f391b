"""Does vLLM start, and with what certainty: it needs room for one longest request.

vLLM fills what it may use with cache whatever the model, so the question is not whether the sum is
free but whether the cache that is left holds one request of the asked length, and the states of all
requests in progress where a model keeps such.
"""

from __future__ import annotations

from whatfits.sizing.named_tuples import NamedTuple
from whatfits.sizing.runtimes.vllm_bill import bill_of
from whatfits.sizing.trained import longest_of_use
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.units import format_bytes, format_tokens

if TYPE_CHECKING:
    from whatfits.sizing.estimate import Memory, Verdict
    from whatfits.sizing.machine import Machine
    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.runtimes.vllm_bill import Bill, DeviceBill
    from whatfits.sizing.runtimes.vllm_settings import VllmSettings

__all__ = ["Judged", "judged"]


class Judged(NamedTuple):
    """A verdict and what it rests on.

    Attributes:
        verdict: `fits`, `tight`, `slow`, `no` or `unknown`.
        reason: one sentence with its numbers.
        settings: what it is started with: as many sequences as it takes, where none were asked for.
        bill: the bill it was taken from.
        memory: the same in the answer's terms.
        largest_context_tokens: the longest request that fits by the upper ends; None: none does.
    """

    verdict: Verdict
    reason: str
    settings: VllmSettings
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
    low, mid, _ = bill.n_blocks
    largest = bill.longest_request(low, most_tokens=longest_of_use(model))
    unsized = next((one.pool for one in bill.devices if one.pool.total_bytes is None), None)
    if unsized is not None:
        reason = f"the size of {unsized.id} is not known"
        return Judged("unknown", reason, settings, bill, bill.memory(fits=False), None)
    if bill.admits(low):
        settings, bill = _started(model, machine, settings, bill, n_blocks=low)
        verdict, reason = _running(settings, machine, bill)
        return Judged(verdict, reason, settings, bill, bill.memory(fits=True), largest)
    if bill.admits(mid):
        reason = (
            f"the cache holds {_asked(bill)} only when nothing takes more than expected: "
            f"{_lack(bill, worst=True)} in the worst case"
        )
        settings, bill = _started(model, machine, settings, bill, n_blocks=mid)
        return Judged("tight", reason, settings, bill, bill.memory(fits=True), largest)
    closed = bill_of(model, machine, settings, idle=True)
    if closed.admits(closed.n_blocks[1]):
        reason = _held(bill)
        blocks = closed.n_blocks[1]
        settings, closed = _started(model, machine, settings, closed, n_blocks=blocks, idle=True)
        return Judged("tight", reason, settings, closed, closed.memory(fits=True), largest)
    return Judged("no", _lack(closed), settings, bill, bill.memory(fits=False), largest)


def _started(
    model: ModelSpec,
    machine: Machine,
    settings: VllmSettings,
    bill: Bill,
    *,
    n_blocks: int,
    idle: bool = False,
) -> tuple[VllmSettings, Bill]:
    """Return what it is started with when there are so many blocks, and the bill of that.

    Fewer sequences take less beside the cache.
    """
    lowered = settings.lowered_to(n_blocks)
    if lowered is settings:
        return settings, bill
    return lowered, bill_of(model, machine, lowered, idle=idle)


def _running(settings: VllmSettings, machine: Machine, bill: Bill) -> tuple[Verdict, str]:
    one = min(bill.devices, key=lambda device: device.pool.free_low_bytes or 0)
    share = f"{one.pool.id}: vLLM takes {format_bytes(bill.allowed_bytes(one))}"
    reason = (
        f"{share}, {bill.utilisation_permille / 10:g} % of it, and fills what is left with cache"
    )
    fast = [d for d in machine.accelerators if d.is_usable]
    if settings.on_host and any(d.pool != settings.devices[0].pool for d in fast):
        reason = f"everything is in {one.pool.id}; {reason}"
        return "slow", reason
    return "fits", reason


def _missing_bytes(bill: Bill, one: DeviceBill, *, worst: bool) -> int:
    """Return what a device lacks for the least cache."""
    parts = sum(part.high_bytes if worst else part.mid_bytes for part in one.subtracted)
    return parts + bill.least_cache_bytes(one) - bill.allowed_bytes(one)


def _need_bytes(bill: Bill, one: DeviceBill) -> int:
    """Return what vLLM has to be allowed to use of a device, as far as expected."""
    return _missing_bytes(bill, one, worst=False) + bill.allowed_bytes(one)


def _asked(bill: Bill) -> str:
    """Return in words what the least cache is for."""
    request = f"one request of {format_tokens(bill.request_tokens)} tokens"
    slots = f" and the states of {bill.state_slots:,} at once" if bill.state_slots else ""
    return request + slots


def _lack(bill: Bill, *, worst: bool = False) -> str:
    """Return which device lacks most, and how much."""
    one = max(bill.devices, key=lambda device: _missing_bytes(bill, device, worst=worst))
    short = format_bytes(max(0, _missing_bytes(bill, one, worst=worst)))
    if worst:
        return f"{one.pool.id} is up to {short} short"
    return (
        f"{one.pool.id} needs {format_bytes(_need_bytes(bill, one))} with {_asked(bill)}, and vLLM "
        f"may use {format_bytes(bill.allowed_bytes(one))}: {short} short"
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
        f"{format_bytes(_need_bytes(bill, one))} with {_asked(bill)}"
    )
