"""`hf:org/repo` without the network: what the download cache holds, and what is said else."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from checkpoints import llama_tensors, write_config, write_safetensors
from fake_hub import COMMIT, TOKEN, Hub, Repository, hub_of

from whatfits.bench.synthetic import write_catalog_model
from whatfits.sizing import check
from whatfits.sizing.errors import BadInputError, UnreachableError
from whatfits.sizing.sources import load

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

MODEL = "smollm2-135m"
REPO = "acme/SmolLM2-GGUF"
CLOSED = "http://127.0.0.1:9"


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The download cache of somebody whose network is off."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_ENDPOINT", CLOSED)
    return tmp_path / "hub"


@pytest.fixture
def files(tmp_path: Path) -> Mapping[str, Path]:
    """Two files of one model."""
    made = {}
    for file_type in ("Q8_0", "Q4_K_M"):
        path = tmp_path / f"SmolLM2-{file_type}.gguf"
        write_catalog_model(path, MODEL, file_type=file_type)
        made[path.name] = path
    return made


def downloaded(cache: Path, content: Mapping[str, Path], *, ref: str | None = "main") -> Path:
    """Lay files out as Hugging Face's tools keep them; return the snapshot."""
    folder = cache / f"models--{REPO.replace('/', '--')}"
    snapshot, blobs = folder / "snapshots" / COMMIT, folder / "blobs"
    for made in (snapshot, blobs, folder / "refs"):
        made.mkdir(parents=True)
    for name, path in content.items():
        os.link(path, blobs / f"blob-{name}")
        (snapshot / name).symlink_to(f"../../blobs/blob-{name}")
    if ref is not None:
        (folder / "refs" / ref).write_text(COMMIT)
    return snapshot


def refusal_of(name: str, kind: type[BadInputError] = UnreachableError) -> str:
    with pytest.raises(kind) as caught:
        load(name)
    assert str(caught.value).isprintable()
    return str(caught.value)


def test_what_was_downloaded_answers_and_says_so(cache: Path, files: Mapping[str, Path]) -> None:
    snapshot = downloaded(cache, files)
    spec = load(f"hf:{REPO}")
    assert spec.source == str(snapshot / "SmolLM2-Q4_K_M.gguf")
    assert spec.tensors == load(str(files["SmolLM2-Q4_K_M.gguf"])).tensors
    said = " ".join(spec.notes)
    assert f"The network is off: this is what the download cache holds of {REPO}." in said
    assert f"on this disk, of {REPO} at commit {COMMIT}." in said
    assert load(f"hf:{REPO}:Q8_0").file_type == "Q8_0"
    command = check(f"hf:{REPO}", machine="64gb").commands["llama.cpp"][0]
    assert command.startswith(f"llama-server -m {spec.source} -c ")


def test_a_revision_is_found_by_its_name_or_its_commit(
    cache: Path, files: Mapping[str, Path]
) -> None:
    downloaded(cache, files, ref="v1")
    assert load(f"hf:{REPO}@v1").file_type == "Q4_K_M"
    assert load(f"hf:{REPO}@{COMMIT}").file_type == "Q4_K_M"
    assert "nothing of acme/SmolLM2-GGUF was downloaded or read before" in refusal_of(f"hf:{REPO}")


def test_a_download_that_is_not_finished_is_not_there(
    cache: Path, files: Mapping[str, Path]
) -> None:
    snapshot = downloaded(cache, files)
    (snapshot / "SmolLM2-Q4_K_M.gguf").unlink()
    (snapshot / "SmolLM2-Q4_K_M.gguf").symlink_to("../../blobs/none.incomplete")
    spec = load(f"hf:{REPO}")
    assert spec.file_type == "Q8_0"


def test_a_link_that_leaves_the_cache_is_not_followed(
    cache: Path, files: Mapping[str, Path], tmp_path: Path
) -> None:
    snapshot = downloaded(cache, {})
    (snapshot / "SmolLM2-Q4_K_M.gguf").symlink_to(files["SmolLM2-Q4_K_M.gguf"])
    assert "leaves the folder" in refusal_of(f"hf:{REPO}", BadInputError)


