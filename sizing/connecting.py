"""How a program talks to a server: its base URL, a line of curl, a few lines of Python.

Every runtime here speaks the same requests, OpenAI's: `POST BASE/chat/completions`.
"""

from __future__ import annotations

import json
import shlex

from whatfits.sizing.runtimes.shells import command_line, is_windows
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import dataclass

if TYPE_CHECKING:
    from typing import Final

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
        curl: one line for the system's shell; in PowerShell what stands for curl there.
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
    *,
    runtime: str,
    base_url: str,
    model: str | None,
    is_running: bool,
    needs_key: bool,
    os: str | None = None,
) -> Connection:
    """Return how to connect from a system; names are quoted, wherever they come from."""
    name = model or "MODEL"
    request = {"model": name, "messages": [{"role": "user", "content": _QUESTION}]}
    address, body = f"{base_url}/chat/completions", json.dumps(request)
    line = _powershell_line if is_windows(os) else _curl_line
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
        curl=line(address, body, needs_key=needs_key),
        python=python,
    )


def _curl_line(address: str, body: str, *, needs_key: bool) -> str:
    headers = ["-H", "'Content-Type: application/json'"]
    if needs_key:
        headers += ["-H", f'"Authorization: Bearer ${KEY_VARIABLE}"']
    return " ".join(["curl", shlex.quote(address), *headers, "-d", shlex.quote(body)])


def _powershell_line(address: str, body: str, *, needs_key: bool) -> str:
    """Return a request in its own words: `curl` is another command in older versions."""
    words = ["Invoke-RestMethod", "-Method", "Post", "-Uri", address]
    words += ["-ContentType", "application/json", "-Body", body]
    line = command_line(words, os="windows")
    header = f' -Headers @{{Authorization = "Bearer $env:{KEY_VARIABLE}"}}' if needs_key else ""
    return line + header
