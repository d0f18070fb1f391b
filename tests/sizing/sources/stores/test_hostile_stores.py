"""Stores that lie, loop or lead away: nothing is raised, nothing outside is read, all is told."""

from __future__ import annotations

import json
import os
import random
import time
from typing import TYPE_CHECKING, Any

import gguf_builder as b
import pytest
from store_builder import MANIFEST_LIST, Hub, Ollama, write

from whatfits.sizing.errors import BadInputError, InvalidRequestError, MalformedFileError
from whatfits.sizing.sources.ollama_manifest import parse_manifest
from whatfits.sizing.sources.ollama_name import parse_ollama_name
from whatfits.sizing.sources.stores import read_stores
from whatfits.sizing.sources.stores.jan import parse_model_yml
from whatfits.sizing.sources.stores.ollama import find_model

if TYPE_CHECKING:
    from pathlib import Path

    from whatfits.sizing.sources.stores.surroundings import Surroundings

MODEL = b.small_model()
HEX = "ab" * 32
NAME = "registry.ollama.ai/library/bad/latest"


def layer(**changes: object) -> dict[str, Any]:
    known = {"mediaType": "application/vnd.ollama.image.model", "digest": f"sha256:{HEX}"}
    return {**known, "size": 10, **changes}


def text(*layers: dict[str, Any]) -> bytes:
    return json.dumps({"schemaVersion": 2, "layers": list(layers)}).encode()


def listed(*manifests: object) -> bytes:
    return json.dumps({"mediaType": MANIFEST_LIST, "manifests": list(manifests)}).encode()


MALFORMED = {
    "empty": b"",
    "not JSON": b"layers: []",
    "not UTF-8": b'{"layers": ["\xff"]}',
    "a list": b"[]",
    "a number": b"7",
    "no layers": b"{}",
    "layers are text": b'{"layers": "sha256"}',
    "layers are an object": b'{"layers": {}}',
    "a layer is text": b'{"layers": ["sha256"]}',
    "a layer is null": b'{"layers": [null]}',
    "deep": b'{"layers": ' + b"[" * 5_000 + b"]" * 5_000 + b"}",
    "wide": b'{"layers": [' + b"[]," * 200_000 + b"[]]}",
    "too long": b'{"layers": []' + b" " * 5_000_000 + b"}",
    "key twice": b'{"layers": [], "layers": []}',
    "digest missing": text({"mediaType": "application/vnd.ollama.image.model", "size": 3}),
    "digest is a number": text(layer(digest=7)),
    "digest is a path up": text(layer(digest="sha256:../../../../etc/passwd")),
    "digest is absolute": text(layer(digest="/etc/passwd")),
    "digest goes on": text(layer(digest=f"sha256:{HEX}/../../x")),
    "digest with a line end": text(layer(digest=f"sha256:{HEX}\n")),
    "digest too short": text(layer(digest="sha256:abcd")),
    "digest of another kind": text(layer(digest=f"md5:{HEX}")),
    "digest not ASCII": text(layer(digest="sha256:" + "\N{FULLWIDTH DIGIT ONE}" * 64)),
    "size negative": text(layer(size=-1)),
    "size is text": text(layer(size="10")),
    "size is true": text(layer(size=True)),
    "size is huge": text(layer(size=2**70)),
    "size is infinite": text(layer(size=1e999)),
    "media type is a list": text(layer(mediaType=["model"])),
    "too many layers": text(*[layer()] * 16_500),
    "list of nothing": listed(),
    "list of text": listed("sha256"),
    "list in a list": listed({"mediaType": MANIFEST_LIST, "manifests": [], "layers": []}),
    "list of unknown runners": listed({"runner": "quantum", "layers": [layer()]}),
    "list points at a path": listed({"digest": "../manifest", "runner": "ollama"}),
}


@pytest.mark.parametrize("data", MALFORMED.values(), ids=MALFORMED)
def test_a_manifest_that_is_none_is_a_line_and_no_end(
    data: bytes, home: Path, linux: Surroundings
) -> None:
    start = time.monotonic()
    with pytest.raises(BadInputError) as caught:
        parse_manifest(data)
    assert str(caught.value).isprintable()
    store = Ollama(home)
    store.write(NAME, data)
    store.model("good/latest", [("model", MODEL)])
    (contents,) = read_stores(linux)
    assert [model.name for model in contents.models] == ["good:latest"]
    (finding,) = contents.findings
    assert finding.startswith(f"manifests/{NAME}: ")
    assert finding.isprintable()
    assert len(finding) < 500
    assert time.monotonic() - start < 2
    with pytest.raises(BadInputError):
        find_model(parse_ollama_name("bad"), linux)


