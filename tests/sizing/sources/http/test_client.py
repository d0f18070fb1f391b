"""The client keeps names, secrets and certificates where they belong."""

from __future__ import annotations

import shutil
import ssl
import subprocess
import time
from functools import partial
from typing import TYPE_CHECKING

import pytest
from range_server import Handler, RangeServer, serving

from whatfits.sizing.errors import InvalidRequestError, RemoteAnswerError, UnreachableError
from whatfits.sizing.sources.http import Client, Rules, check_url
from whatfits.sizing.sources.http.proxies import proxy_for

if TYPE_CHECKING:
    from pathlib import Path

NAME = "models.test"


def test_a_document_carries_what_the_server_said() -> None:
    def reply(handler: Handler) -> None:
        handler.answer(200, b"{}", ETag='W/"7"', Content_Type="application/json", X_A="1")

    with serving({"/d": reply}) as server, Client(server.rules) as client:
        found = client.document(server.url("/d"), most_bytes=10, accept="application/json")
        assert (found.body, found.etag, found.final_url) == (b"{}", 'W/"7"', server.url("/d"))
        assert found.headers["x-a"] == "1"
        sent = server.seen[0].headers
        assert sent["accept"] == "application/json"
        assert sent["accept-encoding"] == "identity"
        assert sent["user-agent"].startswith("whatfits/")
        assert "cookie" not in sent


def test_a_status_is_told_with_the_headers_of_its_answer() -> None:
    def gated(handler: Handler) -> None:
        handler.answer(403, b"no", X_Error_Code="GatedRepo")

    with (
        serving({"/d": gated}) as server,
        Client(server.rules) as client,
        pytest.raises(RemoteAnswerError) as caught,
    ):
        client.document(server.url("/d?token=secret"), most_bytes=10)
    assert caught.value.status == 403
    assert caught.value.headers["x-error-code"] == "GatedRepo"
    assert "secret" not in str(caught.value)
    assert caught.value.to_dict()["code"] == "remote_answer"


@pytest.mark.parametrize(
    ("wait", "says"), [("30", "try again in 30 s"), ("soon", None), ("9" * 50, None)]
)
def test_a_busy_server_says_when_to_come_back(wait: str, says: str | None) -> None:
    files = {"/d": lambda handler: handler.answer(429, Retry_After=wait)}
    with serving(files) as server, Client(server.rules) as client:
        for ask in (client.file, partial(client.document, most_bytes=10)):
            with pytest.raises(RemoteAnswerError, match="status 429") as caught:
                ask(server.url("/d"))
            assert caught.value.next_step == (says or "")


def test_a_connection_that_the_server_gave_up_is_made_anew() -> None:
    def last(handler: Handler) -> None:
        handler.answer(200, b"x")
        handler.close_connection = True  # and says nothing of it

    with serving({"/d": last}) as server, Client(server.rules) as client:
        for _ in range(3):
            assert client.document(server.url("/d"), most_bytes=10).body == b"x"
            time.sleep(0.05)
        assert len(client.attempts) == 3


def test_one_connection_serves_several_questions() -> None:
    with serving({"/d": b"x" * 100}) as server, Client(server.rules) as client:
        for _ in range(3):
            client.document(server.url("/d"), most_bytes=100)
        assert client.n_requests == 3
        assert len(client.attempts) == 1


def test_credentials_go_to_their_own_host_and_port_alone() -> None:
    with serving({"/d": b"x"}) as other, serving({"/d": b"x"}) as server:
        server.files["/away"] = lambda handler: handler.answer(302, Location=other.url("/d"))
        server.files["/moved"] = lambda handler: handler.answer(301, Location="/d")
        rules = Rules(frozenset({"127.0.0.1:*"}), allow_plain_http=True, allow_private=True)
        secret = {server.host: {"Authorization": "Bearer secret"}}
        with Client(rules, credentials=secret) as client:
            for path in ("/away", "/moved", "/d"):
                client.document(server.url(path), most_bytes=10)
            client.document(other.url("/d"), most_bytes=10)
        assert all(seen.headers["authorization"] == "Bearer secret" for seen in server.seen)
        assert [seen.headers.get("authorization") for seen in other.seen] == [None, None]


def test_credentials_do_not_go_in_the_clear_to_a_host_that_no_rule_names() -> None:
    with serving({"/d": b"x"}) as server:
        rules = Rules(allow_plain_http=True, allow_private=True)
        with Client(rules, credentials={server.host: {"Authorization": "secret"}}) as client:
            client.document(server.url("/d"), most_bytes=10)
        assert "authorization" not in server.seen[0].headers


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for `NAME`, made for this run, with its key in the same file."""
    program = shutil.which("openssl")
    if program is None:
        pytest.skip("needs openssl to make a certificate")
    folder = tmp_path_factory.mktemp("certificate")
    made = [folder / "key.pem", folder / "certificate.pem"]
    subprocess.run(
        [
            *(program, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-keyout", str(made[0]), "-out", str(made[1]), "-subj", f"/CN={NAME}"),
            *("-addext", f"subjectAltName=DNS:{NAME}"),
        ],
        check=True,
        capture_output=True,
    )
    both = folder / "both.pem"
    both.write_bytes(made[0].read_bytes() + made[1].read_bytes())
    return both


def encrypted(server: RangeServer, certificate: Path, names: list[str | None]) -> None:
    """Make a server speak TLS, and note which names are asked for."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    def asked(_socket: ssl.SSLObject, name: str | None, _context: ssl.SSLContext) -> None:
        names.append(name)

    context.sni_callback = asked
    server.socket = context.wrap_socket(server.socket, server_side=True)


