"""What to say when the Hub refuses: one line with the reason and the way out.

The Hub answers 401 for what is private and for what does not exist alike, so that nobody learns
which. Source: huggingface_hub 0.34 utils/_http.py, `hf_raise_for_status`.
"""

from __future__ import annotations

from whatfits.sizing.errors import UnknownModelError, UnreadableFileError
from whatfits.sizing.sources.hub.known import catalog_hint, near_hint
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Final

    from whatfits.sizing.errors import BadInputError, RemoteAnswerError
    from whatfits.sizing.sources.hub.names import HubName
    from whatfits.sizing.sources.hub.settings import HubSettings

__all__ = ["refused"]

_LOGIN: Final = "log in with 'hf auth login' or set HF_TOKEN"
_NOT_ACCEPTED: Final = "Invalid credentials"
_DISABLED: Final = "Access to this resource is disabled"
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
        next_step="; ".join(filter(None, (near_hint(name.repository), step))),
    )
