"""Headers that other readers fell over, or took at their word."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
from typing import TYPE_CHECKING

import gguf_builder as b
import gguf_model_cases
import pytest

from whatfits.sizing import check
from whatfits.sizing.errors import MalformedFileError

if TYPE_CHECKING:
    from pathlib import Path

TEMPLATE = "{{ ''.__class__.__mro__[1].__subclasses__() }}"
CHECKED = """
import sys
from whatfits.sizing import check
check(sys.argv[1], machine="16gb")
print(*(name for name in ("jinja2", "llama_cpp", "transformers") if name in sys.modules))
"""
TOKENS = 151_936


def written(folder: Path, data: bytes) -> str:
    path = folder / "model.gguf"
    path.write_bytes(data)
    return str(path)


def test_a_chat_template_is_data_and_is_never_rendered(tmp_path: Path) -> None:
    """CVE-2024-34359 and CVE-2026-5760: a template in a header ran as code."""
    template = b.scalar("tokenizer.chat_template", b.STRING, TEMPLATE)
    path = written(tmp_path, gguf_model_cases.model(template))
    done = subprocess.run(
        [sys.executable, "-c", CHECKED, path], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == []
    assert done.stderr == ""


def test_a_long_vocabulary_takes_no_memory(tmp_path: Path) -> None:
    """ollama/ollama#16175: a sound header of 151,936 tokens ended in out of memory."""
    tokens = b.array("tokenizer.ggml.tokens", b.STRING, [f"token {n:>40}" for n in range(TOKENS)])
    path = written(tmp_path, gguf_model_cases.model(tokens))
    check(path, machine="16gb")  # what is imported is not the header's doing
    tracemalloc.start()
    check(path, machine="16gb")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < len(tokens) / 2


@pytest.mark.parametrize("blocks", [0, 2**31, 2**63])
def test_a_number_of_layers_that_cannot_be_is_refused(tmp_path: Path, blocks: int) -> None:
    """ggml-org/llama.cpp#25821 (and #26051): more layers than a table held were written past it.

    CVE-2024-8063 is the division by a number of layers of zero.
    """
    count = b.scalar("llama.block_count", b.UINT64, blocks)
    path = written(tmp_path, gguf_model_cases.model(block_count=count))
    with pytest.raises(MalformedFileError) as refused:
        check(path, machine="16gb")
    assert "block_count" in str(refused.value)


@pytest.mark.parametrize("left", [24, 100, 1_000])
def test_a_file_that_ends_early_is_refused_in_one_line(tmp_path: Path, left: int) -> None:
    """node-llama-cpp prints a stack trace for it, gguf-py an IndexError."""
    path = written(tmp_path, gguf_model_cases.model()[:left])
    with pytest.raises(MalformedFileError) as refused:
        check(path, machine="16gb")
    assert "\n" not in str(refused.value)
    assert "the file ends" in str(refused.value)


def test_tensors_are_held_against_the_bytes_that_exist(tmp_path: Path) -> None:
    """CVE-2026-7482: a declared extent was never compared with the file.

    A file that is still being downloaded is answered for as a whole, and what is missing is said.
    """
    missing = gguf_model_cases.DATA_BYTES // 2
    path = written(tmp_path, gguf_model_cases.model()[:-missing])
    found = check(path, machine="16gb")
    (note,) = [note for note in found.notes if "incomplete" in note]
    assert f"{missing:,} bytes missing" in note
    assert found.memory.weights_bytes >= gguf_model_cases.DATA_BYTES


def test_numbers_of_elements_do_not_wrap_round(tmp_path: Path) -> None:
    """CVE-2026-33298 and ggml-org/llama.cpp#27203: exabytes that came out as a few bytes."""
    row = b.tensor("token_embd.weight", (2**33, 2**33), b.F32)
    path = written(tmp_path, b.gguf([b.scalar("general.architecture", b.STRING, "llama")], [row]))
    with pytest.raises(MalformedFileError):
        check(path, machine="16gb")
