"""Commands for the shell of a system: sh, or PowerShell on Windows."""

from __future__ import annotations

import shlex
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from whatfits.sizing import check, load_machine
from whatfits.sizing.runtimes.shells import command_line, file_lines, with_settings

if TYPE_CHECKING:
    from whatfits.sizing.estimate import Plan

PC = load_machine("rtx 4060 + 32gb")
ON_WINDOWS = replace(PC, os="windows")
SETTINGS = {"kv_type_k": "q8_0", "kv_type_v": "q8_0", "parallel": 2, "flash_attention": "on"}
NAMED = {
    "OLLAMA_KV_CACHE_TYPE": "q8_0",
    "OLLAMA_FLASH_ATTENTION": "1",
    "OLLAMA_NUM_PARALLEL": "2",
}
QUIT = "which has to be started with them"


@pytest.mark.parametrize(
    ("word", "written"),
    [
        ("-ngl", "-ngl"),
        (r"C:\models\m.gguf", r"C:\models\m.gguf"),
        (r"C:\my models\m.gguf", r'"C:\my models\m.gguf"'),
        ("20,45", '"20,45"'),  # PowerShell would make two arguments of it
        (r"blk\.(1|2)\.ffn_.*_exps=CPU", r'"blk\.(1|2)\.ffn_.*_exps=CPU"'),
        ("exps$=CPU", "'exps$=CPU'"),
        ("it's $5", "'it''s $5'"),
        ("it\u2019s $5", "'it\u2019\u2019s $5'"),
        ("it's", '"it\'s"'),
        ('{"model": "m"}', '\'{"model": "m"}\''),
        ("", '""'),
    ],
)
def test_a_word_is_one_argument_to_powershell(word: str, written: str) -> None:
    assert command_line([word], os="windows") == written
    for system in (None, "linux", "macos"):
        assert command_line(["x", word], os=system) == shlex.join(["x", word])


def test_settings_are_made_before_the_program_in_the_words_of_the_shell() -> None:
    settings = [("A", "1"), ("B", "two words")]
    assert with_settings(settings, "ollama serve", os="linux") == "A=1 B='two words' ollama serve"
    assert (
        with_settings(settings, "ollama serve", os="windows")
        == '$env:A = "1"; $env:B = "two words"; ollama serve'
    )
    assert file_lines("F", ["a"], os=None) == ("cat > F <<'END'", "a", "END")
    assert file_lines("F", ["a"], os="windows") == ("@'", "a", "'@ | Set-Content -Encoding utf8 F")


def ollama(machine: object) -> Plan:
    return check("llama-3.2-3b", machine=machine, workload=SETTINGS, runtime="ollama")  # type: ignore[arg-type]


def test_ollama_is_told_its_settings_in_either_shell() -> None:
    on_linux, on_windows = (ollama(machine).commands["ollama"] for machine in (PC, ON_WINDOWS))
    before = " ".join(f"{name}={value}" for name, value in NAMED.items())
    assert f"{before} ollama serve" in on_linux
    before = " ".join(f'$env:{name} = "{value}";' for name, value in NAMED.items())
    assert f"{before} ollama serve" in on_windows
    assert (on_windows[0], "'@ | Set-Content -Encoding utf8 Modelfile" in on_windows) == (
        "@'",
        True,
    )
    inside = on_windows.index("'@ | Set-Content -Encoding utf8 Modelfile")
    assert on_windows[1:inside] == on_linux[1 : on_linux.index("END")]
    assert on_windows[-2:] == on_linux[-2:]


def test_a_server_that_needs_settings_has_to_be_started_anew() -> None:
    assert any(QUIT in note and "OLLAMA_KV_CACHE_TYPE" in note for note in ollama(PC).notes)
    assert "The lines for Ollama are for PowerShell." in ollama(ON_WINDOWS).notes
    plain = check("llama-3.2-3b", machine=PC, runtime="ollama")
    assert not any("ollama serve" in line for line in plain.commands["ollama"])
    assert not any(QUIT in note or "PowerShell" in note for note in plain.notes)


def test_a_model_that_embeds_is_asked_without_curl_on_windows() -> None:
    plan = check("nomic-embed-text-v1.5", machine=ON_WINDOWS, runtime="ollama")
    asked = plan.commands["ollama"][-1]
    assert asked.startswith("Invoke-RestMethod -Method Post -Uri http://localhost:11434/api/embed ")
    assert asked.endswith(
        """-Body '{"model": "nomic-embed-text-v1.5-q4_k_m", "input": "some text"}'"""
    )


def test_no_share_of_cards_is_taken_apart_on_windows() -> None:
    machine = replace(load_machine("2x rtx 3090 + 64gb"), os="windows")
    line = check("llama-3.3-70b", machine=machine).commands["llama.cpp"][0]
    split = line.partition(" -ts ")[2].partition(" ")[0]
    assert split[0] == split[-1] == '"'
    assert "," in split


def test_vllm_runs_in_wsl_whose_shell_is_sh() -> None:
    machine = replace(load_machine("rtx 4090 + rtx 3060 12gb + 64gb"), os="windows")
    plan = check("qwen3-4b", machine=machine, runtime="vllm", placement={"devices": ["cuda0"]})
    line = plan.commands["vllm"][0]
    assert line.startswith(("CUDA_DEVICE_ORDER=PCI_BUS_ID ", "CUDA_VISIBLE_DEVICES=0 "))
    assert any("start it in WSL" in note for note in plan.notes)
