"""Twenty visitors at once, without twenty browsers: what the server itself takes for them.

Each visitor is a connection that asks for the page as a browser does and reads every message of the
answer; nothing is drawn. Held against the bounds is processor time of the server, which other
programs on the machine do not lengthen: on a core of its own the last of twenty waits no longer.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import psutil
import pytest
from visitors import resident_bytes, visit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from browser_pages import Server

pytestmark = pytest.mark.slow

VISITORS = 20
ROUNDS = 3
ALL_AT_ONCE_S = 1.5
RERUN_S = 0.06
MOST_RESIDENT_MB = 300
ADDRESSES = (
    "machine=rtx-4090",
    "machine=rtx-3090&cards=2&model=llama-3.3-70b",
    "machine=m4-pro+48gb&model=qwen3-30b-a3b",
    "machine=rtx-3090&model=llama-3.3-70b",
)


async def all_at_once(server: Server, addresses: Sequence[str], **more: int) -> list[list[int]]:
    """Let twenty visit at the same time; return how many errors each saw."""
    return await asyncio.gather(*(visit(server, addresses, **more) for _ in range(VISITORS)))


def processor_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def test_twenty_visitors_at_once_are_answered_in_time(server: Server) -> None:
    asyncio.run(visit(server, ADDRESSES))  # what is asked for the first time is worked out
    process = psutil.Process(server.process.pid)
    before = processor_s(process)
    errors = asyncio.run(all_at_once(server, ADDRESSES[:1], reruns=ROUNDS - 1))
    taken = processor_s(process) - before
    assert errors == [[0] * ROUNDS] * VISITORS
    assert taken / ROUNDS <= ALL_AT_ONCE_S
    assert taken / ROUNDS / VISITORS <= RERUN_S


def test_visitors_with_questions_of_their_own_leave_the_server_small(server: Server) -> None:
    errors = asyncio.run(all_at_once(server, ADDRESSES))
    assert errors == [[0] * len(ADDRESSES)] * VISITORS
    assert resident_bytes(server) <= MOST_RESIDENT_MB * 10**6
