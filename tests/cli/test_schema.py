"""`whatfits schema`: published, committed, and only ever added to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft202012Validator

from whatfits.sizing.cli.schema import answer_schema

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]
OLD_ANSWERS = sorted((ROOT / "tests" / "golden" / "answers").glob("*.json"))


def _optional(schema: Any) -> Any:  # noqa: ANN401 - JSON is untyped
    """Return the schema with every field optional: an old answer lacks what was added since."""
    if isinstance(schema, list):
        return [_optional(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {key: _optional(value) for key, value in schema.items() if key != "required"}


def test_the_committed_schema_is_todays(say: Callable[..., Any]) -> None:
    committed = (ROOT / "docs" / "schema.json").read_text(encoding="utf-8")
    assert say("schema").out == committed, "run 'whatfits schema > docs/schema.json'"


def test_the_schema_is_one(say: Callable[..., Any]) -> None:
    schema = say("schema", "--json").json
    Draft202012Validator.check_schema(schema)
    assert set(schema["answers"]) >= {"whatfits", "check", "list", "quants", "explain", "batch"}


@pytest.mark.parametrize("path", OLD_ANSWERS, ids=lambda path: path.stem)
def test_an_old_answer_has_no_field_that_is_gone_or_of_another_type(
    path: Path, closed: Callable[[Any], Any]
) -> None:
    command = path.stem.partition("-")[0]
    schema = closed(_optional({"$ref": f"#/answers/{command}", **answer_schema()}))
    for line in path.read_text(encoding="utf-8").splitlines():
        Draft202012Validator(schema).validate(json.loads(line))


def test_there_is_an_old_answer_of_every_command() -> None:
    stored = {path.stem.partition("-")[0] for path in OLD_ANSWERS}
    assert stored == set(answer_schema()["answers"])


def test_a_field_that_went_away_would_be_noticed(closed: Callable[[Any], Any]) -> None:
    schema = answer_schema()
    del schema["$defs"]["Memory"]["properties"]["kv_cache_bytes"]
    strict = closed(_optional({"$ref": "#/answers/check", **schema}))
    path = next(path for path in OLD_ANSWERS if path.stem.startswith("check"))
    assert not Draft202012Validator(strict).is_valid(json.loads(path.read_text(encoding="utf-8")))
