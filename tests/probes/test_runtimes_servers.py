"""Which server answers is told by what it says; what it says is believed only in its right form."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest
from loopback_server import FOLDER, misbehaving, recorded, serving

from whatfits.probes.runtimes import look
from whatfits.probes.runtimes.http_ask import Answer
from whatfits.probes.runtimes.listeners import Listener, parse_listeners, read_listeners
from whatfits.probes.runtimes.lm_studio import parse_http_server
from whatfits.probes.runtimes.ollama import parse_host
from whatfits.probes.runtimes.registry import runtime_probes
from whatfits.probes.runtimes.servers import identify, ports_to_ask, server_on
from whatfits.probes.runtimes.surroundings import Surroundings
from whatfits.probes.runtimes.vllm import parse_cache_config

if TYPE_CHECKING:
    import socket
    from pathlib import Path

NAMES = sorted(path.stem for path in FOLDER.glob("*.json"))
NOWHERE = {"PATH": "", "HOME": "/nonexistent"}


def nowhere() -> Surroundings:
    """Return surroundings in which nothing is installed."""
    return Surroundings(NOWHERE, platform="linux", root="/nonexistent", packages={})


def said(recording: dict[str, Any]) -> dict[str, Answer]:
    """Return a recording as the answers that its server would give."""
    return {
        path: Answer(
            answer.get("status", 200),
            {"server": recording.get("server", "")},
            (answer.get("text") or json.dumps(answer.get("json"))).encode(),
            is_complete=True,
        )
        for path, answer in recording["answers"].items()
    }


@pytest.mark.parametrize("name", NAMES)
def test_a_server_is_recognised_on_any_port(name: str) -> None:
    recording = recorded(name)
    with serving(recording) as served:
        report = look(nowhere(), ports=(served.port,))
    assert [server.runtime for server in report.servers] == [
        runtime for runtime in (recording["runtime"],) if runtime
    ]
    for server in report.servers:
        assert server.base_url == f"{served.url}/v1"
        assert not server.needs_key
        assert server.loaded is not None
        assert len(server.loaded) == 1


@pytest.mark.parametrize("name", NAMES)
def test_no_server_is_taken_for_two(name: str) -> None:
    answers = said(recorded(name))
    claims = [probe.ID for probe in runtime_probes() if probe.is_it(answers, None)]
    assert claims == [runtime for runtime in (recorded(name)["runtime"],) if runtime]


def test_what_is_loaded_is_told_with_its_settings() -> None:
    loaded = {}
    for name in NAMES:
        answers = said(recorded(name))
        probe = identify(runtime_probes(), answers, None)
        if probe is not None:
            (loaded[name],) = probe.parse_loaded(answers) or ()
    assert loaded["ollama"].context_tokens == loaded["llama-server"].context_tokens == 4096
    assert loaded["ollama"].file_type == loaded["lm-studio"].file_type == "Q4_0"
    assert (loaded["lm-studio"].parallel, loaded["llama-server"].parallel) == (4, 1)
    assert loaded["llama-server"].path == "/models/small.gguf"
    assert dict(loaded["vllm"].cache)["num_gpu_blocks"] == "12501"
    assert loaded["mlx"].context_tokens is None


def test_several_servers_are_asked_at_once_and_sorted_by_port() -> None:
    with (
        serving(recorded("ollama")) as first,
        serving(recorded("vllm")) as second,
        serving(recorded("mlx")) as third,
    ):
        ports = (third.port, first.port, second.port)
        report = look(nowhere(), ports=ports)
    assert [server.port for server in report.servers] == sorted(ports)


@pytest.mark.parametrize("pause_s", [0.0, 0.02])
def test_the_whole_look_ends_in_time_whatever_answers(pause_s: float) -> None:
    def drip(link: socket.socket) -> None:
        link.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            link.sendall(b"{")
            time.sleep(pause_s)

    with (
        misbehaving(drip) as first,
        misbehaving(lambda _: time.sleep(4)) as second,
        serving(recorded("ollama")) as third,
    ):
        started = time.monotonic()
        report = look(nowhere(), ports=(first.port, second.port, third.port))
        assert time.monotonic() - started < 3.2
    assert [server.runtime for server in report.servers] == ["ollama"]


@pytest.mark.parametrize(
    ("host", "port"),
    [
        ("127.0.0.1:11500", 11500),
        ("http://0.0.0.0:11500/", 11500),
        (":11500", 11500),
        ("[::1]:11500", 11500),
        ("0.0.0.0", None),  # noqa: S104 - as people set it
        ("", None),
        ("box:0", None),
        ("box:65536", None),
        ("box:many", None),
    ],
)
def test_the_port_of_ollama_is_that_of_its_variable(host: str, port: int | None) -> None:
    assert parse_host(host) == port


@pytest.mark.parametrize(
    ("said", "port"),
    [('{"port": 4321}', 4321), ('{"port": "4321"}', None), ('{"port": 0}', None), ("[", None)],
)
def test_the_port_of_lm_studio_is_that_of_its_note(said: str, port: int | None) -> None:
    assert parse_http_server(said) == port


def test_ports_that_were_set_are_asked_after_the_usual_ones(tmp_path: Path) -> None:
    note = tmp_path / ".lmstudio/.internal/http-server.json"
    note.parent.mkdir(parents=True)
    note.write_text('{"port": 4321}')
    environment = {"HOME": str(tmp_path), "OLLAMA_HOST": "127.0.0.1:11500"}
    here = Surroundings(environment, platform="linux")
    listeners = {
        9001: Listener(9001, name="llama-server"),
        9002: Listener(9002, name="llama-server", parent="ollama"),
        9003: Listener(9003, name="python3", command=("python", "-m", "vllm.entrypoints")),
        9004: Listener(9004, name="nginx"),
    }
    ports = ports_to_ask(runtime_probes(), listeners, here)
    assert ports == (8080, 11434, 1234, 1337, 8000, 30000, 11500, 4321, 9001, 9003)


def test_a_slow_server_does_not_cost_the_others_when_time_is_short() -> None:
    with misbehaving(lambda _: time.sleep(4)) as slow, serving(recorded("ollama")) as served:
        report = look(nowhere(), ports=(slow.port, served.port), deadline_s=1.6)
    assert [server.port for server in report.servers] == [served.port]


WRONG = [None, 3, -1, 2**70, True, [], {}, "", "a" * 5000, [[]], [None], [{"a": 1}], {"b": []}, 1.5]


def _spoilt(value: Any, wrong: Any) -> list[Any]:  # noqa: ANN401 - JSON is untyped
    """Return every copy of a JSON value in which one part is another."""
    copies = []
    if isinstance(value, dict):
        for key in value:
            copies.append({**value, key: wrong})
            copies += [{**value, key: part} for part in _spoilt(value[key], wrong)]
            copies.append({name: part for name, part in value.items() if name != key})
    if isinstance(value, list) and value:
        copies += [[part, *value[1:]] for part in _spoilt(value[0], wrong)]
    return copies


@pytest.mark.parametrize("wrong", WRONG, ids=lambda value: repr(value)[:12])
@pytest.mark.parametrize("name", NAMES)
def test_a_wrong_type_anywhere_is_passed_over(name: str, wrong: object) -> None:
    recording = recorded(name)
    whole = said(recording)
    n_spoilt = 0
    for path, answer in recording["answers"].items():
        for spoilt in _spoilt(answer.get("json"), wrong):
            body = json.dumps(spoilt).encode()
            answers = {**whole, path: whole[path]._replace(body=body)}
            for probe in runtime_probes():
                if not probe.is_it(answers, None):
                    continue
                n_spoilt += 1
                version = probe.server_version(answers)
                assert version is None or (isinstance(version, str) and len(version) <= 1024)
                for model in probe.parse_loaded(answers) or ():
                    assert isinstance(model.name, str)
                    for held in (model.held_bytes, model.context_tokens, model.file_bytes):
                        assert held is None or (type(held) is int and 0 <= held < 2**63)
    assert n_spoilt or recording["runtime"] is None


def test_a_server_that_wants_a_key_says_so_and_answers_with_it() -> None:
    locked = {**recorded("llama-server"), "key": "secret"}
    with serving(locked) as served:
        report = look(nowhere(), ports=(served.port,))
        probe, answers = server_on("127.0.0.1", served.port, api_key="secret")
    (server,) = report.servers
    assert (server.runtime, server.needs_key, server.loaded) == ("llama.cpp", True, None)
    assert probe is not None
    assert len(probe.parse_loaded(answers) or ()) == 1


def test_jan_is_known_by_its_process_and_never_by_its_port_alone() -> None:
    refusal = {"/v1/models": Answer(401, {}, b"{}", is_complete=True)}
    jan = Listener(port=1337, name="Jan")
    probe = identify(runtime_probes(), refusal, jan)
    assert probe is not None
    assert probe.ID == "jan"
    assert identify(runtime_probes(), refusal, Listener(port=1337, name="python3")) is None
    assert identify(runtime_probes(), refusal, None) is None


def test_mlx_is_known_by_its_process_behind_another_library() -> None:
    answers = {
        path: answer._replace(headers={"server": "proxy"})
        for path, answer in said(recorded("mlx")).items()
    }
    command = ("/env/bin/python", "-m", "mlx_lm.server", "--model", "small")
    assert identify(runtime_probes(), answers, None) is None
    probe = identify(runtime_probes(), answers, Listener(port=8080, command=command))
    assert probe is not None
    assert probe.ID == "mlx"


def test_something_else_on_a_usual_port_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(recorded("something-else")) as served:
        monkeypatch.setattr("whatfits.probes.runtimes.vllm.PORTS", (served.port,))
        report = look(nowhere(), ports=(served.port,))
    assert report.servers == ()
    (finding,) = report.findings
    assert finding.code == "unknown_server"
    assert str(served.port) in finding.text


def test_this_process_is_seen_to_listen() -> None:
    with serving(recorded("ollama")) as served:
        listeners = {listener.port: listener for listener in parse_listeners(read_listeners())}
    assert listeners[served.port].name
    assert listeners[served.port].command
    assert (listeners[served.port].resident_bytes or 0) > 2**20


def test_a_snapshot_of_listeners_is_read_for_no_more_than_it_is() -> None:
    rows = [
        {"port": 8080, "address": "::1", "pid": 5, "name": "six"},
        {"port": 8080, "address": "127.0.0.1", "pid": 4, "name": "four", "command": ["a", 1]},
        {"port": "8081"},
        {"port": 8082, "pid": "x", "name": 3, "command": 4, "resident_bytes": -1},
        7,
    ]
    four, unknown = parse_listeners({"listeners": rows})
    assert (four.name, four.is_ipv6, four.command) == ("four", False, ("a", "1"))
    assert unknown == Listener(port=8082)
    assert parse_listeners({}) == parse_listeners({"listeners": 3}) == ()


def test_cache_settings_are_taken_from_their_line_alone() -> None:
    assert parse_cache_config("") == ()
    assert parse_cache_config('# vllm:cache_config_info{a="1"} 1\n') == ()
    line = 'vllm:cache_config_info{block_size="16",odd="a\\"b",num_gpu_blocks="7"} 1.0\n'
    assert dict(parse_cache_config(f"other 1\n{line}")) == {
        "block_size": "16",
        "num_gpu_blocks": "7",
    }


def test_a_model_is_named_by_the_command_line_where_the_list_tells_too_many() -> None:
    recording = recorded("mlx-lm")
    listed = recording["answers"]["/v1/models"]["json"]["data"]
    listed.append({**listed[0], "id": "mlx-community/other"})
    probe = identify(runtime_probes(), said(recording), None)
    assert probe is not None
    assert len(probe.parse_loaded(said(recording)) or ()) == 2
    command = ("python", "-m", "mlx_lm.server", "--model", "/models/small")
    (loaded,) = probe.parse_loaded(said(recording), Listener(8080, command=command)) or ()
    assert loaded.path == "/models/small"


def test_a_list_that_broke_off_still_shows_mlx_but_no_model() -> None:
    answers = said(recorded("mlx-lm"))
    answers["/v1/models"] = answers["/v1/models"]._replace(body=b"")
    probe = identify(runtime_probes(), answers, None)
    assert probe is not None
    assert (probe.ID, probe.parse_loaded(answers)) == ("mlx", None)
    command = ("mlx_lm.server", "--model=org/repo")
    (loaded,) = probe.parse_loaded(answers, Listener(8080, command=command)) or ()
    assert loaded.name == "org/repo"


def test_llama_cpp_python_names_its_file_by_its_command_line() -> None:
    answers = said(recorded("llama-cpp-python"))
    probe = identify(runtime_probes(), answers, None)
    assert probe is not None
    command = ("python", "-m", "llama_cpp.server", "--model", "small.gguf")
    (loaded,) = probe.parse_loaded(answers, Listener(8000, command=command)) or ()
    assert (loaded.name, loaded.path) == ("/models/small.gguf", "small.gguf")
