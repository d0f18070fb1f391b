"""Twenty visitors at once, without twenty browsers: what the server itself takes for them.

Each visitor is a connection that asks for the page as a browser does and reads every message of the
answer; nothing is drawn. Held against the bounds is processor time of the server, which other
programs on the machine do not lengthen: on a core of its own the last of twenty waits no longer.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from browser_pages import LOOPBACK

if TYPE_CHECKING:
    from browser_pages import Server

pytestmark = pytest.mark.slow

VISITORS = 20
ROUNDS = 3
ANSWER_S = 60
ALL_AT_ONCE_S = 1.5
RERUN_S = 0.06
MOST_RESIDENT_MB = 300
LARGEST_MESSAGE = 50 * 2**20
ADDRESSES = (
    "machine=rtx-4090",
    "machine=rtx-3090&cards=2&model=llama-3.3-70b",
    "machine=m4-pro+48gb&model=qwen3-30b-a3b",
    "machine=rtx-3090&model=llama-3.3-70b",
)


async def visit(server: Server, addresses: list[str]) -> list[int]:
    """Ask for each address in turn over one connection; return how many errors each showed."""
    client = pytest.importorskip("websockets.asyncio.client")
    back = pytest.importorskip("streamlit.proto.BackMsg_pb2")
    async with client.connect(
        f"ws://{LOOPBACK}:{server.port}/_stcore/stream",
        origin=server.url.rstrip("/"),
        subprotocols=["streamlit"],
        max_size=LARGEST_MESSAGE,
    ) as connection:
        errors = []
        for address in addresses:
            asked = back.BackMsg()
            asked.rerun_script.query_string = address
            await connection.send(asked.SerializeToString())
            errors.append(await asyncio.wait_for(errors_shown(connection), ANSWER_S))
    return errors


async def errors_shown(connection: Any) -> int:  # noqa: ANN401 - websockets' own
    """Read an answer to its end; return how many errors are in it."""
    forward = pytest.importorskip("streamlit.proto.ForwardMsg_pb2")
    found = 0
    while True:
        message = forward.ForwardMsg()
        message.ParseFromString(await connection.recv())
        kind = message.WhichOneof("type")
        if kind == "delta" and message.delta.WhichOneof("type") == "new_element":
            found += message.delta.new_element.WhichOneof("type") == "exception"
        if kind == "script_finished":
            return found


async def all_at_once(server: Server, addresses: list[str]) -> list[list[int]]:
    return await asyncio.gather(*(visit(server, addresses) for _ in range(VISITORS)))


def processor_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def test_twenty_visitors_at_once_are_answered_in_time(server: Server) -> None:
    asyncio.run(visit(server, [*ADDRESSES]))  # what is asked for the first time is worked out
    process = psutil.Process(server.process.pid)
    before = processor_s(process)
    errors = asyncio.run(all_at_once(server, [ADDRESSES[0]] * ROUNDS))
    taken = processor_s(process) - before
    assert errors == [[0] * ROUNDS] * VISITORS
    assert taken / ROUNDS <= ALL_AT_ONCE_S
    assert taken / ROUNDS / VISITORS <= RERUN_S


def test_visitors_with_questions_of_their_own_leave_the_server_small(server: Server) -> None:
    errors = asyncio.run(all_at_once(server, [*ADDRESSES]))
    assert errors == [[0] * len(ADDRESSES)] * VISITORS
    assert psutil.Process(server.process.pid).memory_info().rss <= MOST_RESIDENT_MB * 10**6
