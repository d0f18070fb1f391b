"""The fuzzer finds nothing in a million inputs, and would find a promise that is broken."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import fuzz
import pytest

MILLION = 1_000_000
WAYS = {"gguf": 40, "safetensors": 40, "index": 10, "config": 3}


@pytest.mark.slow
def test_a_million_inputs_break_no_promise() -> None:
    command = [sys.executable, str(Path(fuzz.__file__)), "--seed", "2", "--processes", "2"]
    done = subprocess.run(
        [*command, "--inputs", str(MILLION)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-3_000:] + done.stderr[-3_000:]
    executions = int(done.stdout.splitlines()[-1].split()[0].replace(",", ""))
    assert executions >= MILLION


@pytest.mark.parametrize("name", fuzz.FORMATS)
def test_inputs_get_past_the_first_checks(name: str) -> None:
    found = fuzz.run_block((name, 0, 3_000), seed=1)
    assert found.broken == ""
    assert 0.1 < found.answers[None] / 3_000 < 0.9
    assert len(found.answers) >= WAYS[name]
    assert found == fuzz.run_block((name, 0, 3_000), seed=1)


def test_a_broken_promise_is_reported_with_its_input(monkeypatch: pytest.MonkeyPatch) -> None:
    def check(data: bytes, *, allow_missing_data: bool) -> str | None:
        assert data != b"third"
        return None if data == b"first" else "refused"

    inputs = iter((b"first", b"second", b"third", b"fourth"))
    how = fuzz.Format(lambda _: next(inputs), check, 100)
    monkeypatch.setitem(fuzz.FORMATS, "gguf", how)
    found = fuzz.run_block(("gguf", 7, 4), seed=5)
    assert found.answers == Counter({None: 1, "refused": 1})
    assert found.broken.startswith("gguf, seed 5, block 7, input 2\n")
    assert found.broken.endswith("b'third'")


def test_every_input_asked_for_is_in_one_block() -> None:
    blocks = fuzz.blocks_of(list(fuzz.FORMATS), 123_456)
    assert sum(inputs for _, _, inputs in blocks) >= 123_456
    assert len({(name, number) for name, number, _ in blocks}) == len(blocks)
    assert all(0 < inputs <= fuzz.BLOCK for _, _, inputs in blocks)
