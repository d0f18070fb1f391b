"""What stands beside a model may lie in a repository too: projectors, adapters, drafts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from fake_hub import Hub, Repository, hub_of
from projector_files import TOWERS, write_projector

from whatfits.bench.synthetic import write_catalog_model
from whatfits.sizing import check
from whatfits.sizing.errors import InvalidRequestError, UnknownModelError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from whatfits.sizing.estimate import Plan

MODEL, REPO = "gemma-3-1b", "acme/Gemma-GGUF"


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """A model, a projector and a draft."""
    names = ("M-Q8_0.gguf", "mmproj-F16.gguf", "draft/D-Q4_K_M.gguf")
    paths = {name: tmp_path / name.rpartition("/")[2] for name in names}
    write_catalog_model(paths[names[0]], MODEL, file_type="Q8_0")
    write_projector(TOWERS["gemma-3"], paths[names[1]])
    write_catalog_model(paths[names[2]], MODEL, file_type="Q4_K_M")
    return paths


@pytest.fixture
def hub(files: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with hub_of(Repository(REPO, files)) as running:
        monkeypatch.setenv("HF_ENDPOINT", running.endpoint)
        yield running


def planned(**workload: str) -> Plan:
    return check(MODEL, machine="64gb", file_type="Q8_0", workload=workload)


def test_a_projector_of_a_repository_needs_what_the_same_file_needs(
    hub: Hub, files: dict[str, Path]
) -> None:
    there = planned(mmproj=f"hf:{REPO}:mmproj-F16.gguf")
    assert there.memory == planned(mmproj=str(files["mmproj-F16.gguf"])).memory
    address = f"https://huggingface.co/{REPO}/resolve/main/mmproj-F16.gguf"
    assert f" --mmproj-url {address}" in there.commands["llama.cpp"][0]


def test_a_draft_of_a_repository_needs_what_the_same_file_needs(
    hub: Hub, files: dict[str, Path]
) -> None:
    name = "draft/D-Q4_K_M.gguf"
    there = planned(model_draft=f"hf:{REPO}:{name}")
    assert there.memory == planned(model_draft=str(files[name])).memory
    assert " -md D-Q4_K_M.gguf" in there.commands["llama.cpp"][0]


def test_a_projector_beside_a_model_of_a_repository_lets_the_program_take_it(hub: Hub) -> None:
    plan = check(
        f"hf:{REPO}:M-Q8_0.gguf",
        machine="64gb",
        workload={"mmproj": f"hf:{REPO}@main:mmproj-F16.gguf"},
    )
    command = plan.commands["llama.cpp"][0]
    assert f"-hf {REPO} -hff M-Q8_0.gguf -c " in command
    assert "resolve/main/mmproj-F16.gguf" in command


@pytest.mark.parametrize("part", ["", ":none.gguf", ":Q8_0"])
def test_a_projector_has_to_be_named_as_a_file(hub: Hub, part: str) -> None:
    with pytest.raises(UnknownModelError) as caught:
        planned(mmproj=f"hf:{REPO}{part}")
    assert "allowed: M-Q8_0.gguf, draft/D-Q4_K_M.gguf, mmproj-F16.gguf" in str(caught.value)


def test_a_model_in_the_place_of_a_projector_or_an_adapter_is_refused(hub: Hub) -> None:
    name = f"hf:{REPO}:M-Q8_0.gguf"
    with pytest.raises(InvalidRequestError, match="a projector file"):
        planned(mmproj=name)
    with pytest.raises(InvalidRequestError, match="lora"):
        check(MODEL, machine="64gb", workload={"lora": [name]})
