"""Nothing of the network is used on import, nor by a command that was not asked to use it."""

from __future__ import annotations

import ipaddress
import json
from typing import TYPE_CHECKING

import pytest
from watching import watch

from whatfits.sizing.cli import COMMANDS

if TYPE_CHECKING:
    from pathlib import Path

_IMPORTS = """
import json, pkgutil, sys
from importlib import import_module
from whatfits import bench, probes, sizing, webapp

names, absent = [], {}
for package in (sizing, probes, bench, webapp):
    names.append(package.__name__)
    for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        names.append(found.name)
for name in names:
    if name.endswith(".__main__"):
        continue
    try:
        import_module(name)
    except ModuleNotFoundError as error:
        absent[name] = error.name
print(json.dumps([len(names), absent]))
"""
_EXTRAS = {"streamlit", "altair", "llama_cpp", "ray"}
_CARD = ("--machine", "rtx-4090 + 64gb")
_SMALL = "smollm2-135m"
OFFLINE = {
    "home": (),
    "hardware": ("hardware",),
    "doctor": ("hardware", "--doctor"),
    "check": ("check", _SMALL),
    "check for a machine": ("check", _SMALL, *_CARD),
    "check for vLLM": ("check", _SMALL, "--runtime", "vllm", *_CARD),
    "check quickly": ("check", _SMALL, "--quick"),
    "list": ("list", "--limit", "5"),
    "list local": ("list", "--local"),
    "need": ("need", _SMALL),
    "plan": ("plan", _SMALL),
    "cost": ("cost", _SMALL, *_CARD),
    "serve": ("serve", _SMALL, *_CARD),
    "fleet": ("fleet", _SMALL, *_CARD),
    "together": ("together", _SMALL, "qwen3-0.6b"),
    "explain a term": ("explain", "ttft"),
    "explain a model": ("explain", _SMALL),
    "quants": ("quants",),
    "batch": ("batch",),
    "schema": ("schema",),
    "start for a machine": ("start", *_CARD),
    "bench": ("bench", "--quick", "--no-save"),
    "verify": ("verify", "--synthetic", _SMALL, "--plan-only"),
    "web": ("web", "--help"),  # the page itself is a server, and asked for
}
_CHILDREN = {"bench", "verify"}


def test_every_command_is_among_those_that_are_watched() -> None:
    watched = {arguments[0] for arguments in OFFLINE.values() if arguments}
    assert watched == set(dict(COMMANDS))


def test_importing_every_module_uses_no_network_and_starts_no_program(tmp_path: Path) -> None:
    done = watch("-c", _IMPORTS, folder=tmp_path)
    assert done.code == 0, done.errors
    number, absent = json.loads(done.output)
    assert number > 400
    assert set(absent.values()) <= _EXTRAS, absent
    assert (done.network, done.programs) == ((), ())


@pytest.mark.parametrize("name", OFFLINE)
def test_a_command_uses_no_network(name: str, tmp_path: Path) -> None:
    done = watch("-m", "whatfits.sizing", *OFFLINE[name], folder=tmp_path)
    if name in _CHILDREN and "needs an extra" in done.errors:
        pytest.skip("needs the extra [bench]")
    assert done.code in {0, 1}, done.errors  # 1: the model does not fit here
    assert done.network == ()
    assert done.pythons == 1 + (name in _CHILDREN)  # children were watched as well


def test_start_asks_this_machine_alone(tmp_path: Path) -> None:
    done = watch("-m", "whatfits.sizing", "start", folder=tmp_path)
    assert done.code == 0, done.errors
    assert done.network  # which servers run here is what it is for
    assert all(ipaddress.ip_address(address).is_loopback for _, address in done.network)


@pytest.mark.parametrize(
    "model", ["hf:owner/name", "https://huggingface.co/owner/name/resolve/main/model.gguf"]
)
def test_a_request_for_a_published_model_reaches_for_its_host_alone(
    model: str, tmp_path: Path
) -> None:
    done = watch("-m", "whatfits.sizing", "check", model, folder=tmp_path)
    assert done.code == 2
    assert "cannot be reached" in done.errors
    assert set(done.network) == {("name", "huggingface.co")}


@pytest.mark.parametrize(
    ("kind", "script"),
    {
        "name": "socket.getaddrinfo('example.org', 443)",
        "connect": "socket.socket().connect(('192.0.2.1', 443))",
        "bind": "socket.socket().bind(('127.0.0.1', 0))",
        "sendto": "socket.socket(type=socket.SOCK_DGRAM).sendto(b'', ('192.0.2.1', 53))",
    }.items(),
)
def test_the_watch_sees_and_refuses(kind: str, script: str, tmp_path: Path) -> None:
    done = watch("-c", f"import socket; {script}", folder=tmp_path)
    assert done.code == 1
    assert "may not use the network" in done.errors
    assert [event for event, _ in done.network] == [kind]


def test_the_watch_sees_what_a_child_does(tmp_path: Path) -> None:
    child = "import socket; socket.create_connection(('192.0.2.1', 443))"
    script = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    done = watch("-c", script, folder=tmp_path)
    assert done.network == (("name", "192.0.2.1"),)
    assert (done.programs[0], done.pythons) == ("subprocess.Popen", 2)
