"""`whatfits schema`: the JSON Schema of every `--json` answer."""

from __future__ import annotations

import json
import sys
from typing import Any, Final

from whatfits.sizing.cli.parser import Parser
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["answer_schema", "run"]

_SPARSE: Final = frozenset({"ErrorBody"})  # an error carries only what it has


def run(arguments: Sequence[str]) -> int:
    """Print the schema; 0."""
    parser = Parser(command="schema", description="JSON Schema of every --json answer.")
    parser.add_argument("--json", action="store_true", help="always on; accepted for symmetry")
    parser.read(arguments)
    sys.stdout.write(json.dumps(answer_schema(), indent=2, ensure_ascii=False) + "\n")
    return 0


def answer_schema() -> dict[str, Any]:
    """Return one schema: `$defs` of all values, and under `answers` one entry a command."""
    from pydantic import TypeAdapter

    from whatfits.bench.suite_report import SuiteAnswer
    from whatfits.sizing.cli import answers as forms
    from whatfits.sizing.cli.bench_answer import BenchAnswer, FileBenchAnswer, ServerBenchAnswer
    from whatfits.sizing.cli.hardware_answer import HardwareAnswer
    from whatfits.sizing.cli.start_answer import StartAnswer
    from whatfits.sizing.costing.answer import CostAnswer
    from whatfits.sizing.estimate import Plan
    from whatfits.sizing.fleets.answer import FleetAnswer
    from whatfits.sizing.planning import BestPlan
    from whatfits.sizing.residents import TogetherPlan
    from whatfits.sizing.servers.verification import ServerVerification
    from whatfits.sizing.serving.serve_plan import ServePlan
    from whatfits.sizing.verification import Verification

    kinds: dict[str, Any] = {
        "check": Plan,
        "plan": BestPlan,
        "need": forms.NeedAnswer,
        "cost": CostAnswer,
        "together": TogetherPlan,
        "fleet": FleetAnswer,
        "serve": ServePlan,
        "batch": forms.BatchAnswer
        | forms.BatchCostAnswer
        | forms.BatchFleetAnswer
        | forms.BatchServeAnswer
        | forms.BatchErrorAnswer,
        "hardware": HardwareAnswer,
        "list": forms.ListAnswer | forms.LocalListAnswer,
        "whatfits": forms.HomeAnswer,
        "quants": forms.QuantsAnswer,
        "explain": forms.ExplainAnswer,
        "start": StartAnswer,
        "bench": BenchAnswer | FileBenchAnswer | ServerBenchAnswer,
        "verify": Verification | SuiteAnswer | ServerVerification,
        "error": forms.ErrorAnswer,
    }
    adapters = [(name, "serialization", TypeAdapter[Any](kind)) for name, kind in kinds.items()]
    by_name, shared = TypeAdapter.json_schemas(adapters)  # type: ignore[arg-type]
    definitions = shared["$defs"]
    _complete(definitions)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Answers of whatfits",
        "answers": {name: by_name[name, "serialization"] for name in kinds},
        "$defs": definitions,
    }


def _complete(definitions: dict[str, Any]) -> None:
    """Put in what classes work out themselves, and say which fields an answer always has."""
    for name in ("Memory", "DeviceMemory"):  # pydantic leaves out what a class adds up itself
        definitions[name]["properties"]["total_bytes"] = {"type": "integer"}
    checked = definitions["CheckedTerm"]["properties"]
    checked["miss_bytes"] = {"anyOf": [{"type": "integer"}, {"type": "null"}]}
    checked["inside"] = {"anyOf": [{"type": "boolean"}, {"type": "null"}]}
    compared = definitions["ComparedValue"]["properties"]
    compared |= {"miss": {"type": "integer"}, "inside": {"type": "boolean"}}
    for name, definition in definitions.items():
        # fields may be added within a major version, so that an object is never closed
        definition.pop("additionalProperties", None)
        if name not in _SPARSE:
            definition["required"] = list(definition["properties"])
