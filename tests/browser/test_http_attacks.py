"""Requests of strangers: out of the folders, into uploads, from other sites, and slowly."""

from __future__ import annotations

import asyncio
import re
import socket
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from browser_pages import Server
from raw_http import opened, request
from visitors import ask, connected, messages, resident_bytes, visit

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "nobody outside this machine may read this"  # noqa: S105 - a canary
ROUTES = (
    "/static",
    "/component",
    "/component/whatfits",
    "/media",
    "/_stcore/bidi-components",
    "/_stcore/bidi-components/whatfits_file",
    "/app/static",
    "",
)
UP = ("../", "..%2f", "%2e%2e/", "%2e%2e%2f", "..\\", "..%5c", "%252e%252e%252f", ".%00./", "..;/")
SLOW = 300
USUAL_LIMIT = 256
ANSWERED_S = 10
UPLOADS = 40
HALF = 2**19  # of what Streamlit can be told to take at the least
GROWTH_BYTES = 10 * 2**20


def is_closed(status: int) -> bool:
    return 400 <= status < 500


@pytest.mark.parametrize("route", ROUTES)
def test_no_path_leads_out_of_the_folders_that_are_served(
    server: Server, tmp_path: Path, route: str
) -> None:
    canary = tmp_path / "canary.txt"
    canary.write_text(SECRET)
    path = str(canary).lstrip("/")
    tried = [f"{route}/{up * 12}{path}" for up in UP]
    tried += [f"{route}/{canary}", f"{route}//{canary}", f"{route}/{quote(str(canary), safe='')}"]
    tried += [f"{route}/file://{canary}", f"{route}/\\\\localhost\\c$\\{canary.name}"]
    for address in tried:
        reply = request(server, "GET", address)
        assert SECRET.encode() not in reply.body, address
        # what is no file of theirs is refused, or is the page itself
        assert is_closed(reply.status) or b'<div id="root">' in reply.body, address
        assert str(tmp_path).encode() not in reply.body, address


def test_the_program_of_the_page_is_not_served(server: Server) -> None:
    for name in ("app.py", "screens/fit.py", "launch.py", ".streamlit/config.toml"):
        for route in ROUTES:
            assert b"from __future__" not in request(server, "GET", f"{route}/{name}").body


def token_of(server: Server) -> str:
    """Return the token against forged requests that the server gives everybody."""
    found = re.search(r"_streamlit_xsrf=([^;]+)", request(server, "GET", "/_stcore/health").headers)
    assert found is not None
    return found[1]


BODY = b'--x\r\nContent-Disposition: form-data; name="f"; filename="%s"\r\n\r\n%s\r\n--x--\r\n'
FORM = {"Content-Type": "multipart/form-data; boundary=x"}


def test_an_upload_needs_the_token_and_the_sites_own_cookie(server: Server) -> None:
    body = BODY % (b"a.gguf", b"GGUF")
    foreign = {"Origin": "http://evil.example", **FORM}
    for headers in (FORM, foreign, foreign | {"X-Xsrftoken": token_of(server)}):
        for method in ("PUT", "POST", "DELETE"):
            reply = request(server, method, "/_stcore/upload_file/s/f", headers=headers, body=body)
            assert reply.status in (403, 405), (method, headers)
            assert "evil.example" not in reply.headers


def test_nothing_can_be_uploaded_even_by_a_visitor(server: Server) -> None:
    token = token_of(server)
    allowed = {**FORM, "X-Xsrftoken": token, "Cookie": f"_streamlit_xsrf={token}"}

    def status(number: int, session: str, *, chunked: bool) -> int:
        body = BODY % (b"a.gguf", b"x" * HALF)
        headers = allowed
        if chunked:  # of a length that is not told beforehand
            body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
            headers = allowed | {"Transfer-Encoding": "chunked"}
        path = f"/_stcore/upload_file/{session}/{number}"
        return request(server, "PUT", path, headers=headers, body=body).status

    async def uploads() -> set[int]:
        async with connected(server) as connection:
            await ask(connection, "machine=64gb")
            (session,) = {
                message.new_session.initialize.session_id
                for message in await messages(connection)
                if message.WhichOneof("type") == "new_session"
            }
            return {
                await asyncio.to_thread(status, number, session, chunked=number % 2 == 1)
                for number in range(UPLOADS)
            }

    before = resident_bytes(server)
    assert asyncio.run(uploads()) == {413}
    assert resident_bytes(server) - before < GROWTH_BYTES


def test_another_site_may_neither_read_nor_steer_the_page(server: Server) -> None:
    for origin in ("http://evil.example", "null", f"http://localhost.evil.example:{server.port}"):
        for path in ("/_stcore/health", "/_stcore/host-config", "/_stcore/metrics", "/"):
            reply = request(server, "GET", path, headers={"Origin": origin})
            assert "access-control-allow-origin" not in reply.headers, (origin, path)
    assert b'"allowedOrigins":[]' in request(server, "GET", "/_stcore/host-config").body


ODD = (
    b"GET / HTTP/9.9\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64),
    b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\n" + b"X-A: " + b"b" * 200_000 + b"\r\n\r\n",
    b"GET / HTTP/1.1\r\n" + b"".join(b"X-%d: 1\r\n" % n for n in range(50_000)) + b"\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    b"CONNECT 169.254.169.254:80 HTTP/1.1\r\nHost: 169.254.169.254:80\r\nConnection: close\r\n\r\n",
    b"GET http://169.254.169.254/ HTTP/1.1\r\nHost: 169.254.169.254\r\nConnection: close\r\n\r\n",
    bytes(1000),
    b"\n" * 1000,
)


@pytest.mark.parametrize("number", range(len(ODD)))
def test_what_is_no_request_is_refused_and_harms_nobody(server: Server, number: int) -> None:
    with opened(server) as connection:
        try:
            connection.sendall(ODD[number])
            connection.shutdown(socket.SHUT_WR)
            reply = connection.recv(65_536)
        except OSError:  # closed before all of it was sent
            reply = b""
    assert b"Traceback" not in reply
    assert asyncio.run(visit(server, ["machine=64gb"])) == [0]


def few_connections() -> None:
    """Give a process as few connections as systems usually do."""
    import resource

    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (USUAL_LIMIT, most))


@pytest.mark.skipif("sys.platform == 'win32'", reason="other systems have other limits")
def test_those_who_never_finish_their_request_keep_nobody_waiting_and_end_with_the_server() -> None:
    server = Server("--public", preexec_fn=few_connections)
    starts = (
        b"GET / HTTP/1.1\r\nHost: a\r\nX-Slow: ",
        b"GET /",
        b"",
        b"PUT /_stcore/upload_file/a/b HTTP/1.1\r\nHost: a\r\nContent-Length: 999999\r\n\r\nx",
    )
    with ExitStack() as stack:
        for number in range(SLOW):
            connection = stack.enter_context(opened(server))
            connection.sendall(starts[number % len(starts)])
        begun = time.monotonic()
        assert asyncio.run(visit(server, ["machine=64gb"] * 3)) == [0, 0, 0]
        assert time.monotonic() - begun < ANSWERED_S
        said = server.stop()
    assert server.process.returncode == 0, said
    assert "Traceback" not in said
