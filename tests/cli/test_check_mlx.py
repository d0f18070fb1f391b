"""`whatfits check --runtime mlx`: as text, as JSON, in a batch, and what it refuses."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

MAC = ("--machine", "mac-m4-max-64gb")
MLX = ("--runtime", "mlx")


@pytest.mark.parametrize(
    ("model", "verdict", "code"),
    [("qwen3-8b", "fits", 0), ("gpt-oss-20b", "fits", 0), ("llama-3.1-405b", "no", 1)],
)
def test_the_answer_keeps_to_the_schema(
    say: Callable[..., Any],
    is_valid: Callable[[str, object], None],
    model: str,
    verdict: str,
    code: int,
) -> None:
    said = say("check", model, *MLX, *MAC, "--json")
    assert (said.json["verdict"], said.code, said.err) == (verdict, code, "")
    assert said.json["runtime"] == "mlx"
    is_valid("check", said.json)


def test_the_text_says_what_to_type(say: Callable[..., Any]) -> None:
    said = say("check", "qwen3-8b", *MLX, *MAC, "--plain")
    assert said.code == 0
    assert said.lines[0].startswith("Fits: qwen3-8b 4bit with 8,192 tokens of context takes ")
    assert "Placement: all on metal" in said.lines
    assert any(line.startswith("mlx_lm.convert --hf-path Qwen/Qwen3-8B ") for line in said.lines)
    assert any(line.startswith("mlx_lm.server --model qwen3-8b-4bit-mlx ") for line in said.lines)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("qwen3-8b", "--file-type", "Q4_K_M", *MAC), "nearest is '4bit'"),
        (("qwen3-8b", "--machine", "rtx-4090"), "--runtime llama.cpp"),
        (("gemma-3-27b", "--kv-type", "q8_0", *MAC), "NotImplementedError"),
        (("qwen3-8b", "-ngl", "10", *MAC), "one memory"),
        (("qwen3-8b", "--exact", *MAC), "--exact"),
        (("bge-m3", *MAC), "llama.cpp"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(
    say: Callable[..., Any], arguments: tuple[str, ...], words: str
) -> None:
    said = say("check", *MLX, *arguments)
    assert (said.code, said.out, said.err.count("\n")) == (2, "", 1)
    assert words in said.err


def test_one_batch_asks_two_runtimes_about_one_model(spawn: Callable[..., Any]) -> None:
    lines = [
        {"id": name, "model": "qwen3-8b", "machine": "mac-m4-max-64gb", "runtime": name}
        for name in ("mlx", "llama.cpp")
    ]
    said = spawn("batch", stdin="\n".join(map(json.dumps, lines)).encode())
    mlx, llama = (json.loads(line) for line in said.lines)
    assert (mlx["model"]["file_type"], llama["model"]["file_type"]) == ("4bit", "Q4_K_M")
    assert set(mlx["commands"]) == {"mlx"}
    assert set(llama["commands"]) == {"llama.cpp"}
