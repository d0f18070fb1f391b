"""What to say when the Hub refuses: one line with the reason and the way out.

The Hub answers 401 for what is private and for what does not exist alike, so that nobody learns
which. Source: huggingface_hub 0.34 utils/_http.py, `hf_raise_for_status`.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

from whatfits.sizing.errors import UnknownModelError, UnreadableFileError

if TYPE_CHECKING:
    from whatfits.sizing.errors import BadInputError, RemoteAnswerError
    from whatfits.sizing.sources.hub.names import HubName
    from whatfits.sizing.sources.hub.settings import HubSettings

__all__ = ["catalog_hint", "refused"]

_LOGIN: Final = "log in with 'hf auth login' or set HF_TOKEN"
_NOT_ACCEPTED: Final = "Invalid credentials"
_DISABLED: Final = "Access to this resource is disabled"
_NEAR: Final = 0.85
_UNAUTHORISED, _FORBIDDEN, _MISSING, _TOO_MANY, _SERVER = 401, 403, 404, 429, 500


def refused(error: RemoteAnswerError, name: HubName, settings: HubSettings) -> BadInputError:
    """Return the error to raise instead; the same one where nothing better can be said."""
    code = error.headers.get("x-error-code", "")
    message = error.headers.get("x-error-message", "")
    named = name.repository
    if message.startswith(_NOT_ACCEPTED):
        return UnreadableFileError(
            what="the Hub does not accept the token that was sent for",
            got=named,
            next_step="renew it with 'hf auth login', or unset HF_TOKEN for public models",
        )
    if code == "GatedRepo":
        return _gated(name, settings)
    if message.startswith(_DISABLED):
        return UnreadableFileError(what="the Hub has disabled the repository", got=named)
    if code == "RevisionNotFound":
        return UnknownModelError(
            what=f"{named} has no revision",
            got=name.revision or "main",
            next_step=f"see the branches and tags at {settings.endpoint}/{named}/tree/main",
        )
    if code == "EntryNotFound":
        return UnknownModelError(what=f"a file has gone from {named}:", got=error.got)
    if code == "RepoNotFound" or error.status in (_UNAUTHORISED, _MISSING):
        return _not_found(name, settings)
    if error.status == _FORBIDDEN:
        return UnreadableFileError(
            what="the token may not read the repository",
            got=named,
            next_step="give it the permission to read, or use another",
        )
    if error.status == _TOO_MANY:
        return UnreadableFileError(
            what="the Hub has had too many requests from here; it refuses",
            got=named,
            next_step=f"try again in five minutes{'' if settings.token else f', or {_LOGIN}'}",
        )
    if error.status is not None and error.status >= _SERVER:
        return UnreadableFileError(
            what=f"the Hub is in trouble (status {error.status}); it cannot answer for",
            got=named,
            next_step="try again later",
        )
    return error


def catalog_hint(repository: str) -> str:
    """Return how to get an answer about a repository from the catalog; empty when it has none."""
    from whatfits.sizing.catalog.lookup import find_model  # noqa: PLC0415 - rarely needed

    with suppress(UnknownModelError):
        return (
            f"the catalog knows it without the network: whatfits check {find_model(repository).id}"
        )
    return ""


def _near_id(repository: str) -> str:
    """Return a repository of the catalog whose name comes near; empty when none does."""
    from difflib import get_close_matches  # noqa: PLC0415 - only for an error

    from whatfits.sizing.catalog.lookup import model_entries  # noqa: PLC0415 - same

    ids = {entry.hf_id.casefold(): entry.hf_id for entry in model_entries()}
    near = get_close_matches(repository.casefold(), ids, n=1, cutoff=_NEAR)
    return f"did you mean 'hf:{ids[near[0]]}'?" if near else ""


def _gated(name: HubName, settings: HubSettings) -> UnreadableFileError:
    page = f"{settings.endpoint}/{name.repository}"
    if settings.token is None:
        step = f"accept its terms at {page}, then {_LOGIN}"
    else:
        step = f"your token has no access: ask for it at {page}"
    return UnreadableFileError(
        what="the repository is gated:",
        got=name.repository,
        next_step="; or ".join(filter(None, (step, catalog_hint(name.repository)))),
    )


def _not_found(name: HubName, settings: HubSettings) -> UnknownModelError:
    step = "check the spelling"
    step += f"; if it is private, {_LOGIN}" if settings.token is None else " and the token's rights"
    return UnknownModelError(
        what="no such repository on Hugging Face, or a private one:",
        got=name.repository,
        next_step="; ".join(filter(None, (_near_id(name.repository), step))),
    )
