"""`whatfits list --local`: what lies on this disk, what it needs, and what is wrong with it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from whatfits.bench.synthetic import write_catalog_model, write_synthetic_gguf
from whatfits.sizing.model import TensorSpec
from whatfits.sizing.sources.stores import ollama

if TYPE_CHECKING:
    from collections.abc import Callable

SOURCES = Path(__file__).parents[1] / "sizing" / "sources"
for folder in (SOURCES, SOURCES / "stores"):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))

from checkpoints import LLAMA, llama_tensors, write_config, write_sharded  # noqa: E402 - above
from store_builder import Hub, Ollama, write  # noqa: E402 - same

MACHINE = ("--machine", "12gb")
VARIABLES = (
    *("OLLAMA_MODELS", "LLAMA_CACHE", "HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"),
    *("XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME", "JAN_DATA_FOLDER"),
)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home; stores of the machine that runs the tests are out of sight."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(ollama, "SERVICE_FOLDERS", ())
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@pytest.fixture(scope="module")
def gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model."""
    path = tmp_path_factory.mktemp("model") / "m.gguf"
    write_catalog_model(path, "smollm2-135m", file_type="Q8_0")
    return path


def studio(home: Path, name: str, gguf: Path) -> Path:
    """Put a model into LM Studio's folder, by a hard link."""
    path = home / ".lmstudio" / "models" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    os.link(gguf, path)
    return path


@pytest.fixture
def full(home: Path, gguf: Path) -> Path:
    """A home with every store: whole, split, doubled, unfinished, broken and unreadable files."""
    Ollama(home).model("smollm2/135m", [("model", gguf.read_bytes()), ("params", b"{}")])
    store = Ollama(home)
    blob = next(p for p in store.blobs.iterdir() if p.stat().st_size == gguf.stat().st_size)
    linked = home / ".lmstudio" / "models" / "ollama" / "smollm2" / "smollm2.gguf"
    linked.parent.mkdir(parents=True)
    linked.symlink_to(blob)
    write(home / ".lmstudio" / "models" / "org" / "broken" / "broken.gguf", b"GGUF" + b"\xff" * 60)
    write(home / ".lmstudio" / "models" / "org" / "page" / "page.gguf", b"<html>nothing</html>")
    cut = write(home / ".cache" / "llama.cpp" / "org_Cut.gguf", gguf.read_bytes()[:-1_000_000])
    assert cut.exists()
    jan = home / ".local" / "share" / "Jan" / "data"
    os.makedirs(jan / "llamacpp" / "models" / "smol")  # noqa: PTH103 - as the others
    os.link(gguf, jan / "llamacpp" / "models" / "smol" / "model.gguf")
    write(
        jan / "llamacpp" / "models" / "smol" / "model.yml",
        b"model_path: llamacpp/models/smol/model.gguf\n",
    )
    hub = Hub(home / ".cache" / "huggingface" / "hub")
    hub.unfinished("org/Late-GGUF", 2**21)
    snapshot = hub.repository("org/llama-tiny") / "snapshots" / hub.COMMIT
    snapshot.mkdir(parents=True)
    write_config(snapshot, LLAMA)
    write_sharded(snapshot, llama_tensors(), count=2)
    store.write("registry.ollama.ai/library/odd/latest", b"no manifest")
    return home


def rows_of(said: Any) -> dict[str, dict[str, Any]]:  # noqa: ANN401 - what a command said
    return {row["model"]: row for row in said.json["models"]}


def test_an_empty_disk_is_said_in_words(say: Callable[..., Any], home: Path) -> None:
    assert not any(home.iterdir())
    said = say("list", "--local", *MACHINE)
    assert said.code == 0
    assert "No store of models was found; to see what could be downloaded: whatfits list" in (
        said.lines
    )
    answer = say("list", "--local", "--json", *MACHINE).json
    assert answer["models"] == answer["stores"] == []


def test_every_store_is_in_the_answer_and_the_answer_in_the_schema(
    say: Callable[..., Any], full: Path, is_valid: Callable[[str, object], None]
) -> None:
    assert full.is_dir()
    said = say("list", "--local", "--json", *MACHINE)
    assert said.code == 0
    is_valid("list", said.json)
    stores = said.json["stores"]
    assert [store["store"] for store in stores] == [
        *("Ollama", "LM Studio", "Jan", "llama.cpp", "Hugging Face")
    ]
    assert all(store["free_disk_bytes"] > 0 for store in stores)
    assert "no manifest" not in stores[0]["findings"][0]
    assert stores[0]["findings"][0].startswith("manifests/registry.ollama.ai/library/odd/latest: ")
    rows = rows_of(said)
    assert set(rows) == {
        *("smollm2:135m", "org/broken/broken", "org/page/page", "org_Cut", "smol"),
        *("org/Late-GGUF", "org/llama-tiny"),
    }


