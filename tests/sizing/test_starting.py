"""What to begin with: the stated rules, for every kind of machine and level."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import replace

import pytest

from whatfits.sizing.api import load_machine
from whatfits.sizing.connecting import connection
from whatfits.sizing.machine import Device, Machine, Pool
from whatfits.sizing.programs import PROGRAMS, find_program
from whatfits.sizing.starting import LEVELS, Pick, pick

MACHINES = {
    "card": "rtx 4090 + 64gb",
    "mac": "mac-m4-max-64gb",
    "amd": "rx 7900 xtx + 32gb",
    "intel": "arc b580 + 32gb",
    "cpu": "64gb",
    "shared": "gb10",
}


def chosen(machine: str, level: str, **more: object) -> Pick:
    return pick(load_machine(MACHINES[machine]), level, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("machine", MACHINES)
def test_every_level_has_a_pick_with_its_rules_and_a_way_to_start(machine: str) -> None:
    for level in LEVELS:
        for users in (1, 4, 5, 1000):
            found = chosen(machine, level, users=users)
            assert found.level == level
            assert found.rules
            assert found.install
            assert found.start
            assert found.state == "unknown"
            assert found.base_url.startswith("http://127.0.0.1:")


@pytest.mark.parametrize(
    ("machine", "users", "runtime"),
    [
        ("card", 1, "llama.cpp"),
        ("card", 4, "llama.cpp"),
        ("card", 5, "vllm"),
        ("shared", 50, "vllm"),
        ("amd", 50, "vllm"),
        ("intel", 50, "llama.cpp"),
        ("cpu", 50, "llama.cpp"),
        ("mac", 1, "mlx"),
        ("mac", 50, "mlx"),
    ],
)
def test_an_experts_engine_follows_the_machine_and_its_users(
    machine: str, users: int, runtime: str
) -> None:
    assert chosen(machine, "expert", users=users).runtime == runtime


@pytest.mark.parametrize("machine", ["amd", "intel"])
def test_gpus_of_amd_and_intel_get_the_vulkan_build(machine: str) -> None:
    found = chosen(machine, "expert")
    assert [line.os for line in found.install] == ["linux", "windows"]
    assert all("Vulkan" in line.line for line in found.install)


def test_vllm_is_promised_only_where_its_documents_list_the_gpu() -> None:
    def expert(kind: str, *features: str, os: str | None = "linux") -> str:
        device = Device("gpu0", kind, "a GPU", "vram0", features=features)
        pools = (Pool("vram0", "vram", 2**34), Pool("ram", "ram", 2**35))
        return pick(Machine(pools, (device,), os=os), "expert", users=9).runtime

    assert expert("cuda", "cc7.0") == expert("cuda", "cc12.1") == "vllm"
    assert expert("cuda", "cc6.1") == expert("cuda") == "llama.cpp"
    assert expert("cuda", "cc8.9", os="windows") == "llama.cpp"
    assert expert("cuda", "cc8.9", os=None) == "vllm"
    assert expert("rocm", "gfx1100") == expert("rocm", "gfx942") == "vllm"
    assert expert("rocm", "gfx1030") == expert("rocm", "gfx906") == "llama.cpp"


def test_what_runs_comes_before_what_is_installed_and_that_before_the_rest() -> None:
    nothing = chosen("cpu", "beginner", installed=())
    assert (nothing.runtime, nothing.state, nothing.others) == ("lm-studio", "to install", ("jan",))
    installed = chosen("cpu", "beginner", installed=("jan", "ollama"))
    assert (installed.runtime, installed.state) == ("jan", "installed")
    assert "Jan is installed here" in installed.rules[-1]
    running = chosen("cpu", "beginner", installed=("jan", "lm-studio"), running=("jan",))
    assert (running.runtime, running.state) == ("jan", "running")
    first = chosen("cpu", "beginner", installed=("jan", "lm-studio"))
    assert (first.runtime, first.state) == ("lm-studio", "installed")
    assert first.rules == nothing.rules


def test_the_line_to_install_is_that_of_the_machines_system() -> None:
    machine = load_machine("rtx 4090 + 64gb")
    for os in ("linux", "macos", "windows"):
        lines = pick(replace(machine, os=os), "comfortable").install
        assert [line.os for line in lines] == [os]
    unknown = pick(replace(machine, os="freebsd"), "comfortable").install
    assert [line.os for line in unknown] == ["linux", "macos", "windows"]


@pytest.mark.parametrize(
    ("machine", "systems"),
    [
        ("rtx-4090 + 64gb", ["linux", "windows"]),
        ("rx 7900 xtx + 32gb", ["linux", "windows"]),
        ("arc b580 + 16gb", ["linux", "windows"]),
        ("m4 24gb", ["macos"]),
        ("8gb", ["linux", "macos", "windows"]),
    ],
)
def test_a_system_that_cannot_drive_the_gpu_has_no_line(machine: str, systems: list[str]) -> None:
    for level in LEVELS:
        lines = pick(load_machine(machine), level).install
        assert [line.os for line in lines] == systems


def test_vllm_on_an_amd_gpu_is_no_build_for_cuda() -> None:
    lines = pick(load_machine("rx 7900 xtx + 32gb"), "expert", users=20).install
    assert [line.os for line in lines] == ["linux", "windows"]
    assert all("the ROCm image" in line.line for line in lines)


def test_programs_have_ids_of_their_own_and_are_found_by_them() -> None:
    ids = [program.id for program in PROGRAMS]
    assert len(set(ids)) == len(ids)
    for program in PROGRAMS:
        assert find_program(program.id) is program
    with pytest.raises(KeyError):
        find_program("no such program")


HOSTILE = ["a'; rm -rf ~; '", '"); import os  # ', "$(id)", "`id`", "a\nb", "模型", "\\", "'\"'\"'"]


@pytest.mark.parametrize("model", HOSTILE)
@pytest.mark.parametrize("needs_key", [False, True])
def test_a_name_that_a_server_tells_cannot_leave_its_quotes(
    model: str, needs_key: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = connection(
        runtime="ollama",
        base_url="http://127.0.0.1:11434/v1",
        model=model,
        is_running=True,
        needs_key=needs_key,
    )
    words = shlex.split(found.curl)
    assert words[:2] == ["curl", "http://127.0.0.1:11434/v1/chat/completions"]
    assert json.loads(words[-1])["model"] == model
    assert ("Bearer" in found.curl) is needs_key
    asked: dict[str, object] = {}

    class Client:
        def __init__(self, **arguments: object) -> None:
            asked.update(arguments)
            self.chat = self.completions = self

        def create(self, **arguments: object) -> object:
            asked.update(arguments)
            raise StopIteration

    lines = [line for line in found.python if not line.startswith("from openai")]
    monkeypatch.setenv("WHATFITS_API_KEY", "k")
    with pytest.raises(StopIteration):
        exec("\n".join(lines), {"OpenAI": Client})  # noqa: S102 - the lines are what is tested
    assert asked["model"] == model
    assert asked["api_key"] == ("k" if needs_key else "none")


@pytest.mark.parametrize("model", HOSTILE)
@pytest.mark.parametrize("needs_key", [False, True])
def test_on_windows_a_request_is_one_line_for_powershell(model: str, needs_key: bool) -> None:
    found = connection(
        runtime="ollama",
        base_url="http://127.0.0.1:11434/v1",
        model=model,
        is_running=True,
        needs_key=needs_key,
        os="windows",
    )
    address = "http://127.0.0.1:11434/v1/chat/completions"
    before, _, rest = found.curl.partition(" -Body ")
    asked = f"Invoke-RestMethod -Method Post -Uri {address} -ContentType application/json"
    assert before == asked
    # a literal string: only its own quote, doubled, means anything in it
    literal = re.fullmatch(r"'((?:[^']|'')*)'(.*)", rest, re.DOTALL)
    assert literal is not None
    assert json.loads(literal[1].replace("''", "'"))["model"] == model
    header = ' -Headers @{Authorization = "Bearer $env:WHATFITS_API_KEY"}'
    assert literal[2] == (header if needs_key else "")
