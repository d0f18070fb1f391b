"""`whatfits verify --server URL`: a running server's own figures against the prediction."""

from __future__ import annotations

import sys

from whatfits.sizing.api import load_machine
from whatfits.sizing.cli.api_key import GIVE_A_KEY, api_key_of, wants_another_key, wants_key
from whatfits.sizing.cli.server_case import Case
from whatfits.sizing.errors import InvalidRequestError, ProbeError
from whatfits.sizing.json_values import dump_json
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse
    from typing import Final

    from whatfits.probes.runtimes.address import ServerAddress
    from whatfits.probes.runtimes.answers import Answers
    from whatfits.probes.runtimes.listeners import Listener
    from whatfits.probes.runtimes.registry import RuntimeProbe
    from whatfits.probes.runtimes.report import LoadedModel
    from whatfits.sizing.machine import Machine

__all__ = ["run_server"]

_DEADLINE_S: Final = 3.0
_SEE_START: Final = "'whatfits start' shows the servers on this machine"


def run_server(options: argparse.Namespace) -> int:
    """Run the command; 0 when every figure lies in its interval, else 1.

    Raises:
        BadInputError: the server cannot be reached, known or compared; the message says why.
    """
    from whatfits.probes.runtimes.address import parse_address, resolve
    from whatfits.probes.runtimes.servers import server_on
    from whatfits.sizing.cli.server_compare import compared, require_rules, rules_of
    from whatfits.sizing.cli.server_model import served_model, with_files
    from whatfits.sizing.workload import Workload

    key = api_key_of(options.api_key)
    address = resolve(parse_address(options.server))
    listener = _listener(address)
    probe, answers = server_on(
        address.ip, address.port, listener=listener, api_key=key, deadline_s=_DEADLINE_S
    )
    probe = _known(probe, answers, address)
    require_rules(probe.ID)
    loaded = _chosen(probe, answers, listener, options.model)
    machine = _machine(options, address)
    beside, notes = Workload(), tuple[str, ...]()
    if probe.ID == "ollama" and address.is_here:
        loaded, beside, notes = with_files(address, loaded, api_key=key)
    answer = compared(
        Case(
            address=address,
            probe=probe,
            version=probe.server_version(answers),
            listener=listener,
            loaded=loaded,
            spec=served_model(
                options,
                address,
                loaded,
                runtime=rules_of(probe.ID),
                folder=None if listener is None else listener.folder,
            ),
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


def _listener(address: ServerAddress) -> Listener | None:
    """Return the process behind a port of this machine, as far as this user may see it."""
    if not address.is_here:
        return None
    from whatfits.probes.runtimes.listeners import listeners_here

    try:
        found = listeners_here(deadline_s=_DEADLINE_S)
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
    if any(wants_key(answer.status) for answer in answers.values()):
        raise wants_another_key(address.url)
    from whatfits.probes.runtimes.registry import runtime_probes

    raise InvalidRequestError(
        what="server that is none of the known:",
        got=address.url,
        allowed=", ".join(known.LABEL for known in runtime_probes()),
        next_step=_SEE_START,
    )


def _chosen(
    probe: RuntimeProbe, answers: Answers, listener: Listener | None, named: str | None
) -> LoadedModel:
    """Return the model that is meant: the one that is named, else the only one.

    Raises:
        InvalidRequestError: none is loaded, or it has to be said which.
    """
    loaded = probe.parse_loaded(answers, listener)
    if loaded is None:
        wanted = any(wants_key(answer.status) for answer in answers.values())
        raise InvalidRequestError(
            what=f"{probe.LABEL} does not say what it has loaded",
            next_step=f"it wants an API key: {GIVE_A_KEY}"
            if wanted
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