def test_a_row_says_what_check_says_of_the_same_file(say: Callable[..., Any], full: Path) -> None:
    assert full.is_dir()
    options = ("-c", "4096", *MACHINE)
    rows = rows_of(say("list", "--local", "--json", *options))
    sized = [row for row in rows.values() if row["need"]]
    assert len(sized) == 4
    for row in sized:
        plan = say("check", row["paths"][0], "--json", *options).json
        need = row["need"]
        assert need["context_tokens"] == 4096
        assert row["verdict"] == need["verdict"] == plan["verdict"]
        assert need["total_bytes"] == plan["memory"]["total_bytes"]
        assert need["high_bytes"] == plan["memory"]["high_bytes"]
        assert need["weights_bytes"] == plan["memory"]["weights_bytes"]
        assert need["decode_tokens_per_s"] == plan["speed"]["decode_tokens_per_s"]
        assert need["file_type"] == plan["model"]["file_type"]
    by_name = say("check", "ollama:smollm2:135m", "--json", *options).json
    assert by_name["memory"]["total_bytes"] == rows["smollm2:135m"]["need"]["total_bytes"]


def test_one_blob_under_two_names_is_one_row(say: Callable[..., Any], full: Path) -> None:
    assert full.is_dir()
    row = rows_of(say("list", "--local", "--json", *MACHINE))["smollm2:135m"]
    assert row["names"] == [
        {"store": "Ollama", "name": "smollm2:135m"},
        {"store": "LM Studio", "name": "ollama/smollm2/smollm2"},
    ]
    text = say("list", "--local", *MACHINE).out
    assert "model: smollm2:135m = ollama/smollm2/smollm2; kept by: Ollama, LM Studio;" in text


def test_what_is_unfinished_or_broken_is_a_row_with_the_reason(
    say: Callable[..., Any], full: Path
) -> None:
    assert full.is_dir()
    rows = rows_of(say("list", "--local", "--json", *MACHINE))
    cut = rows["org_Cut"]
    assert not cut["complete"]
    assert cut["verdict"] == "fits", "it is told what it will need"
    assert cut["findings"] == [
        "tensor data incomplete: 1,000,000 bytes missing at the end of the file"
    ]
    assert rows["org/Late-GGUF"]["problem"] == "the download is not finished."
    assert not rows["org/Late-GGUF"]["complete"]
    assert "malformed gguf" in rows["org/broken/broken"]["problem"]
    assert "a web page" in rows["org/page/page"]["problem"]
    assert rows["org/broken/broken"]["verdict"] == "unknown"
    assert rows["org/broken/broken"]["need"] is None
    text = say("list", "--local", *MACHINE).out
    assert "verdict: fits, partial" in text
    assert "org/Late-GGUF: the download is not finished." in text
    assert "Ollama: manifests/registry.ollama.ai/library/odd/latest: " in text


def test_a_checkpoint_is_sized_as_the_gguf_it_becomes(say: Callable[..., Any], full: Path) -> None:
    row = rows_of(say("list", "--local", "--json", *MACHINE))["org/llama-tiny"]
    assert row["format"] == "safetensors"
    assert row["need"]["planned"]
    assert row["need"]["file_type"] == "Q4_K_M"
    shards = full.rglob("model-*.safetensors")
    assert row["file_bytes"] == sum(path.stat().st_size for path in shards)
    assert "type: safetensors as Q4_K_M" in say("list", "--local", *MACHINE).out


def test_a_projector_beside_a_model_is_counted(
    say: Callable[..., Any], home: Path, gguf: Path
) -> None:
    path = studio(home, "org/eyes/eyes.gguf", gguf)
    alone = rows_of(say("list", "--local", "--json", *MACHINE))["org/eyes/eyes"]["need"]
    tower: dict[str, object] = {
        "general.architecture": "clip",
        "clip.has_vision_encoder": True,
        "clip.projector_type": "mlp",
        "clip.vision.image_size": 224,
        "clip.vision.patch_size": 14,
        "clip.vision.embedding_length": 64,
        "clip.vision.feed_forward_length": 128,
        "clip.vision.projection_dim": 64,
        "clip.vision.attention.head_count": 4,
        "clip.vision.block_count": 2,
    }
    tensor = TensorSpec("mm.0.weight", (64, 576), "F16", 64 * 576 * 2, "layer", 0)
    projector = path.with_name("mmproj-eyes.gguf")
    write_synthetic_gguf(projector, metadata=tower, tensors=[tensor])
    said = say("list", "--local", "--json", *MACHINE)
    row = rows_of(said)["org/eyes/eyes"]
    assert row["extras"] == [
        {"kind": "projector", "path": str(projector), "file_bytes": projector.stat().st_size}
    ]
    assert row["need"]["weights_bytes"] == alone["weights_bytes"] + tensor.n_bytes
    assert "type: Q8_0 +mmproj;" in say("list", "--local", *MACHINE).out
    plan = say("check", str(path), "--mmproj", str(projector), "--json", *MACHINE).json
    assert row["need"]["high_bytes"] == plan["memory"]["high_bytes"]
    projector.write_bytes(b"<html>not found</html>")
    row = rows_of(say("list", "--local", "--json", *MACHINE))["org/eyes/eyes"]
    assert row["need"]["weights_bytes"] == alone["weights_bytes"]
    assert row["findings"][0].startswith("Its projector is not counted: ")


