"""A projector that is counted is named in what the program is given, or its pictures fail."""

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
        ("ollama", "FROM {path}"),
        ("jan", 'mmproj_path: "llamacpp/models/{model}/mmproj.gguf"'),
    ],
)
def test_the_projector_stands_in_the_file_of_the_model(
    runtime: str, line: str, tmp_path: Path
) -> None:
    path = tmp_path / "mmproj.gguf"
    write_projector(TOWERS["qwen2.5-vl"], path)
    plan = check("qwen2.5-vl-7b", runtime=runtime, machine="64gb", workload={"mmproj": str(path)})
    wanted = line.format(path=path, model=plan.model.name)
    assert wanted in plan.commands[runtime]
    without = check("qwen2.5-vl-7b", runtime=runtime, machine="64gb")
    assert "mmproj" not in "\n".join(without.commands[runtime])
