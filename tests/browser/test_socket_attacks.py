"""Visitors who come from elsewhere, send what no browser sends, do not read, or do not stay."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from browser_pages import LOOPBACK
from raw_http import opened
from visitors import answer, ask, connected, messages, opened_pages, resident_bytes, visit

from whatfits.webapp import launch
from whatfits.webapp.input_list import INPUTS

if TYPE_CHECKING:
    from browser_pages import Server

ASKED = "machine=rtx-4090"
MOST_BYTES = 300 * 10**6
MOST_A_SESSION_BYTES = 5 * 10**6
ANSWERED_S = 10
SLOW = 20
GREEDY = 5
LARGEST_SENT = 80_000
LONG = LARGEST_SENT - 1_000
LONGEST_TEXT = 5_000
WIDGET = re.compile(r"\$\$ID-[\w-]+")
OWN_FOLDER = str(Path(launch.__file__).parent)
# where the file of a catalog model is to be had: the only address of a page's own
OWN_LINK = re.compile(
    r"\]\(https://huggingface\.co/models\?other=base_model:quantized:[\w.-]+/[\w.-]+\)"
)
BARE = re.compile(r"(?<!\\)(<img|!\[|\]\(|\$x)|[\x00\x07\x1b\u202e\u2066\u2069\u200f]")


def handshake(hosted: Server, host: str, origin: str) -> int:
    """Return the status of a request for a connection, from a page of that origin."""
    lines = (
        "GET /_stcore/stream HTTP/1.1",
        f"Host: {host}",
        f"Origin: {origin}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Protocol: streamlit",
    )
    with opened(hosted) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        return int(connection.recv(4096).split(None, 2)[1])


def test_only_a_page_of_this_server_is_connected(hosted: Server) -> None:
    own = f"{LOOPBACK}:{hosted.port}"
    rebound = f"evil.example:{hosted.port}"
    assert handshake(hosted, own, f"http://{own}") == 101
    named = f"localhost:{hosted.port}"
    assert handshake(hosted, named, f"http://{named}") == 101
    for host, origin in (
        (own, "http://evil.example"),
        (own, "null"),
        (own, f"http://{LOOPBACK}.evil.example:{hosted.port}"),
        # a name that led to the site first, and to this machine afterwards
        (rebound, f"http://{rebound}"),
        ("", "http://evil.example"),
    ):
        assert handshake(hosted, host, origin) in (400, 403), (host, origin)


async def is_closed_after(hosted: Server, sent: bytes | str) -> bool:
    """Whether the server ends a connection over which this was sent."""
    exceptions = pytest.importorskip("websockets.exceptions")
    async with connected(hosted) as connection:
        try:
            await connection.send(sent)
            while True:
                await asyncio.wait_for(connection.recv(), 10)
        except exceptions.ConnectionClosed:
            return True
        except TimeoutError:
            return False


@pytest.mark.parametrize(
    "sent",
    ["rerun", b"\xff" * 1000, os.urandom(4096), b"\x0a" * 10_000, b"x" * (10**6 + 1)],
    ids=["text", "ones", "random", "fields", "large"],
)
def test_what_is_no_message_ends_the_connection_and_nothing_else(
    hosted: Server, sent: bytes | str
) -> None:
    async def both() -> tuple[bool, list[int]]:
        return await asyncio.gather(is_closed_after(hosted, sent), visit(hosted, [ASKED]))

    assert asyncio.run(both()) == [True, [0]]
    assert resident_bytes(hosted) < MOST_BYTES


def valued(widget: str, kind: str, value: object) -> bytes:
    """Return a message that gives a widget a value of a kind."""
    back = pytest.importorskip("streamlit.proto.BackMsg_pb2")
    asked = back.BackMsg()
    asked.rerun_script.query_string = ASKED
    setattr(asked.rerun_script.widget_states.widgets.add(id=widget), kind, value)
    sent: bytes = asked.SerializeToString()
    return sent


WRONG = (
    ("string_value", "x" * LONG),
    ("string_value", "\u202egpj.exe\x00\x1b[31m<img src=x onerror=alert(1)>"),
    ("json_value", "[1, 2"),
    ("json_value", json.dumps({"sent": [1]})),
    ("json_trigger_value", json.dumps([{"event": "sent", "value": "x" * LONG}])),
    ("int_value", 2**63 - 1),
    ("double_value", float("nan")),
    ("bytes_value", b"\xff" * 1000),
    ("trigger_value", True),
    ("bool_value", True),
)


@pytest.mark.parametrize(("kind", "value"), WRONG)
def test_widgets_with_values_of_another_kind_harm_the_one_who_sends_them(
    hosted: Server, kind: str, value: object
) -> None:
    async def sent() -> str:
        async with connected(hosted) as connection:
            await ask(connection, ASKED)
            widgets = set(WIDGET.findall(str(await messages(connection))))
            assert len(widgets) > 5
            for widget in widgets:
                await connection.send(valued(widget, kind, value))
                said = str([message.delta for message in await messages(connection)])
                assert OWN_FOLDER not in said
                assert "Traceback" not in said
        return (await opened_pages(hosted, [ASKED]))[0].alerts[0]

    assert "Fits" in asyncio.run(sent())
    assert resident_bytes(hosted) < MOST_BYTES


MARKS = "<img src=x onerror=alert(1)>![a](http://evil.example/a.png)[b](javascript:alert(1))$\\x$"
HOSTILE = {
    "long": "a" * (60_000 // len(INPUTS)),  # in all inputs at once; a stranger may send 80 kB
    "control": "a\x00b\x1b[31mc\r\nX-Header: d\x07",
    "bidi": "\u202e\u2066gpj.exe\u2069\u200f",
    "marks": MARKS,
    "path": "../../../../../../etc/passwd",
    "address": "http://169.254.169.254/latest/meta-data",
    "number": "-1",
    "large": "9" * 400,
    "infinite": "1e999",
    "not a number": "NaN",
    "null": "null",
    "object": '{"a": [1, {"b": null}]}',
    "empty": "",
    "surrogate": "%ED%A0%80%FF%FE",
    "template": "{{7*7}}${7*7}%s%n",
}
SCREENS = ("", "runs", "explore")


@pytest.mark.parametrize("value", HOSTILE.values(), ids=HOSTILE)
def test_an_address_with_anything_in_it_is_answered_in_plain_text(
    hosted: Server, value: str
) -> None:
    written = value if value.startswith("%") else quote(value)
    names = [item.key for item in INPUTS if item.key not in ("model", "machine")]
    addresses = [
        "&".join((ASKED, *(f"{name}={written}" for name in names))),
        f"{ASKED}&model={written}",
        f"machine={written}",
        f"{ASKED}&{written}={written}&model={written}&model=qwen3-8b",
    ]
    for answered in asyncio.run(opened_pages(hosted, addresses)):
        assert answered.exceptions == 0
        assert answered.alerts
        assert max(len(text) for text in answered.texts) < LONGEST_TEXT
        said = OWN_LINK.sub("", "".join((*answered.texts, *answered.alerts)))
        assert BARE.search(said) is None
        assert "root:" not in said


def test_those_who_do_not_read_their_answers_keep_nobody_waiting(hosted: Server) -> None:
    async def attack() -> float:
        async with AsyncExitStack() as stack:
            for _ in range(SLOW):
                connection = await stack.enter_async_context(connected(hosted))
                connection.transport.pause_reading()
                for quant in ("Q6_K", "Q8_0", "Q4_K_M"):
                    await ask(connection, f"{ASKED}&quant={quant}")
            begun = time.monotonic()
            assert await visit(hosted, [ASKED]) == [0]
            return time.monotonic() - begun

    assert asyncio.run(attack()) < ANSWERED_S
    assert resident_bytes(hosted) < MOST_BYTES


def test_messages_that_never_end_keep_nobody_waiting(hosted: Server) -> None:
    async def attack() -> list[int]:
        async with AsyncExitStack() as stack:
            for _ in range(SLOW):
                connection = await stack.enter_async_context(connected(hosted))
                # the head of a masked message of 60 kB, and the first thousand bytes of it
                size = (60_000).to_bytes(8, "big")
                connection.transport.write(b"\x82\xff" + size + bytes(1004))
            return await visit(hosted, [ASKED])

    assert asyncio.run(attack()) == [0]


def test_a_visitor_takes_little_memory_and_gives_it_back(hosted: Server) -> None:
    async def held() -> int:
        await visit(hosted, [ASKED])
        before = resident_bytes(hosted)
        async with AsyncExitStack() as stack:
            for _ in range(SLOW):
                connection = await stack.enter_async_context(connected(hosted))
                await answer(connection, ASKED)
            return resident_bytes(hosted) - before

    assert asyncio.run(held()) < SLOW * MOST_A_SESSION_BYTES
    assert resident_bytes(hosted) < MOST_BYTES


def test_one_who_fills_every_field_as_far_as_it_goes_takes_little_more(hosted: Server) -> None:
    async def filled(connection: Any) -> None:  # noqa: ANN401 - websockets' own
        await ask(connection, ASKED)
        for widget in set(WIDGET.findall(str(await messages(connection)))):
            await connection.send(valued(widget, "string_value", "x" * LONG))
            await messages(connection)

    async def held() -> int:
        await visit(hosted, [ASKED])
        before = resident_bytes(hosted)
        async with AsyncExitStack() as stack:
            for _ in range(GREEDY):
                await filled(await stack.enter_async_context(connected(hosted)))
            return resident_bytes(hosted) - before

    assert asyncio.run(held()) < GREEDY * MOST_A_SESSION_BYTES
    assert asyncio.run(is_closed_after(hosted, valued("x", "string_value", "x" * LARGEST_SENT)))
    assert resident_bytes(hosted) < MOST_BYTES