def mutated(data: bytes, choose: random.Random) -> bytes:
    """Return bytes with a few changed, removed, put in or repeated."""
    changed = bytearray(data)
    for _ in range(choose.randint(1, 6)):
        at = choose.randrange(len(changed)) if changed else 0
        match choose.randint(0, 3):
            case 0 if changed:
                changed[at] = choose.randrange(256)
            case 1:
                del changed[at : at + choose.randint(1, 20)]
            case 2:
                changed[at:at] = choose.randbytes(choose.randint(1, 8))
            case _:
                changed[at:at] = changed[choose.randrange(len(changed) + 1) :][:30]
    return bytes(changed)


def test_any_change_of_a_manifest_or_yml_is_understood_or_refused() -> None:
    choose = random.Random(7)  # noqa: S311 - no secret
    manifest = listed({"runner": "ollama", "layers": [layer(), layer(mediaType="x")]})
    yml = b"model_path: llamacpp/models/m/model.gguf\nname: 'a m'\nsize_bytes: 12\n"
    n_refused = 0
    for _ in range(3_000):
        for parse, data in ((parse_manifest, manifest), (parse_model_yml, yml)):
            try:
                parse(mutated(data, choose))
            except BadInputError as error:
                n_refused += 1
                assert str(error).isprintable()  # noqa: PT017 - most are not raised
    assert 1_000 < n_refused < 5_900


def test_a_missing_blob_makes_a_model_incomplete(home: Path, linux: Surroundings) -> None:
    Ollama(home).write(NAME, text(layer()))
    (model,) = read_stores(linux)[0].models
    assert not model.complete
    assert model.paths == ()
    assert model.refusal == "the file of the model is not in the store"


@pytest.mark.parametrize("n_bytes", [len(MODEL) - 1, len(MODEL) + 1])
def test_a_blob_of_another_length_is_told(n_bytes: int, home: Path, linux: Surroundings) -> None:
    store = Ollama(home)
    store.write(NAME, text(layer(**{**store.blob(MODEL), "size": n_bytes})))
    (model,) = read_stores(linux)[0].models
    assert not model.complete
    assert f"the manifest says {n_bytes:,}" in model.findings[0]


def test_a_folder_in_place_of_a_blob_is_no_model(home: Path, linux: Surroundings) -> None:
    store = Ollama(home)
    (store.blobs / f"sha256-{HEX}").mkdir()
    store.write(NAME, text(layer()))
    (model,) = read_stores(linux)[0].models
    assert not model.complete
    assert "a folder" in model.findings[0]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no such files there")
def test_a_pipe_in_place_of_a_blob_or_manifest_blocks_nothing(
    home: Path, linux: Surroundings
) -> None:
    store = Ollama(home)
    os.mkfifo(store.blobs / f"sha256-{HEX}")
    store.write(NAME, text(layer()))
    os.mkfifo(store.path("registry.ollama.ai/library/pipe/latest"))
    (contents,) = read_stores(linux)
    assert not contents.models[0].complete
    assert "no regular file" in contents.findings[0]


@pytest.mark.parametrize("target", ["/etc/hostname", "/dev/zero", "outside"])
def test_a_blob_that_links_out_of_the_store_is_not_followed(
    target: str, home: Path, tmp_path: Path, linux: Surroundings
) -> None:
    outside = write(tmp_path / "outside", MODEL)
    store = Ollama(home)
    (store.blobs / f"sha256-{HEX}").symlink_to(outside if target == "outside" else target)
    store.write(NAME, text(layer()))
    (model,) = read_stores(linux)[0].models
    assert model.paths == ()
    assert not model.complete


def test_a_manifest_that_links_out_of_the_store_is_not_read(
    home: Path, tmp_path: Path, linux: Surroundings
) -> None:
    secret = write(tmp_path / "secret", text(layer()))
    store = Ollama(home)
    store.path(NAME).symlink_to(secret)
    (contents,) = read_stores(linux)
    assert contents.models == ()
    assert "leaves the store" in contents.findings[0]
    with pytest.raises(BadInputError, match="leaves the store"):
        find_model(parse_ollama_name("bad"), linux)


def test_the_store_itself_may_be_a_link(home: Path, tmp_path: Path, linux: Surroundings) -> None:
    Ollama(home, folder=tmp_path / "big").model("good/latest", [("model", MODEL)])
    (home / ".ollama").mkdir()
    (home / ".ollama" / "models").symlink_to(tmp_path / "big")
    (contents,) = read_stores(linux)
    assert contents.findings == ()
    assert contents.models[0].complete


