"""`hf:org/repo` of GGUF files: which one is meant, and what is said of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from fake_hub import COMMIT, Repository, redirect
from hub_models import MODEL, REPO, STEM, notes

from whatfits.bench.synthetic import write_catalog_model
from whatfits.sizing import check
from whatfits.sizing.sources import load

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from hub_models import Serve

    from whatfits.sizing.model import ModelSpec


def tensors(spec: ModelSpec) -> set[tuple[object, ...]]:
    """What a model's tensors are, without where they lie in a file."""
    return {(t.name, t.shape, t.type, t.n_bytes, t.role, t.layer) for t in spec.tensors}


def test_the_usual_file_is_chosen_and_said_with_its_size_and_commit(
    serve: Serve, usual: Repository
) -> None:
    serve(usual)
    spec = load(f"hf:{REPO}")
    assert (spec.name, spec.file_type) == (f"{STEM}-Q4_K_M", "Q4_K_M")
    assert spec.source == f"hf:{REPO}:{STEM}-Q4_K_M.gguf"
    size = usual.size(f"{STEM}-Q4_K_M.gguf")
    assert spec.file_bytes == size
    assert "No file type was asked for: Q4_K_M, the usual balance." in spec.notes
    said = next(note for note in spec.notes if "to download" in note)
    assert said.startswith(f"{STEM}-Q4_K_M.gguf, {size:,} bytes (")
    assert said.endswith(f"of {REPO} at commit {COMMIT}.")


@pytest.mark.parametrize("part", ["Q8_0", "q8", f"{STEM}-Q8_0.gguf"])
def test_a_file_type_or_a_file_names_another(serve: Serve, usual: Repository, part: str) -> None:
    serve(usual)
    assert load(f"hf:{REPO}:{part}").source == f"hf:{REPO}:{STEM}-Q8_0.gguf"
    assert load(f"hf:{REPO}", file_type=part.removesuffix(".gguf")[-4:]).file_type == "Q8_0"


def test_a_source_is_a_name_that_gives_the_same_model(serve: Serve, usual: Repository) -> None:
    serve(usual)
    spec = load(f"https://huggingface.co/{REPO}/blob/main/{STEM}-Q3_K_M.gguf")
    assert load(spec.source) == spec


def test_a_name_that_says_another_file_type_than_the_header_is_told(
    serve: Serve, files: Mapping[str, Path]
) -> None:
    q8, q4 = files[f"{STEM}-Q8_0.gguf"], files[f"{STEM}-Q4_K_M.gguf"]
    serve(Repository(REPO, {"M-Q6_K.gguf": q8, "M-Q4_K_L.gguf": q4, "M-UD-Q2_K_XL.gguf": q8}))
    spec = load(f"hf:{REPO}:Q6_K")
    assert spec.file_type == "Q8_0"
    assert "The file's name says Q6_K, its header Q8_0: the header counts." in spec.notes
    for part in ("Q4_K_L", "UD-Q2_K_XL"):
        assert "its header" not in notes(f"hf:{REPO}:{part}")


def test_a_file_type_nobody_offers_is_planned(serve: Serve, usual: Repository) -> None:
    serve(usual)
    spec = load(f"hf:{REPO}", file_type="Q5_K_M")
    assert (spec.file_type, spec.planned) == ("Q5_K_M", True)
    assert tensors(spec) == tensors(load(MODEL, file_type="Q5_K_M"))
    assert "The repository offers no Q5_K_M" in " ".join(spec.notes)
    assert "The file is F16; this is what Q5_K_M of it would take." in spec.notes


def test_a_revision_is_asked_for_by_name_and_read_at_its_commit(
    serve: Serve, files: Mapping[str, Path]
) -> None:
    commit = "f" * 40
    serve(Repository(REPO, files, revision="refs/pr/7", commit=commit))
    spec = load(f"hf:{REPO}@refs/pr/7")
    assert spec.source == f"hf:{REPO}@refs/pr/7:{STEM}-Q4_K_M.gguf"
    assert any(note.endswith(f"at commit {commit}.") for note in spec.notes)
    assert load(f"hf:{REPO}@{commit}").tensors == spec.tensors
    plan = check(f"hf:{REPO}@{commit}", machine="64gb")
    assert plan.commands["llama.cpp"][0].startswith(f"llama-server -m {STEM}-Q4_K_M.gguf -c ")


def test_the_command_lets_the_program_download_the_file_alone(
    serve: Serve, usual: Repository
) -> None:
    serve(usual)
    plan = check(f"hf:{REPO}:Q8_0", machine="64gb")
    expected = f"llama-server -hf {REPO} -hff {STEM}-Q8_0.gguf --no-mmproj -c 8192 "
    assert plan.commands["llama.cpp"][0].startswith(expected)
    planned = check(f"hf:{REPO}:Q8_0", file_type="Q2_K", machine="64gb")
    assert f"-m {STEM}-Q8_0-Q2_K.gguf" in planned.commands["llama.cpp"][0]


def test_a_repository_that_moved_is_followed_and_said(serve: Serve, usual: Repository) -> None:
    there = f"/api/models/{REPO}/revision/main?blobs=true"
    old = "/api/models/acme-old/SmolLM2/revision/main"
    hub = serve(usual)
    hub.hub.files[old] = redirect(there, usual)
    spec = load("hf:acme-old/SmolLM2")
    assert f"The repository acme-old/SmolLM2 is now {REPO}." in spec.notes
    assert spec.source == f"hf:{REPO}:{STEM}-Q4_K_M.gguf"


def test_the_native_quantisation_is_that_of_the_model_it_was_made_of(
    serve: Serve, tmp_path: Path
) -> None:
    content = {}
    for file_type in ("Q4_K_M", "MXFP4_MOE"):
        path = tmp_path / f"gpt-oss-20b-{file_type}.gguf"
        write_catalog_model(path, "gpt-oss-20b", file_type=file_type)
        content[path.name] = path
    tag = "base_model:quantized:openai/gpt-oss-20b"
    serve(
        Repository("acme/oss-GGUF", content, tags=(tag,)),
        Repository("acme/unknown-GGUF", content),
    )
    assert load("hf:acme/oss-GGUF").source.endswith("MXFP4_MOE.gguf")
    assert load("hf:acme/unknown-GGUF").source.endswith("Q4_K_M.gguf")
