"""The generated index says what the sources say, and is up to date."""

from __future__ import annotations

import json
import tomllib
from typing import TYPE_CHECKING

import jsonschema
import pytest

from whatfits.sizing.catalog.build import generated_files, main, stale_files
from whatfits.sizing.catalog.device_entries import device_entries
from whatfits.sizing.catalog.index_file import IndexFile, open_index, read_json
from whatfits.sizing.catalog.model_entries import model_entries
from whatfits.sizing.catalog.runs import expand_runs
from whatfits.sizing.catalog.sources import SOURCE_DIR
from whatfits.sizing.errors import CatalogError

if TYPE_CHECKING:
    from pathlib import Path

    from whatfits.sizing.catalog.sources import Sources


def test_the_committed_index_is_not_stale() -> None:
    assert stale_files() == [], "run 'python -m whatfits.sizing.catalog.build' (or 'make data')"


def test_the_build_gives_the_same_bytes_twice(sources: Sources) -> None:
    assert generated_files(sources) == generated_files(sources)


def test_check_succeeds_and_writes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--check"]) == 0
    assert capsys.readouterr().out == ""


def test_an_unknown_argument_of_the_build_is_bad_input(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["--chekc"]) == 2
    assert "--check" in capsys.readouterr().err


def test_every_entry_of_the_index_equals_its_source_row(sources: Sources) -> None:
    for row, entry in zip(sources.models, model_entries(), strict=True):
        assert (entry.id, entry.hf_id, entry.params_total) == (row.id, row.hf_id, row.params_total)
        assert (entry.unverified, entry.unknown) == (row.unverified, row.unknown)
        assert (entry.source, entry.checked) == (row.source, row.checked.isoformat())
        for path, text in row.lists.items():
            place = {"config": entry.config, "vision": entry.vision}[path.split(".")[0]]
            for name in path.split(".")[1:]:
                assert place is not None
                place = place[name]
            assert place == expand_runs(text)
        for path in row.null_fields:
            assert entry.config[path.split(".")[1]] is None
        assert set(row.config) <= set(entry.config)
    for device, found in zip(sources.devices, device_entries(), strict=True):
        for name in type(device).model_fields:
            if name not in ("checked", "bandwidth_by_memory"):
                assert getattr(found, name) == getattr(device, name), (device.id, name)


def test_the_offsets_lead_to_the_same_entries_as_reading_all() -> None:
    for name in ("models.jsonl", "devices.jsonl"):
        index = open_index(name)
        assert [index.entry(number)["id"] for number in range(len(index))] == [
            entry["id"] for entry in index.entries()
        ]


@pytest.mark.parametrize(
    ("form", "pattern"),
    [
        ("ModelFile", "models/*.toml"),
        ("DeviceFile", "devices/*.toml"),
        ("MemorySystemsFile", "memory_systems.toml"),
        ("ProcessorsFile", "processors/*.toml"),
        ("QuantsFile", "quants.toml"),
        ("DriverTotalsFile", "driver_totals.toml"),
    ],
)
def test_the_committed_schema_describes_the_source_files(form: str, pattern: str) -> None:
    schema = json.loads((SOURCE_DIR / "schema.json").read_text())
    validator = jsonschema.Draft202012Validator(
        {"$ref": f"#/$defs/{form}", "$defs": schema["$defs"]}
    )
    paths = sorted(SOURCE_DIR.glob(pattern))
    assert paths
    for path in paths:
        # Dates are text in JSON.
        content = json.loads(json.dumps(tomllib.loads(path.read_text()), default=str))
        validator.validate(content)


def test_a_missing_or_broken_index_is_our_own_failure(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match="reinstall"):
        IndexFile(str(tmp_path / "none.jsonl"))
    broken = tmp_path / "broken.jsonl"
    broken.write_bytes(b'{"keys": {\n')
    with pytest.raises(CatalogError, match="reinstall"):
        IndexFile(str(broken))
    with pytest.raises(CatalogError, match="reinstall"):
        read_json("none.json")
