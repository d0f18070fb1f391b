"""What the machine did beside us while something was measured: other programs, the host, heat."""

from __future__ import annotations

import os
from typing import Final

from whatfits.sizing.named_tuples import NamedTuple

__all__ = ["Processors", "Watch", "judge_processors"]

_OTHERS_SHARE: Final = 0.1  # of all processors' time; a desktop at rest takes a few hundredths
_STOLEN_SHARE: Final = 0.02
_CLOCK_DROP: Final = 0.85
_PERCENT: Final = 100


class Processors(NamedTuple):
    """Counters of the processors, in seconds over all of them, and their clock.

    Attributes:
        busy_s: spent on anything.
        idle_s: spent on nothing.
        stolen_s: taken by the host of a virtual machine for its other guests.
        own_s: spent on this process and its children that have ended.
        clock_mhz: of the first processor; None when it cannot be read.
    """

    busy_s: float
    idle_s: float
    stolen_s: float
    own_s: float
    clock_mhz: float | None


class Watch:
    """Looks at the counters when it is made, and again when it is asked."""

    def __init__(self) -> None:
        """Take the first look."""
        self._before = _now()

    def warnings(self) -> tuple[str, ...]:
        """Return what went on since."""
        return judge_processors(self._before, _now())


def judge_processors(before: Processors, after: Processors) -> tuple[str, ...]:
    """Return what may have disturbed a measurement between two looks, in words."""
    busy, idle = after.busy_s - before.busy_s, after.idle_s - before.idle_s
    stolen = after.stolen_s - before.stolen_s
    total = busy + idle + stolen
    found = []
    if total > 0:
        others = busy - (after.own_s - before.own_s)
        if others > _OTHERS_SHARE * total:
            share = round(_PERCENT * others / total)
            found.append(f"other programs took {share} % of the processors while this ran")
        if stolen > _STOLEN_SHARE * total:
            share = round(_PERCENT * stolen / total)
            found.append(f"other guests of this virtual machine's host took {share} %")
    clocks = (before.clock_mhz, after.clock_mhz)
    if clocks[0] and clocks[1] and clocks[1] < _CLOCK_DROP * clocks[0]:
        found.append(
            f"the processor's clock fell from {clocks[0]:,.0f} to {clocks[1]:,.0f} MHz: it may be "
            "hot, or saving power"
        )
    return tuple(found)


def _now() -> Processors:
    import psutil  # noqa: PLC0415 - for a measurement only

    times = psutil.cpu_times()
    idle = times.idle + getattr(times, "iowait", 0.0)
    stolen = getattr(times, "steal", 0.0)
    # a guest's time is counted within the user's
    extra = idle + stolen + getattr(times, "guest", 0.0) + getattr(times, "guest_nice", 0.0)
    own = os.times()
    try:
        clock = psutil.cpu_freq()
    except (OSError, NotImplementedError, AttributeError):
        clock = None
    return Processors(
        busy_s=sum(times) - extra,
        idle_s=idle,
        stolen_s=stolen,
        own_s=own.user + own.system + own.children_user + own.children_system,
        clock_mhz=clock.current if clock else None,
    )
