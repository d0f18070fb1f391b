"""`whatfits verify --server URL`: a running server's own figures against the prediction."""

from __future__ import annotations

import json
import os
import re
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

from whatfits.sizing.api import load_machine, load_model
from whatfits.sizing.connecting import KEY_VARIABLE
from whatfits.sizing.errors import BadInputError, InvalidRequestError, ProbeError, printable
from whatfits.sizing.json_values import dump_json

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from whatfits.probes.runtimes import RuntimeProbe
    from whatfits.probes.runtimes.address import ServerAddress
    from whatfits.probes.runtimes.answers import Answers
    from whatfits.probes.runtimes.listeners import Listener
    from whatfits.probes.runtimes.report import LoadedModel
    from whatfits.sizing.machine import Machine
    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.workload import Workload

__all__ = ["Case", "run_server"]

_LISTENERS: Final = "whatfits.probes.runtimes.listeners:read_listeners"
_DEADLINE_S: Final = 3.0
_MOST_SHOWN_BYTES: Final = 4_000_000  # licences are in it, and the template
_MOST_KEY: Final = 4096
_UNAUTHORISED: Final = (401, 403)
_NAME: Final = re.compile(r"[A-Za-z0-9][\w.-]*(?:/[A-Za-z0-9][\w.-]*)?", re.ASCII)
_SEE_START: Final = "'whatfits start' shows the servers on this machine"


class Case(NamedTuple):
    """A server with one model, and what it is to be compared with.

    Attributes:
        address: where it is.
        probe: what it is.
        version: None when it does not say.
        listener: its process; None when that cannot be seen from here.
        loaded: what it says of the model.
        spec: the model as it was read here.
        machine: where it runs.
        options: what was typed.
        beside: what the server loads beside the model, by its own word.
        notes: what has to be said of that.
    """

    address: ServerAddress
    probe: RuntimeProbe
    version: str | None
    listener: Listener | None
    loaded: LoadedModel
    spec: ModelSpec
    machine: Machine
    options: argparse.Namespace
    beside: Workload
    notes: tuple[str, ...] = ()


def run_server(options: argparse.Namespace) -> int:
    """Run the command; 0 when every figure lies in its interval, else 1.

    Raises:
        BadInputError: the server cannot be reached, known or compared; the message says why.
    """
    from whatfits.probes.runtimes import server_on
    from whatfits.probes.runtimes.address import parse_address, resolve
    from whatfits.sizing.cli.server_compare import compared, require_rules
    from whatfits.sizing.workload import Workload

    key = _api_key(options.api_key)
    address = resolve(parse_address(options.server))
    listener = _listener(address)
    probe, answers = server_on(
        address.ip, address.port, listener=listener, api_key=key, deadline_s=_DEADLINE_S
    )
    probe = _known(probe, answers, address)
    require_rules(probe.ID)
    loaded = _chosen(probe, answers, options.model)
    machine = _machine(options, address)
    beside, notes = Workload(), tuple[str, ...]()
    if probe.ID == "ollama" and address.is_here:
        loaded, beside, notes = _with_files(address, loaded, api_key=key)
    answer = compared(
        Case(
            address=address,
            probe=probe,
            version=probe.server_version(answers),
            listener=listener,
            loaded=loaded,
            spec=_spec(options, address, loaded, runtime=probe.ID),
            machine=machine,
            options=options,
            beside=beside,
            notes=notes,
        )
    )
    if options.json:
        sys.stdout.write(dump_json(answer) + "\n")
    else:
        from whatfits.sizing.cli.render import show
        from whatfits.sizing.cli.verify_server_text import server_document

        show(server_document(answer), plain=options.plain)
    return 0 if answer.verdict != "outside" else 1


def _api_key(typed: str | None) -> str | None:
    """Return the key to send; it never appears in a message.

    Raises:
        InvalidRequestError: it cannot stand in a header.
    """
    key = typed or os.environ.get(KEY_VARIABLE) or None
    if key is not None and not (len(key) <= _MOST_KEY and key.isascii() and key.isprintable()):
        raise InvalidRequestError(what="API key", allowed="printable ASCII characters")
    return key


def _listener(address: ServerAddress) -> Listener | None:
    """Return the process behind a port of this machine, as far as this user may see it."""
    if not address.is_here:
        return None
    from whatfits.probes.isolate import run_isolated
    from whatfits.probes.runtimes.listeners import parse_listeners

    try:
        found = parse_listeners(run_isolated(_LISTENERS, deadline_s=_DEADLINE_S))
    except ProbeError:
        return None
    return next((listener for listener in found if listener.port == address.port), None)