def test_rows_are_sorted_filtered_and_cut(say: Callable[..., Any], full: Path) -> None:
    assert full.is_dir()
    everything = say("list", "--local", "--json", *MACHINE).json["models"]
    assert [row["verdict"] for row in everything] == ["fits"] * 4 + ["unknown"] * 3
    disk = say("list", "--local", "--sort", "disk", "--verdict", "fits", "--json", *MACHINE)
    sizes = [row["file_bytes"] for row in disk.json["models"]]
    assert sizes == sorted(sizes, reverse=True)
    assert len(sizes) == 4
    said = say("list", "--local", "--limit", "2", *MACHINE)
    assert len([line for line in said.lines if line.startswith("model: ")]) == 2
    assert "5 more rows: --limit 0 shows all." in said.lines
    none = say("list", "--local", "--verdict", "slow", *MACHINE)
    assert "No model on this disk answers to these filters." in none.lines


@pytest.mark.parametrize(
    "options",
    [
        ("--local", "--family", "qwen3"),
        ("--local", "--kind", "llm"),
        ("--local", "--file-type", "Q8_0"),
        ("--local", "--sort", "released"),
        ("--sort", "disk"),
    ],
)
def test_options_of_the_other_list_are_refused_in_one_line(
    say: Callable[..., Any], home: Path, options: tuple[str, ...]
) -> None:
    assert home.is_dir()
    said = say("list", *options, *MACHINE)
    assert said.code == 2
    assert said.err.count("\n") == 1
    assert "--local" in said.err


def test_plain_text_is_one_fact_a_line_without_control_characters(
    say: Callable[..., Any], home: Path, gguf: Path
) -> None:
    studio(home, "org/\x1b[31mred/\x1b]0;title\x07.gguf", gguf)
    said = say("list", "--local", "--plain", *MACHINE)
    assert said.code == 0
    assert all(line.isprintable() for line in said.lines)
    assert len([line for line in said.lines if line.startswith("model: ")]) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="names are Unicode there")
def test_a_name_that_is_no_utf_8_does_not_end_the_answer(
    say: Callable[..., Any], home: Path, gguf: Path
) -> None:
    path = studio(home, os.fsdecode(b"org/x/caf\xe9.gguf"), gguf)
    assert say("list", "--local", *MACHINE).code == 0
    said = say("list", "--local", "--json", *MACHINE)
    assert said.json["models"][0]["paths"] == [str(path)]


def leave_free(monkeypatch: pytest.MonkeyPatch, n_bytes: int) -> None:
    """Make the system say that so much is free on every disk."""
    answer = SimpleNamespace(f_bavail=n_bytes, f_blocks=2 * n_bytes, f_frsize=1)
    monkeypatch.setattr(os, "statvfs", lambda _path: answer)


@pytest.mark.skipif(not hasattr(os, "statvfs"), reason="asked in another way there")
def test_on_this_machine_a_download_without_room_is_noted(
    say: Callable[..., Any], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave_free(monkeypatch, 10**9)
    note = f"does not fit this disk: 0.9 GiB free for {home}."
    assert any(note in line for line in say("check", "llama-3.1-8b", "--json").json["notes"])
    assert not any(note in line for line in say("check", "smollm2-135m", "--json").json["notes"])
    away = say("check", "llama-3.1-8b", "--json", *MACHINE).json["notes"]
    assert not any(note in line for line in away), "another machine has another disk"


@pytest.mark.skipif(not hasattr(os, "statvfs"), reason="asked in another way there")
def test_a_file_that_is_here_needs_no_room(
    say: Callable[..., Any], home: Path, gguf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = studio(home, "org/x/x.gguf", gguf)
    leave_free(monkeypatch, 1)
    notes = say("check", str(path), "--json").json["notes"]
    assert not any("does not fit this disk" in note for note in notes)
