"""`whatfits verify --server`: what cannot be compared, what must not be believed, keys."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from loaded_servers import llama_server, ollama, tensor_bytes
from loopback_server import misbehaving, recorded, serving

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from conftest import Said

MIB = 2**20


class TestKeys:
    def test_a_key_is_sent_and_never_shown(
        self, say: Callable[..., Said], model: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        recording = {**llama_server(model, tensor_bytes=tensor_bytes(model)), "key": "k-123"}
        with serving(recording) as served:
            asked = ("verify", "--server", served.url)
            assert say(*asked, "--api-key", "k-123").code == 0
            monkeypatch.setenv("WHATFITS_API_KEY", "k-123")
            assert say(*asked).code == 0
            monkeypatch.setenv("WHATFITS_API_KEY", "k-wrong")
            refused = say(*asked)
        assert refused.code == 2
        assert "API key" in refused.err
        assert "k-wrong" not in refused.err + refused.out

    def test_a_key_that_could_leave_its_header_is_refused(self, say: Callable[..., Said]) -> None:
        asked = ("verify", "--server", "http://127.0.0.1:1")
        for key in ("a\r\nX: y", "k" * 5000, "schlüssel"):
            said = say(*asked, "--api-key", key)
            assert said.code == 2
            assert key not in said.err
            assert "printable" in said.err


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("sglang", "memory rules"),
        ("mlx", "cannot be read here"),
        ("something-else", "none of the known"),
    ],
)
def test_what_cannot_be_compared_is_said_with_the_reason(
    say: Callable[..., Said], is_valid: Callable[..., None], name: str, says: str
) -> None:
    with serving(recorded(name)) as served:
        said = say("verify", "--server", served.url)
        as_json = say("verify", "--server", served.url, "--json")
    assert said.code == as_json.code == 2
    assert said.err.count("\n") == 1
    assert says in said.err
    is_valid("error", as_json.json)


def test_a_server_without_a_model_says_so(say: Callable[..., Said]) -> None:
    recording = recorded("ollama")
    recording["answers"]["/api/ps"]["json"]["models"] = []
    with serving(recording) as served:
        said = say("verify", "--server", served.url)
    assert said.code == 2
    assert "no model loaded" in said.err


def test_of_several_models_one_has_to_be_named(say: Callable[..., Said], model: Path) -> None:
    recording = ollama(model, held_bytes=500 * MIB)
    models = recording["answers"]["/api/ps"]["json"]["models"]
    models.append({**models[0], "model": "other:7b"})
    with serving(recording) as served:
        unnamed = say("verify", "--server", served.url)
        named = say("verify", "other:7b", "--server", served.url, "--json")
        short = say("verify", "small", "--server", served.url, "--json")
        wrong = say("verify", str(model), "--server", served.url)
    assert (unnamed.code, wrong.code) == (2, 2)
    assert "small:latest, other:7b" in unnamed.err
    assert named.json["server"]["model"] == "other:7b"
    assert short.json["server"]["model"] == "small:latest"


def test_a_server_elsewhere_needs_its_machine(
    say: Callable[..., Said], model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from whatfits.probes.runtimes import address

    here = address.resolve
    monkeypatch.setattr(address, "resolve", lambda given: here(given)._replace(is_here=False))
    with serving(ollama(model, held_bytes=500 * MIB)) as served:
        unsaid = say("verify", "--server", served.url)
        asked = ("verify", str(model), "--server", served.url, "--machine", "64gb", "--json")
        said = say(*asked)
        paths = {path for _, path, _ in served.requests}
    assert unsaid.code == 2
    assert "--machine" in unsaid.err
    assert said.code in (0, 1)
    assert "64" in said.json["machine"]
    assert "/api/show" not in paths  # a path there is none here


def test_a_path_that_a_server_names_is_read_as_a_model_or_not_at_all(
    say: Callable[..., Said], tmp_path: Path
) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("not to be shown")
    for path in (secret, tmp_path, Path("/dev/zero"), tmp_path / "missing"):
        with serving(ollama(path, held_bytes=1)) as served:
            said = say("verify", "--server", served.url)
        assert said.code == 2
        assert "not to be shown" not in said.err + said.out


@pytest.mark.parametrize("name", ["small.gguf", "./small.gguf", "{path}", "../models/small.gguf"])
def test_a_name_that_a_server_tells_is_no_path(
    say: Callable[..., Said], model: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(model.parent)
    recording = recorded("ollama")
    loaded = recording["answers"]["/api/ps"]["json"]["models"][0]
    loaded["model"] = name.format(path=model)
    with serving(recording) as served:
        said = say("verify", "--server", served.url)
    assert said.code == 2
    assert "cannot be read here" in said.err


def endless(link: socket.socket) -> None:
    link.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        link.sendall(b'{"version": ' * 5000)


def slow(link: socket.socket) -> None:
    while True:
        link.sendall(b"H")
        time.sleep(0.05)


@pytest.mark.parametrize("behave", [endless, slow], ids=lambda behave: behave.__name__)
def test_a_hostile_server_costs_seconds_and_one_line(
    say: Callable[..., Said], behave: Callable[[socket.socket], None]
) -> None:
    with misbehaving(behave) as served:
        started = time.monotonic()
        said = say("verify", "--server", served.url)
        assert time.monotonic() - started < 8
    assert said.code == 2
    assert said.err.count("\n") == 1


def test_a_redirect_and_ten_megabytes_are_no_known_server(say: Callable[..., Said]) -> None:
    with serving(recorded("ollama")) as other:
        moved = {"status": 307, "headers": {"Location": f"{other.url}/api/version"}, "text": ""}
        large = {"text": '{"version": "' + "1" * 10_000_000 + '"}'}
        for answer in (moved, large):
            with serving({"answers": {}, "otherwise": answer}) as served:
                said = say("verify", "--server", served.url)
            assert said.code == 2
            assert said.err.count("\n") == 1
        assert other.requests == []


WRONG = [None, -1, 2**70, True, "many", [], {}, 1.5]


@pytest.mark.parametrize("wrong", WRONG, ids=repr)
@pytest.mark.parametrize("field", ["size", "size_vram", "context_length", "model", "details"])
def test_wrong_types_end_in_an_answer_or_one_line(
    say: Callable[..., Said], model: Path, field: str, wrong: object
) -> None:
    recording = ollama(model, held_bytes=400 * MIB)
    recording["answers"]["/api/ps"]["json"]["models"][0][field] = wrong
    with serving(recording) as served:
        said = say("verify", "--server", served.url)
    assert said.code in (0, 1, 2)
    assert said.err.count("\n") == (1 if said.code == 2 else 0)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--server", "http://127.0.0.1:1"), "one that answers"),
        (("--server", "http://8.8.8.8"), "private network"),
        (("--server", "https://127.0.0.1"), "http://127.0.0.1:8080"),
        (("--server", "http://u:p@127.0.0.1"), "no user"),
        (("--server", ""), "http://127.0.0.1:8080"),
        (("--server", "http://127.0.0.1:1", "--suite"), "more than one"),
        (("--server", "http://127.0.0.1:1", "--synthetic", "smollm2-135m"), "more than one"),
        (("--server", "http://127.0.0.1:1", "--plan-only"), "a file"),
        (("--server", "http://127.0.0.1:1", "--force"), "a file"),
        (("x.gguf", "--api-key", "k"), "--server"),
        (("x.gguf", "--machine", "64gb"), "--server"),
    ],
)
def test_bad_input_is_one_line(
    say: Callable[..., Said], is_valid: Callable[..., None], arguments: tuple[str, ...], says: str
) -> None:
    said = say("verify", *arguments)
    assert said.code == 2
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert says in said.err
    is_valid("error", say("verify", *arguments, "--json").json)


def test_a_server_is_verified_without_the_extra() -> None:
    script = (
        "import sys; sys.modules['llama_cpp'] = None\n"
        "from whatfits.sizing.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    with serving(recorded("sglang")) as served:
        done = subprocess.run(
            [sys.executable, "-c", script, "verify", "--server", served.url],
            capture_output=True,
            check=False,
            text=True,
        )
    assert done.returncode == 2
    assert "memory rules" in done.stderr
    assert "pip install" not in done.stderr
