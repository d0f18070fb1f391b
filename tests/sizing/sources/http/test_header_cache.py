"""A header that was read once is not read again while its file is the same."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from header_shapes import all_shapes
from range_server import Handler, Hole, serving

from whatfits.bench.synthetic import write_catalog_model
from whatfits.sizing import check
from whatfits.sizing.errors import UnreachableError
from whatfits.sizing.sources import direct_url, load
from whatfits.sizing.sources.direct_url import TRUSTED_HOSTS
from whatfits.sizing.sources.http import Client
from whatfits.sizing.sources.http.header_cache import HeaderCache, KeptHeader
from whatfits.sizing.sources.kept_file import KeptFile
from whatfits.sizing.sources.remote_gguf import read_remote_header
from whatfits.sizing.units import KIB, MIB

if TYPE_CHECKING:
    from collections.abc import Callable

SHAPE = all_shapes()[-1]
CONTENT = Hole(SHAPE.data, len(SHAPE.data) + 10**9)
KEPT = KeptHeader((b"GGUF" * 100,), 10**6, '"1"', None, "2026-01-31")
URL = "https://models.example.com/m.gguf"
KEPT_NAME = HeaderCache(Path())._path(URL, {}).name


def with_validators(tag: Callable[[], str]) -> Callable[[Handler], None]:
    """A reply that knows If-None-Match, as servers of files do."""

    def reply(handler: Handler) -> None:
        if handler.headers.get("If-None-Match") == tag():
            handler.answer(304, ETag=tag())
        else:
            handler.file(CONTENT, etag=tag())

    return reply


@pytest.fixture
def cache(tmp_path: Path) -> HeaderCache:
    return HeaderCache(tmp_path / "cache")


def test_an_unchanged_file_costs_one_request_without_a_body(cache: HeaderCache) -> None:
    with serving({"/m": with_validators(lambda: '"1"')}) as server:
        with Client(server.rules, cache=cache) as client:
            first = read_remote_header(client.file(server.url("/m")))
        asked = len(server.seen)
        with Client(server.rules, cache=cache) as client:
            file = client.file(server.url("/m"))
            assert read_remote_header(file) == first
            assert (file.n_requests, file.received_bytes) == (1, 0)
            assert client.received_bytes < KIB
            assert file.kept_on is not None
        assert len(server.seen) == asked + 1


def test_a_changed_file_is_read_anew(cache: HeaderCache) -> None:
    tags = ['"1"']
    with serving({"/m": with_validators(lambda: tags[-1])}) as server:
        for tag, known in (('"1"', False), ('"2"', False), ('"2"', True)):
            tags.append(tag)
            with Client(server.rules, cache=cache) as client:
                file = client.file(server.url("/m"))
                read_remote_header(file)
                assert file.etag == tag
            assert (file.kept_on is not None) is known
            assert (file.received_bytes == 0) is known


def test_a_server_that_ignores_the_condition_is_read_anew(cache: HeaderCache) -> None:
    with serving({"/m": CONTENT}) as server:
        for _ in range(2):
            with Client(server.rules, cache=cache) as client:
                file = client.file(server.url("/m"))
                read_remote_header(file)
            assert file.kept_on is None
            assert file.received_bytes > len(SHAPE.data)


def test_nothing_is_kept_of_a_file_without_a_version(cache: HeaderCache, tmp_path: Path) -> None:
    def reply(handler: Handler) -> None:
        handler.answer(200, b"GGUF" + (3).to_bytes(4, "little") + bytes(16))

    with serving({"/m": reply}) as server, Client(server.rules, cache=cache) as client:
        read_remote_header(client.file(server.url("/m")))
    assert not (tmp_path / "cache").exists()


def test_offline_the_kept_header_answers_and_its_day_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "m.gguf"
    write_catalog_model(path, "llama-3.1-8b", file_type="Q4_K_M")
    with path.open("rb") as file:
        content = Hole(file.read(MIB), path.stat().st_size)
    with serving({"/m.gguf": content}) as server:
        monkeypatch.setenv(TRUSTED_HOSTS, server.host)
        url = server.url("/m.gguf")
        online = check(url, machine="64gb")
        asked = len(server.seen)
        for name in ("WHATFITS_OFFLINE", "HF_HUB_OFFLINE"):
            monkeypatch.setenv(name, "1")
            offline = check(url, machine="64gb")
            assert offline.memory == online.memory
            assert any(
                "The network is switched off: the header is the one of 20" in note
                for note in offline.notes
            )
            assert not any("switched off" in note for note in online.notes)
            with pytest.raises(UnreachableError, match="not kept here, and the network") as caught:
                load(server.url("/other.gguf"))
            assert str(caught.value).isprintable()
            monkeypatch.delenv(name)
        assert len(server.seen) == asked


@pytest.mark.parametrize("value", ["", "0", "false", "No", "OFF"])
def test_a_switch_that_says_no_is_off(value: str) -> None:
    assert not Client(environment={"HF_HUB_OFFLINE": value}).is_offline
    assert Client(environment={"HF_HUB_OFFLINE": value, "WHATFITS_OFFLINE": "1"}).is_offline


def test_what_came_with_credentials_is_found_with_the_same_ones_alone(cache: HeaderCache) -> None:
    secret = {"Authorization": "Bearer secret"}
    cache.keep(URL, secret, KEPT)
    assert cache.find(URL, secret) == KEPT
    assert cache.find(URL, {}) is None
    assert cache.find(URL, {"Authorization": "Bearer other"}) is None
    assert cache.find(URL + "?x", secret) is None


def test_no_credential_is_written(cache: HeaderCache, tmp_path: Path) -> None:
    with serving({"/m": CONTENT}) as server:
        secret = {server.host: {"Authorization": "Bearer hush-hush"}}
        with Client(server.rules, cache=cache, credentials=secret) as client:
            read_remote_header(client.file(server.url("/m?token=hush-hush")))
    kept = list((tmp_path / "cache").iterdir())
    assert len(kept) == 1
    assert b"hush" not in kept[0].read_bytes()
    assert "hush" not in kept[0].name


def only_entry(folder: Path) -> Path:
    (path,) = folder.iterdir()
    return path


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data[:0],
        lambda data: data[:-1],
        lambda data: data + b"x",
        lambda data: data.replace(b"GGUF", b"GGUE", 1),
        lambda data: data.replace(b'"version": 1', b'"version": 2'),
        lambda data: data.replace(b'"size_bytes": 1000000', b'"size_bytes": 5'),
        lambda data: data.replace(b'"size_bytes": 1000000', b'"size_bytes": "a"'),
        lambda data: data.replace(b'"2026-01-31"', b'"someday"'),
        lambda data: data.replace(b'"2026-01-31"', b"null"),
        lambda data: data.replace(b'"etag": ', b'"etag": 5, "x": '),
        lambda data: b"[" * 100_000 + data,
        lambda data: b"null\n" + data,
        lambda data: b"\xff\xfe\n" + data,
    ],
)
def test_an_entry_that_was_changed_is_set_aside_and_named_and_counts_as_absent(
    change: Callable[[bytes], bytes], cache: HeaderCache, tmp_path: Path
) -> None:
    cache.keep(URL, {}, KEPT)
    path = only_entry(tmp_path / "cache")
    data = path.read_bytes()
    path.write_bytes(change(data))
    damaged = path.read_bytes()
    assert damaged != data
    assert cache.find(URL, {}) is None
    aside = path.with_suffix(".broken.header")
    assert aside.read_bytes() == damaged
    assert len(cache.damaged) == 1
    assert str(aside) in cache.damaged[0]
    cache.keep(URL, {}, KEPT)
    assert cache.find(URL, {}) == KEPT


def test_what_was_set_aside_goes_when_there_is_too_much(tmp_path: Path) -> None:
    cache = HeaderCache(tmp_path / "cache", most_bytes=5_000)
    for _ in range(20):
        cache.keep(URL, {}, KEPT)
        (tmp_path / "cache" / KEPT_NAME).write_bytes(bytes(800))
        assert cache.find(URL, {}) is None
    cache.keep(URL, {}, KEPT)
    assert cache.find(URL, {}) == KEPT
    assert sum(path.stat().st_size for path in (tmp_path / "cache").iterdir()) <= 5_000


def test_an_entry_that_cannot_be_moved_is_named_where_it_is(
    cache: HeaderCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(_self: object) -> None:
        raise PermissionError(13, "Permission denied")

    cache.keep(URL, {}, KEPT)
    path = only_entry(tmp_path / "cache")
    path.write_bytes(b"?")
    monkeypatch.setattr(KeptFile, "put_aside", denied)
    assert cache.find(URL, {}) is None
    assert str(path) in cache.damaged[0]
    assert "Permission denied" in cache.damaged[0]


def test_an_answer_names_the_damaged_entry_online_and_offline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(direct_url, "default_cache", lambda: HeaderCache(tmp_path / "headers"))
    path = tmp_path / "m.gguf"
    write_catalog_model(path, "llama-3.1-8b", file_type="Q4_K_M")
    with path.open("rb") as file:
        content = Hole(file.read(MIB), path.stat().st_size)
    with serving({"/m.gguf": content}) as server:
        monkeypatch.setenv(TRUSTED_HOSTS, server.host)
        url = server.url("/m.gguf")
        sound = load(url)
        assert not any("damaged" in note for note in sound.notes)
        entry = only_entry(tmp_path / "headers")
        entry.write_bytes(b"")
        again = load(url)
        assert any("damaged" in note and ".broken.header" in note for note in again.notes)
        assert again.tensors == sound.tensors
        entry.write_bytes(b"")
        monkeypatch.setenv("WHATFITS_OFFLINE", "1")
        with pytest.raises(UnreachableError, match=r"damaged; it was moved to .*broken"):
            load(url)


def test_the_oldest_entries_go_when_there_is_too_much(tmp_path: Path) -> None:
    cache = HeaderCache(tmp_path / "cache", most_bytes=5_000)
    for index in range(10):
        cache.keep(f"{URL}{index}", {}, KeptHeader((bytes(800),), 10**6, '"1"', None, "2026-01-31"))
        for path in (tmp_path / "cache").iterdir():  # each a day older than the next one
            os.utime(path, (path.stat().st_mtime - 86_400,) * 2)
    held = sum(path.stat().st_size for path in (tmp_path / "cache").iterdir())
    assert held <= 5_000
    kept = [index for index in range(10) if cache.find(f"{URL}{index}", {}) is not None]
    assert kept == list(range(10 - len(kept), 10))
    assert len(kept) >= 3


def test_a_header_above_the_bound_is_not_kept(tmp_path: Path) -> None:
    cache = HeaderCache(tmp_path / "cache", most_bytes=100)
    cache.keep(URL, {}, KEPT)
    assert not (tmp_path / "cache").exists()


def test_a_folder_that_cannot_be_written_is_no_failure(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    cache = HeaderCache(tmp_path / "file" / "cache")
    cache.keep(URL, {}, KEPT)
    assert cache.find(URL, {}) is None


def test_an_entry_is_one_line_of_json_and_the_bytes(cache: HeaderCache, tmp_path: Path) -> None:
    cache.keep(URL, {}, KEPT)
    line, _, data = only_entry(tmp_path / "cache").read_bytes().partition(b"\n")
    assert (data,) == KEPT.parts
    assert json.loads(line)["day"] == "2026-01-31"
