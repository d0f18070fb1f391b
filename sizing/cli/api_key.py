"""The key that a server may want: from where it comes, and what is said where it is wrong."""

from __future__ import annotations

import os

from whatfits.sizing.connecting import KEY_VARIABLE
from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Final

__all__ = ["GIVE_A_KEY", "api_key_of", "wants_another_key", "wants_key"]

GIVE_A_KEY: Final = f"put it into {KEY_VARIABLE}, or give --api-key"
_MOST_KEY: Final = 4096
_UNAUTHORISED: Final = (401, 403)


def api_key_of(typed: str | None) -> str | None:
    """Return the key to send; it never appears in a message.

    Raises:
        InvalidRequestError: it cannot stand in a header.
    """
    key = typed or os.environ.get(KEY_VARIABLE) or None
    if key is not None and not (len(key) <= _MOST_KEY and key.isascii() and key.isprintable()):
        raise InvalidRequestError(what="API key", allowed="printable ASCII characters")
    return key


def wants_key(status: int) -> bool:
    """Return whether a server answers so because it was sent no key, or a wrong one."""
    return status in _UNAUTHORISED


def wants_another_key(url: str) -> InvalidRequestError:
    """Return the error that a server at `url` wants another key."""
    return InvalidRequestError(what="server wants another API key:", got=url, next_step=GIVE_A_KEY)
