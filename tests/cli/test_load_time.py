"""How long a load takes from disk: said where the disk is known, and left open elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

ASKED = ("llama-3.1-8b", "--machine", "rtx-4090 + 64gb", "--file-type", "Q4_K_M")


@pytest.mark.parametrize("command", ["check", "plan"])
def test_a_load_reads_the_whole_file_at_the_speed_that_was_given(
    say: Callable[..., Any], is_valid: Callable[[str, object], None], command: str
) -> None:
    answer = say(command, *ASKED, "--disk-bandwidth", "2GB/s", "--json").json
    is_valid(command, answer)
    seconds = answer["model"]["file_bytes"] / 2e9
    assert answer["load_from_disk_s"] == pytest.approx(seconds, rel=0.005)
    (reason,) = (row for row in answer["basis"] if row["key"] == "load_from_disk_s")
    assert reason["inputs"]["disk_bandwidth_bytes_per_s"] == 2 * 10**9
    text = say(command, *ASKED, "--disk-bandwidth", "2GB/s", "--plain").out
    assert f"Loads in: {answer['load_from_disk_s']:.3g} s or more" in text


def test_what_is_loaded_beside_the_model_is_read_too(say: Callable[..., Any]) -> None:
    disk = ("--disk-bandwidth", "1GB/s", "--json")
    alone = say("check", *ASKED, *disk).json
    both = say("check", *ASKED, "--model-draft", "llama-3.2-1b", *disk).json
    (draft,) = both["memory"]["parts"]
    more = both["load_from_disk_s"] - alone["load_from_disk_s"]
    assert more == pytest.approx(draft["weights_bytes"] / 1e9, abs=0.02)


def test_nothing_is_said_of_a_disk_that_nobody_knows(say: Callable[..., Any]) -> None:
    answer = say("check", *ASKED, "--json").json
    assert answer["load_from_disk_s"] is None
    assert "load_from_disk_s" not in {row["key"] for row in answer["basis"]}
    assert "Loads in" not in say("check", *ASKED, "--plain").out


@pytest.mark.parametrize("given", ["0", "fast", "-1GB/s", "500", "3,5GB/s"])
def test_a_disk_without_a_speed_is_refused(say: Callable[..., Any], given: str) -> None:
    got = say("check", *ASKED, f"--disk-bandwidth={given}")
    assert (got.code, got.out, len(got.err.splitlines())) == (2, "", 1)
    assert "--disk-bandwidth" in got.err