def https_client(server: RangeServer, environment: dict[str, str]) -> Client:
    rules = Rules(frozenset({f"{NAME}:{server.server_port}"}), allow_private=True)
    return Client(rules, resolver=lambda *_: ["127.0.0.1"], environment=environment)


def test_a_checked_address_is_asked_under_its_name(certificate: Path) -> None:
    names: list[str | None] = []
    with serving({"/d": b"x"}) as server:
        encrypted(server, certificate, names)
        with https_client(server, environment={"SSL_CERT_FILE": str(certificate)}) as client:
            url = f"https://{NAME}:{server.server_port}/d"
            assert client.document(url, most_bytes=10).body == b"x"
            assert client.attempts == (("127.0.0.1", server.server_port),)
        assert names == [NAME]
        assert server.seen[0].headers["host"] == f"{NAME}:{server.server_port}"


def test_a_certificate_that_nobody_vouches_for_is_refused(certificate: Path) -> None:
    with serving({"/d": b"x"}) as server:
        encrypted(server, certificate, [])
        with (
            https_client(server, environment={}) as client,
            pytest.raises(UnreachableError, match="certificate that cannot be trusted"),
        ):
            client.document(f"https://{NAME}:{server.server_port}/d", most_bytes=10)
        assert server.seen == []


@pytest.mark.parametrize("content", [None, b"", b"no certificate"])
def test_a_file_of_certificates_that_is_none_is_named(
    tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_bytes(content)
    with (
        Client(resolver=lambda *_: [], environment={"SSL_CERT_FILE": str(path)}) as client,
        pytest.raises(InvalidRequestError, match="SSL_CERT_FILE"),
    ):
        client.document("https://models.example.com/m", most_bytes=10)


@pytest.mark.parametrize("token", ["a\nb", "a\0b", "a\rHost: x"])
def test_a_token_of_several_lines_is_not_sent(token: str) -> None:
    with serving({"/d": b"x"}) as server:
        secret = {server.host: {"Authorization": token}}
        with (
            Client(server.rules, credentials=secret) as client,
            pytest.raises(InvalidRequestError, match="one line of ASCII") as caught,
        ):
            client.document(server.url("/d"), most_bytes=10)
        assert "Host" not in str(caught.value)
        assert server.seen == []


def test_the_next_address_of_a_name_is_tried_when_one_does_not_answer() -> None:
    with serving({"/d": b"x"}) as server:
        rules = Rules(
            frozenset({f"{NAME}:{server.server_port}"}), allow_plain_http=True, allow_private=True
        )
        found = ["127.0.0.2", "127.0.0.1"]  # nothing listens at the first one
        with Client(rules, resolver=lambda *_: found, environment={}) as client:
            url = f"http://{NAME}:{server.server_port}/d"
            assert client.document(url, most_bytes=10).body == b"x"
            assert [ip for ip, _ in client.attempts] == found


PROXY = {"HTTPS_PROXY": "http://proxy.lan:3128"}


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, None),
        ({"HTTP_PROXY": "http://proxy.lan:3128"}, None),
        ({"ALL_PROXY": "http://proxy.lan:3128"}, None),
        (PROXY, ("http://proxy.lan:3128/", None)),
        ({"https_proxy": "10.0.0.1:8080"}, ("http://10.0.0.1:8080/", None)),
        ({"HTTPS_PROXY": "http://a%40b:c@proxy.lan:1/"}, ("http://proxy.lan:1/", ("a@b", "c"))),
        ({**PROXY, "NO_PROXY": "example.org, .example.com"}, None),
        ({**PROXY, "no_proxy": "*"}, None),
        ({**PROXY, "NO_PROXY": "le.com,other.com"}, ("http://proxy.lan:3128/", None)),
    ],
)
def test_only_a_proxy_that_a_person_has_set_for_https_is_used(
    environment: dict[str, str], expected: tuple[str, object] | None
) -> None:
    found = proxy_for(check_url("https://models.example.com/m"), environment)
    assert (None if found is None else (found.address.url, found.credentials)) == expected


@pytest.mark.parametrize("value", ["socks5://a:1", "https://a:1", "http://", "a b", "http://a/b"])
def test_a_proxy_of_another_kind_is_refused(value: str) -> None:
    with pytest.raises(InvalidRequestError, match="HTTPS_PROXY") as caught:
        proxy_for(check_url("https://example.com/m"), {"HTTPS_PROXY": value})
    assert value.strip() not in str(caught.value).partition("allowed")[0]


def test_a_tunnel_is_asked_of_the_proxy_and_the_name_is_left_to_it() -> None:
    def fail(host: str, _port: int) -> list[str]:
        assert host == "proxy.lan"
        return ["127.0.0.1"]

    with serving({}) as server:
        proxy = {"HTTPS_PROXY": f"http://proxy.lan:{server.server_port}"}
        with (
            Client(resolver=fail, environment=proxy) as client,
            pytest.raises(UnreachableError, match="is refused by the proxy"),
        ):
            client.document("https://models.example.com/m", most_bytes=10)
        assert client.attempts == (("127.0.0.1", server.server_port),)
        assert server.seen == []
