"""Manifests and names of Ollama that lie or are none: a line is said of each, nothing is raised."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

import gguf_builder as b
import pytest
from store_builder import HEX, MANIFEST_LIST, NAME, Ollama, layer, listed, text

from whatfits.sizing.errors import BadInputError, InvalidRequestError
from whatfits.sizing.sources.ollama_manifest import parse_manifest
from whatfits.sizing.sources.ollama_name import parse_ollama_name
from whatfits.sizing.sources.stores import read_stores
from whatfits.sizing.sources.stores.jan import parse_model_yml
from whatfits.sizing.sources.stores.ollama import find_model

if TYPE_CHECKING:
    from pathlib import Path

    from whatfits.sizing.sources.stores.surroundings import Surroundings

MODEL = b.small_model()
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