@pytest.mark.parametrize("part", ["blobs", "manifests"])
def test_a_part_of_the_store_may_lie_on_another_disk(
    part: str, home: Path, tmp_path: Path, linux: Surroundings
) -> None:
    store = Ollama(home)
    store.model("good/latest", [("model", MODEL)])
    (store.folder / part).rename(tmp_path / "elsewhere")
    (store.folder / part).symlink_to(tmp_path / "elsewhere")
    (contents,) = read_stores(linux)
    assert contents.findings == ()
    assert contents.models[0].complete
    assert find_model(parse_ollama_name("good"), linux) == contents.models[0]


def test_links_in_a_circle_end(home: Path, linux: Surroundings) -> None:
    store = Ollama(home)
    store.model("good/latest", [("model", MODEL)])
    manifests = store.folder / "manifests"
    (manifests / "registry.ollama.ai" / "library" / "again").symlink_to(manifests)
    (manifests / "self").symlink_to("self")
    studio = home / ".lmstudio" / "models"
    write(studio / "org" / "repo" / "m.gguf", MODEL)
    (studio / "org" / "repo" / "up").symlink_to(studio)
    found = read_stores(linux)
    assert [model.name for one in found for model in one.models] == ["good:latest", "org/repo/m"]


def test_a_pointer_at_itself_is_followed_once(home: Path, linux: Surroundings) -> None:
    store = Ollama(home)
    (store.blobs / f"sha256-{HEX}").write_bytes(
        listed({"digest": f"sha256:{HEX}", "runner": "ollama"})
    )
    store.write(NAME, listed({"digest": f"sha256:{HEX}", "runner": "ollama"}))
    (contents,) = read_stores(linux)
    assert contents.models == ()
    assert "points at a pointer" in contents.findings[0]


@pytest.mark.parametrize("relative", ["short/latest", "a.b/c.d/model/tag", "h/n/mod el/tag"])
def test_a_path_that_stands_for_no_name_is_told(
    relative: str, home: Path, linux: Surroundings
) -> None:
    Ollama(home).write(relative, text(layer()))
    (contents,) = read_stores(linux)
    assert contents.models == ()
    assert "HOST/" in contents.findings[0]


def test_configuration_blobs_that_are_too_long_or_no_json_say_nothing(
    home: Path, linux: Surroundings
) -> None:
    store = Ollama(home)
    store.model("long/latest", [("model", MODEL), ("params", b'{"num_ctx": 1}' + b" " * 70_000)])
    store.model("list/latest", [("model", MODEL), ("params", b"[1]")])
    store.model("text/latest", [("model", MODEL), ("params", b'{"num_ctx": "8192"}')])
    for model in read_stores(linux)[0].models:
        assert model.findings == ()


def test_two_layers_that_claim_to_be_the_model_are_told(home: Path, linux: Surroundings) -> None:
    Ollama(home).model("two/latest", [("model", b"x" * 9), ("model", MODEL)])
    (model,) = read_stores(linux)[0].models
    assert model.file_bytes == len(MODEL)
    assert model.findings == ("2 layers claim to be the model; the last counts",)


@pytest.mark.parametrize(
    "name",
    [
        *("", ":", ":latest", "model:", "/", "a/", "/a", "a//b", "a/b/c/d", "..", "../a", "a/../b"),
        *("a:b:c", "a b", "a\n", "a\0", "a?b", "a#b", "a%2fb", "a@sha256:00", "-a", ".a", "a:.b"),
        *("user@host/a/b", "host:99999999/a/b", "ho st/a/b", "http://host/a", "a" * 129),
        *("n.s/a", "é", "a:" + "b" * 129, "[::1]/a/b", "host:/a/b", "a\\b", "~/a"),
    ],
)
def test_what_is_no_name_of_ollamas_is_refused(name: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        parse_ollama_name(f"ollama:{name}")
    assert "ollama:llama3.2:3b" in str(caught.value)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("text_", "parts", "short"),
    [
        ("llama3.2", ("registry.ollama.ai", "library", "llama3.2", "latest"), "llama3.2:latest"),
        ("me/m:q8", ("registry.ollama.ai", "me", "m", "q8"), "me/m:q8"),
        ("ollama.com/library/m", ("registry.ollama.ai", "library", "m", "latest"), "m:latest"),
        ("hf.co/org/Repo:Q4_0", ("hf.co", "org", "Repo", "Q4_0"), "hf.co/org/Repo:Q4_0"),
        ("h.example:5000/n/m", ("h.example:5000", "n", "m", "latest"), "h.example:5000/n/m:latest"),
    ],
)
def test_names_are_filled_in_as_ollama_does(text_: str, parts: tuple[str, ...], short: str) -> None:
    name = parse_ollama_name(f"OLLAMA:{text_}")
    assert (name.host, name.namespace, name.model, name.tag) == parts
    assert str(name) == short
    assert parse_ollama_name(short) == name


