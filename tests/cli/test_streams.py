"""Standard output carries nothing but the answer, on terminals, in pipes and when they break."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CHECK = ("check", "llama-3.1-8b", "--machine", "rtx-4090 + 64gb")
COMMAND = [sys.executable, "-m", "whatfits.sizing"]
# Box drawing, block elements, geometric shapes: what a screen reader would read out.
GLYPHS = re.compile(r"[\u2500-\u25ff]")
ESCAPE = "\x1b"
COMMANDS = {
    "check": CHECK,
    "quants": ("quants", "llama-3.1-8b"),
    "hardware": ("hardware", "--machine", "2x rtx-3090 + 64gb"),
    "explain": ("explain", "kv cache", "--machine", "24gb"),
    "list": ("list", "--machine", "8gb", "--family", "qwen3"),
    "home": ("--machine", "4gb"),
}


@pytest.mark.parametrize("arguments", COMMANDS.values(), ids=COMMANDS)
def test_plain_text_has_no_colour_and_no_boxes(
    on_terminal: Callable[..., str], arguments: tuple[str, ...]
) -> None:
    screen = on_terminal(*arguments, "--plain")
    assert ESCAPE not in screen
    assert not GLYPHS.search(screen)
    assert all(line.strip() for line in screen.splitlines())


@pytest.mark.parametrize("arguments", COMMANDS.values(), ids=COMMANDS)
def test_a_terminal_gets_colour_and_the_same_facts(
    on_terminal: Callable[..., str], arguments: tuple[str, ...]
) -> None:
    screen = on_terminal(*arguments)
    assert ESCAPE in screen
    assert on_terminal(*arguments, NO_COLOR="1") == on_terminal(*arguments, "--plain")
    assert on_terminal(*arguments, TERM="dumb") == on_terminal(*arguments, "--plain")


def test_a_pipe_gets_plain_text(spawn: Callable[..., Any], on_terminal: Callable[..., str]) -> None:
    assert spawn(*CHECK).out == on_terminal(*CHECK, "--plain")


def test_markup_in_a_files_name_is_shown_and_not_obeyed(
    on_terminal: Callable[..., str], tmp_path: Path
) -> None:
    screen = on_terminal("check", str(tmp_path / "[red]x[/red].gguf"), "--machine", "24gb")
    assert "[red]x[/red].gguf" in screen


@pytest.mark.parametrize("arguments", [("list", "--machine", "24gb", "--json"), ("quants",)])
def test_a_reader_that_leaves_early_causes_no_complaint(arguments: tuple[str, ...]) -> None:
    with subprocess.Popen(
        [*COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")  # noqa: PTH110
@pytest.mark.parametrize("arguments", [("--version",), (*CHECK, "--json")])
def test_a_full_disk_is_our_failure_in_one_line(arguments: tuple[str, ...]) -> None:
    with open("/dev/full", "wb") as full:  # noqa: PTH123
        done = subprocess.run(
            [*COMMAND, *arguments], stdout=full, stderr=subprocess.PIPE, check=False, text=True
        )
    assert done.returncode == 3
    assert done.stderr.count("\n") == 1
    assert "No space left" in done.stderr


@pytest.mark.parametrize("stderr", ["2>&-", ">&- 2>&-", "2>/dev/full"])
def test_the_exit_code_stays_where_no_complaint_can_be_heard(stderr: str) -> None:
    if "full" in stderr and not os.path.exists("/dev/full"):  # noqa: PTH110 - a device
        pytest.skip("no device that is always full")
    for arguments, code in ((("check", "no-such-model"), 2), ((*CHECK, "--users"), 2), (CHECK, 0)):
        done = subprocess.run(
            ["sh", "-c", f'"$@" {stderr}', "sh", *COMMAND, *arguments],
            stdout=subprocess.PIPE,
            check=False,
        )
        assert done.returncode == code


def test_closed_standard_output_is_survived() -> None:
    done = subprocess.run(
        ["sh", "-c", '"$@" >&-', "sh", *COMMAND, "--version"],
        stderr=subprocess.PIPE,
        check=False,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "latin-1"])
def test_json_is_utf_8_and_text_gives_way_on_any_output(encoding: str) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
    for arguments in (CHECK, (*CHECK, "--json"), ("hardware", "--json"), ("explain", "4-bit rule")):
        done = subprocess.run(
            [*COMMAND, *arguments], capture_output=True, check=False, env=environment
        )
        assert (done.returncode, done.stderr) == (0, b"")
        if "--json" in arguments:
            done.stdout.decode("utf-8")


def test_a_path_of_other_bytes_is_answered_in_json(tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/\xff.gguf"
    done = subprocess.run([*COMMAND, "check", path, "--json"], capture_output=True, check=False)
    assert done.returncode == 2
    assert b'"unreadable_file"' in done.stdout
