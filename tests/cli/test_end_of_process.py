"""A process ends at once after its answer, unless something still has to act at its end."""

from __future__ import annotations

import subprocess
import sys

_RUN = "import sys; from whatfits.sizing.cli import console; sys.exit(console())"
_WITH_AN_ACT = "import atexit; atexit.register(print, 'acted'); " + _RUN
_REFUSED = 2


def _ended(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=False
    )


def test_the_whole_answer_is_handed_over_before_the_end() -> None:
    done = _ended(_RUN, "check", "llama-3.1-8b", "--json", "--machine", "rtx-4090 + 64gb")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("{")
    assert done.stdout.endswith("}\n")


def test_the_exit_code_and_the_complaint_are_kept() -> None:
    done = _ended(_RUN, "no-such-command")
    assert done.returncode == _REFUSED
    assert done.stderr.startswith("whatfits: command 'no-such-command'")


def test_what_waits_for_the_end_still_acts() -> None:
    done = _ended(_WITH_AN_ACT, "--version")
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == "acted"
