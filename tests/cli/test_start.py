"""`whatfits start`: what is here, what to begin with, how to connect."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
from loopback_server import recorded, serving

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import Said

CARD = ("--machine", "rtx 4090 + 64gb")
PROBES = ("llama_cpp", "ollama", "lm_studio", "jan", "vllm", "sglang", "llama_cpp_python", "mlx")


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str, int], None]:
    """Leave nothing to be found on this machine; return a function that gives a runtime a port."""
    for name in PROBES:
        monkeypatch.setattr(f"whatfits.probes.runtimes.{name}.PORTS", ())
        monkeypatch.setattr(f"whatfits.probes.runtimes.{name}.read_installed", lambda _here: None)
    monkeypatch.setattr("whatfits.probes.runtimes.servers._set_ports", lambda _here: ())
    monkeypatch.setattr("whatfits.probes.runtimes.servers._is_known", lambda _listener: False)
    return lambda name, port: monkeypatch.setattr(f"whatfits.probes.runtimes.{name}.PORTS", (port,))


def test_a_model_is_fetched_before_it_is_loaded(say: Callable[..., Any]) -> None:
    answer = say("start", *CARD, "--level", "beginner", "--json").json
    (pick,) = [pick for pick in answer["picks"] if pick["level"] == "beginner"]
    assert pick["runtime"] == "lm-studio"
    assert pick["start"] == ["lms get MODEL", "lms load MODEL", "lms server start"]


def test_this_machine_is_looked_at_and_the_answer_keeps_the_schema(
    say: Callable[..., Said], is_valid: Callable[[str, object], None]
) -> None:
    started = time.monotonic()
    said = say("start", "--json")
    assert time.monotonic() - started < 6  # the machine, then its runtimes: 3 s each at most
    assert said.code == 0
    is_valid("start", said.json)
    assert said.json["looked"] is True
    assert [pick["level"] for pick in said.json["picks"]] == ["beginner", "comfortable", "expert"]


def test_another_machine_is_not_looked_at(
    say: Callable[..., Said], is_valid: Callable[[str, object], None]
) -> None:
    said = say("start", *CARD, "--json")
    is_valid("start", said.json)
    assert (said.json["looked"], said.json["installed"], said.json["servers"]) == (False, [], [])
    assert {pick["state"] for pick in said.json["picks"]} == {"unknown"}
    text = say("start", *CARD, "--plain").out
    assert "Installed here" not in text
    assert "whatfits list --machine 'rtx 4090 + 64gb'" in text


def test_where_nothing_is_it_says_so_and_how_to_install(
    say: Callable[..., Said], quiet: Callable[[str, int], None]
) -> None:
    said = say("start", "--level", "comfortable", "--plain")
    assert said.code == 0
    assert "No runtime or app was found in the usual places." in said.lines
    assert "No server answers on the usual ports." in said.lines
    assert "Install:" in said.lines
    assert "ollama run MODEL" in said.lines
    assert any("http://127.0.0.1:11434/v1 (Ollama, once it runs)" in line for line in said.lines)


def test_a_server_that_runs_is_shown_with_what_it_holds_and_how_to_reach_it(
    say: Callable[..., Said],
    is_valid: Callable[[str, object], None],
    quiet: Callable[[str, int], None],
) -> None:
    with serving(recorded("ollama")) as served:
        quiet("ollama", served.port)
        answer = say("start", "--level", "comfortable", "--json").json
        text = say("start", "--level", "comfortable", "--plain")
    is_valid("start", answer)
    (server,) = answer["servers"]
    assert (server["runtime"], server["version"]) == ("ollama", "0.31.2")
    assert answer["picks"][1]["state"] == "running"
    connection = answer["connection"]
    assert (connection["is_running"], connection["model"]) == (True, "small:latest")
    assert connection["base_url"] == server["base_url"] == f"{served.url}/v1"
    assert "small:latest (4,096 tokens, " in text.out
    assert "Install:" not in text.lines
    assert any(line.startswith(f"curl {served.url}/v1/chat/completions ") for line in text.lines)


def test_the_picked_server_is_connected_to_before_another_and_another_before_none(
    say: Callable[..., Said], quiet: Callable[[str, int], None]
) -> None:
    with serving(recorded("ollama")) as first, serving(recorded("vllm")) as second:
        quiet("ollama", first.port)
        quiet("vllm", second.port)
        ports = {
            level: say("start", "--level", level, "--json").json["connection"]["base_url"]
            for level in ("beginner", "comfortable")
        }
    assert ports["comfortable"] == f"{first.url}/v1"
    assert ports["beginner"] in (f"{first.url}/v1", f"{second.url}/v1")


def test_a_server_that_wants_a_key_is_shown_with_the_variable_that_holds_it(
    say: Callable[..., Said], quiet: Callable[[str, int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WHATFITS_API_KEY", "never to be shown")
    with serving({**recorded("llama-server"), "key": "k"}) as served:
        quiet("llama_cpp", served.port)
        said = say("start", "--plain")
        assert all("never" not in str(request) for request in served.requests)
    assert "wants an API key" in said.out
    assert '-H "Authorization: Bearer $WHATFITS_API_KEY"' in said.out
    assert "never to be shown" not in said.out


def test_a_name_with_control_characters_cannot_steer_the_terminal(
    say: Callable[..., Said], quiet: Callable[[str, int], None]
) -> None:
    recording = recorded("ollama")
    models = recording["answers"]["/api/ps"]["json"]["models"]
    models[0]["model"] = "small\x1b[2J\r\nWhatever"
    with serving(recording) as served:
        quiet("ollama", served.port)
        said = say("start", "--plain")
    assert said.code == 0
    assert "\x1b" not in said.out
    assert "\r" not in said.out
    assert "Whatever" not in [line.strip() for line in said.lines]


@pytest.mark.parametrize(
    "arguments",
    [
        ("--level", "wizard"),
        ("--users", "0"),
        ("--users", "many"),
        ("--users", "10000000"),
        ("--machine", "no-such-card"),
        ("llama-3.1-8b",),
    ],
)
def test_bad_input_is_one_line(
    say: Callable[..., Said], is_valid: Callable[[str, object], None], arguments: tuple[str, ...]
) -> None:
    said: Any = say("start", *arguments)
    assert said.code == 2
    assert said.out == ""
    assert said.err.count("\n") == 1
    is_valid("error", say("start", *arguments, "--json").json)


def test_a_terminal_gets_the_same_facts(on_terminal: Callable[..., str]) -> None:
    screen = on_terminal("start", *CARD, "--level", "expert", "--users", "20")
    assert "vLLM" in screen
    assert "vllm serve MODEL" in screen
