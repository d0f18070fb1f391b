"""Visitors without a browser: a connection that asks for a page and reads all of the answer."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import psutil
import pytest
from browser_pages import LOOPBACK

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from browser_pages import Server

ANSWER_S = 60
LARGEST_MESSAGE = 50 * 2**20
_TEXTS = ("markdown", "heading", "alert", "code")


class Shown(NamedTuple):
    """What an answer shows: errors of the program, boxes of a verdict or a refusal, every text."""

    exceptions: int
    alerts: tuple[str, ...]
    texts: tuple[str, ...]


@asynccontextmanager
async def connected(server: Server, **more: Any) -> AsyncIterator[Any]:  # noqa: ANN401 - websockets'
    """Connect as a browser does; what is given otherwise replaces that."""
    client = pytest.importorskip("websockets.asyncio.client")
    usual = {
        "origin": server.url.rstrip("/"),
        "subprotocols": ["streamlit"],
        "max_size": LARGEST_MESSAGE,
    }
    url = f"ws://{LOOPBACK}:{server.port}/_stcore/stream"
    connection = await client.connect(url, **(usual | more))
    try:
        yield connection
    finally:
        connection.transport.abort()  # as a browser that is closed, without a word


async def ask(connection: Any, query: str = "", *, script: str = "") -> None:  # noqa: ANN401 - same
    """Ask for the page at an address; `script` is the hash that names another page."""
    back = pytest.importorskip("streamlit.proto.BackMsg_pb2")
    asked = back.BackMsg()
    asked.rerun_script.query_string = query
    asked.rerun_script.page_script_hash = script
    await connection.send(asked.SerializeToString())


async def messages(connection: Any) -> list[Any]:  # noqa: ANN401 - same
    """Return every message of an answer."""
    forward = pytest.importorskip("streamlit.proto.ForwardMsg_pb2")
    found = []
    while True:
        message = forward.ForwardMsg()
        message.ParseFromString(await asyncio.wait_for(connection.recv(), ANSWER_S))
        found.append(message)
        ended = message.WhichOneof("type") == "script_finished"
        if ended and message.script_finished != forward.ForwardMsg.FINISHED_EARLY_FOR_RERUN:
            return found


async def answer(connection: Any, query: str = "", *, script: str = "") -> Shown:  # noqa: ANN401 - same
    """Ask, read the answer to its end, and return what it shows."""
    await ask(connection, query, script=script)
    return shown(await messages(connection))


def shown(received: Sequence[Any]) -> Shown:
    """Return what messages show."""
    elements = [
        message.delta.new_element
        for message in received
        if message.WhichOneof("type") == "delta"
        and message.delta.WhichOneof("type") == "new_element"
    ]
    kinds = [element.WhichOneof("type") for element in elements]
    return Shown(
        exceptions=kinds.count("exception"),
        alerts=tuple(element.alert.body for element in elements if element.HasField("alert")),
        texts=tuple(
            getattr(element, kind).code_text if kind == "code" else getattr(element, kind).body
            for element, kind in zip(elements, kinds, strict=True)
            if kind in _TEXTS
        ),
    )


async def opened_pages(server: Server, addresses: Sequence[str]) -> list[Shown]:
    """Open each address in turn; a page reads its address when it is opened, not later."""
    found = []
    for address in addresses:
        async with connected(server) as connection:
            found.append(await answer(connection, address))
    return found


async def visit(server: Server, addresses: Sequence[str], *, reruns: int = 0) -> list[int]:
    """Open each address in turn, each page run again; return how many errors each run showed."""
    errors: list[int] = []
    for address in addresses:
        async with connected(server) as connection:
            runs = [await answer(connection, address) for _ in range(1 + reruns)]
            errors += [run.exceptions for run in runs]
    return errors


def resident_bytes(server: Server) -> int:
    """Return what the server holds in memory."""
    return int(psutil.Process(server.process.pid).memory_info().rss)
