"""Answers dry runs over standard input, one JSON object a line, in a process of its own.

usage: python -m whatfits.bench.plan_child; a line holds `path` and `settings` (fields of
RunSettings). llama.cpp ends its process where an assertion fails: that must not end ours.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

from whatfits.bench.child import end_with_parent
from whatfits.bench.run_settings import settings_of
from whatfits.sizing.errors import ProbeError

__all__ = ["serve"]


def serve() -> None:
    """Answer until the input ends."""
    for line in sys.stdin:
        sys.stdout.write(json.dumps(_answer(line)) + "\n")
        sys.stdout.flush()


def _answer(line: str) -> dict[str, object]:
    """Return the buffers of one request, or why llama.cpp refused it."""
    from whatfits.bench.llama_cpp import reserve  # noqa: PLC0415 - loads llama.cpp

    request = json.loads(line)
    try:
        got = reserve(Path(request["path"]), settings_of(request["settings"]))
    except ProbeError as error:
        return {"error": str(error)}
    return asdict(got)


if __name__ == "__main__":
    end_with_parent()
    serve()
