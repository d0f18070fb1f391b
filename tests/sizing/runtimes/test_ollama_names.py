"""The name under which a Modelfile's model is made is one that Ollama takes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from whatfits.sizing import check
from whatfits.sizing.api import load_model


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("-dash", "dash"),  # else Ollama reads a flag
        ("#1 best", "1-best"),
        ("..hidden", "hidden"),
        ("模型", "model"),  # of ASCII alone
        ("Qwen3.5_é", "qwen3.5_"),
        ("a" * 100, "a" * 80),
    ],
)
def test_a_file_named_as_ollama_would_not_is_made_under_a_name_it_takes(
    file: str, name: str
) -> None:
    spec = replace(load_model("smollm2-135m"), name=file, source=f"{file}.gguf")
    lines = check(spec, machine="rtx 3060 12gb + 16gb", runtime="ollama").commands["ollama"]
    assert [line for line in lines if line.startswith("ollama ")] == [
        f"ollama create {name} -f Modelfile",
        f"ollama run {name}",
    ]
