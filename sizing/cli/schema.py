"""`whatfits schema`: the JSON Schema of every `--json` answer."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from whatfits.sizing.cli.options import Parser

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["run"]


def run(arguments: Sequence[str]) -> int:
    """Print the schema; 0."""
    parser = Parser(command="schema", description="JSON Schema of every --json answer.")
    parser.add_argument("--json", action="store_true", help="always on; accepted for symmetry")
    parser.parse_args(arguments)
    from whatfits.sizing.json_schema import answer_schema

    sys.stdout.write(json.dumps(answer_schema(), indent=2, ensure_ascii=False) + "\n")
    return 0