@pytest.mark.parametrize(
    ("yml", "says"),
    [
        (b"model_path: &anchor a.gguf\n", "model_path"),
        (b"model_path: !!python/object:os.system x\n", "model_path"),
        (b"model_path: |\n  a.gguf\n", "model_path"),
        (b"model_path: >-\n  a.gguf\n", "model_path"),
        (b"model_path: [a.gguf]\n", "model_path"),
        (b"model_path: {a: b}\n", "model_path"),
        (b'model_path: "a\\x2e.gguf"\n', "model_path"),
        (b"model_path: *a\n", "model_path"),
        (b"model_path: a.gguf # here\n", "model_path"),
        (b"model_path: a.gguf\nmodel_path: b.gguf\n", "twice"),
        (b"model_path: \xff.gguf\n", "UTF-8"),
    ],
)
def test_yaml_of_another_form_is_not_guessed_at(yml: bytes, says: str) -> None:
    with pytest.raises(MalformedFileError, match=says):
        parse_model_yml(yml)


def test_the_keys_of_a_model_yml_are_plain_or_quoted() -> None:
    data = b"# a comment\nname: 'it''s'\nmodel_path: \"a b.gguf\"\nother: &x\nnested:\n  name: no\n"
    assert parse_model_yml(data) == {"name": "it's", "model_path": "a b.gguf"}


@pytest.mark.parametrize(
    "path",
    ["../../outside.gguf", "llamacpp/../../../outside.gguf", "link.gguf", "nothing.gguf", ""],
)
def test_a_model_yml_leads_nowhere_else(
    path: str, home: Path, tmp_path: Path, linux: Surroundings
) -> None:
    outside = write(tmp_path / "outside.gguf", MODEL)
    data = home / ".local" / "share" / "Jan" / "data"
    write(data / "llamacpp" / "models" / "m" / "model.yml", f"model_path: {path}\n".encode())
    (data / "link.gguf").symlink_to(outside)
    (contents,) = read_stores(linux)
    assert contents.models == ()
    (finding,) = contents.findings
    assert finding.startswith("m/model.yml: ")


def test_a_model_yml_names_ggufs_alone(home: Path, linux: Surroundings) -> None:
    data = home / ".local" / "share" / "Jan" / "data"
    write(data / "llamacpp" / "models" / "m" / "model.yml", b"model_path: /etc/passwd\n")
    (contents,) = read_stores(linux)
    assert contents.models == ()
    assert "a .gguf file" in contents.findings[0]


def test_a_claim_of_more_bytes_makes_a_model_incomplete(home: Path, linux: Surroundings) -> None:
    models = home / ".local" / "share" / "Jan" / "data" / "llamacpp" / "models"
    write(models / "m" / "m.gguf", MODEL)
    write(
        models / "m" / "model.yml",
        b"model_path: llamacpp/models/m/m.gguf\nsize_bytes: 99999999999999999999999999\n",
    )
    (model,) = read_stores(linux)[0].models
    assert not model.complete


def test_links_of_the_hub_stay_in_their_repository(
    home: Path, tmp_path: Path, linux: Surroundings
) -> None:
    hub = Hub(home / ".cache" / "huggingface" / "hub")
    good = hub.file("org/Tiny", "good.gguf", MODEL)
    outside = write(tmp_path / "outside.gguf", MODEL)
    good.with_name("bad.gguf").symlink_to(outside)
    good.with_name("gone.gguf").symlink_to("../../blobs/nothing")
    (hub.folder / "models--org--Away").symlink_to(tmp_path)
    (contents,) = read_stores(linux)
    assert [model.name for model in contents.models] == ["org/Tiny/good"]
    assert len(contents.findings) == 3


def test_a_folder_that_cannot_be_listed_is_a_line(home: Path, linux: Surroundings) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may list everything")
    folder = home / ".lmstudio" / "models" / "org"
    folder.mkdir(parents=True)
    folder.chmod(0)
    try:
        (contents,) = read_stores(linux)
    finally:
        folder.chmod(0o700)
    assert "permission denied" in contents.findings[0]


def test_a_file_in_place_of_a_store_is_no_store(home: Path, linux: Surroundings) -> None:
    write(home / ".ollama" / "models", b"x")
    write(home / ".lmstudio" / "models", b"x")
    write(home / ".cache" / "llama.cpp", b"x")
    write(home / ".cache" / "huggingface" / "hub", b"x")
    write(home / ".local" / "share" / "Jan" / "data", b"x")
    assert read_stores(linux) == ()


def test_names_of_any_bytes_are_taken(home: Path, linux: Surroundings) -> None:
    name = os.fsdecode(b"caf\xe9\x1b[31m.gguf")
    path = write(home / ".lmstudio" / "models" / "org" / name, MODEL)
    (model,) = read_stores(linux)[0].models
    assert model.file_bytes == len(MODEL)
    assert model.paths == (str(path),)
