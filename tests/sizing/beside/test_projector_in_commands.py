"""A projector that is counted is in what is printed for each program, or in a note."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from projector_files import TOWERS, write_projector

from whatfits.sizing import check

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("runtime", "line"),
    [
        ("llama.cpp", "--mmproj {path}"),
        ("ollama", "FROM {path}"),
        ("jan", 'mmproj_path: "llamacpp/models/gemma-3-4b/mm.gguf"'),
        ("lm-studio", "takes the projector that lies in the folder of the model"),
    ],
)
def test_a_projector_is_told_to_every_program(runtime: str, line: str, tmp_path: Path) -> None:
    path = tmp_path / "mm.gguf"
    write_projector(TOWERS["gemma-3"], path)
    plan = check(
        "gemma-3-4b",
        machine="rtx 3090 + 64gb",
        runtime=runtime,
        workload={"mmproj": str(path)},
    )
    assert line.format(path=path) in "\n".join([*plan.commands[runtime], *plan.notes])
