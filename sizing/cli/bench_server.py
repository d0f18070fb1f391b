"""`whatfits bench --server URL`: time to first token and tokens a second of a running server."""

from __future__ import annotations

import json

from whatfits.sizing.cli.api_key import api_key_of, wants_another_key, wants_key
from whatfits.sizing.cli.bench_answer import ServerBenchAnswer
from whatfits.sizing.errors import InvalidRequestError, ProbeError, printable
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.version import SCHEMA_VERSION

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable
    from typing import Final

    from whatfits.bench.server_speed import Reply
    from whatfits.probes.runtimes.address import ServerAddress

__all__ = ["measured_server", "parse_model_names"]

_CONCURRENCIES: Final = (1, 2, 4)
_TOKENS: Final = 64
_WARM_UP_TOKENS: Final = 4
_DEADLINE_S: Final = 60.0
_LIST_DEADLINE_S: Final = 3.0
_MOST_LIST_BYTES: Final = 1 << 20
_OK: Final = 200
_SHOWN_MODELS: Final = 10


def measured_server(
    options: argparse.Namespace, progress: Callable[[str], None] | None
) -> ServerBenchAnswer:
    """Return the server's speed at several requests at once.

    Raises:
        BadInputError: the address is not allowed, nobody answers there, or it has to be said which
            model is meant.
    """
    from whatfits.bench.server_speed import Endpoint, ask_at_once, level_of
    from whatfits.probes.runtimes.address import parse_address, resolve

    key = api_key_of(options.api_key)
    address = resolve(parse_address(options.server))
    model = _model(address, options.name, key)
    endpoint = Endpoint(address.ip, address.port, model, key)
    if progress is not None:
        progress("warming up")
    # the first request may load the model: it is asked for few tokens, and not counted
    (warm,) = ask_at_once(
        endpoint, concurrency=1, tokens=_WARM_UP_TOKENS, first_number=0, deadline_s=_DEADLINE_S
    )
    if warm.error:
        raise InvalidRequestError(
            what="server",
            got=address.url,
            allowed=f"one that streams completions (this one: {warm.error})",
        )
    replies: list[Reply] = []
    timings = []
    for concurrency in _CONCURRENCIES:
        if progress is not None:
            progress(f"{concurrency} at once")
        found = ask_at_once(
            endpoint,
            concurrency=concurrency,
            tokens=_TOKENS,
            first_number=1 + len(replies),
            deadline_s=_DEADLINE_S,
        )
        replies += found
        timings.append(level_of(found))
        if not timings[-1].answered:
            break
    errors = dict.fromkeys(reply.error for reply in replies if reply.error)
    counted = all(reply.tokens is not None for reply in replies if not reply.error)
    return ServerBenchAnswer(
        schema_version=SCHEMA_VERSION,
        url=address.url,
        model=model,
        prompt_tokens=next((r.prompt_tokens for r in replies if r.prompt_tokens), None),
        counted_by="usage" if counted else "events",
        timings=tuple(timings),
        warnings=tuple(f"a request failed: {error}" for error in errors),
    )


def _model(address: ServerAddress, named: str | None, key: str | None) -> str:
    """Return the model to ask for: the one that is named, else the server's only one.

    Raises:
        InvalidRequestError: nobody answers, or it has to be said which.
    """
    from whatfits.probes.runtimes.http_ask import Request, ask

    headers = {"Authorization": f"Bearer {key}"} if key else {}
    try:
        said = ask(
            Request(address.ip, address.port, "/v1/models", headers=headers),
            deadline_s=_LIST_DEADLINE_S,
            most_bytes=_MOST_LIST_BYTES,
        )
    except ProbeError as error:
        raise InvalidRequestError(
            what="server", got=address.url, allowed=f"one that answers; {error}"
        ) from None
    if wants_key(said.status):
        raise wants_another_key(address.url)
    names = parse_model_names(said.body) if said.status == _OK else ()
    if named is not None and (named in names or not names):
        return named
    if not names:
        raise InvalidRequestError(
            what="server",
            got=address.url,
            allowed="one that lists its models at /v1/models, as OpenAI-compatible servers do; "
            f"this one answered with status {said.status} and no list",
            next_step="name the model with --name if it takes completions all the same",
        )
    if named is None and len(names) == 1:
        return names[0]
    raise InvalidRequestError(
        what="model of the server (--name)",
        got=named or "none named",
        allowed=", ".join(names[:_SHOWN_MODELS]),
    )


def parse_model_names(body: bytes) -> tuple[str, ...]:
    """Return the models of a list as OpenAI-compatible servers give it; empty for anything else."""
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        return ()
    rows = said.get("data") if isinstance(said, dict) else None
    if not isinstance(rows, list):
        return ()
    names = [row.get("id") for row in rows if isinstance(row, dict)]
    return tuple(dict.fromkeys(n for n in names if isinstance(n, str) and n == printable(n) and n))