def _known(probe: RuntimeProbe | None, answers: Answers, address: ServerAddress) -> RuntimeProbe:
    """Return the runtime that answers.

    Raises:
        InvalidRequestError: nobody answers, or nobody known.
    """
    if not answers:
        raise InvalidRequestError(
            what="server", got=address.url, allowed="one that answers", next_step=_SEE_START
        )
    if probe is not None:
        return probe
    if any(answer.status in _UNAUTHORISED for answer in answers.values()):
        raise InvalidRequestError(
            what="server wants another API key:",
            got=address.url,
            next_step=f"put it into {KEY_VARIABLE}, or give --api-key",
        )
    from whatfits.probes.runtimes import runtime_probes

    raise InvalidRequestError(
        what="server that is none of the known:",
        got=address.url,
        allowed=", ".join(known.LABEL for known in runtime_probes()),
        next_step=_SEE_START,
    )


def _chosen(probe: RuntimeProbe, answers: Answers, named: str | None) -> LoadedModel:
    """Return the model that is meant: the one that is named, else the only one.

    Raises:
        InvalidRequestError: none is loaded, or it has to be said which.
    """
    loaded = probe.parse_loaded(answers)
    if loaded is None:
        wants_key = any(answer.status in _UNAUTHORISED for answer in answers.values())
        raise InvalidRequestError(
            what=f"{probe.LABEL} does not say what it has loaded",
            next_step=f"it wants an API key: put it into {KEY_VARIABLE}, or give --api-key"
            if wants_key
            else "ask the address of the server that holds the model",
        )
    names = [model.name for model in loaded]
    for model in loaded:
        if named in (model.name, model.name.removesuffix(":latest")):
            return model
    if len(loaded) == 1:
        return loaded[0]
    if not loaded:
        raise InvalidRequestError(
            what=f"{probe.LABEL} has no model loaded", next_step="send it a request first"
        )
    raise InvalidRequestError(
        what="model of the server", got=named or "none named", allowed=", ".join(names[:10])
    )


def _machine(options: argparse.Namespace, address: ServerAddress) -> Machine:
    """Return the machine that the server runs on.

    Raises:
        InvalidRequestError: it is another one, and nobody said which.
    """
    if options.machine is None and not address.is_here:
        raise InvalidRequestError(
            what="server on another machine:",
            got=address.url,
            next_step="say which machine that is: --machine NAME, or a saved 'hardware --json'",
        )
    return load_machine(options.machine)


def _with_files(
    address: ServerAddress, loaded: LoadedModel, *, api_key: str | None
) -> tuple[LoadedModel, Workload, tuple[str, ...]]:
    """Return a model of Ollama's with its file, and what is loaded beside it, as far as it says."""
    from whatfits.probes.runtimes.answers import json_object
    from whatfits.probes.runtimes.http_ask import Request, ask
    from whatfits.probes.runtimes.ollama import parse_show
    from whatfits.sizing.workload import Workload

    body = json.dumps({"model": loaded.name}).encode()
    headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    request = Request(address.ip, address.port, "/api/show", body, headers)
    try:
        said = ask(request, deadline_s=_DEADLINE_S, most_bytes=_MOST_SHOWN_BYTES)
    except ProbeError:
        return loaded, Workload(), ()
    shown = parse_show(json_object({"/api/show": said}, "/api/show"))
    beside = Workload(mmproj=shown.projector, lora=shown.adapters)
    notes = ("Its draft model is not counted here.",) if shown.has_draft else ()
    return replace(loaded, path=shown.path), beside, notes


def _spec(
    options: argparse.Namespace, address: ServerAddress, loaded: LoadedModel, *, runtime: str
) -> ModelSpec:
    """Return the model: as named, else by the file that the server names, else by its name.

    Raises:
        BadInputError: it cannot be read here.
    """
    named = options.model
    if named and named not in (loaded.name, loaded.name.removesuffix(":latest")):
        return load_model(named, file_type=options.file_type, runtime=runtime)
    for name, file_type in _sources(address, loaded):
        try:
            return load_model(name, file_type=options.file_type or file_type, runtime=runtime)
        except BadInputError:
            continue
    raise InvalidRequestError(
        what="model of the server cannot be read here:",
        got=printable(loaded.name),
        allowed="a file, a folder or a catalog name",
        next_step="say which it is: whatfits verify MODEL --server URL",
    )


def _sources(address: ServerAddress, loaded: LoadedModel) -> Sequence[tuple[str, str | None]]:
    """Return names to read the model by, with a file type where the name does not settle it.

    A path is only a path on the machine of the server.
    """
    found: list[tuple[str, str | None]] = []
    if address.is_here and loaded.path and os.path.isabs(loaded.path):  # noqa: PTH117 - a text
        found.append((loaded.path, None))
    plain = [(loaded.path or "", None), (loaded.name.replace(":", "-"), loaded.file_type)]
    for name, file_type in plain:
        # what a server calls a name must not be a way to a file here
        if _NAME.fullmatch(name) and not os.path.lexists(name):
            found.append((name, file_type))
    return found
