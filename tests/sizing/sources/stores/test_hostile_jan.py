"""A model.yml of Jan's that lies or is written otherwise: nothing is guessed, nothing else read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import gguf_builder as b
import pytest
from store_builder import write

from whatfits.sizing.errors import MalformedFileError
from whatfits.sizing.sources.stores import read_stores
from whatfits.sizing.sources.stores.jan import parse_model_yml

if TYPE_CHECKING:
    from pathlib import Path

    from whatfits.sizing.sources.stores.surroundings import Surroundings

MODEL = b.small_model()


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