def test_a_checkpoint_that_was_downloaded_answers_too(cache: Path, tmp_path: Path) -> None:
    write_config(tmp_path)
    downloaded(cache, {"config.json": tmp_path / "config.json"})
    spec = load(f"hf:{REPO}")
    assert (spec.name, spec.planned) == ("SmolLM2-GGUF", True)
    assert spec.tensors == load(str(tmp_path)).tensors


@pytest.mark.parametrize("ref", ["", "../../..", "main", "g" * 40, "a" * 100])
def test_a_reference_that_is_no_commit_leads_nowhere(
    cache: Path, files: Mapping[str, Path], ref: str
) -> None:
    downloaded(cache, files)
    (cache / f"models--{REPO.replace('/', '--')}" / "refs" / "main").write_text(ref)
    refusal_of(f"hf:{REPO}")


def test_what_is_not_there_is_said_with_a_way_out(cache: Path) -> None:
    message = refusal_of("hf:acme/Nothing")
    assert "is not asked, and nothing of acme/Nothing was downloaded or read before" in message
    assert "unset WHATFITS_OFFLINE and HF_HUB_OFFLINE" in message
    known = refusal_of("hf:meta-llama/Llama-3.1-8B-Instruct")
    assert "whatfits check llama-3.1-8b" in known


def test_a_hub_that_cannot_be_reached_is_as_good_as_off(
    cache: Path, files: Mapping[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_HUB_OFFLINE")
    assert "cannot be reached" in refusal_of(f"hf:{REPO}")
    assert "whatfits check llama-3.1-8b" in refusal_of("hf:meta-llama/Llama-3.1-8B-Instruct")
    downloaded(cache, files)
    said = " ".join(load(f"hf:{REPO}").notes)
    assert f"127.0.0.1:9 cannot be reached: this is what the download cache holds of {REPO}" in said


@pytest.fixture
def asked_before(
    files: Mapping[str, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Hub]:
    """A Hub that has answered once about each file, and is gone now."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("HF_TOKEN", raising=False)
    write_config(tmp_path)
    write_safetensors(tmp_path / "model.safetensors", llama_tensors())
    checkpoint = {"config.json": (tmp_path / "config.json").read_bytes()}
    checkpoint |= {"model.safetensors": tmp_path / "model.safetensors"}
    with hub_of(Repository(REPO, files), Repository("acme/Tiny", checkpoint)) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
        yield hub


NAMES = (f"hf:{REPO}", "hf:acme/Tiny")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("switched_off", [True, False])
def test_what_was_read_before_answers_when_nobody_can_be_asked(
    asked_before: Hub, monkeypatch: pytest.MonkeyPatch, name: str, switched_off: bool
) -> None:
    first = load(name)
    n_asked = len(asked_before.seen)
    if switched_off:
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    else:
        asked_before.hub.server_close()
        asked_before.hub.shutdown()
    again = load(name)
    assert (again.source, again.tensors) == (first.source, first.tensors)
    assert len(asked_before.seen) == n_asked
    today = datetime.now(tz=UTC).date().isoformat()
    assert f"Not asked anew: this is what {name} held on {today}." in again.notes


def test_a_file_that_was_not_read_before_is_said_to_be_missing(
    asked_before: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(f"hf:{REPO}")
    monkeypatch.setenv("WHATFITS_OFFLINE", "1")
    assert "is not kept here, and the network is switched off" in refusal_of(f"hf:{REPO}:Q8_0")


def test_what_was_read_with_a_token_answers_to_that_token_alone(
    asked_before: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    load(f"hf:{REPO}")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert load(f"hf:{REPO}").file_type == "Q4_K_M"
    for other in ("hf_" + "b" * 34, ""):
        monkeypatch.setenv("HF_TOKEN", other)
        assert "downloaded or read before" in refusal_of(f"hf:{REPO}")


def test_a_second_question_asks_first_whether_the_file_has_changed(asked_before: Hub) -> None:
    first = load(f"hf:{REPO}")
    received = len(asked_before.cdn.seen)
    again = load(f"hf:{REPO}")
    assert again == first
    (asked,) = asked_before.cdn.seen[received:]
    assert asked.headers["if-none-match"] == '"1"'
