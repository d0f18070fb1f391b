"""Models of several files in a repository: a split GGUF, safetensors beside their configuration."""

from __future__ import annotations

import json
from threading import Barrier
from threading import enumerate as enumerate_threads
from typing import TYPE_CHECKING

import pytest
from checkpoints import LLAMA, llama_tensors, n_bytes, write_config, write_sharded
from fake_hub import COMMIT, OnDisk, Repository, refusal
from hub_models import REPO, STEM, refusal_of

from whatfits.sizing.errors import UnreadableFileError
from whatfits.sizing.sources import load

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from hub_models import Serve
    from range_server import Handler


def split(path: Path, folder: Path, *, prefix: str) -> dict[str, Path]:
    """Split a GGUF over three files, as llama-gguf-split does, with the project's own writer."""
    from whatfits.bench.synthetic import write_synthetic_gguf
    from whatfits.sizing.sources.local_file import load_gguf

    spec = load(str(path))
    metadata = dict(load_gguf(path)[0].metadata)
    made = {}
    for number in range(3):
        name = f"{prefix}-{number + 1:05d}-of-00003.gguf"
        part = {"split.no": number, "split.count": 3, "split.tensors.count": len(spec.tensors)}
        write_synthetic_gguf(
            folder / name,
            metadata={**metadata, **part} if number == 0 else part,
            tensors=spec.tensors[number::3],
        )
        made[name] = folder / name
    return made


def test_a_split_model_is_read_from_each_of_its_files_once(
    serve: Serve, files: Mapping[str, Path], tmp_path: Path
) -> None:
    shards = split(files[f"{STEM}-Q8_0.gguf"], tmp_path, prefix=f"{STEM}-Q8_0")
    hub = serve(Repository(REPO, {f"Q8_0/{name}": path for name, path in shards.items()}))
    spec = load(f"hf:{REPO}:Q8_0")
    assert {seen.headers["range"] for seen in hub.cdn.seen} == {"bytes=0-65535"}
    assert len(hub.cdn.seen) == 3
    local = load(str(next(iter(shards.values()))))
    assert (spec.name, spec.tensors, spec.layers) == (local.name, local.tensors, local.layers)
    total = sum(path.stat().st_size for path in shards.values())
    assert spec.file_bytes == local.file_bytes == total
    assert f"3 files, {total:,} bytes" in " ".join(spec.notes)


def test_a_split_model_with_a_file_missing_is_refused(
    serve: Serve, files: Mapping[str, Path], tmp_path: Path
) -> None:
    shards = split(files[f"{STEM}-Q8_0.gguf"], tmp_path, prefix="M-Q8_0")
    shards.popitem()
    serve(Repository(REPO, shards))
    message = refusal_of(f"hf:{REPO}", UnreadableFileError)
    assert "1 of 3 files are missing of" in message


def test_a_file_of_a_set_that_goes_by_another_name_is_refused(
    serve: Serve, files: Mapping[str, Path], tmp_path: Path
) -> None:
    shards = split(files[f"{STEM}-Q8_0.gguf"], tmp_path, prefix="M-Q8_0")
    serve(Repository(REPO, {"whole-Q8_0.gguf": next(iter(shards.values()))}))
    assert "split" in refusal_of(f"hf:{REPO}")


def test_safetensors_are_sized_as_the_gguf_they_become(serve: Serve, tmp_path: Path) -> None:
    tensors = llama_tensors()
    write_config(tmp_path)
    shards = write_sharded(tmp_path, tensors, count=3)
    names = [*(path.name for path in shards), "config.json", "model.safetensors.index.json"]
    content = {name: (tmp_path / name) for name in names}
    small = {name: path.read_bytes() for name, path in content.items() if name.endswith(".json")}
    hub = serve(Repository("acme/Tiny-Llama", {**content, **small, "README.md": b"x"}))
    spec = load("hf:acme/Tiny-Llama", file_type="Q5_K_M")
    local = load(str(tmp_path), file_type="Q5_K_M")
    assert (spec.name, spec.source, spec.planned) == ("Tiny-Llama", "hf:acme/Tiny-Llama", True)
    for field in ("architecture", "file_type", "tensors", "layers", "hparams", "parameters"):
        assert getattr(spec, field) == getattr(local, field)
    assert len(hub.cdn.seen) == 3
    said = " ".join(spec.notes)
    assert f"In the repository: {len(tensors)} tensors of {n_bytes(tensors):,} bytes" in said
    assert f"3 safetensors files, {sum(p.stat().st_size for p in shards):,} bytes" in said
    assert f"at commit {COMMIT}" in said
    assert load("hf:acme/Tiny-Llama:Q5_K_M").tensors == spec.tensors
    assert load("hf:acme/Tiny-Llama:config.json", file_type="Q5_K_M").tensors == spec.tensors
    assert load(f"hf:acme/Tiny-Llama:{names[1]}", file_type="Q5_K_M").tensors == spec.tensors


@pytest.fixture
def sharded(tmp_path: Path) -> dict[str, bytes | Path]:
    """A checkpoint over twelve files."""
    write_config(tmp_path)
    shards = write_sharded(tmp_path, llama_tensors(), count=12, index=False)
    config = (tmp_path / "config.json").read_bytes()
    return {**{path.name: path for path in shards}, "config.json": config}


def test_the_files_of_a_checkpoint_are_asked_for_at_once(
    serve: Serve, sharded: dict[str, bytes | Path]
) -> None:
    hub = serve(Repository("acme/Sharded", sharded))
    meeting = Barrier(4)
    for path in list(hub.cdn.files)[:4]:
        hub.cdn.files[path] = met(meeting, hub.cdn.files[path])
    spec = load("hf:acme/Sharded")
    assert "in 12 files" in " ".join(spec.notes)
    assert len(hub.cdn.seen) == 12
    assert not any(thread.name.startswith("whatfits") for thread in enumerate_threads())


def met(meeting: Barrier, content: OnDisk) -> Callable[[Handler], None]:
    """Return what sends a file once as many others were asked for as the meeting needs."""

    def reply(handler: Handler) -> None:
        meeting.wait(timeout=20)
        handler.file(content)

    return reply


@pytest.mark.parametrize("position", [0, 5, 11])
def test_one_file_that_is_refused_among_many_is_refused_in_one_line(
    serve: Serve, sharded: dict[str, bytes | Path], position: int
) -> None:
    hub = serve(Repository("acme/Sharded", sharded))
    name = list(sharded)[position]
    hub.hub.files[f"/acme/Sharded/resolve/{COMMIT}/{name}"] = refusal(403, "GatedRepo")
    assert "is gated" in refusal_of("hf:acme/Sharded", UnreadableFileError)


def test_a_configuration_alone_is_enough(serve: Serve) -> None:
    serve(Repository("acme/Tiny", {"config.json": json.dumps(LLAMA).encode()}))
    assert load("hf:acme/Tiny").parameters == n_bytes(llama_tensors()) // 2
