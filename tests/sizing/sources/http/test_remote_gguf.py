"""A model at an address is the model of the same file on disk, and costs two requests."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import gguf_builder as b
import pytest
from header_shapes import Shape, all_shapes
from range_server import Hole, serving

from whatfits.bench.synthetic import write_catalog_model
from whatfits.sizing import check
from whatfits.sizing.errors import (
    InvalidRequestError,
    MalformedFileError,
    RemoteAnswerError,
    UnreadableFileError,
)
from whatfits.sizing.readers.gguf import read_gguf_header
from whatfits.sizing.sources import load
from whatfits.sizing.sources.direct_url import TRUSTED_HOSTS
from whatfits.sizing.sources.http import Client
from whatfits.sizing.sources.remote_gguf import read_remote_header, read_remote_model
from whatfits.sizing.units import KIB, MIB

if TYPE_CHECKING:
    from pathlib import Path

    from range_server import RangeServer

WINDOW = 64 * KIB
DATA_BYTES = 2 * 10**9
MACHINE = "rtx-4090 + 64gb"
MODELS = ("llama-3.1-8b", "qwen3-30b-a3b", "gemma-3-4b", "deepseek-v2-lite", "mamba-2.8b")


def trust(monkeypatch: pytest.MonkeyPatch, server: RangeServer) -> None:
    monkeypatch.setenv(TRUSTED_HOSTS, server.host)


def hole(path: Path) -> Hole:
    """A sparse file as the server has it."""
    with path.open("rb") as file:
        return Hole(file.read(MIB), path.stat().st_size)


@pytest.mark.parametrize("shape", all_shapes()[::3], ids=lambda shape: shape.name)
def test_the_exact_header_of_a_remote_file_is_that_of_the_same_bytes(shape: Shape) -> None:
    # A table without data would be cut short; what lies behind it is noted as trailing bytes.
    content = Hole(shape.data, len(shape.data) + DATA_BYTES)
    local = read_gguf_header(b"".join((shape.data, bytes(MIB))), allow_missing_data=True)
    with serving({"/m.gguf": content}) as server, Client(server.rules) as client:
        file = client.file(server.url("/m.gguf"))
        header = read_remote_header(file)
        assert header.metadata == local.metadata
        assert header.array_lengths == local.array_lengths
        assert header.tensors == local.tensors
        assert file.n_requests <= (4 if shape.name == "tokens last" else 2)
        assert file.received_bytes <= max(1.15 * len(shape.data), WINDOW)
        assert [seen.headers["range"].startswith("bytes=0-") for seen in server.seen].count(
            True
        ) == 1


@pytest.mark.parametrize("name", MODELS)
def test_a_model_takes_the_same_memory_from_an_address_and_from_disk(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.gguf"
    write_catalog_model(path, name, file_type="Q4_K_M")
    with serving({"/model.gguf": hole(path)}) as server:
        trust(monkeypatch, server)
        remote = check(server.url("/model.gguf?download=true"), machine=MACHINE)
    local = check(str(path), machine=MACHINE)
    assert remote.memory == local.memory
    assert remote.model.file_bytes == local.model.file_bytes == path.stat().st_size
    assert remote.model.name == local.model.name == "model"
    assert remote.model.source == server.url("/model.gguf")
    command = remote.commands["llama.cpp"][0]
    assert f"--model-url {server.url('/model.gguf')}" in command


def test_a_remote_file_can_be_asked_for_under_another_type(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.gguf"
    write_catalog_model(path, "llama-3.1-8b", file_type="F16")
    with serving({"/model.gguf": hole(path)}) as server:
        trust(monkeypatch, server)
        spec = load(server.url("/model.gguf"), file_type="Q4_K_M")
    assert spec.file_type == "Q4_K_M"
    assert spec.tensor_bytes == load(str(path), file_type="Q4_K_M").tensor_bytes


@pytest.mark.parametrize(
    ("n_keys", "value"),
    [
        (4_000, b.raw(b.UINT32, b.STRING) + b.raw(b.UINT64, 256) + b.string("x") * 256),
        (60_000, b.raw(b.UINT32, b.STRING) + b.raw(b.UINT64, 20) + b.string("") * 20),
    ],
)
def test_a_header_that_misleads_takes_few_requests_all_the_same(n_keys: int, value: bytes) -> None:
    pairs = [b.pair(f"k{i}", b.ARRAY, value) for i in range(n_keys)]
    data = b.gguf([b.ARCHITECTURE, *pairs], b.two_tensors(), data_bytes=b.TWO_TENSORS_BYTES)
    started = time.process_time()
    with serving({"/m": data}) as server, Client(server.rules) as client:
        file = client.file(server.url("/m"))
        assert len(read_remote_header(file).array_lengths) == n_keys
    assert file.n_requests <= 10
    assert file.received_bytes <= len(data)
    assert time.process_time() - started < 10


def split_files(n_files: int = 3) -> dict[str, bytes]:
    """Files of a split model by their paths."""
    files = {}
    for index in range(n_files):
        numbers = [
            b.scalar("split.no", b.UINT16, index),
            b.scalar("split.count", b.UINT16, n_files),
            b.scalar("split.tensors.count", b.INT32, n_files),
        ]
        keys = [*numbers, b.ARCHITECTURE] if not index else numbers
        tensor = b.tensor(f"blk.{index}.attn_q.weight", (32, 32), b.F32, 0)
        name = f"/m-{index + 1:05d}-of-{n_files:05d}.gguf"
        files[name] = b.gguf(keys, [tensor], data_bytes=4096)
    return files


@pytest.mark.parametrize("number", [1, 3])
def test_any_file_of_a_split_names_the_others(number: int) -> None:
    files = split_files()
    with serving(files) as server, Client(server.rules) as client:
        model = read_remote_model(client, server.url(f"/m-0000{number}-of-00003.gguf?x=1"))
        assert [tensor.file_index for tensor in model.header.tensors] == [0, 1, 2]
        assert model.header.file_bytes == sum(map(len, files.values()))
        assert [file.n_requests for file in model.files] == [1, 1, 1]
        assert {seen.target for seen in server.seen} == {f"{path}?x=1" for path in files}


def test_a_missing_file_of_a_split_is_named() -> None:
    files = split_files()
    del files["/m-00002-of-00003.gguf"]
    with (
        serving(files) as server,
        Client(server.rules) as client,
        pytest.raises(UnreadableFileError, match=r"m-00002-of-00003\.gguf"),
    ):
        read_remote_model(client, server.url("/m-00001-of-00003.gguf"))


def test_a_split_under_another_name_says_which_name_it_needs() -> None:
    data = split_files()["/m-00001-of-00003.gguf"]
    with (
        serving({"/model.gguf": data}) as server,
        Client(server.rules) as client,
        pytest.raises(MalformedFileError, match=r"-00001-of-00003\.gguf"),
    ):
        read_remote_model(client, server.url("/model.gguf"))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"<!doctype html><html></html>", "a web page, not the model"),
        (b"", "empty"),
        (b"PK\x03\x04" + bytes(100), "a PyTorch or other zip archive"),
        (b"GGU", "of an unknown kind"),
    ],
)
def test_what_is_no_model_is_named(content: bytes, says: str) -> None:
    with (
        serving({"/m.gguf": content}) as server,
        Client(server.rules) as client,
        pytest.raises(UnreadableFileError, match=says),
    ):
        read_remote_model(client, server.url("/m.gguf"))


def test_the_page_of_a_file_is_not_the_file() -> None:
    page = {"/o/r/blob/main/m.gguf": b"<!doctype html>"}
    with (
        serving(page) as server,
        Client(server.rules) as client,
        pytest.raises(UnreadableFileError, match="/resolve/ in place of /blob/"),
    ):
        read_remote_model(client, server.url("/o/r/blob/main/m.gguf"))


def test_a_header_that_contradicts_itself_names_the_address() -> None:
    data = b"GGUF" + (3).to_bytes(4, "little") + b"\xff" * 16 + bytes(100)
    with (
        serving({"/m.gguf": data}) as server,
        Client(server.rules) as client,
        pytest.raises(MalformedFileError, match=r"file: http://127.0.0.1:\d+/m.gguf"),
    ):
        read_remote_model(client, server.url("/m.gguf?token=secret"))


def test_a_missing_file_is_told_by_its_status(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving({}) as server:
        trust(monkeypatch, server)
        with pytest.raises(RemoteAnswerError, match="status 404") as caught:
            load(server.url("/m.gguf?token=secret"))
    assert caught.value.status == 404
    assert "secret" not in str(caught.value)


def test_only_a_trusted_host_may_be_private_or_in_the_clear(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with serving({"/m.gguf": b"GGUF"}) as server:
        monkeypatch.delenv(TRUSTED_HOSTS, raising=False)
        with pytest.raises(InvalidRequestError, match="allowed: https://HOST/PATH"):
            load(server.url("/m.gguf"))
        monkeypatch.setenv(TRUSTED_HOSTS, "example.com, 127.0.0.1:1")
        with pytest.raises(InvalidRequestError, match="allowed: https://HOST/PATH"):
            load(server.url("/m.gguf"))
        assert server.seen == []
