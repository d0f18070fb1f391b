"""A page for strangers: what it hides, and how many of them it takes."""

from __future__ import annotations

import asyncio
import platform
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import psutil
from browser_pages import LOOPBACK
from visitors import answer, ask, connected, opened_pages, resident_bytes, visit

from whatfits.sizing.api import load_machine
from whatfits.webapp.sessions import MOST_SESSIONS

if TYPE_CHECKING:
    from browser_pages import Server

ASKED = "machine=rtx-4090"
MOST_BYTES = 300 * 10**6
ADDRESSES = (
    "hf:owner/name",
    "https://evil.example/model.gguf",
    "http://169.254.169.254/latest/meta-data",
    "ollama:llama3",
    "file:///etc/passwd",
    "/etc/passwd",
    "./model.gguf",
)
MACHINES = ("this computer", "", "/proc/meminfo", "~/machine.json", "./machine.json")


async def said_to(server: Server, addresses: list[str]) -> str:
    """Return all that one visitor is told at these addresses."""
    found = await opened_pages(server, addresses)
    assert [one.exceptions for one in found] == [0] * len(found)
    return "\n".join(text for one in found for text in (*one.texts, *one.alerts))


def test_strangers_learn_nothing_of_this_machine(hosted: Server) -> None:
    said = asyncio.run(said_to(hosted, ["", *(f"machine={name}" for name in MACHINES)]))
    here = load_machine(None)
    own = {platform.node(), *(device.name for device in here.devices)} - {"localhost", ""}
    assert {name for name in own if name in said} == set()
    assert "RTX 4090" in said
    assert "not shown" in said


def test_no_address_of_a_strangers_choice_is_asked(hosted: Server) -> None:
    """Not even the Hub; what is connected are the visitors."""
    process = psutil.Process(hosted.process.pid)

    async def asked() -> tuple[str, set[str]]:
        said = await said_to(hosted, [f"{ASKED}&model={model}" for model in ADDRESSES])
        others = {c.raddr.ip for c in process.net_connections("inet") if c.raddr}
        return said, others

    said, others = asyncio.run(asked())
    assert others <= {LOOPBACK}
    assert "a model of the catalog" in said.replace("\\", "")
    assert "root:" not in said


def test_a_visitor_too_many_is_told_so_and_comes_in_when_another_leaves(hosted: Server) -> None:
    async def full() -> tuple[str, str]:
        async with AsyncExitStack() as stack:
            for _ in range(MOST_SESSIONS - 1):
                connection = await stack.enter_async_context(connected(hosted))
                await ask(connection, "machine=64gb")
            async with connected(hosted) as last:
                assert not (await answer(last, ASKED)).exceptions
                async with connected(hosted) as refused:
                    (told,) = (await answer(refused, ASKED)).alerts
            for _ in range(50):  # until the server has noticed that the last one is gone
                async with connected(hosted) as next_one:
                    found = (await answer(next_one, ASKED)).alerts[0]
                if "Fits" in found:
                    break
                await asyncio.sleep(0.1)
            return told, found

    told, found = asyncio.run(full())
    assert told.startswith("Every place is taken")
    assert "Fits" in found
    assert resident_bytes(hosted) < MOST_BYTES


def test_one_who_reloads_for_ever_takes_no_place_but_the_own(hosted: Server) -> None:
    async def reloads() -> list[int]:
        for _ in range(MOST_SESSIONS + 20):
            async with connected(hosted) as connection:
                await ask(connection, ASKED)
                await connection.recv()  # its run has begun
        async with connected(hosted) as connection:
            assert "Fits" in (await answer(connection, ASKED)).alerts[0]
        return await visit(hosted, [ASKED])

    assert asyncio.run(reloads()) == [0]
    assert resident_bytes(hosted) < MOST_BYTES
