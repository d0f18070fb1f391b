"""How a program talks to a server: its base URL, a line of curl, a few lines of Python.

Every runtime here speaks the same requests, OpenAI's: `POST BASE/chat/completions`.
"""

from __future__ import annotations

import json
import shlex
from typing import Final

from whatfits.sizing.values import dataclass

__all__ = ["KEY_VARIABLE", "Connection", "connection"]

KEY_VARIABLE: Final = "WHATFITS_API_KEY"
_QUESTION: Final = "Say hello."


@dataclass(frozen=True, slots=True)
class Connection:
    """What a client needs.

    Attributes:
        runtime: id of the runtime that answers.
        base_url: where.
        model: the name to ask for; MODEL when none is loaded.
        is_running: whether it answers now.
        needs_key: whether it wants an API key, taken from `WHATFITS_API_KEY` below.
        curl: one line for a shell.
        python: lines for the package `openai`.
    """

    runtime: str
    base_url: str
    model: str
    is_running: bool
    needs_key: bool
    curl: str
    python: tuple[str, ...]


def connection(
    *, runtime: str, base_url: str, model: str | None, is_running: bool, needs_key: bool
) -> Connection:
    """Return how to connect; names are quoted, wherever they come from."""
    name = model or "MODEL"
    request = {"model": name, "messages": [{"role": "user", "content": _QUESTION}]}
    headers = ["-H", "'Content-Type: application/json'"]
    if needs_key:
        headers += ["-H", f'"Authorization: Bearer ${KEY_VARIABLE}"']
    address = shlex.quote(f"{base_url}/chat/completions")
    curl = " ".join(["curl", address, *headers, "-d", shlex.quote(json.dumps(request))])
    key = f'os.environ["{KEY_VARIABLE}"]' if needs_key else '"none"'
    python = (
        *(("import os",) if needs_key else ()),
        "from openai import OpenAI",
        f"client = OpenAI(base_url={json.dumps(base_url)}, api_key={key})",
        "answer = client.chat.completions.create(",
        f"    model={json.dumps(name)},",
        f"    messages={json.dumps(request['messages'])},",
        ")",
        "print(answer.choices[0].message.content)",
    )
    return Connection(
        runtime=runtime,
        base_url=base_url,
        model=name,
        is_running=is_running,
        needs_key=needs_key,
        curl=curl,
        python=python,
    )
